"""An epoch of training: the chunk store against torch DataLoaders, musdb on stem.mp4 and WAV, soundfile on WAV.

Network, step, number of steps and length of chunks are the same; only where the batches come from differs. Ours are
remixed and varied in level, order of channels and polarity, the peers' are not. The peers decode no more than they
need: they read the stems, and the mixture is their sum, as in ours. What musdb pays for is starting ffmpeg:
once a chunk for a stem file, four times for WAV.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.table import RESULTS, Row, missing_programs, show
from sepnb.band import make_band
from sepnb.batches import Batches
from sepnb.loading import as_stem_files
from sepnb.models import UNet
from sepnb.store import Store, prepare
from sepnb.tracks import find_tracks
from sepnb.training import Recipe, read_history, train

SOURCES = ("drums", "bass", "other", "vocals")
SECONDS = 3.0
SONGS, SONG_SECONDS = 5, 30.0
WORKERS = 2
BATCH_SIZE = 2
EPOCH = round(SONGS * SONG_SECONDS / (SECONDS * BATCH_SIZE))  # steps that hold as much music as the songs do
WARM_UP = 1  # step that is not counted: it starts workers, fills queues and pays for first calls
STEPS = 4  # that are counted, in a round; an epoch's time is that of a step times EPOCH
ROUNDS = 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# Hanyang University's MUSDB18 project on a Colab T4, which this course started from.
REPORT = "The student report, on a Colab T4: 70 s an epoch with MP4, 44 s with WAV decoded beforehand (1.6×)."


@dataclass(frozen=True)
class Epoch:
    """Seconds of an epoch, and those of them in which the step waited for its batch."""

    seconds: float
    waiting: float


class MusdbChunks(Dataset):
    """`count` random chunks of random songs, as musdb's page shows how: stems (sources, channels, samples)."""

    def __init__(self, root: Path, count: int, is_wav: bool) -> None:
        import musdb

        self.songs = musdb.DB(root=str(root), is_wav=is_wav, subsets="train")
        self.is_wav = is_wav
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, _: int) -> torch.Tensor:
        song = self.songs[int(torch.randint(len(self.songs), ()))]
        song.chunk_duration = SECONDS
        song.chunk_start = float(torch.rand(())) * (song.duration - SECONDS)
        # `stems` of a WAV song would also read the mixture, which nobody asked for; a stem file is decoded whole.
        stems = np.stack([song.sources[source].audio for source in SOURCES]) if self.is_wav else song.stems[1:]
        return torch.from_numpy(stems.astype(np.float32)).transpose(1, 2).contiguous()


class SoundfileChunks(Dataset):
    """The same as one would write it without musdb: seek in each of a song's four WAV files, and read."""

    def __init__(self, root: Path, count: int) -> None:
        self.songs = sorted((root / "train").iterdir())
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, _: int) -> torch.Tensor:
        song = self.songs[int(torch.randint(len(self.songs), ()))]
        files = [song / f"{source}.wav" for source in SOURCES]
        frames = round(SECONDS * 44100)
        start = int(torch.randint(soundfile.info(files[0]).frames - frames, ()))
        stems = [soundfile.read(file, frames=frames, start=start, dtype="float32")[0] for file in files]
        return torch.from_numpy(np.stack(stems)).transpose(1, 2).contiguous()


