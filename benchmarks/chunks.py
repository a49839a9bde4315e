"""Chunks for training: three seconds of four stereo stems, from the chunk store and from what people use otherwise.

Ours comes with all augmentation, the peers without. All use the same number of threads, and songs as long as real ones:
what a chunk costs musdb depends on how far into the file it lies.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.table import RESULTS, Row, missing_programs, seconds_alone, seconds_side_by_side, show
from sepnb.band import make_band
from sepnb.batches import Batches
from sepnb.store import prepare

SOURCES = ("drums", "bass", "other", "vocals")
SECONDS = 3.0
SONGS, SONG_SECONDS = 3, 200.0
THREADS = 2
BATCH_SIZE = 16
OUR_BATCHES = 40  # in a round
ROUNDS = 5

Chunk = Callable[[np.random.Generator], torch.Tensor]


def main() -> None:
    """Make the songs once (minutes; they stay under build/bench), then print the table."""
    data = RESULTS / "chunks"
    wavs = make_band(data / "band-wav", subsets={"train": SONGS}, seconds=SONG_SECONDS, workers=THREADS)
    stem_files = make_band(
        data / "band-mp4", subsets={"train": SONGS}, seconds=SONG_SECONDS, format="stem.mp4", workers=THREADS
    )
    store = prepare(wavs, data / "store").store
    batches = Batches(store, SECONDS, BATCH_SIZE, threads=THREADS)

    def ours() -> None:
        batches.load_state_dict(batches.state_dict())  # forget what was made ahead while a peer was running
        for _ in range(OUR_BATCHES):
            next(batches)

    rows = []
    for threads in (THREADS, 1):
        name = f"soundfile with seek, WAV, {threads} thread{'s' * (threads > 1)}"
        rows.append(_row(ours, name, _from_wav(wavs), chunks=100, threads=threads))
    why_not = missing_programs("ffmpeg", "ffprobe")
    if why_not:
        alone = OUR_BATCHES * BATCH_SIZE / seconds_alone(ours, ROUNDS)
        rows += [
            Row("3 s × 4 stems", "chunks/s", alone, name, None, why_not=why_not)
            for name in ("musdb on WAV", "musdb on stem.mp4")
        ]
    else:
        musdb_wav, musdb_mp4 = _from_musdb(wavs, is_wav=True), _from_musdb(stem_files, is_wav=False)
        rows.append(_row(ours, f"musdb on WAV, {THREADS} threads", musdb_wav, chunks=4, threads=THREADS))
        rows.append(_row(ours, f"musdb on stem.mp4, {THREADS} threads", musdb_mp4, chunks=4, threads=THREADS))
    show("chunks", f"Chunks of {SECONDS:g} s from songs of {SONG_SECONDS:g} s, ours with {THREADS} threads", rows)


def _row(ours: Callable[[], None], peer_name: str, peer: Chunk, chunks: int, threads: int) -> Row:
    pool = ThreadPoolExecutor(threads)
    seeds = itertools.count()

    def theirs() -> None:
        generators = [np.random.default_rng(next(seeds)) for _ in range(chunks)]
        for chunk in pool.map(peer, generators):
            assert chunk.shape == (4, 2, round(SECONDS * 44100)), chunk.shape

    our_seconds, peer_seconds = seconds_side_by_side(ours, theirs, ROUNDS)
    pool.shutdown()
    our_rate = OUR_BATCHES * BATCH_SIZE / our_seconds
    return Row("3 s × 4 stems", "chunks/s", our_rate, peer_name, chunks / peer_seconds)


def _from_wav(root: Path) -> Chunk:
    """The loader one would write oneself: seek in each of a song's four files and read."""
    songs = [[folder / f"{source}.wav" for source in SOURCES] for folder in sorted((root / "train").iterdir())]
    frames = round(SECONDS * 44100)

    def chunk(rng: np.random.Generator) -> torch.Tensor:
        files = songs[rng.integers(len(songs))]
        start = int(rng.integers(soundfile.info(files[0]).frames - frames))
        stems = [soundfile.read(file, frames=frames, start=start, dtype="float32")[0] for file in files]
        return torch.from_numpy(np.stack(stems)).transpose(1, 2).contiguous()

    return chunk


def _from_musdb(root: Path, is_wav: bool) -> Chunk:
    """musdb's own way to a chunk: set its start and duration on a track, and ask for the stems."""
    import musdb

    def chunk(rng: np.random.Generator) -> torch.Tensor:
        # A database of its own for each chunk in flight: start and duration are set on the shared track otherwise.
        database = databases.pop()
        song = database[int(rng.integers(len(database)))]
        song.chunk_duration = SECONDS
        song.chunk_start = rng.uniform(0, song.duration - SECONDS)
        # `stems` of a WAV song would also read the mixture, which nobody asked for; a stem file is decoded whole.
        stems = np.stack([song.sources[source].audio for source in SOURCES]) if is_wav else song.stems[1:]
        databases.append(database)
        return torch.from_numpy(stems.astype(np.float32)).transpose(1, 2).contiguous()

    databases = [musdb.DB(root=str(root), is_wav=is_wav, subsets="train") for _ in range(THREADS)]
    return chunk


if __name__ == "__main__":
    main()
