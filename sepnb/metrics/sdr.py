"""Ratios of energies that need no filters."""

import numpy as np

from sepnb.metrics.shapes import same_shape

MDX_DELTA = 1e-7  # keeps the ratio finite where a stem is silent or exact


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


def usdr(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """The global SDR of the Music Demixing Challenge ("uSDR"): a ratio a source over the whole song, (sources,) in dB.

    10 log₁₀ (Σ s² + 1e-7) / (Σ (s − e)² + 1e-7), summed over channels and samples. `references`, `estimates`:
    (sources, channels, samples). Loud passages count for more than in a median of frames, and a song of silence and
    one answered exactly have finite scores. A system's score is the mean over songs. Raises SepnbError where the
    shapes differ.
    Source: Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing 2022.
    """
    same_shape(references, estimates)
    scores = []
    for reference, estimate in zip(
        references, estimates, strict=True
    ):  # one at a time: whole songs in double precision
        wanted = np.asarray(reference, np.float64)
        energy, lost = np.square(wanted).sum(), np.square(wanted - estimate).sum()
        scores.append(10 * np.log10((energy + MDX_DELTA) / (lost + MDX_DELTA)))
    return np.array(scores)
