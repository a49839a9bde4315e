"""Ratios of energies that need no filters."""

import numpy as np


def frame_sdr(references: np.ndarray, estimates: np.ndarray, rate: int, window: float = 1.0) -> np.ndarray:
    """SDR of each source in windows of `window` seconds, one after the other: (sources, frames) in dB.

    `references`, `estimates`: (sources, channels, samples); `rate` in Hz. The energy of the reference over that of the
    difference. It is the SDR of BSSEval v4, which splits the difference into three parts for its other ratios and
    adds them up again for this one; a thousand times faster for that. NaN where the reference is silent, inf where the
    estimate is exact.
    """
    length = round(window * rate)
    frames = references.shape[-1] // length
    shape = (*references.shape[:-1], frames, length)
    wanted = references[..., : frames * length].reshape(shape).astype(np.float64)
    error = wanted - estimates[..., : frames * length].reshape(shape)
    energy, lost = (np.square(signal).sum(axis=(1, 3)) for signal in (wanted, error))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(energy > 0, 10 * np.log10(energy / lost), np.nan)
