"""One song on its way into a store: read, cut, brought to the store's rate and channels, quantised, written.

What is written here lands in a hidden folder. preparing.py moves it to its place and lists it in the manifest, so a
song counts only when all of it is on disk.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sepnb import audio, musdb18
from sepnb.errors import AudioError, StoreError, TrackError
from sepnb.files import checksum
from sepnb.store.manifest import Entry, Origin, Settings, StoredFile, origin_of
from sepnb.tracks import Track

STEMS_FILE = "stems.npy"
PARTIAL = ".partial-"
FULL_SCALE = 32768  # a sample of 1.0 in 16 bits
LOUDEST_STEP = 0.1  # seconds: the grid on which the loudest excerpt may begin


@dataclass(frozen=True)
class Unchanged:
    """A song whose files have other times than recorded but the same content."""

    origin: Origin


@dataclass(frozen=True)
class Unreadable:
    """A song that cannot be made, and why."""

    reason: str


def folder_of(track: Track, format: str) -> str:
    """Where a song lies below the store.

    A WAV copy is laid out as MUSDB18-HQ: songs that musdb names for validation are in train/.
    """
    if format == "wav" and track.subset == "valid" and track.name in musdb18.validation_tracks():
        return f"train/{track.name}"
    return f"{track.subset}/{track.name}"


def partial_folder(root: Path, folder: str) -> Path:
    """Where a song is written before it is whole. Not below train/, where musdb would take it for a song."""
    return root / f"{PARTIAL}{folder.replace('/', '-')}"


def make_song(track: Track, root: Path, settings: Settings, known: Origin | None) -> Entry | Unchanged | Unreadable:
    """Write a song into its partial folder below `root`, flushed to disk.

    `known` is what the store has of it: if the files turn out to be the same, nothing is written (Unchanged).
    A song that cannot be read is Unreadable. Raises StoreError if the song cannot be written, as on a full disk.
    """
    folder = folder_of(track, settings.format)
    partial = partial_folder(root, folder)
    try:
        origin = origin_of(track)
        if known is not None and known.same_content(origin):
            return Unchanged(origin)
        stems, mixture, start = _read(track, settings)
    except Exception as error:  # decoders raise many things on a broken file, and the other songs must not suffer
        return Unreadable(str(error) or type(error).__name__)
    try:
        partial.mkdir(parents=True)
        if settings.format == "wav":
            gains, clipped = (1.0,) * len(stems), _write_wavs(partial, stems, mixture, settings)
        else:
            gains, clipped = _write_array(partial / STEMS_FILE, stems, settings.dtype), 0
        files = tuple(
            StoredFile(f"{folder}/{path.name}", path.stat().st_size, checksum(path))
            for path in sorted(partial.iterdir())
        )
    except (OSError, AudioError) as error:
        raise cannot_write(root, track.name, error) from error
    return Entry(track.name, track.subset, stems.shape[-1], start, gains, clipped, folder, files, origin)


def cannot_write(root: Path, what: str, error: Exception) -> StoreError:
    """The StoreError for a failed write, with the room that is left on the disk."""
    free = f"{shutil.disk_usage(root).free / 1e6:,.0f} MB are free"
    return StoreError(
        f"{root}: cannot write {what} ({str(error) or type(error).__name__}; {free}). Make room, or prepare fewer "
        "songs or shorter excerpts; songs that were finished are kept, and the same call goes on from there"
    )


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(track: Track, settings: Settings) -> tuple[np.ndarray, np.ndarray | None, float]:
    """The song as the store wants it: stems, for a WAV copy also the mixture, and where the excerpt begins (s)."""
    start, duration = _excerpt(track, settings.excerpt, settings.at)
    stems = track.stems(start, duration)
    if track.sources != settings.sources:
        stems = stems[[track.sources.index(source) for source in settings.sources]]
    stems = _conform(stems, track, settings)
    mixture = None
    if settings.format == "wav":
        mixture = _conform(track.mixture(start, duration), track, settings)
    return stems, mixture, start


def _excerpt(track: Track, excerpt: float | None, at: str | float | None) -> tuple[float, float | None]:
    """Start and duration in seconds; a song that is not longer than the excerpt is taken whole.

    A start that is given but too late for the whole excerpt is moved forward to where the excerpt just fits.
    """
    if excerpt is None or track.duration <= excerpt:
        return 0.0, None
    latest = track.duration - excerpt
    if at == "loudest":
        start = _loudest(track.mixture(), track.rate, excerpt)
    elif at == "centre":
        start = latest / 2
    else:
        start = min(float(at), latest)
    return round(start * track.rate) / track.rate, excerpt  # on a sample, so that all files are cut at the same place


def _loudest(mixture: np.ndarray, rate: int, excerpt: float) -> float:
    """Start (s) of the excerpt in which the mixture (channels, samples) has the highest RMS over all channels.

    Starts are tried on a grid of LOUDEST_STEP; of equally loud ones the first is taken.
    """
    step = max(round(LOUDEST_STEP * rate), 1)
    power = np.einsum("cs,cs->s", mixture, mixture, dtype=np.float64)
    energy = np.concatenate([[0.0], np.cumsum(power)])
    length = round(excerpt * rate)
    starts = np.arange(0, max(mixture.shape[-1] - length, 0) + 1, step)
    ends = np.minimum(starts + length, mixture.shape[-1])
    return float(starts[np.argmax(energy[ends] - energy[starts])] / rate)


def _conform(sound: np.ndarray, track: Track, settings: Settings) -> np.ndarray:
    """Bring audio (..., channels, samples) to the store's channels and rate."""
    if track.channels == 1 and settings.channels > 1:
        sound = np.repeat(sound, settings.channels, axis=-2)
    elif settings.channels == 1 and track.channels > 1:
        sound = sound.mean(axis=-2, keepdims=True)
    elif track.channels != settings.channels:
        raise TrackError(f"{track.name} has {track.channels} channels and the store {settings.channels}")
    sound = audio.resample(sound, track.rate, settings.rate)
    if not np.isfinite(sound).all():
        raise TrackError(f"{track.name} holds samples that are not finite (NaN or infinite): export it again")
    return sound


