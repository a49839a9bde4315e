"""Songs as WAV, as `.stem.mp4` and as a store: how fast chunks load from each, and what AAC does to the samples."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.signal
from tqdm.auto import tqdm

from sepnb import audio, musdb18
from sepnb.batches import Augment, Batches
from sepnb.errors import TrackError
from sepnb.store import Store
from sepnb.tracks import Track, Tracks, find_tracks

# An encoder's delay is 1,024 or 2,112 samples where a reader forgets to take it off: looked for as far as this.
LONGEST_DELAY = 4096
PADDING = 2048  # samples that a stem file may be longer or shorter: AAC comes in frames of 1,024


def as_stem_files(tracks: Sequence[Track], folder: Path | str) -> Tracks:
    """Encode tracks as MUSDB18 keeps them: one `.stem.mp4` each, AAC streams of the mixture and its stems.

    Files that are there already are kept. Returns the tracks in `folder` with the subsets and the lengths of the
    originals, cut where AAC's last frame (1,024 samples) reaches further: so a store of them gives, from the same seed,
    the same chunks. Raises TrackError for tracks that have other sources than MUSDB18's (nothing in such a file says
    what its streams are), and where a file that is there already holds another excerpt.
    """
    streams = musdb18.stream_names()
    for track in tracks:
        if set(track.sources) != musdb18.sources():
            raise TrackError(
                f"{track.name} has the sources {', '.join(track.sources)}; a stem file has {', '.join(streams[1:])}"
            )

    def encode(track: Track) -> None:
        path = Path(folder) / track.subset / f"{track.name}.stem.mp4"
        if not path.exists():
            audio.write_stems(path, _as_streams(track, streams), track.rate)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the encoder works outside of Python's lock
        list(tqdm(pool.map(encode, tracks), desc="encoding stem files", unit="song", total=len(tracks)))
    found, encoded = find_tracks(folder), []
    for track in tracks:
        copy = found[track.name]
        if abs(copy.samples - track.samples) > PADDING:
            raise TrackError(
                f"{copy.files[0]} has {copy.samples} samples, {track.name} has {track.samples}: it was made of another "
                "excerpt; give another folder, or delete it"
            )
        encoded.append(copy.cut(0.0, track.duration))
    return Tracks(encoded, found.left_out, folder)


def aac_residual(tracks: Sequence[Track], folder: Path | str) -> pd.DataFrame:
    """What is left of tracks when they are encoded as `.stem.mp4` in `folder` and decoded again, a row a stream.

    Columns: track; source ("mixture" first: a stream of its own, not the sum of the decoded stems); residual, the level
    of (decoded − original) in dB of the original, so that −30 says that a thousandth of the energy is wrong; delay, the
    samples by which the decoded stream lags behind the original (0 where all is well; negative: it leads); longer, the
    samples that its file has more. A silent original has neither residual nor delay (NaN). Errors as `as_stem_files`.
    """
    encoded, streams = as_stem_files(tracks, folder), musdb18.stream_names()
    rows = []
    for track in tracks:
        copy = encoded[track.name]
        pairs = zip(streams, _as_streams(track, streams), _as_streams(copy, streams), strict=True)
        for source, original, decoded in pairs:
            residual, delay = _residual(original, decoded)
            longer = audio.info(copy.files[0]).samples - track.samples
            rows.append({"track": track.name, "source": source, "residual": residual, "delay": delay, "longer": longer})
    return pd.DataFrame(rows, columns=["track", "source", "residual", "delay", "longer"])


def _as_streams(track: Track, streams: Sequence[str]) -> np.ndarray:
    """A track's mixture and stems in the order of `streams`: (streams, channels, samples)."""
    stems = track.stems()
    return np.stack([track.mixture() if name == "mixture" else stems[track.sources.index(name)] for name in streams])


def _residual(original: np.ndarray, decoded: np.ndarray) -> tuple[float, float]:
    """Energy of the difference in dB of the original, and the lag of best agreement; both (channels, samples)."""
    samples = min(original.shape[-1], decoded.shape[-1])
    original, decoded = original[:, :samples].astype(np.float64), decoded[:, :samples].astype(np.float64)
    energy = np.square(original).sum()
    if energy == 0:
        return np.nan, np.nan
    wrong = np.square(decoded - original).sum()
    # The lag is the same throughout: half a million samples from the middle find it.
    part = slice(max(0, samples // 2 - 2**18), samples // 2 + 2**18)
    pairs = zip(decoded[:, part], original[:, part], strict=True)
    agreement = sum(scipy.signal.correlate(*pair, method="fft") for pair in pairs)
    heard = original[:, part].shape[-1]
    lags = scipy.signal.correlation_lags(heard, heard)
    near = np.abs(lags) <= LONGEST_DELAY
    with np.errstate(divide="ignore"):  # an exact copy is −∞ dB
        return float(10 * np.log10(wrong / energy)), float(lags[near][np.argmax(agreement[near])])


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
