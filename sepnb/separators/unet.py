"""A trained U-Net as a separator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sepnb.errors import SepnbError
from sepnb.models import UNet


@dataclass
class UNetSeparator:
    """A U-Net that separates a mixture of any length, a few seconds at a time.

    Neighbouring pieces overlap and are cross-faded, so that the seams cannot be heard and memory stays bounded.
    """

    network: UNet
    name: str
    device: str = "cpu"
    piece_seconds: float = 12.0
    overlap_seconds: float = 1.0

    @classmethod
    def from_run(cls, folder: Path | str, device: str = "cpu") -> "UNetSeparator":
        """Load what `sepnb train` left in `folder`; the separator takes the folder's name."""
        return cls(UNet.load(folder).to(device), Path(folder).name, device)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the network's outputs."""
        return self.network.config.sources

    @property
    def rate(self) -> int:
        """The sampling rate in Hz that the network was trained at."""
        return self.network.config.rate

    def __call__(self, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]:
        """Separate a mixture (channels, samples) at the network's rate into stems of the same shape.

        A mono mixture goes through a stereo network twice over and comes back mono. Raises SepnbError for another rate
        (`sepnb.separate` resamples) or other channels.
        """
        if rate != self.rate:
            raise SepnbError(f"{self.name} works at {self.rate} Hz, not {rate} Hz: sepnb.separate resamples for it")
        channels = self.network.config.channels
        if len(mixture) == 1 and channels > 1:
            stems = self(np.repeat(mixture, channels, axis=0), rate)
            return {name: stem.mean(axis=0, keepdims=True) for name, stem in stems.items()}
        if len(mixture) != channels:
            raise SepnbError(f"{self.name} was trained on {channels} channels; this mixture has {len(mixture)}")
        piece, overlap = round(self.piece_seconds * rate), round(self.overlap_seconds * rate)
        samples = mixture.shape[-1]
        total = torch.zeros((len(self.sources), *mixture.shape))
        weights = torch.zeros(samples)
        self.network.eval()
        with torch.inference_mode():
            for start in range(0, max(1, samples - overlap), piece - overlap):
                audio = torch.from_numpy(np.ascontiguousarray(mixture[:, start : start + piece])).to(self.device)
                length = audio.shape[-1]
                # A trapezoid: rises and falls over the overlap, never to zero, so that the ends of the song count.
                ramp = torch.arange(1, length + 1, dtype=torch.float32)
                weight = torch.minimum(ramp, ramp.flip(0)).clamp(max=overlap) / overlap
                total[..., start : start + length] += self.network(audio[None])[0].cpu() * weight
                weights[start : start + length] += weight
        return dict(zip(self.sources, (total / weights).numpy(), strict=True))
