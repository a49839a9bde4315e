"""Scale-invariant ratios: how like the reference an estimate is, at whatever level it is played.

Following Le Roux, Wisdom, Erdogan, Hershey, "SDR – half-baked or well done?", ICASSP 2019. With s the reference, e the
estimate and R all references of the track, each taken as one long vector,

    target        a·s with a = ⟨e, s⟩ / ⟨s, s⟩              what the estimate has of its own reference
    interference  P_R e − a·s, P_R projecting onto R         what more of it the references explain, each by one gain
    artifacts     e − P_R e                                  what no mix of the references explains

    SI-SDR = 10 log₁₀ ‖target‖² / ‖interference + artifacts‖²
    SI-SIR = 10 log₁₀ ‖target‖² / ‖interference‖²
    SI-SAR = 10 log₁₀ ‖target‖² / ‖artifacts‖²

so that 10^(−SI-SDR/10) = 10^(−SI-SIR/10) + 10^(−SI-SAR/10). (The older SAR of Vincent et al. 2006, which some packages
call SI-SAR too, has target and interference above the line: more by 10 log₁₀(1 + 10^(−SI-SIR/10)).)

Conventions: the channels of a source are one vector, so there is one gain for all of them and a wrong place in stereo
counts as an error; no mean is removed (music at rest has none). Where BSSEval fits filters of 512 taps, a single gain
is fitted here: an echo or another colour counts.
"""

from collections.abc import Callable, Iterator

import numpy as np

from sepnb.metrics.shapes import frames, same_shape

_BLOCK = 1 << 18  # samples at a time in double precision: the memory stays small whatever the length


def si_sdr(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """SI-SDR of each source over the whole signal: (sources,) in dB.

    `references`, `estimates`: (sources, channels, samples) in the same order. NaN where the reference or the estimate
    is silent; inf where the estimate is the reference at another level. Raises SepnbError where the shapes differ.
    """
    same_shape(references, estimates)
    gains = _own_gains(references, estimates)
    wanted = np.square(gains) * _energy(references, lambda block: block)
    left = _energy(references, lambda reference, estimate: estimate - gains[:, None, None] * reference, estimates)
    return _decibels(wanted, left)


def si_sir(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """SI-SIR of each source over the whole signal: (sources,) in dB; shapes and NaN as in `si_sdr`."""
    same_shape(references, estimates)
    gains, mixing = _own_gains(references, estimates), _mixing(references, estimates)
    wanted = np.square(gains) * _energy(references, lambda block: block)
    others = mixing - np.diag(gains)
    return _decibels(wanted, _energy(references, lambda block: np.tensordot(others, block, 1)))


def si_sar(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """SI-SAR of each source over the whole signal: (sources,) in dB; shapes and NaN as in `si_sdr`.

    A mix of the references, each at any level, has no artifacts: its SI-SAR is inf, or what rounding leaves of that.
    """
    same_shape(references, estimates)
    gains, mixing = _own_gains(references, estimates), _mixing(references, estimates)
    wanted = np.square(gains) * _energy(references, lambda block: block)
    left = _energy(references, lambda block, estimate: estimate - np.tensordot(mixing, block, 1), estimates)
    return _decibels(wanted, left)


def frame_si_sdr(references: np.ndarray, estimates: np.ndarray, rate: int, window: float = 1.0) -> np.ndarray:
    """SI-SDR of each source in windows of `window` seconds, one after the other: (sources, frames) in dB.

    Each window is a signal of its own, with a gain of its own. `rate` in Hz; shapes and NaN as in `si_sdr`.
    """
    same_shape(references, estimates)
    scores = [si_sdr(references[..., cut], estimates[..., cut]) for cut in frames(references.shape[-1], rate, window)]
    return np.stack(scores, axis=-1) if scores else np.empty((len(references), 0))


def _blocks(*signals: np.ndarray) -> Iterator[list[np.ndarray]]:
    for start in range(0, signals[0].shape[-1], _BLOCK):
        yield [np.asarray(signal[..., start : start + _BLOCK], np.float64) for signal in signals]


def _energy(signal: np.ndarray, derived: Callable[..., np.ndarray], *more: np.ndarray) -> np.ndarray:
    """Energy of each source of a signal that is derived block by block: (sources,)."""
    total = np.zeros(len(signal))
    for blocks in _blocks(signal, *more):
        total += np.square(derived(*blocks)).sum(axis=(1, 2))
    return total


def _own_gains(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """The gain of each reference that its estimate is nearest to; NaN for a silent reference."""
    products = sum((r * e).sum(axis=(1, 2)) for r, e in _blocks(references, estimates))
    energy = _energy(references, lambda block: block)
    with np.errstate(invalid="ignore"):
        return np.where(energy > 0, products / np.where(energy > 0, energy, 1), np.nan)


def _mixing(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """The gains of all references (columns) that come nearest to each estimate (rows)."""
    count = len(references)
    gram, products = np.zeros((count, count)), np.zeros((count, count))
    for reference, estimate in _blocks(references, estimates):
        flat = reference.reshape(count, -1)
        gram += flat @ flat.T
        products += estimate.reshape(count, -1) @ flat.T
    # Two equal references leave many answers, which all project onto the same place: any will do.
    return np.linalg.lstsq(gram, products.T, rcond=None)[0].T


def _decibels(wanted: np.ndarray, left: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(wanted > 0, 10 * np.log10(wanted / left), np.nan)
