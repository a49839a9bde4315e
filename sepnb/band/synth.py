"""Building blocks that all players share: envelopes, filters, strings, placing a sound on a track."""

from functools import lru_cache

import numpy as np
from scipy import fft, signal


def hertz(midi: float) -> float:
    """Frequency of a MIDI number; 69 is 440 Hz."""
    return 440.0 * 2.0 ** ((midi - 69.0) / 12.0)


def clock(seconds: float, rate: int) -> np.ndarray:
    """Sample times of a sound that lasts so long, float32 (samples,)."""
    return np.arange(max(int(seconds * rate), 2), dtype=np.float32) / np.float32(rate)


def noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """White noise of unit variance, float32 (samples,)."""
    return rng.standard_normal(samples, dtype=np.float32)


def band(
    sound: np.ndarray, rate: int, low: float | None = None, high: float | None = None, order: int = 2
) -> np.ndarray:
    """Keep what lies between two frequencies (Butterworth, last axis); None leaves that side open."""
    if low is not None:
        sound = signal.sosfilt(_filter(order, min(low, 0.45 * rate), "highpass", rate), sound)
    if high is not None and high < 0.45 * rate:
        sound = signal.sosfilt(_filter(order, high, "lowpass", rate), sound)
    return sound


@lru_cache(maxsize=256)
def _filter(order: int, edge: float, kind: str, rate: int) -> np.ndarray:
    return signal.butter(order, edge, kind, fs=rate, output="sos").astype(np.float32)


def drive(sound: np.ndarray, amount: float) -> np.ndarray:
    """Soft saturation: 0 leaves a sound as it is, larger amounts flatten its peaks; the peak stays where it was."""
    if amount <= 0:
        return sound
    peak = np.float32(max(np.abs(sound).max(), 1e-9))
    scale = np.float32(amount)
    return np.tanh(sound * (scale / peak)) * (peak / np.tanh(scale))


def pan(sound: np.ndarray, position: float) -> np.ndarray:
    """Mono (samples,) to stereo (2, samples) at equal power; -1 is left, 1 is right."""
    angle = (position + 1.0) * np.pi / 4.0
    return np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * sound


def place(track: np.ndarray, sound: np.ndarray, start: int, gain: float = 1.0) -> None:
    """Add a sound to a track in place, from a sample on; what would lie outside the track is dropped."""
    skip = max(-start, 0)
    start = max(start, 0)
    samples = min(sound.shape[-1] - skip, track.shape[-1] - start)
    if samples > 0:
        track[..., start : start + samples] += np.float32(gain) * sound[..., skip : skip + samples]


def cut(sound: np.ndarray, seconds: float, rate: int, release: float = 0.03) -> np.ndarray:
    """The beginning of a sound, released over a few hundredths of a second instead of broken off."""
    fall = max(int(release * rate), 1)
    samples = int(seconds * rate) + fall
    if samples >= sound.shape[-1]:
        return sound
    shorter = sound[..., :samples].copy()
    shorter[..., -fall:] *= np.linspace(1.0, 0.0, fall, dtype=np.float32)
    return shorter


def string(
    rng: np.random.Generator, pitch: float, seconds: float, rate: int, ring: float, bright: float,
    pluck: float = 0.15, stiff: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """A plucked or struck string: a delay line fed back through a loss (Karplus and Strong 1983), float32 (samples,).

    `pitch` is in Hz, `ring` the seconds until the fundamental has fallen by 60 dB, `bright` (Hz) says how far up the
    partials keep up with it, `pluck` where along the string it is played, `stiff` stretches the upper partials.
    The loop is solved in the frequency domain, so that the delay may be any fraction of a sample: on a circle a little
    outside the unit circle, where the tail that would wrap around is 40 dB down, and up to a top that fades out,
    because a sharp one would ring backwards in time.
    """
    samples = fft.next_fast_len(int((seconds + 0.02) * rate), real=True)
    shrink = 40.0 / 20.0 * np.log(10.0) / samples  # per sample, undone at the end
    top = min(0.45 * rate, 12000.0)
    frequency = np.arange(int(top / rate * samples), dtype=np.float32) * np.float32(rate / samples)
    partial = frequency * np.float32(1.0 / pitch)
    loss = np.exp(-(frequency**2) * np.float32(4.0 / (pitch * bright**2)))
    loss *= np.float32(10.0 ** (-3.0 / (ring * pitch)) * np.exp(-shrink * rate / pitch))
    burst = max(int(rate / pitch), 8)
    excitation = noise(rng, burst) * np.exp(-shrink * np.arange(burst)).astype(np.float32)
    spectrum = fft.rfft(excitation, samples)[: len(frequency)] * (1.0 - _turned(partial * np.float32(pluck)))
    spectrum /= np.square(1.0 + frequency * np.complex64(0.5j / bright))
    spectrum *= np.sqrt(np.clip(2.0 - 2.0 * frequency / top, 0.0, 1.0))
    stretched = partial * (1.0 - np.float32(stiff) * np.minimum(partial, 40.0) ** 2)
    sound = fft.irfft(spectrum / (1.0 - loss * _turned(stretched)), samples)[: int(seconds * rate)]
    sound *= np.exp(np.float32(shrink) * np.arange(len(sound), dtype=np.float32))
    fall = min(int(0.05 * rate), len(sound))
    sound[-fall:] *= np.linspace(1.0, 0.0, fall, dtype=np.float32)
    return sound / np.abs(sound).max()


def _turned(turns: np.ndarray) -> np.ndarray:
    """The unit vector after so many turns clockwise, complex64."""
    angle = (turns % 1.0) * np.float32(-2.0 * np.pi)
    return np.cos(angle) + np.complex64(1j) * np.sin(angle)


def humanise(rng: np.random.Generator, seconds: float = 0.006, spread: float = 0.12) -> tuple[float, float]:
    """A small error of time (s) and a factor of loudness, as a player makes them."""
    return float(rng.normal(0.0, seconds)), float(np.clip(rng.normal(1.0, spread), 0.6, 1.4))
