"""Songs of noise and of chords for tests, and `prepare` without its progress bar."""

from pathlib import Path

import numpy as np

from sepnb import audio
from sepnb.store import Prepared, prepare

RATE = 8000
SOURCES = ("drums", "vocals")


def noise(seed: int, seconds: float = 1.0, channels: int = 2, rate: int = RATE, level: float = 0.2) -> np.ndarray:
    """Audio that 16 bits hold exactly."""
    drawn = np.random.default_rng(seed).uniform(-level, level, (channels, round(seconds * rate)))
    return (np.rint(drawn * 32768) / 32768).astype(np.float32)


def song(folder: Path, seed: int, sources: tuple[str, ...] = SOURCES, rate: int = RATE, **shape: float) -> np.ndarray:
    """Write a song's folder and return its stems (sources, channels, samples)."""
    stems = np.stack([noise(10 * seed + i, rate=rate, **shape) for i in range(len(sources))])
    for name, sound in zip((*sources, "mixture"), (*stems, stems.sum(axis=0)), strict=True):
        audio.write(folder / f"{name}.wav", sound, rate)
    return stems


def quietly(tracks: object, out: Path, **options: object) -> Prepared:
    return prepare(tracks, out, progress=False, **options)


def stacked(stems: dict[str, np.ndarray]) -> np.ndarray:
    """Stems by name as one array (sources, channels, samples)."""
    return np.stack(list(stems.values()))


def music(channels: int = 2, rate: int = 44100, seconds: float = 5.0, seed: int = 0) -> np.ndarray:
    """Chords that change four times a second over a little noise: audio that is nowhere like elsewhere."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * rate)
    time = np.arange(samples) / rate
    step = (time * 4).astype(int)
    waves = [np.sin(2 * np.pi * (110 * 2 ** (rng.integers(0, 36, 99) / 12))[step] * time) for _ in range(3)]
    mono = 0.12 * sum(waves) + 0.02 * rng.standard_normal(samples)
    return (np.linspace(0.6, 1, channels)[:, np.newaxis] * mono).astype(np.float32)