# --- writing ---------------------------------------------------------------------------------------------------------


def _write_array(path: Path, stems: np.ndarray, dtype: str) -> tuple[float, ...]:
    """Write stems (sources, channels, samples) as an .npy array, flushed to disk; returns the gain of each source."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": stems.shape}
    gains = []
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for stem in stems:  # one at a time, for the memory; and by write(), as a full disk is a clear error only there
            values, gain = _quantised(stem) if dtype == "int16" else (stem.astype(dtype), 1.0)
            file.write(values.data)
            gains.append(gain)
        file.flush()
        os.fsync(file.fileno())
    return tuple(gains)


def _quantised(stem: np.ndarray) -> tuple[np.ndarray, float]:
    """Round to 16 bits. The gain is 1, so that 16-bit sources come back exactly, unless the stem is too hot for it."""
    highest, lowest = float(stem.max()), float(stem.min())
    fits = highest <= (FULL_SCALE - 1) / FULL_SCALE and lowest >= -1.0
    gain = 1.0 if fits else max(highest * FULL_SCALE / (FULL_SCALE - 1), -lowest)
    return np.rint(stem * np.float64(FULL_SCALE / gain)).astype(np.int16), gain


def _write_wavs(folder: Path, stems: np.ndarray, mixture: np.ndarray, settings: Settings) -> int:
    """Write the mixture and the stems as 16-bit WAV; returns how many samples were beyond full scale and clipped."""
    clipped = 0
    for name, sound in zip(("mixture", *settings.sources), (mixture, *stems), strict=True):
        inside = np.clip(sound, -1.0, 1.0)
        clipped += int(np.count_nonzero(inside != sound))
        audio.write(folder / f"{name}.wav", inside, settings.rate)
    return clipped
