"""The faults of separation, each made on purpose and alone: to know them by ear before a system mixes them up."""

from collections.abc import Mapping

import numpy as np
import scipy.signal
import torch

from sepnb.errors import SepnbError
from sepnb.spectral import istft, stft

# A window of 0.19 s at 44.1 kHz: a drum stroke inside it is spread over all of it.
LONG_WINDOW = 8192


def bleed(stems: Mapping[str, np.ndarray], target: str, level_db: float = -12.0) -> np.ndarray:
    """A stem with the other stems to be heard in it, `level_db` lower than they are in the mixture.

    `stems` are arrays (channels, samples), the result is one. BSSEval's SIR hears this fault. Raises SepnbError for a
    target that is not among the stems.
    """
    stem, others = _apart(stems, target)
    return stem + np.float32(10 ** (level_db / 20)) * others


def gurgle(stems: Mapping[str, np.ndarray], target: str, seed: int = 0) -> np.ndarray:
    """A stem with holes that come and go: where other stems are louder, each time-frequency bin is kept or lost by lot.

    Also called musical noise: what a mask leaves that flickers between all and nothing. BSSEval's SAR hears it.
    Arguments, result and errors as in `bleed`.
    """
    stem, others = _apart(stems, target)
    mine, theirs = _transformed(stem), _transformed(others)
    kept = torch.rand(mine.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return istft(torch.where(kept | (mine.abs() > theirs.abs()), mine, 0), samples=stem.shape[-1]).numpy()


def smear(stems: Mapping[str, np.ndarray], target: str) -> np.ndarray:
    """A stem with its true magnitudes and the mixture's phases, in long windows: strokes lose their edge.

    It is what a perfect mask of magnitudes gives: the energy is right, but within a window nothing says any more when
    it came, so that a stroke is heard before it falls (pre-echo). Arguments, result and errors as in `bleed`.
    """
    stem, others = _apart(stems, target)
    mine = _transformed(stem, LONG_WINDOW)
    phases = _transformed(stem + others, LONG_WINDOW).angle()
    return istft(torch.polar(mine.abs(), phases), LONG_WINDOW // 4, stem.shape[-1]).numpy()


def dull(stems: Mapping[str, np.ndarray], target: str, rate: int, highest: float = 3000.0) -> np.ndarray:
    """A stem without what lies above `highest` Hz: a mask that was too careful where little of the stem is left.

    `rate` in Hz. BSSEval's ISR hears this fault; the other arguments, the result and the errors are as in `bleed`.
    """
    stem, _ = _apart(stems, target)
    if not 0 < highest < rate / 2:
        raise SepnbError(f"audio at {rate} Hz has nothing at {highest:g} Hz to be cut off: give less than {rate / 2:g}")
    sections = scipy.signal.butter(4, highest, fs=rate, output="sos")
    # Forwards only: BSSEval allows for filters that look back, as a room or an equaliser does, not ahead.
    return scipy.signal.sosfilt(sections, stem.astype(np.float64)).astype(np.float32)


def _apart(stems: Mapping[str, np.ndarray], target: str) -> tuple[np.ndarray, np.ndarray]:
    """The stem, and the sum of the others."""
    if target not in stems:
        raise SepnbError(f"there is no stem {target}; there are {', '.join(stems)}")
    others = [audio for name, audio in stems.items() if name != target]
    if not others:
        raise SepnbError(f"{target} is the only stem: these faults come of the others that sound with it")
    return stems[target], sum(others)


def _transformed(audio: np.ndarray, n_fft: int = 2048) -> torch.Tensor:
    return stft(torch.from_numpy(np.ascontiguousarray(audio)), n_fft, n_fft // 4)
