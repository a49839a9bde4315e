"""The best network we know how to train from nothing on one small device: a U-Net over bands, with complex masks.

What it takes from published compact systems, and why:

- **Bands instead of bins** (band-split RNN, Luo and Yu 2023, arXiv 2209.15174; SCNet, arXiv 2401.13276; Moises-Light,
  arXiv 2510.06785). Two thousand bins become 44 bands, narrow where pitch is decided and a sixth of an octave wide
  above. Each has linear layers of its own, so that nothing has to be the same in the bass as in the cymbals, and all
  that lies between them works on a picture nearly fifty times smaller than the spectrogram.
- **A U-Net of convolutions with dense layers across frequency** (TFC-TDF, Choi et al. 2020, arXiv 1912.02591; DTTNet,
  arXiv 2309.08684). Convolutions see neighbours; the dense layers see all bands of a frame at once, which is how
  harmonics far apart become one voice.
- **A recurrent layer along time at the bottom** (Open-Unmix; DTTNet), where the picture is small: what a mask does may
  depend on what was heard seconds ago.
- **Complex masks** (KUIELab's TFC-TDF nets; band-split RNN), which turn the mixture's phase as well as its loudness:
  the mixture's phase is no ceiling, as it is for `toy`.

What it leaves out is what costs memory and time on a small device: attention over long sequences (htdemucs,
BS-RoFormer), branches on the waveform (Demucs), a network for each stem (Open-Unmix, DTTNet, Moises-Light). And
windows overlap by half, not by three quarters: half as many frames are half the work, from the first layer to the last.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sepnb import spectral

# What is known of a bin: real part, imaginary part, magnitude. The first two say how channels differ in phase, and
# how a tone goes on from frame to frame; the third, alone, would do for most of the work.
FEATURES = 3
GROUPS = 4


@dataclass(frozen=True)
class CompactConfig:
    """What a compact U-Net is made of; saved beside its weights."""

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    channels: int = 2
    rate: int = 44100
    # 93 ms at 44.1 kHz: parts the low notes of a bass. Complex masks make up for some of what it smears of a drum.
    n_fft: int = 4096
    hop: int = 2048
    # Bins of the narrowest bands, and how many bands make an octave above them.
    narrowest: int = 4
    bands_an_octave: int = 6
    # Features of a band; half as many again with each step down.
    width: int = 48
    depth: int = 2


class CompactUNet(nn.Module):
    """Mixture in, stems out: (batch, channels, samples) to (batch, sources, channels, samples)."""

    kind = "compact"

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CompactConfig()
        regions = band_regions(config.n_fft // 2, config.narrowest, config.bands_an_octave)
        self.bands = sum(region.count for region in regions)
        widths = [GROUPS * round(config.width * 1.5**level / GROUPS) for level in range(config.depth + 1)]
        # A picture that is halved so often must be a multiple of that high and wide.
        self.step = 2**config.depth
        heights = [_up_to_multiple(self.bands, self.step) // 2**level for level in range(config.depth + 1)]
        shapes = list(zip(widths, heights, strict=True))
        self.split = BandSplit(regions, config.channels, widths[0])
        self.encoder = nn.ModuleList(itertools.starmap(Block, shapes[:-1]))
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 2, stride=2) for wide, deep in itertools.pairwise(widths))
        self.bottom = nn.Sequential(Block(*shapes[-1]), AlongTime(widths[-1]), Block(*shapes[-1]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(deep, wide, 2, stride=2) for wide, deep in itertools.pairwise(widths)
        )
        self.decoder = nn.ModuleList(itertools.starmap(Block, shapes[:-1]))
        self.join = BandMasks(regions, widths[0], len(config.sources), config.channels)

    def masks(self, spectrogram: Tensor) -> Tensor:
        """Complex masks (batch, sources, channels, bins, frames) from the mixture's (batch, channels, bins, frames)."""
        bins, frames = spectrogram.shape[-2:]
        # The top bin (the Nyquist frequency) holds next to nothing and would spoil the halving.
        picture = self.split(_features(spectrogram[:, :, : bins - 1]))  # (batch, width, frames, bands)
        picture = nn.functional.pad(picture, (0, -self.bands % self.step, 0, -frames % self.step))
        picture = picture.contiguous(memory_format=torch.channels_last)  # convolutions on a CPU like it better so
        pictures = []
        for block, down in zip(self.encoder, self.down, strict=True):
            picture = block(picture)
            pictures.append(picture)
            picture = down(picture)
        picture = self.bottom(picture)
        for block, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            picture = block(up(picture) + pictures.pop())
        masks = self.join(picture[:, :, :frames, : self.bands])  # (batch, sources, channels, frames, bins, 2)
        # Complex numbers are of 32 bits each also where mixed precision computes in 16.
        masks = torch.view_as_complex(masks[..., : bins - 1, :].float()).transpose(-1, -2)
        return nn.functional.pad(masks, (0, 0, 0, 1))

    def stft(self, audio: Tensor) -> Tensor:
        """Spectrogram (..., bins, frames) of audio (..., samples), with the model's own settings."""
        return spectral.stft(audio, n_fft=self.config.n_fft, hop=self.config.hop)

    def estimate(self, spectrogram: Tensor) -> Tensor:
        """Stems' spectrograms (batch, sources, channels, bins, frames) from the mixture's, without the sources axis."""
        return self.masks(spectrogram) * spectrogram[:, None]

    def forward(self, mixture: Tensor) -> Tensor:
        """Stems (batch, sources, channels, samples) of a mixture (batch, channels, samples)."""
        return spectral.istft(self.estimate(self.stft(mixture)), hop=self.config.hop, samples=mixture.shape[-1])