def main() -> None:
    """Make the songs once (they stay under build/bench), print the table, then the waiting of the real loop."""
    data = RESULTS / "training"
    wavs = make_band(data / "band-wav", subsets={"train": SONGS}, seconds=SONG_SECONDS, workers=WORKERS)
    tracks = find_tracks(wavs)
    as_stem_files(tracks, data / "band-mp4")
    store = prepare(tracks, data / "store").store

    count = (WARM_UP + STEPS) * BATCH_SIZE
    pipelines = {
        "ours": lambda: Batches(store, SECONDS, BATCH_SIZE, threads=WORKERS, device=DEVICE),
        "musdb on stem.mp4": lambda: _loader(MusdbChunks(data / "band-mp4", count, is_wav=False)),
        "musdb on WAV": lambda: _loader(MusdbChunks(wavs, count, is_wav=True)),
        "soundfile on WAV": lambda: _loader(SoundfileChunks(wavs, count)),
    }
    why_not = missing_programs("ffmpeg", "ffprobe")
    measured: dict[str, list[Epoch]] = {name: [] for name in pipelines if not (why_not and "musdb" in name)}
    for _ in range(ROUNDS):  # they take turns, so that a busy machine is as hard on one as on the others
        for name, epochs in measured.items():
            epochs.append(_measure(iter(pipelines[name]())))
    ours, *peers = ((name, _median(measured[name]) if name in measured else None) for name in pipelines)
    rows = [row for name, peer in peers for row in _rows(ours[1], name, peer, why_not)]
    where = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    title = f"The toy U-Net on {where}, an epoch of {EPOCH} steps of {BATCH_SIZE} × {SECONDS:g} s, {WORKERS} loaders"
    show("training", f"{title} (less is better)", rows)
    print(f"  An epoch is {EPOCH} times the mean of {STEPS} steps: the median of {ROUNDS} rounds in turn.")
    print(f"  {REPORT}")
    print(f"  {_real_loop(store, data / 'run')}")


def _rows(ours: Epoch, peer_name: str, peer: Epoch | None, why_not: str) -> list[Row]:
    quantities = {
        "an epoch": ("s", lambda epoch: epoch.seconds),
        "of it, waiting for data": ("s", lambda epoch: epoch.waiting),
        "share of waiting": ("%", lambda epoch: 100 * epoch.waiting / epoch.seconds),
    }
    return [
        Row(what, unit, value(ours), peer_name, None if peer is None else value(peer), True, why_not)
        for what, (unit, value) in quantities.items()
    ]


def _loader(chunks: Dataset) -> DataLoader:
    return DataLoader(chunks, BATCH_SIZE, num_workers=WORKERS, pin_memory=DEVICE == "cuda")


def _measure(batches: Iterator[torch.Tensor]) -> Epoch:
    """Train a new network for a few steps; time of an epoch of such steps."""
    torch.manual_seed(0)
    network = UNet().to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    seconds = waiting = 0.0
    for number in range(WARM_UP + STEPS):
        begin = time.perf_counter()
        stems = next(batches).to(DEVICE, non_blocking=True)
        there = time.perf_counter()
        _step(network, optimizer, stems)
        if number >= WARM_UP:
            seconds += time.perf_counter() - begin
            waiting += there - begin
    return Epoch(seconds * EPOCH / STEPS, waiting * EPOCH / STEPS)


def _step(network: UNet, optimizer: torch.optim.Optimizer, stems: torch.Tensor) -> float:
    mixture, targets = network.stft(stems.sum(dim=1)), network.stft(stems)
    loss = (network.estimate(mixture) - targets).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()  # waits for a GPU to be done


def _median(epochs: list[Epoch]) -> Epoch:
    """The epoch of median length, whole: its waiting belongs to it."""
    return sorted(epochs, key=lambda epoch: epoch.seconds)[len(epochs) // 2]


def _real_loop(store: Store, out: Path) -> str:
    """What `sepnb train` itself says of its second epoch; the first pays for first calls."""
    shutil.rmtree(out, ignore_errors=True)
    size = {"steps_per_epoch": EPOCH // 2, "seconds": SECONDS, "batch_size": BATCH_SIZE, "valid_chunks": BATCH_SIZE}
    epoch = read_history(train(store, out, Recipe("benchmark", epochs=2, **size), DEVICE)).iloc[-1]
    seconds, waiting = epoch["seconds"], epoch["waiting_seconds"]
    return (
        f"sepnb train, the whole loop, {EPOCH // 2} steps: {seconds:.1f} s an epoch with validation, of it waiting for "
        f"data {waiting:.3f} s ({100 * waiting / seconds:.2f} %)."
    )


if __name__ == "__main__":
    main()
