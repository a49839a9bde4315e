"""Conv-TasNet for music: masks on a learnt transform, made by dilated convolutions.

After Luo & Mesgarani 2019 (arXiv 1809.07454), in the stereo, 44.1 kHz form that was trained for the Demucs paper
(Défossez et al. 2019, arXiv 1911.13254) and released in the package `demucs` 2.0.3 (github.com/facebookresearch/demucs,
MIT). Names of parameters are those of the official files, letters in the docstring those of the Conv-TasNet paper.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-8  # under the roots of the normalisations


class ConvTasNet(nn.Module):
    """Mixture in, stems out: (batch, channels, samples) to (batch, sources, channels, samples).

    sources, audio_channels: what comes out, and how many channels go in and out.
    filters (N), filter_length (L, samples): of the learnt transform, whose hop is half a filter.
    bottleneck (B), hidden (H): widths of the separator between its blocks, and inside them.
    kernel (P), blocks (X), repeats (R): taps of a block, blocks a repeat with dilations 1, 2, 4 …, and repeats. The
        released networks have 10 blocks.
    """

    def __init__(
        self,
        sources: int = 4,
        audio_channels: int = 2,
        filters: int = 256,
        filter_length: int = 20,
        bottleneck: int = 256,
        hidden: int = 512,
        kernel: int = 3,
        blocks: int = 8,
        repeats: int = 4,
    ) -> None:
        super().__init__()
        self.sources, self.audio_channels = sources, audio_channels
        self.filter_length, self.hop = filter_length, filter_length // 2
        analysis = nn.Conv1d(audio_channels, filters, filter_length, self.hop, bias=False)
        self.encoder = _named(conv1d_U=analysis)
        self.separator = _named(
            network=nn.Sequential(
                _NormOfChannels(filters),
                nn.Conv1d(filters, bottleneck, 1, bias=False),
                nn.Sequential(
                    *(
                        nn.Sequential(*(_Block(bottleneck, hidden, kernel, 2**power) for power in range(blocks)))
                        for _ in range(repeats)
                    )
                ),
                nn.Conv1d(bottleneck, sources * filters, 1, bias=False),
                nn.ReLU(inplace=True),
            )
        )
        self.decoder = _named(basis_signals=nn.Linear(filters, audio_channels * filter_length, bias=False))

    def valid_length(self, samples: int) -> int:
        """Samples of mixture that the network wants for so many of each stem: at least one filter's length."""
        return max(samples, self.filter_length)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate a batch of mixtures of at least `filter_length` samples."""
        heard = F.relu(self.encoder(mixture))  # (batch, filters, frames)
        masks = self.separator(heard).unflatten(1, (self.sources, -1))
        stems = self._synthesis((masks * heard[:, None]).flatten(0, 1))
        stems = stems.unflatten(0, (-1, self.sources))
        return F.pad(stems, (0, mixture.shape[-1] - stems.shape[-1]))  # samples that did not fill a frame

    def _synthesis(self, weights: Tensor) -> Tensor:
        """Frames (batch, filters, frames) to audio (batch, channels, samples): basis signals, overlapped and added."""
        basis = self.decoder.basis_signals.weight.t().unflatten(1, (self.audio_channels, self.filter_length))
        return F.conv_transpose1d(weights, basis, stride=self.hop)


def _named(**modules: nn.Module) -> nn.Sequential:
    """A sequence whose steps have the names that the official files give them."""
    return nn.Sequential(OrderedDict(modules))


class _Block(nn.Module):
    """Widen, look along time with one dilated filter a channel, narrow; what came in is added."""

    def __init__(self, bottleneck: int, hidden: int, kernel: int, dilation: int) -> None:
        super().__init__()
        padding = (kernel - 1) * dilation // 2
        along = nn.Conv1d(hidden, hidden, kernel, padding=padding, dilation=dilation, groups=hidden, bias=False)
        self.net = nn.Sequential(
            nn.Conv1d(bottleneck, hidden, 1, bias=False),
            nn.PReLU(),
            _NormOfAll(hidden),
            _named(
                net=nn.Sequential(along, nn.PReLU(), _NormOfAll(hidden), nn.Conv1d(hidden, bottleneck, 1, bias=False))
            ),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.net(features)


class _Norm(nn.Module):
    """A gain and an offset a channel, after what a subclass normalises by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))


class _NormOfChannels(_Norm):
    """cLN of the paper: each frame over its channels."""

    def forward(self, features: Tensor) -> Tensor:
        variance, mean = torch.var_mean(features, dim=1, keepdim=True, correction=0)
        return self.gamma * (features - mean) / torch.sqrt(variance + EPSILON) + self.beta


class _NormOfAll(_Norm):
    """gLN of the paper: each example over channels and time together."""

    def forward(self, features: Tensor) -> Tensor:
        return F.group_norm(features, 1, self.gamma.flatten(), self.beta.flatten(), EPSILON)
