"""Systems that need no training: trivial baselines, and oracles that know the answer.

They say what a score is worth. A system that does not clearly beat the mixture divided by the number of sources has
learnt next to nothing; the ideal ratio masks show about how far masking magnitudes can get.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sepnb import spectral
from sepnb.errors import SepnbError
from sepnb.separators.stft_blocks import Inverse, blocks, frames_of
from sepnb.tracks import Track

FRAMES = 256  # of a spectrogram at a time: under 0.5 GB of work for four stereo stems, however long the song


@dataclass(frozen=True)
class BoundReference:
    """A baseline or oracle bound to one track: a Separator for that track's mixture alone."""

    name: str
    sources: tuple[str, ...]
    rate: int
    estimate: Callable[[np.ndarray], np.ndarray]
    settings: dict[str, str | int | float] = field(default_factory=dict)

    def __call__(self, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]:
        if rate != self.rate:
            raise SepnbError(f"{self.name} is bound to a track at {self.rate} Hz and was given a mixture at {rate} Hz")
        return dict(zip(self.sources, self.estimate(mixture), strict=True))


@dataclass(frozen=True)
class Scaled:
    """Every stem is the mixture times a factor that depends on the number of sources."""

    name: str
    factor: Callable[[int], float]

    def bind(self, track: Track) -> BoundReference:
        """Take over the track's sources and rate."""
        count = len(track.sources)

        def estimate(mixture: np.ndarray) -> np.ndarray:
            return np.repeat(mixture[None] * np.float32(self.factor(count)), count, axis=0)

        return BoundReference(self.name, track.sources, track.rate, estimate)


@dataclass(frozen=True)
class IdealRatioMask:
    """The oracle that masks the mixture's spectrogram with the true share of each stem.

    `power` 1 takes shares of magnitude (IRM1), 2 of power (IRM2, the published one). The size of the STFT moves a
    stem's score by over 1 dB, so it is part of the oracle: 2048 samples with a hop of a quarter by default.
    """

    name: str
    power: float
    n_fft: int = 2048

    @property
    def settings(self) -> dict[str, str | int | float]:
        """What the result depends on besides the track."""
        return {"power": self.power, "n_fft": self.n_fft, "hop": self.n_fft // 4}

    def bind(self, track: Track) -> BoundReference:
        """Read the track's true stems."""

        def masked(mixture: Tensor, stems: Tensor) -> Tensor:
            return spectral.ratio_masks(stems.abs(), self.power) * mixture

        stems = torch.from_numpy(track.stems())
        return bound_filter(self.name, track, stems, self.n_fft, self.n_fft // 4, self.settings, masked)


def bound_filter(
    name: str,
    track: Track,
    stems: Tensor,
    n_fft: int,
    hop: int,
    settings: dict[str, str | int | float],
    filtered: Callable[[Tensor, Tensor], Tensor],
) -> BoundReference:
    """An oracle that filters the mixture's STFT by what it knows of the stems', a few seconds at a time.

    `stems` are the track's, (sources, channels, samples). `filtered` takes some frames of the mixture's STFT (channels,
    bins, frames) and the same of the stems' (sources, channels, bins, frames), and gives the estimates of the latter.
    """

    def estimate(mixture: np.ndarray) -> np.ndarray:
        if mixture.shape != stems.shape[1:]:
            raise SepnbError(
                f"{name} is bound to {track.name!r}, {tuple(stems.shape[1:])}; it cannot separate a mixture of shape "
                f"{mixture.shape}"
            )
        estimates = np.empty(stems.shape, np.float32)
        inverse, filled = Inverse(n_fft, hop, mixture.shape[-1]), 0
        left = frames_of(mixture.shape[-1], hop)
        both = (blocks(audio, n_fft, hop, left, FRAMES) for audio in (torch.from_numpy(mixture), stems))
        for mixed, true in zip(*both, strict=True):
            left -= mixed.shape[-1]
            finished = inverse.add(filtered(mixed, true), last=left == 0)
            estimates[..., filled : filled + finished.shape[-1]] = finished
            filled += finished.shape[-1]
        return estimates

    return BoundReference(name, track.sources, track.rate, estimate, settings)


SILENCE = Scaled("silence", lambda sources: 0.0)
MIXTURE = Scaled("mixture", lambda sources: 1.0)
MIXTURE_SHARE = Scaled("mixture ÷ N", lambda sources: 1.0 / sources)
IRM1 = IdealRatioMask("IRM1", power=1.0)
IRM2 = IdealRatioMask("IRM2", power=2.0)
