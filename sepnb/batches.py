"""Random chunks for training: batches of stems out of a chunk store, mixed anew and varied on the way.

Batch number k depends on the seed and on k alone. So batches can be made ahead and side by side, and a run goes on
exactly where it stopped by remembering one number.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from sepnb.augment import Augment
from sepnb.effects import Desk, Effects, draw
from sepnb.errors import StoreError
from sepnb.store import Store

# How much of a GPU's free memory a resident store may take; the rest is for the model.
RESIDENT_SHARE = 0.5


@dataclass(frozen=True)
class Plan:
    """What one batch is made of: for each of its stems (batch, sources), the song, first sample, factor and order."""

    songs: np.ndarray
    starts: np.ndarray
    factors: np.ndarray  # float32: the store's scale, level, polarity and silence in one
    swapped: np.ndarray
    speeds: np.ndarray | None = None  # None: all as they are
    effects: Effects | None = None

    def part(self, which: int, of: int) -> "Plan":
        """The plan of every `of`-th example only, from number `which` on."""
        if of == 1:
            return self
        mine = {name: value[which::of] for name, value in _arrays(self).items()}
        effects = self.effects and Effects(**{name: v[which::of] for name, v in _arrays(self.effects).items()})
        return replace(self, **mine, effects=effects)


def _arrays(drawn: "Plan | Effects") -> dict[str, np.ndarray]:
    return {name: value for name, value in vars(drawn).items() if isinstance(value, np.ndarray)}


class Batches:
    """An endless iterator of batches: float32 tensors (batch, sources, channels, samples) on `device`.

    Chunks begin anywhere in the songs of `subset` (None: all songs); a song is drawn in proportion to its length. One
    that is shorter than a chunk is followed by silence. The mixture is `stems.sum(1)`.

    songs: only the first so many of the subset. part: (k, n) makes of every batch only the examples k, k + n, and
    so on; n processes with k = 0 … n - 1 together see the very batches that one process would.

    seconds: length of a chunk. seed: the same seed gives the same batches, to the last bit. resident: hold the songs in
    the device's memory and cut chunks there; None decides (on a GPU, if they fit into half of what is free).
    threads, ahead: batches are made by so many threads, and so many are ready or under way before they are asked for.
    Raises StoreError if the subset has no songs, or fewer than asked for.
    """

    def __init__(
        self,
        store: Store,
        seconds: float,
        batch_size: int,
        augment: Augment | None = None,
        seed: int = 0,
        subset: str | None = "train",
        device: str | torch.device = "cpu",
        resident: bool | None = None,
        threads: int = 2,
        ahead: int = 4,
        songs: int | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.store = store
        self.samples = round(seconds * store.rate)
        self.batch_size = batch_size
        self.augment = Augment() if augment is None else augment
        self.seed = seed
        self.subset = subset
        self.device = torch.device(device)
        self.songs = [i for i, entry in enumerate(store.entries) if subset is None or entry.subset == subset]
        if not self.songs:
            there = ", ".join(sorted({entry.subset for entry in store.entries}))
            raise StoreError(f"{store.path} has no songs in the subset {subset!r}; it has {there}")
        if songs is not None:
            if not 1 <= songs <= len(self.songs):
                raise StoreError(f"{store.path} has {len(self.songs)} songs in the subset {subset!r}, not {songs}")
            self.songs = self.songs[:songs]
        self._first = songs
        self.part = part
        if not 0 <= part[0] < part[1] or batch_size % part[1]:
            raise StoreError(f"batches of {batch_size} have no part {part[0]} of {part[1]} equal parts")
        if self.samples < 1 or batch_size < 1:
            raise StoreError(f"batches of {batch_size} chunks of {seconds} s are empty")
        self._lengths = np.array([store.entries[i].samples for i in self.songs])
        self._scales = np.stack([store.scales(i) for i in self.songs])
        shape = (batch_size // part[1], len(store.sources), store.channels, self.samples)
        self.resident = self._fits() if resident is None else resident
        stored = [store.stored(i) for i in self.songs]
        self._cut = (
            ResidentCutter(stored, shape, self.device, self._needed(self.augment.speed[1]))
            if self.resident
            else MappedCutter(stored, shape, self.device)
        )
        self._desk = Desk(self.samples, store.rate) if self.augment.has_effects else None
        self._next = 0  # number of the batch that the caller gets next
        self._ahead: deque[Future[Tensor]] = deque()
        self._depth = ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        while len(self._ahead) <= self._depth:
            self._ahead.append(self._pool.submit(self._make, self._next + len(self._ahead)))
        batch = self._ahead[0].result()
        self._ahead.popleft()
        self._next += 1
        return batch.to(self.device, non_blocking=True)

    @property
    def per_epoch(self) -> int:
        """Batches that hold as much music as the songs do together."""
        return max(1, round(int(self._lengths.sum()) / (self.samples * self.batch_size)))

    def state_dict(self) -> dict[str, object]:
        """Where the iterator is: the number of the next batch, and what the batches depend on. Plain JSON values."""
        return {
            "next": self._next,
            "seed": self.seed,
            "samples": self.samples,
            "batch_size": self.batch_size,
            "subset": self.subset,
            "songs": self._first,
            "augment": self.augment.as_dict(),
            "store": self.store.fingerprint,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on where another iterator was; StoreError if it would have given other batches."""
        mine = self.state_dict()
        # A variation that an earlier version does not know has the value that it has by default.
        state = {**state, "augment": Augment.from_dict(state.get("augment", {})).as_dict()}
        differing = [key for key in mine if key != "next" and state.get(key) != mine[key]]
        if differing:
            raise StoreError(f"cannot go on with these batches: {', '.join(differing)} differ from the saved state")
        self._next = state["next"]
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()

    def plan(self, number: int) -> Plan:
        """Draw what batch `number` is made of."""
        rng = np.random.default_rng([self.seed, number])
        shape = (self.batch_size, len(self.store.sources))
        songs = rng.choice(len(self.songs), size=shape, p=self._lengths / self._lengths.sum())
        places = rng.random(shape)
        together = rng.random(self.batch_size) >= self.augment.remix
        songs[together], places[together] = songs[together, :1], places[together, :1]
        low, high = (10 ** (level / 20) for level in self.augment.gain_db)
        factors = self._scales[songs, np.arange(shape[1])] * rng.uniform(low, high, shape)
        factors[rng.random(shape) < self.augment.polarity] *= -1
        swapped = rng.random(shape) < self.augment.swap
        # What is off by default has draws of its own, so that it leaves those above as they were.
        rng = np.random.default_rng([self.seed, number, 1])
        muted = rng.random(shape) < self.augment.mute
        muted[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] = False
        factors[muted] = 0
        speeds = rng.uniform(*self.augment.speed, shape)
        speeds[together] = speeds[together, :1]
        # A place in [0, 1) is one of the positions at which a whole chunk can begin.
        positions = np.maximum(self._lengths[songs] - self._needed(speeds), 0) + 1
        return Plan(
            songs,
            (places * positions).astype(np.int64),
            factors.astype(np.float32),
            swapped,
            speeds=speeds if self._varies_speed else None,
            effects=draw(np.random.default_rng([self.seed, number, 2]), self.augment, shape),
        )

    def describe(self, number: int) -> list[dict[str, dict[str, str | float]]]:
        """What batch `number` is made of, for reports: an example each, by source its song and first second."""
        plan = self.plan(number)
        return [
            {
                source: {
                    "song": self.store.entries[self.songs[plan.songs[b, s]]].name,
                    "start": round(float(plan.starts[b, s]) / self.store.rate, 3),
                }
                for s, source in enumerate(self.store.sources)
            }
            for b in range(self.batch_size)
        ]

    def _make(self, number: int) -> Tensor:
        plan = self.plan(number).part(*self.part)
        batch = self._cut(plan)
        if self._desk is not None:
            self._desk(batch, plan.effects)
        return batch

    @property
    def _varies_speed(self) -> bool:
        return self.augment.speed != (1.0, 1.0)

    def _needed(self, speed: float | np.ndarray) -> int | np.ndarray:
        return reach(self.samples, speed) if self._varies_speed else self.samples

    def _fits(self) -> bool:
        if self.device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(self.device)
        return sum(self.store.stored(i).nbytes for i in self.songs) <= RESIDENT_SHARE * free


