"""Seeded signals to score, and museval to score them with: for the agreement table, the benchmark and the tests."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np


@dataclass(frozen=True)
class Case:
    """Signals made from a seed, and how they are scored; `hop` is the window, `window` None the whole signal."""

    name: str
    sources: int
    channels: int
    rate: int
    estimate: str  # one of ESTIMATES
    seconds: float = 2.5
    dual_mono: bool = False
    window: float | None = 1.0
    mode: str = "v4"
    silent_second: bool = False  # of the first source, the second second

    def signals(self) -> tuple[np.ndarray, np.ndarray]:
        """References and estimates, each (sources, channels, samples), rounded to 16 bits as audio files are."""
        rng = np.random.default_rng(7)
        shape = (self.sources, 1 if self.dual_mono else self.channels, round(self.seconds * self.rate))
        references = np.empty((self.sources, self.channels, shape[-1]))
        references[:] = np.stack([[_coloured(rng, shape[-1]) for _ in range(shape[1])] for _ in range(self.sources)])
        if not self.dual_mono and self.channels > 1:
            references += 0.5 * references[:, ::-1]  # what a stereo source has in the middle
        if self.silent_second:
            references[0, :, self.rate : 2 * self.rate] = 0
        references = np.round(references * 32768) / 32768
        estimates = ESTIMATES[self.estimate](references, rng)
        return references, np.round(estimates * 32768) / 32768

    def museval(self) -> np.ndarray:
        """SDR, ISR, SIR and SAR by museval: (4, sources, frames)."""
        window = np.inf if self.window is None else round(self.window * self.rate)
        return museval_scores(*self.signals(), window, framewise=self.mode == "v3")


def _coloured(rng: np.random.Generator, samples: int) -> np.ndarray:
    # Noise through a random short filter, swelling and fading: unlike white noise, it makes the system ill-conditioned
    echo = rng.normal(size=64) * np.exp(-np.arange(64) / 8)
    swell = 1 + np.sin(np.linspace(0, rng.uniform(5, 20), samples))
    return 0.02 * swell * np.convolve(rng.normal(size=samples), echo, "same")


def _delayed(references: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return np.roll(references + 0.1 * references[::-1], 100, axis=-1)


ESTIMATES = {
    "mixture": lambda references, rng: np.broadcast_to(references.sum(axis=0), references.shape),
    "noise": lambda references, rng: 0.05 * rng.normal(size=references.shape),
    "delayed": _delayed,
    "scaled": lambda references, rng: 0.5 * references + 0.02 * rng.normal(size=references.shape),
    "nearly perfect": lambda references, rng: references + 1e-4 * rng.normal(size=references.shape),
    "leaking": lambda references, rng: (
        references + 0.2 * references.sum(axis=0) + 0.005 * rng.normal(size=references.shape)
    ),
}


def museval_scores(references: np.ndarray, estimates: np.ndarray, window: float, framewise: bool = False) -> np.ndarray:
    """What museval gives for signals (sources, channels, samples), `window` in samples: (4, sources, frames)."""
    swapped = (np.asarray(signals, np.float64).swapaxes(1, 2) for signals in (references, estimates))
    return np.stack(museval_metrics().bss_eval(*swapped, window=window, hop=window, framewise_filters=framewise)[:4])


@functools.cache
def museval_metrics() -> ModuleType:
    """The part of museval that scores; its package imports stempeg, which fails without the ffmpeg program."""
    package = Path(importlib.util.find_spec("museval").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("museval_metrics", package / "metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def deviation(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The largest difference in dB of each ratio where theirs is below 80 dB: (4,); infinite where the two disagree
    about what is not a number, or where ours is not above 80 dB as theirs is."""
    counted = np.isfinite(theirs) & (theirs < 80)
    high = ~counted & ~np.isnan(theirs)
    agrees = np.array_equal(np.isnan(ours), np.isnan(theirs)) and (ours[high] >= 79.999).all()
    difference = np.where(counted, np.abs(np.where(counted, ours, 0) - np.where(counted, theirs, 0)), 0)
    return difference.max(axis=(1, 2)) if agrees else np.full(4, np.inf)


CASES = (
    Case("one mono source, 16 kHz, noise", 1, 1, 16000, "noise"),
    Case("one stereo source, 44.1 kHz, scaled", 1, 2, 44100, "scaled"),
    Case("two stereo, 44.1 kHz, leaking", 2, 2, 44100, "leaking"),
    Case("two stereo, whole signal", 2, 2, 16000, "leaking", window=None),
    Case("two stereo, filters in every window (v3)", 2, 2, 16000, "leaking", mode="v3"),
    Case("two stereo, a silent second", 2, 2, 16000, "leaking", seconds=3.0, silent_second=True),
    Case("two stereo, windows of half a second", 2, 2, 16000, "mixture", window=0.5),
    Case("two mono, 48 kHz, delayed", 2, 1, 48000, "delayed"),
    Case("four stereo, 16 kHz, mixture", 4, 2, 16000, "mixture"),
    Case("four stereo, 44.1 kHz, nearly perfect", 4, 2, 44100, "nearly perfect"),
    Case("four dual-mono, 44.1 kHz, leaking", 4, 2, 44100, "leaking", dual_mono=True),
    Case("two dual-mono, 16 kHz, noise", 2, 2, 16000, "noise", dual_mono=True),
    Case("six mono, 16 kHz, leaking", 6, 1, 16000, "leaking"),
    Case("six stereo, 48 kHz, scaled", 6, 2, 48000, "scaled"),
)
# Those that the tests can afford; the others take seconds each.
QUICK_CASES = tuple(case for case in CASES if case.sources * case.channels < 8 or case.dual_mono or case.rate == 16000)
