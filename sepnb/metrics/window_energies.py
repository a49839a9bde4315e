"""The energies, window by window, of the parts that BSSEval splits an estimate into."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sepnb.metrics.correlations import SECTIONS_AT_ONCE, section_hop, section_size, section_spectra, stretch


@dataclass(frozen=True)
class WindowEnergies:
    """Energies of the parts of each estimate, each (sources, windows): what the four ratios are made of."""

    target: Tensor  # the reference
    error: Tensor  # estimate − reference
    filtered: Tensor  # the estimate projected on its own reference
    spatial: Tensor  # that projection − reference
    projected: Tensor  # the estimate projected on all references
    interference: Tensor  # the difference of the two projections
    artifacts: Tensor  # estimate − its projection on all references


def window_energies(
    references: Tensor, estimates: Tensor, onto_own: Tensor, onto_all: Tensor, starts: list[int], length: int
) -> WindowEnergies:
    """Cut the windows that begin at `starts` out of references and estimates, filter, and sum the squares.

    `references`, `estimates`: (sources, channels, samples); the filters are those of `distortion_filters`. As in
    museval a window sees only its own samples, and what the filters ring on for after its end counts. Windows are
    filtered in sections, a limited number of them at once, so that memory grows neither with their number nor their
    length.
    """
    sources, channels, _ = references.shape
    lags = onto_own.shape[-1]
    size, hop = section_size(lags), section_hop(lags)
    # The second half makes the interference itself: exactly nothing where both projections are the same.
    responses = torch.fft.rfft(torch.cat([onto_own, onto_all - onto_own]), n=size).permute(2, 0, 1).contiguous()
    sections = -(-(length + lags - 1) // hop)
    at_once = max(1, SECTIONS_AT_ONCE // sections)
    energies = torch.zeros(7, sources, len(starts), dtype=torch.float64, device=references.device)

    for first in range(0, len(starts), at_once):
        windows = range(first, min(first + at_once, len(starts)))
        cut = [
            torch.stack([signals.flatten(0, 1)[:, starts[w] : starts[w] + length] for w in windows], 1)
            for signals in (references, estimates)
        ]
        for begin in range(0, sections, SECTIONS_AT_ONCE):
            end = min(begin + SECTIONS_AT_ONCE, sections)
            shape = (sources, channels, len(windows), end - begin, hop)
            # Overlap-save: the first lags − 1 samples of a filtered section lack their past and are left out.
            heard = stretch(cut[0], begin * hop - (lags - 1), end * hop)
            spectra = section_spectra(heard, size, lags)
            made = torch.fft.irfft(torch.bmm(responses, spectra).permute(1, 2, 0).contiguous(), n=size)
            filtered, interference = made[..., lags - 1 :].unflatten(1, shape[2:4]).unflatten(0, (2, *shape[:2]))
            target = heard[..., lags - 1 :].reshape(shape)
            estimate = stretch(cut[1], begin * hop, end * hop).reshape(shape)
            projected = filtered + interference
            parts = (target, estimate - target, filtered, filtered - target, projected, interference)
            for row, part in enumerate((*parts, estimate - projected)):
                energies[row, :, windows.start : windows.stop] += part.square().sum(dim=(1, 3, 4))
    return WindowEnergies(*energies)
