"""Systems that need no training: trivial baselines, and oracles that know the answer.

They say what a score is worth. A system that does not clearly beat the mixture divided by the number of sources has
learnt next to nothing; the ideal ratio masks show about how far masking magnitudes can get.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sepnb import spectral
from sepnb.errors import SepnbError
from sepnb.tracks import Track


@dataclass(frozen=True)
class BoundReference:
    """A baseline or oracle bound to one track: a Separator for that track's mixture alone."""

    name: str
    sources: tuple[str, ...]
    rate: int
    estimate: Callable[[np.ndarray], np.ndarray]

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

    def bind(self, track: Track) -> BoundReference:
        """Read the track's true stems and keep their masks at hand."""
        stems = torch.from_numpy(track.stems())

        def estimate(mixture: np.ndarray) -> np.ndarray:
            if mixture.shape != stems.shape[1:]:
                raise SepnbError(
                    f"{self.name} is bound to {track.name!r}, {tuple(stems.shape[1:])}; it cannot separate a mixture "
                    f"of shape {mixture.shape}"
                )
            masks = spectral.ratio_masks(self._stft(stems).abs(), self.power)
            masked = masks * self._stft(torch.from_numpy(mixture))
            return spectral.istft(masked, hop=self.n_fft // 4, samples=mixture.shape[-1]).numpy()

        return BoundReference(self.name, track.sources, track.rate, estimate)

    def _stft(self, audio: torch.Tensor) -> torch.Tensor:
        return spectral.stft(audio, n_fft=self.n_fft, hop=self.n_fft // 4)


SILENCE = Scaled("silence", lambda sources: 0.0)
MIXTURE = Scaled("mixture", lambda sources: 1.0)
MIXTURE_SHARE = Scaled("mixture ÷ N", lambda sources: 1.0 / sources)
IRM1 = IdealRatioMask("IRM1", power=1.0)
IRM2 = IdealRatioMask("IRM2", power=2.0)
