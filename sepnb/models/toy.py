"""A small U-Net that masks magnitude spectrograms: as plain as a separation network can be.

The network looks at the mixture's magnitude spectrogram as at a picture. Each step of the encoder halves time and
frequency and looks at a wider area; each step of the decoder doubles them again and gets the encoder's picture of the
same size beside it, so that fine detail is not lost (Ronneberger 2015; for singing voice, Jansson 2017). The last layer
gives one mask a stem, between 0 and 1. The masks multiply the mixture's spectrogram, whose phase is kept: that, and
that no mask can tell apart what shares a bin, is the ceiling that the oracles of `separators/references.py` show.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sepnb import spectral


@dataclass(frozen=True)
class UNetConfig:
    """What a U-Net is made of; saved beside its weights."""

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    channels: int = 2
    rate: int = 44100
    # About 46 ms at 44.1 kHz: a compromise. Longer would part low notes better, shorter would keep drums sharper.
    n_fft: int = 2048
    # Half a window: half the work of the usual hop of a quarter, at little loss with a Hann window.
    hop: int = 1024
    # The first layer's width; it doubles at each step down.
    width: int = 16
    depth: int = 4


class UNet(nn.Module):
    """Mixture in, stems out: (batch, channels, samples) to (batch, sources, channels, samples)."""

    kind = "toy"

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        widths = [config.channels, *(config.width * 2**level for level in range(config.depth))]
        self.down = nn.ModuleList(itertools.starmap(_down, itertools.pairwise(widths)))
        outputs = [len(config.sources) * config.channels, *widths[1:]]
        self.up = nn.ModuleList(
            # Every step but the deepest gets the encoder's picture beside what comes from below.
            _up(outputs[level + 1] * (1 if level == config.depth - 1 else 2), outputs[level], last=level == 0)
            for level in reversed(range(config.depth))
        )
        # Begin near where knowing nothing begins: masks around 1 / N, the mixture shared out evenly.
        nn.init.constant_(self.up[-1].bias, -math.log(max(1, len(config.sources) - 1)))

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Masks (batch, sources, channels, bins, frames) in 0..1 from magnitudes (batch, channels, bins, frames)."""
        config = self.config
        batch, channels, bins, frames = magnitudes.shape
        # Loudness is heard in decibels: the logarithm brings quiet detail into a range that the layers can see.
        picture = torch.log1p(magnitudes)
        step = 2**config.depth
        # The top bin (the Nyquist frequency) holds next to nothing and would spoil the halving.
        picture = nn.functional.pad(picture[:, :, : bins - 1], (0, -frames % step, 0, -(bins - 1) % step))
        pictures = []
        for down in self.down:
            picture = down(picture)
            pictures.append(picture)
        picture = pictures.pop()
        for up in self.up[:-1]:
            picture = torch.cat([up(picture), pictures.pop()], dim=1)
        logits = self.up[-1](picture)[:, :, : bins - 1, :frames]
        logits = nn.functional.pad(logits, (0, 0, 0, 1))
        return torch.sigmoid(logits).view(batch, len(config.sources), channels, bins, frames)

    def stft(self, audio: Tensor) -> Tensor:
        """Spectrogram (..., bins, frames) of audio (..., samples), with the model's own settings."""
        return spectral.stft(audio, n_fft=self.config.n_fft, hop=self.config.hop)

    def estimate(self, spectrogram: Tensor) -> Tensor:
        """Stems' spectrograms (batch, sources, channels, bins, frames) from the mixture's, without the sources axis."""
        return self.masks(spectrogram.abs()) * spectrogram[:, None]

    def forward(self, mixture: Tensor) -> Tensor:
        """Stems (batch, sources, channels, samples) of a mixture (batch, channels, samples)."""
        return spectral.istft(self.estimate(self.stft(mixture)), hop=self.config.hop, samples=mixture.shape[-1])


def _down(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), _norm(outputs), nn.LeakyReLU(0.2))


def _up(inputs: int, outputs: int, last: bool) -> nn.Module:
    grow = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return grow if last else nn.Sequential(grow, _norm(outputs), nn.ReLU())


def _norm(channels: int) -> nn.Module:
    # Over groups of channels of one example at a time: a batch of four learns as one of forty would.
    return nn.GroupNorm(math.gcd(8, channels), channels)
