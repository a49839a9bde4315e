"""BSSEval v4: SDR, ISR, SIR and SAR of estimated stems, frame by frame."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from sepnb.errors import SepnbError


@dataclass(frozen=True)
class BSSScores:
    """Scores in dB, each an array (sources, frames); NaN where a score is not defined."""

    sdr: np.ndarray
    isr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray


def bss_eval(
    references: np.ndarray, estimates: np.ndarray, rate: int = 44100, window: float = 1.0, hop: float = 1.0
) -> BSSScores:
    """Score estimates against references with museval's BSSEval v4.

    `references` and `estimates` are (sources, channels, samples) in the same order; `rate` in Hz, `window` and `hop` in
    seconds. Distortion filters of 512 taps are fitted over the whole signal, the four ratios taken in each window.

    SDR compares the estimate with the reference as it is, so a wrong level costs as much as a wrong sound. ISR counts
    what a filter on the target could mend, SIR what comes from the other sources, SAR what comes from neither.

    Where museval refuses, the value is defined here: a silent reference has no target to be measured by, so all four
    are NaN. A silent estimate misses the target by exactly the target's energy, so its SDR is 0 dB, and the other
    three, which divide nothing by nothing, are NaN. As in museval, a window in which any source is silent is NaN for
    all.

    Raises SepnbError where the shapes differ or are not three-dimensional.
    Source: Stöter, Liutkus, Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018; package museval.
    """
    references, estimates = np.asarray(references, np.float64), np.asarray(estimates, np.float64)
    if references.shape != estimates.shape or references.ndim != 3:
        raise SepnbError(
            f"references {references.shape} and estimates {estimates.shape} must have the same shape "
            "(sources, channels, samples)"
        )
    window_samples, hop_samples = round(window * rate), round(hop * rate)
    frames = max(0, (references.shape[-1] - window_samples + hop_samples) // hop_samples)
    scores = np.full((4, len(references), frames), np.nan)

    heard = _heard(references)
    answered = heard & _heard(estimates)
    if frames and answered.any():
        # Scores of one estimate do not depend on the others, so a silent one is stood in for by its reference.
        stand_in = np.where(answered[:, None, None], estimates, references)
        sdr, isr, sir, sar, _ = _museval_metrics().bss_eval(
            references[heard].swapaxes(1, 2), stand_in[heard].swapaxes(1, 2), window=window_samples, hop=hop_samples
        )
        scores[:, heard] = np.stack([sdr, isr, sir, sar])
    silent = heard & ~answered
    if silent.any():
        starts = range(0, frames * hop_samples, hop_samples)
        defined = [_heard(references[heard, :, start : start + window_samples]).all() for start in starts]
        scores[0, silent] = np.where(defined, 0.0, np.nan)
        scores[1:, silent] = np.nan
    return BSSScores(*scores)


def _heard(sources: np.ndarray) -> np.ndarray:
    # museval's own test of silence: the channels summed, so two that cancel each other count as silent.
    return (sources.sum(axis=1) != 0).any(axis=-1)


@functools.cache
def _museval_metrics() -> ModuleType:
    # The package's __init__ imports stempeg, which fails without the ffmpeg program; its metrics need neither.
    package = Path(importlib.util.find_spec("museval").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("museval_metrics", package / "metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
