"""How fast training chunks load from different places, measured side by side."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from sepnb import audio
from sepnb.batches import Augment, Batches
from sepnb.store import Store
from sepnb.tracks import Track, Tracks, find_tracks


def as_stem_files(tracks: Sequence[Track], folder: Path | str) -> Tracks:
    """Encode tracks as MUSDB18 keeps them: one `.stem.mp4` each, AAC streams of the mixture and its stems.

    Files that are there already are kept. Returns the tracks found in `folder`.
    """
    for track in tqdm(tracks, desc="encoding stem files", unit="song"):
        path = Path(folder) / ("test" if track.subset == "test" else "train") / f"{track.name}.stem.mp4"
        if not path.exists():
            audio.write_stems(path, np.concatenate([track.mixture()[None], track.stems()]), track.rate)
    return find_tracks(folder)


def chunks_per_second(source: Tracks | Store, seconds: float = 3.0, budget: float = 1.0, seed: int = 0) -> float:
    """Random chunks of all stems that load from `source` in a second of one process.

    From tracks, each stem is read (and decoded) from its file; from a store, chunks come in plain batches of 16. Loads
    for about `budget` seconds after a first chunk that is not counted. `seconds` is a chunk's length.
    """
    if isinstance(source, Store):
        batches = Batches(source, seconds, 16, augment=Augment.none(), seed=seed, subset=source.entries[0].subset)
        return 16 * _rate_of(lambda: next(batches), budget)

    rng = np.random.default_rng(seed)

    def load() -> None:
        track = source[int(rng.integers(len(source)))]
        track.stems(rng.uniform(0, max(0.0, track.duration - seconds)), seconds)

    return _rate_of(load, budget)


def _rate_of(load: Callable[[], object], budget: float) -> float:
    load()
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < budget:
        load()
        count += 1
    return count / passed