def reach(samples: int, speed: float | np.ndarray) -> np.ndarray:
    """Samples of a song that a chunk of `samples` at a speed is made of, with one more to draw a line to."""
    return np.floor((samples - 1) * speed).astype(np.int64) + 2


class MappedCutter:
    """Cuts batches out of memory-mapped songs into host memory, pinned if they go to a GPU."""

    def __init__(self, songs: list[np.ndarray], shape: tuple[int, int, int, int], device: torch.device) -> None:
        self._songs = songs
        self._shape = shape
        self._pinned = device.type == "cuda"
        self._free: deque[np.ndarray] = deque()

    def __call__(self, plan: Plan) -> Tensor:
        batch = self._new_batch()
        out = batch.numpy()
        for b, s in np.ndindex(out.shape[:2]):
            start = plan.starts[b, s]
            channels = self._songs[plan.songs[b, s]][s, :: -1 if plan.swapped[b, s] else 1]
            if plan.speeds is not None:
                self._play(channels[:, start:], plan.speeds[b, s], plan.factors[b, s], out[b, s])
                continue
            chunk = channels[:, start : start + out.shape[-1]]
            there = chunk.shape[-1]
            # One pass: read 16 bits, scale, write 32.
            np.multiply(chunk, plan.factors[b, s], out=out[b, s, :, :there])
            out[b, s, :, there:] = 0
        return batch

    def _play(self, song: np.ndarray, speed: float, factor: np.float32, out: np.ndarray) -> None:
        """Fill `out` (channels, samples) with the song at a speed, on straight lines from sample to sample."""
        needed = reach(out.shape[-1], speed)
        chunk = np.zeros((len(out), needed), np.float32)
        np.multiply(song[:, :needed], factor, out=chunk[:, : song.shape[-1]])
        places = np.arange(out.shape[-1]) * speed
        before = places.astype(np.int64)
        np.take(chunk, before, axis=1, out=out, mode="clip")
        lines = np.take(np.diff(chunk), before, axis=1, mode="clip")
        lines *= (places - before).astype(np.float32)
        out += lines

    def _new_batch(self) -> Tensor:
        """Memory for a batch. Fresh memory costs about as much as filling it, so it is used again when it is free."""
        if self._pinned:
            return torch.empty(self._shape, pin_memory=True)  # torch keeps pinned memory for use again
        memory = self._free.popleft() if self._free else np.empty(self._shape, np.float32)
        view = memory.view()
        # The tensor, and whatever shares its memory, keeps `view` alive; when the last of them is gone, so is `view`.
        finalize(view, self._free.append, memory).atexit = False
        return torch.from_numpy(view)


