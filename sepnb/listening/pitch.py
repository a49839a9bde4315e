"""Pitch and tempo of audio, each changed without the other, with length, beginning and tuning kept.

The stretching is Signalsmith Stretch (MIT, https://signalsmith-audio.co.uk/code/stretch/) through python-stretch. Its
own transposition moves the peaks of a spectrum by bins and leaves low tones tens of cents out of tune, while its
stretching keeps frequencies to a hundredth of a cent. So a shift is a stretch here, resampled back to the length that
the audio had, as a tape that is played faster: in tune by construction.
"""

from collections.abc import Collection, Mapping

import numpy as np
import scipy.fft
import scipy.signal

from sepnb.errors import SepnbError
from sepnb.listening.checking import checked_audio, checked_rate

LARGEST_SHIFT = 12.0  # semitones; beyond an octave every instrument is a caricature
FACTORS = (0.5, 2.0)  # of the length; beyond it the stretcher begins to draw phases at random
# The stretcher works in blocks of 0.12 s; as much silence around the audio keeps its first and last sound whole.
PADDING = 0.15  # seconds
SEED = 0  # of the stretcher's random phases, so that one input always gives one output


def shift_pitch(audio: np.ndarray, rate: int, semitones: float) -> np.ndarray:
    """Audio (channels, samples) higher or lower by `semitones` (-12 to 12, any fraction), as long as before.

    Formants move along: a voice shifted up sounds smaller. All channels keep their phase to each other. The level
    stays about the same, so that what nearly clipped may pass ±1. Raises SepnbError for a shift out of range.
    """
    audio, rate = checked_audio(audio), checked_rate(rate)
    if not abs(semitones) <= LARGEST_SHIFT:
        raise SepnbError(f"a shift of {semitones:g} semitones is too far: choose from -12 to 12, an octave either way")
    if semitones == 0 or not np.any(audio):
        return audio.copy()
    ratio = 2.0 ** (semitones / 12)
    padding = round(PADDING * rate)
    padded = np.pad(audio, ((0, 0), (padding, padding)))
    longer = _stretch(padded, rate, ratio)
    return _excerpt(_resample(longer, ratio), padding, audio.shape[1])


def stretch_time(audio: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """Audio (channels, samples) `factor` times as long (0.5 to 2) at the same pitch: round(samples × factor) samples.

    What began at t seconds begins at factor × t. Raises SepnbError for a factor out of range.
    """
    audio, rate = checked_audio(audio), checked_rate(rate)
    if not FACTORS[0] <= factor <= FACTORS[1]:
        raise SepnbError(
            f"a stretch by {factor:g} is too far: choose from {FACTORS[0]:g} (twice as fast) to {FACTORS[1]:g}"
        )
    length = round(audio.shape[1] * factor)
    if factor == 1:
        return audio.copy()
    if not np.any(audio):
        return np.zeros((audio.shape[0], length), np.float32)
    padding = round(PADDING * rate)
    padded = np.pad(audio, ((0, 0), (padding, padding)))
    return _excerpt(_stretch(padded, rate, factor), round(padding * factor), length)


def shift_stems(
    stems: Mapping[str, np.ndarray], rate: int, semitones: float, except_for: Collection[str] = ("drums",)
) -> dict[str, np.ndarray]:
    """Stems (channels, samples) by name, all shifted but those in `except_for`: drums have no key to leave.

    Names in `except_for` that are not there do no harm. The stems stay in sync.
    """
    return {
        name: checked_audio(audio, name).copy() if name in except_for else shift_pitch(audio, rate, semitones)
        for name, audio in stems.items()
    }


def stretch_stems(stems: Mapping[str, np.ndarray], rate: int, factor: float) -> dict[str, np.ndarray]:
    """Stems (channels, samples) by name, all stretched by `factor`; they stay in sync."""
    return {name: stretch_time(audio, rate, factor) for name, audio in stems.items()}


def cents_higher(changed: np.ndarray, original: np.ndarray, rate: int, expected: float = 0.0) -> float:
    """By how many cents `changed` sounds higher than `original`, both (channels, samples), within ±60 of `expected`.

    The long-term spectra (windows of 0.75 s) are laid over each other on a logarithmic frequency axis; the shift at
    which they correlate best is the answer. For sounds with steady tones: noise and drums have no pitch to compare.
    """
    steps = np.arange(-60.0, 60.5, 0.5)
    ratio = 2 ** (expected / 1200)
    grid = np.geomspace(60.0 * max(1.0, 1 / ratio), 0.4 * rate * min(1.0, 1 / ratio), 20_000)
    before, after = _line_spectrum(original, rate), _line_spectrum(changed, rate)
    one = np.interp(grid, *before)
    likeness = [np.corrcoef(one, np.interp(grid * ratio * 2 ** (step / 1200), *after))[0, 1] for step in steps]
    best = int(np.clip(np.argmax(likeness), 1, len(steps) - 2))
    left, top, right = likeness[best - 1 : best + 2]
    between = 0.5 * (left - right) / (left - 2 * top + right)  # the top of the parabola through three points
    return float(expected + steps[best] + between * (steps[1] - steps[0]))


def _line_spectrum(audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and mean amplitude of audio (channels, samples), in bins fine enough to read between."""
    window = min(audio.shape[-1], round(0.75 * rate))
    bins, density = scipy.signal.welch(audio, rate, "blackman", window, nfft=4 * scipy.fft.next_fast_len(window))
    return bins, np.sqrt(density.mean(axis=0))


def _stretch(audio: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """Audio (channels, samples) about `factor` times as long, its latency taken off by the library."""
    import python_stretch

    stretch = python_stretch.Signalsmith.Stretch(SEED)
    stretch.preset(audio.shape[0], rate)
    stretch.setTimeFactor(1 / factor)  # the library counts speed, not length
    return np.asarray(stretch.process(np.ascontiguousarray(audio)))


def _resample(audio: np.ndarray, ratio: float) -> np.ndarray:
    """Audio (channels, samples) at `ratio` times the speed; what would fold over is filtered away."""
    import soxr

    return soxr.resample(audio.T, ratio, 1.0, quality="VHQ").T


def _excerpt(audio: np.ndarray, start: int, length: int) -> np.ndarray:
    part = audio[:, start : start + length]
    return np.ascontiguousarray(np.pad(part, ((0, 0), (0, length - part.shape[1]))), dtype=np.float32)