def _features(spectrogram: Tensor) -> Tensor:
    """Spectrogram (batch, channels, bins, frames) to (batch, channels, frames, bins, FEATURES), at any level the same.

    Magnitudes are raised to 0.4, which brings quiet detail into the range of what is loud, as hearing does.
    """
    spectrogram = spectrogram.transpose(-1, -2)  # as an STFT lies in memory
    magnitude = spectrogram.abs()
    level = magnitude.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-5
    direction = torch.view_as_real(spectrogram) / (magnitude + 1e-3 * level)[..., None]
    loudness = (magnitude / level + 1e-3) ** 0.4
    return loudness[..., None] * torch.cat([direction, torch.ones_like(loudness)[..., None]], dim=-1)


# ----------------------------------------------------------------------------------------- from bins to bands and back


@dataclass(frozen=True)
class Region:
    """Neighbouring bands of the same width, in bins."""

    begin: int
    count: int
    width: int

    @property
    def end(self) -> int:
        """The bin behind its last band; in the top region it can lie above the highest bin."""
        return self.begin + self.count * self.width


def band_regions(bins: int, narrowest: int, bands_an_octave: int) -> list[Region]:
    """Cut `bins` into bands: of `narrowest` bins at first, then twice as wide in every further octave."""
    regions, begin, width = [], 0, narrowest
    while begin < bins:
        # The first region holds all octaves in which bands of an even part of an octave would be narrower still.
        end = min(bins, 2 * width * bands_an_octave)
        regions.append(Region(begin, math.ceil((end - begin) / width), width))
        begin, width = regions[-1].end, 2 * width
    return regions


class BandSplit(nn.Module):
    """(batch, channels, frames, bins, FEATURES) to (batch, width, frames, bands): a linear layer for each band."""

    def __init__(self, regions: list[Region], channels: int, width: int) -> None:
        super().__init__()
        self.regions = regions
        inputs = [region.width * channels * FEATURES for region in regions]
        self.weights = nn.ParameterList(
            torch.randn(region.count, size, width) * size**-0.5 for region, size in zip(regions, inputs, strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(region.count, 1, width) for region in regions)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, frames, bins, _ = features.shape
        features = nn.functional.pad(features, (0, 0, 0, self.regions[-1].end - bins))
        bands = []
        for region, weight, bias in zip(self.regions, self.weights, self.biases, strict=True):
            part = features[..., region.begin : region.end, :].unflatten(3, (region.count, region.width))
            # (bands, batch × frames, channels × width × FEATURES): a matrix product for each band
            part = part.permute(3, 0, 2, 1, 4, 5).reshape(region.count, batch * frames, -1)
            bands.append(torch.baddbmm(bias, part, weight))
        return torch.cat(bands).unflatten(1, (batch, frames)).permute(1, 3, 2, 0)


class BandMasks(nn.Module):
    """(batch, width, frames, bands) to complex masks (batch, sources, channels, frames, bins, 2)."""

    def __init__(self, regions: list[Region], width: int, sources: int, channels: int) -> None:
        super().__init__()
        self.regions, self.sources, self.channels = regions, sources, channels
        bands = sum(region.count for region in regions)
        outputs = [sources * channels * region.width * 2 for region in regions]
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Parameter(torch.randn(bands, width, width) * width**-0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(bands, 1, width))
        # A third of the usual size, around a bias of 1 / N: begin near where knowing nothing begins, with the mixture
        # shared out evenly and its phase as it is.
        self.weights = nn.ParameterList(
            torch.randn(region.count, width, size) * 0.3 * width**-0.5
            for region, size in zip(regions, outputs, strict=True)
        )
        share = torch.tensor([1 / sources, 0.0])
        self.biases = nn.ParameterList(
            share.repeat(region.count, 1, size // 2) for region, size in zip(regions, outputs, strict=True)
        )

    def forward(self, picture: Tensor) -> Tensor:
        batch, width, frames, bands = picture.shape
        rows = self.norm(picture.permute(3, 0, 2, 1).reshape(bands, batch * frames, width))
        rows = torch.tanh(torch.baddbmm(self.hidden_bias, rows, self.hidden))
        masks, first = [], 0
        for region, weight, bias in zip(self.regions, self.weights, self.biases, strict=True):
            part = torch.baddbmm(bias, rows[first : first + region.count], weight)
            part = part.view(region.count, batch, frames, self.sources, self.channels, region.width, 2)
            masks.append(part.permute(1, 3, 4, 2, 0, 5, 6).flatten(4, 5))
            first += region.count
        return torch.cat(masks, dim=4)


# ------------------------------------------------------------------------------------------------- the picture's layers


class Block(nn.Module):
    """Convolutions over neighbours in time and band, then dense layers across all bands, each added to its input."""

    def __init__(self, width: int, bands: int) -> None:
        super().__init__()
        # Norms over groups of features of one example: no example of a batch touches another.
        self.near = nn.Sequential(
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.across = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.Linear(bands, bands), nn.SiLU(), nn.Linear(bands, bands)
        )

    def forward(self, picture: Tensor) -> Tensor:
        picture = picture + self.near(picture)
        return picture + self.across(picture)


class AlongTime(nn.Module):
    """A recurrent layer (GRU) along time, forwards and backwards, the same for each band; added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.recurrent = nn.GRU(width, width, bidirectional=True, batch_first=True)
        self.out = nn.Linear(2 * width, width)

    def forward(self, picture: Tensor) -> Tensor:
        batch, width, frames, bands = picture.shape
        rows = self.norm(picture).permute(0, 3, 2, 1).reshape(batch * bands, frames, width)
        heard = self.out(self.recurrent(rows)[0])
        return picture + heard.view(batch, bands, frames, width).permute(0, 3, 2, 1)


def _up_to_multiple(number: int, step: int) -> int:
    return -(-number // step) * step
