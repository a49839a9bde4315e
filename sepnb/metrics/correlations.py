"""Long signals filtered and correlated at short lags, section by section with short Fourier transforms."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Points of a transform: longer ones lose less on the overlap of sections, shorter ones stay in the processor's cache.
SECTION = 4096
SECTIONS_AT_ONCE = 32


def section_size(lags: int) -> int:
    """Points of the transform of one section, for filters or correlations of `lags` taps."""
    return max(SECTION, 4 * lags)


def section_hop(lags: int) -> int:
    """Samples by which sections advance: as many as one transform holds free of wrap-around."""
    return section_size(lags) - (lags - 1)


def stretch(signals: Tensor, begin: int, end: int) -> Tensor:
    """The samples `begin` to `end` of the last axis in float64, zeros where these lie outside of the signal."""
    length = signals.shape[-1]
    inside = signals[..., min(max(begin, 0), length) : min(max(end, 0), length)].double()
    return F.pad(inside, (min(max(-begin, 0), end - begin), min(max(end - length, 0), end - begin)))


def section_spectra(signals: Tensor, length: int, lags: int) -> Tensor:
    """Spectra of sections of `length` samples, a hop apart: (channels, ..., samples) → (frequencies, channels, all).

    The order of axes is that of the matrix products to come, one for each frequency.
    """
    sections = signals.unfold(-1, length, section_hop(lags)).flatten(1, -2)
    return torch.fft.rfft(sections, n=section_size(lags)).permute(2, 0, 1).contiguous()


def correlations(references: Tensor, others: list[Tensor], lags: int) -> Tensor:
    """Σₙ reference(n) · other(n + lag) for every pair of channels: (reference channels, other channels, lags), float64.

    `references` is (channels, samples), `others` a list of the same kind that are taken together; lags 0 to `lags` − 1.
    The sum over time is cut into sections, and every frequency's sum over sections is one small matrix product: memory
    does not grow with the length, and rounding errors grow less than in one transform of the whole signals.
    """
    size, hop, samples = section_size(lags), section_hop(lags), references.shape[-1]
    channels = (len(references), sum(len(other) for other in others))
    total = torch.zeros(size // 2 + 1, *channels, dtype=torch.complex128, device=references.device)
    for begin in range(0, samples, hop * SECTIONS_AT_ONCE):
        end = begin + hop * min(SECTIONS_AT_ONCE, -(-(samples - begin) // hop))
        ours = section_spectra(stretch(references, begin, end), hop, lags)
        # The sections of the others run on past those of the references, as far as the largest lag looks ahead.
        ahead = torch.cat([stretch(other, begin, end + lags - 1) for other in others])
        total.baddbmm_(ours.conj_physical(), section_spectra(ahead, size, lags).transpose(1, 2))
    return torch.fft.irfft(total.permute(1, 2, 0), n=size)[..., :lags].contiguous()
