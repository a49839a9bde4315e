"""Random chunks for training: batches of stems out of a chunk store, mixed anew and varied on the way.

Batch number k depends on the seed and on k alone. So batches can be made ahead and side by side, and a run goes on
exactly where it stopped by remembering one number.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from sepnb.errors import StoreError
from sepnb.store import Store

# How much of a GPU's free memory a resident store may take; the rest is for the model.
RESIDENT_SHARE = 0.5


@dataclass(frozen=True)
class Augment:
    """How chunks are varied. Probabilities are for each example (remix) or for each of its stems (the others)."""

    # Stems of an example come from different songs and places. It makes far more mixtures than there are songs, and
    # pays even though they clash (Jeon et al. 2024, arXiv 2402.18407). Open-Unmix and Demucs do it always.
    remix: float = 1.0
    # Level of each stem, in dB; amplitude is drawn evenly between the two. Open-Unmix and Demucs draw 0.25 to 1.25.
    gain_db: tuple[float, float] = (-12.0, 2.0)
    # Reverses the order of the channels (left and right): a hi-hat is as often left as right.
    swap: float = 0.5
    # Turns a stem upside down. It sounds the same, but not in the sum with other stems.
    polarity: float = 0.5

    @classmethod
    def none(cls) -> "Augment":
        """Songs as they are: all stems from the same place, unchanged."""
        return cls(remix=0.0, gain_db=(0.0, 0.0), swap=0.0, polarity=0.0)


@dataclass(frozen=True)
class Plan:
    """What one batch is made of: for each of its stems (batch, sources), the song, first sample, factor and order."""

    songs: np.ndarray
    starts: np.ndarray
    factors: np.ndarray  # float32: the store's scale, level and polarity in one
    swapped: np.ndarray


class Batches:
    """An endless iterator of batches: float32 tensors (batch, sources, channels, samples) on `device`.

    Chunks begin anywhere in the songs of `subset` (None: all songs); a song is drawn in proportion to its length. One
    that is shorter than a chunk is followed by silence. The mixture is `stems.sum(1)`.

    seconds: length of a chunk. seed: the same seed gives the same batches, to the last bit. resident: hold the songs in
    the device's memory and cut chunks there; None decides (on a GPU, if they fit into half of what is free).
    threads, ahead: batches are made by so many threads, and so many are ready or under way before they are asked for.
    Raises StoreError if the subset has no songs.
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
        if self.samples < 1 or batch_size < 1:
            raise StoreError(f"batches of {batch_size} chunks of {seconds} s are empty")
        self._lengths = np.array([store.entries[i].samples for i in self.songs])
        self._scales = np.stack([store.scales(i) for i in self.songs])
        shape = (batch_size, len(store.sources), store.channels, self.samples)
        self.resident = self._fits() if resident is None else resident
        songs = [store.stored(i) for i in self.songs]
        self._cut = (
            ResidentCutter(songs, shape, self.device) if self.resident else MappedCutter(songs, shape, self.device)
        )
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
            "augment": {**asdict(self.augment), "gain_db": list(self.augment.gain_db)},
            "store": self.store.fingerprint,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on where another iterator was; StoreError if it would have given other batches."""
        mine = self.state_dict()
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
        # A place in [0, 1) is one of the positions at which a whole chunk can begin.
        positions = np.maximum(self._lengths[songs] - self.samples, 0) + 1
        return Plan(songs, (places * positions).astype(np.int64), factors.astype(np.float32), swapped)

    def _make(self, number: int) -> Tensor:
        return self._cut(self.plan(number))

    def _fits(self) -> bool:
        if self.device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(self.device)
        return sum(self.store.stored(i).nbytes for i in self.songs) <= RESIDENT_SHARE * free


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
            chunk = self._songs[plan.songs[b, s]][s, :: -1 if plan.swapped[b, s] else 1, start : start + out.shape[-1]]
            there = chunk.shape[-1]
            # One pass: read 16 bits, scale, write 32.
            np.multiply(chunk, plan.factors[b, s], out=out[b, s, :, :there])
            out[b, s, :, there:] = 0
        return batch

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

    def __init__(self, songs: list[np.ndarray], shape: tuple[int, int, int, int], device: torch.device) -> None:
        self._shape = shape
        samples = shape[-1]
        lengths = [max(song.shape[-1], samples) for song in songs]
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
        # Row i of this view is the chunk that begins at sample i; it takes no memory, only the rows picked from it do.
        windows = self._all.unfold(0, samples, 1)
        chunks = windows[torch.from_numpy(starts.ravel()).to(self._all.device)].view(self._shape)
        return chunks * torch.from_numpy(plan.factors).to(self._all.device)[..., None, None]