class ResidentCutter:
    """Cuts batches out of songs that lie in the device's memory, with a few large operations."""

    def __init__(
        self, songs: list[np.ndarray], shape: tuple[int, int, int, int], device: torch.device, longest: int
    ) -> None:
        self._shape = shape
        lengths = [max(song.shape[-1], longest) for song in songs]
        rows = songs[0].shape[0] * songs[0].shape[1]
        # All songs, row by row, behind each other; a song shorter than a chunk is followed by zeros.
        kind = torch.from_numpy(np.empty(0, songs[0].dtype)).dtype
        self._all = torch.zeros(sum(rows * length for length in lengths), dtype=kind, device=device)
        self._lengths = np.array(lengths)
        self._begins = np.cumsum([0, *(rows * length for length in lengths)])[:-1]
        for song, begin, length in zip(songs, self._begins, lengths, strict=True):
            room = self._all[begin : begin + rows * length].view(rows, length)
            room[:, : song.shape[-1]] = torch.from_numpy(np.array(song)).view(rows, -1)

    def __call__(self, plan: Plan) -> Tensor:
        sources, channels, samples = self._shape[1:]
        channel = np.arange(channels)
        order = np.where(plan.swapped[..., None], channel[::-1], channel)  # (batch, sources, channels)
        row = np.arange(sources)[:, None] * channels + order
        starts = (self._begins[plan.songs] + plan.starts)[..., None] + row * self._lengths[plan.songs][..., None]
        if plan.speeds is not None:
            return self._play(torch.from_numpy(starts).to(self._all.device), plan)
        # Row i of this view is the chunk that begins at sample i; it takes no memory, only the rows picked from it do.
        windows = self._all.unfold(0, samples, 1)
        chunks = windows[torch.from_numpy(starts.ravel()).to(self._all.device)].view(self._shape)
        return chunks * torch.from_numpy(plan.factors).to(self._all.device)[..., None, None]

    def _play(self, starts: Tensor, plan: Plan) -> Tensor:
        """Chunks that begin at `starts` (batch, sources, channels), on straight lines from sample to sample."""
        device = starts.device
        places = torch.arange(self._shape[-1], device=device) * torch.from_numpy(plan.speeds).to(device)[..., None]
        before = places.long()
        factors = torch.from_numpy(plan.factors).to(device)[..., None, None]
        at = starts[..., None] + before[:, :, None]
        here = self._all[at] * factors
        return here + (self._all[at + 1] * factors - here) * (places - before).float()[:, :, None]
