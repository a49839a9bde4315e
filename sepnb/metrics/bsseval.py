"""BSSEval v4: SDR, ISR, SIR and SAR of estimated stems, frame by frame."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sepnb.errors import SepnbError
from sepnb.metrics.projections import distortion_filters
from sepnb.metrics.window_energies import WindowEnergies, window_energies

FILTER_TAPS = 512


@dataclass(frozen=True)
class BSSScores:
    """Scores in dB, each an array (sources, frames); NaN where a score is not defined."""

    sdr: np.ndarray
    isr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray


def bss_eval(
    references: np.ndarray | Tensor,
    estimates: np.ndarray | Tensor,
    rate: int = 44100,
    window: float | None = 1.0,
    hop: float = 1.0,
    mode: str = "v4",
    device: str | torch.device | None = None,
) -> BSSScores:
    """Score estimates against references with BSSEval v4, as museval does.

    `references` and `estimates` are (sources, channels, samples) in the same order, NumPy arrays or tensors; `rate` in
    Hz, `window` and `hop` in seconds. Distortion filters of 512 taps are fitted over the whole signal, the four ratios
    taken in each window; with `mode="v3"` the filters are fitted anew in every window, and with `window=None` the whole
    signal is one window. A signal shorter than a window has no frames. Computed in double precision on `device`, by
    default where the references are.

    SDR compares the estimate with the reference as it is, so a wrong level costs as much as a wrong sound. ISR counts
    what a filter on the target could mend, SIR what comes from the other sources, SAR what comes from neither.

    Where museval refuses, the value is defined here: a silent reference has no target to be measured by, so all four
    are NaN, and the other sources are scored without it. A silent estimate misses the target by exactly the target's
    energy, so its SDR is 0 dB, and the other three, which divide nothing by nothing, are NaN. As in museval, a window
    in which any other source is silent is NaN for all; silent means that the channels add up to zero throughout.

    Where museval's system of filters is singular, its values hang on rounding errors; these do not. What the channels
    of a dual-mono source, or two identical references, share counts once, and for each of identical references it is
    the target: their SIR counts what comes from further sources only, and is infinite where there are none (so it is
    for a source alone). Directions in which the references hold rounding errors only are left out of the projection.
    Stems that were decoded from lossy files to floats hold such errors above some 16 kHz, and no value is right there:
    round them to 16 bits first, as `evaluate` does.

    Raises SepnbError where the shapes differ or are not three-dimensional, samples are not finite, a window or hop is
    shorter than a sample, or the mode is unknown.
    Source: Stöter, Liutkus, Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018; package museval.
    """
    references, estimates = _tensor(references, device), _tensor(estimates, device)
    estimates = estimates.to(references.device)
    if references.shape != estimates.shape or references.ndim != 3:
        raise SepnbError(
            f"references {tuple(references.shape)} and estimates {tuple(estimates.shape)} must have the same shape "
            "(sources, channels, samples)"
        )
    if mode not in ("v3", "v4"):
        raise SepnbError(f"there is no mode {mode!r} of bss_eval: choose v4 (one set of filters) or v3 (one a window)")
    for name, signals in (("references", references), ("estimates", estimates)):
        if not all(torch.isfinite(channel).all() for channel in signals.flatten(0, 1)):
            raise SepnbError(f"{name} hold samples that are NaN or infinite: they cannot be scored")
    starts, length = _windows(references.shape[-1], rate, window, hop)

    sounding, answering = _sounding(references, starts, length), _sounding(estimates, starts, length)
    heard = _sounding(references, [0], references.shape[-1])[:, 0]
    answered = heard & _sounding(estimates, [0], references.shape[-1])[:, 0]
    defined = sounding[heard].all(axis=0) & answering[answered].all(axis=0)
    scores = np.full((4, len(heard), len(starts)), np.nan)
    if defined.any() and answered.any():
        # Scores of one estimate do not depend on the others, so a silent one costs a little time and is overwritten.
        taken = (references, estimates) if heard.all() else (references[heard], estimates[heard])
        kept = [start for start, good in zip(starts, defined, strict=True) if good]
        if mode == "v4":
            ratios = _ratios(*taken, kept, length)
        else:
            cuts = ([signals[..., start : start + length] for signals in taken] for start in kept)
            ratios = np.concatenate([_ratios(*cut, [0], length) for cut in cuts], axis=-1)
        scores[:, heard[:, None] & defined] = ratios.reshape(4, -1)
    silent = heard & ~answered
    scores[1:, silent] = np.nan
    scores[0, silent] = np.where(defined, 0.0, np.nan)
    return BSSScores(*scores)


def _tensor(signals: np.ndarray | Tensor, device: str | torch.device | None) -> Tensor:
    if not isinstance(signals, Tensor):
        array = np.asarray(signals)
        # Tensors share memory with arrays, but not with those that are read-only or run backwards.
        shareable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
        signals = torch.from_numpy(array if shareable else array.copy())
    return signals.detach().to(device)


def _windows(samples: int, rate: int, window: float | None, hop: float) -> tuple[list[int], int]:
    # Where the windows begin, and how long they are, in samples.
    if window is None:
        return ([0] if samples else []), samples
    length, step = round(window * rate), round(hop * rate)
    if length < 1 or step < 1:
        raise SepnbError(f"a window of {window} s and a hop of {hop} s at {rate} Hz: both must be a sample or more")
    return list(range(0, samples - length + 1, step)), length


def _sounding(signals: Tensor, starts: list[int], length: int) -> np.ndarray:
    # (sources, windows). museval's own test: the channels summed, so two that cancel each other count as silent.
    sounding = np.zeros((len(signals), len(starts)), bool)
    for row, source in enumerate(signals):
        nonzero = source.sum(dim=0) != 0
        sounding[row] = [bool(nonzero[start : start + length].any()) for start in starts]
    return sounding


def _ratios(references: Tensor, estimates: Tensor, starts: list[int], length: int) -> np.ndarray:
    # (4, sources, windows) in dB.
    onto_own, onto_all = distortion_filters(references, estimates, FILTER_TAPS)
    energies = window_energies(references, estimates, onto_own, onto_all, starts, length)
    return np.stack([_decibels(above, below) for above, below in _fractions(energies)])


def _fractions(parts: WindowEnergies) -> tuple[tuple[Tensor, Tensor], ...]:
    # Of SDR, ISR, SIR and SAR.
    return (
        (parts.target, parts.error),
        (parts.target, parts.spatial),
        (parts.filtered, parts.interference),
        (parts.projected, parts.artifacts),
    )


def _decibels(above: Tensor, below: Tensor) -> np.ndarray:
    # As museval has it, nothing below the line is infinitely good, whatever is above it.
    return torch.where(below > 0, 10 * torch.log10(above / below), torch.inf).cpu().numpy()
