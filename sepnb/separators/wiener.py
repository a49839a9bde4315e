"""The multichannel Wiener filter that knows the answer: how far filters with a direction a source can get.

A ratio mask weighs each channel on its own. This filter also knows where each source sits between the channels: in the
local Gaussian model (Duong, Vincent and Gribonval 2010), source j has at every bin a power v_j and at every frequency a
spatial covariance R_j, and its best linear estimate from the mixture x is v_j R_j (sum_k v_k R_k)^-1 x.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sepnb.separators import references
from sepnb.separators.references import BoundReference, bound_filter
from sepnb.separators.stft_blocks import blocks, frames_of
from sepnb.tracks import Track

EPSILON = 1e-10  # power, with full scale 1: keeps what is silent from being divided by
SINGULAR = 1e-9  # part of a bin's power, as if it came from everywhere: a mix that is mono has no inverse without it


@dataclass(frozen=True)
class MultichannelWiener:
    """The oracle that filters the mixture with the true powers and spatial covariances of the stems.

    Powers are the true stems', averaged over the channels; a source's covariance is that of its true stem, averaged
    over the song, as in the package norbert (Liutkus and Stöter 2019). The STFT is that of SiSEC 2018's oracle MWF
    (2048 samples, hop of a half). That one estimated powers anew by the inverse of each covariance, which is unstable
    for a stem that is dead centre; without that step, ours scores 0.6 to 1.2 dB higher on the excerpt we tried: it and
    the published MWF must not be taken for one.
    Any number of channels.
    """

    name: str
    n_fft: int = 2048
    hop: int = 1024

    @property
    def settings(self) -> dict[str, str | int | float]:
        """What the result depends on besides the track."""
        return {"n_fft": self.n_fft, "hop": self.hop}

    def bind(self, track: Track) -> BoundReference:
        """Read the track's true stems and learn their spatial covariances."""
        stems = torch.from_numpy(track.stems())
        covariances = self._covariances(stems)

        def filtered(mixture: Tensor, stems: Tensor) -> Tensor:
            powers = stems.abs().square().mean(1).to(torch.float64)  # (sources, bins, frames)
            return local_gaussian_filter(mixture.to(torch.complex128), powers, covariances).to(mixture.dtype)

        return bound_filter(self.name, track, stems, self.n_fft, self.hop, self.settings, filtered)

    def _covariances(self, stems: Tensor) -> Tensor:
        """Spatial covariances (bins, sources, channels, channels) of stems (sources, channels, samples)."""
        total = torch.zeros(())
        for block in blocks(stems, self.n_fft, self.hop, frames_of(stems.shape[-1], self.hop), references.FRAMES):
            total = total + torch.einsum("scft,sdft->fscd", block, block.conj()).to(torch.complex128)
        power = total.diagonal(dim1=-2, dim2=-1).real.mean(-1)  # (bins, sources)
        return total / (power + EPSILON)[..., None, None]


def local_gaussian_filter(mixture: Tensor, powers: Tensor, covariances: Tensor) -> Tensor:
    """Sources (sources, channels, bins, frames) of a mixture's STFT (channels, bins, frames), by Wiener filtering.

    `powers` are v (sources, bins, frames), `covariances` R (bins, sources, channels, channels), all double precision.
    """
    channels = len(mixture)
    total = torch.einsum("sft,fscd->ftcd", powers.to(covariances.dtype), covariances)
    floor = EPSILON + SINGULAR * total.diagonal(dim1=-2, dim2=-1).real.mean(-1)
    total = total + floor[..., None, None] * torch.eye(channels, dtype=total.dtype)
    whitened = torch.einsum("ftcd,dft->ftc", _inverse(total), mixture)
    return torch.einsum("sft,fscd,ftd->scft", powers.to(covariances.dtype), covariances, whitened)


def _inverse(matrices: Tensor) -> Tensor:
    """Inverses of small matrices (..., n, n); one or two channels in closed form, which is many times faster."""
    size = matrices.shape[-1]
    if size == 1:
        return 1 / matrices
    if size > 2:
        return torch.linalg.inv(matrices)
    a, b, c, d = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 0], matrices[..., 1, 1]
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    return adjugate / (a * d - b * c)[..., None, None]


MWF = MultichannelWiener("MWF")
