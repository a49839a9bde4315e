"""What every function that takes sound refuses, in the same words."""

import numpy as np

from sepnb.audio_writing import MOST_CHANNELS
from sepnb.errors import SepnbError

LOWEST_RATE = 1000  # Hz; below it somebody gave kHz, or seconds


def checked_rate(rate: int) -> int:
    """A rate in Hz. Raises SepnbError for what is none."""
    if not isinstance(rate, int | np.integer) or rate < LOWEST_RATE:
        raise SepnbError(f"{rate!r} Hz is not a rate: it must be a whole number of {LOWEST_RATE} or more")
    return int(rate)


def checked_audio(audio: np.ndarray, what: str = "the audio") -> np.ndarray:
    """Audio as float32 (channels, samples). Raises SepnbError, which calls it `what`, for any other array."""
    if not hasattr(audio, "__array__"):
        raise SepnbError(f"{what} must be an array (channels, samples), not {type(audio).__name__}")
    audio = np.asarray(audio)
    if audio.ndim != 2 or 0 in audio.shape:
        raise SepnbError(f"{what} must have the shape (channels, samples) with samples in it, not {audio.shape}")
    if audio.shape[0] > MOST_CHANNELS:
        raise SepnbError(f"{what} has the shape {audio.shape}, which is (samples, channels): transpose it")
    if not np.issubdtype(audio.dtype, np.floating):
        raise SepnbError(f"{what} is {audio.dtype}: audio is floating point with full scale at ±1")
    if not np.isfinite(audio).all():
        raise SepnbError(f"{what} has samples that are no numbers (NaN or infinite)")
    return audio.astype(np.float32, copy=False)
