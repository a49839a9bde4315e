"""Separators that hand out stems in blocks, so that a long song's stems need not fit into memory together."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from typing import Any, Self

import numpy as np
import torch
from tqdm.auto import tqdm

from sepnb.errors import SepnbError
from sepnb.separators.base import Separator, separate
from sepnb.separators.resampling import resampled, resampled_blocks


class StreamingSeparator(ABC):
    """A Separator whose stems come in blocks: a family gives `name`, `sources`, `rate`, `channels` and `stream`.

    `channels` is what the system was made for; `settings` is what its results depend on (see `describe`).
    """

    name: str
    sources: tuple[str, ...]
    rate: int
    channels: int
    settings: dict[str, Any]
    device: str = "cpu"
    progress: bool = False  # whether a bar shows the seconds of music that are done

    @abstractmethod
    def stream(self, mixture: np.ndarray) -> Iterator[np.ndarray]:
        """Separate a mixture (self.channels, samples) at self.rate Hz into blocks (sources, channels, n).

        Blocks follow each other and are as long as the mixture in all. The mixture may be read-only.
        """

    def with_options(self, **options: Any) -> Self:
        """A separator on the same weights with other options; those that are None stay as they are.

        progress, and what the family has. Raises SepnbError for an option that it does not have.
        """
        changed = copy.copy(self)
        for name, value in options.items():
            if value is None:
                continue
            if name != "progress":
                raise SepnbError(f"{self.name} has no option {name!r}: leave it out")
            changed.progress = bool(value)
        return changed

    def blocks(self, mixture: np.ndarray) -> Iterator[np.ndarray]:
        """As `stream`, and a mono mixture goes through a system for more channels as copies, and comes back mono.

        Raises SepnbError for other channels, or samples that are not finite.
        """
        if mixture.ndim != 2:
            raise SepnbError(f"a mixture is (channels, samples); this one has shape {mixture.shape}")
        channels, samples = mixture.shape
        if channels != self.channels and channels != 1:
            raise SepnbError(f"{self.name} was trained on {self.channels} channels; this mixture has {channels}")
        if not np.isfinite(mixture.sum(dtype=np.float64)):
            raise SepnbError(
                f"{self.name} cannot separate a mixture with samples that are not finite (NaN or infinite)"
            )
        if samples == 0:
            return
        if torch.device(self.device).type == "cpu" and torch.cuda.is_available():
            _warn_of_idle_gpu()
        copies = channels != self.channels
        seconds = round(samples / self.rate, 1)
        with tqdm(total=seconds, desc=self.name, unit="s", disable=not self.progress, leave=False) as bar:
            for block in self.stream(np.broadcast_to(mixture, (self.channels, samples)) if copies else mixture):
                yield block.mean(axis=1, keepdims=True) if copies else block
                bar.update(min(round(block.shape[-1] / self.rate, 2), seconds - bar.n))

    def __call__(self, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]:
        """Separate a mixture (channels, samples) at the system's own rate into stems of the same shape.

        Raises SepnbError for another rate (`sepnb.separate` resamples) or other channels.
        """
        if rate != self.rate:
            raise SepnbError(f"{self.name} works at {self.rate} Hz, not {rate} Hz: sepnb.separate resamples for it")
        stems = np.empty((len(self.sources), *mixture.shape), np.float32)
        filled = 0
        for block in self.blocks(mixture):
            stems[..., filled : filled + block.shape[-1]] = block
            filled += block.shape[-1]
        return dict(zip(self.sources, stems, strict=True))


def separate_in_blocks(separator: Separator, mixture: np.ndarray, rate: int) -> Iterator[np.ndarray]:
    """As `separate`, but the stems come in blocks (sources, channels, n), in all as long as the mixture.

    `mixture` is float32 (channels, samples) at any `rate` in Hz, which the stems have too. A separator that does not
    stream gives one block.
    """
    if not isinstance(separator, StreamingSeparator):
        stems = separate(separator, mixture, rate)
        yield np.stack([stems[source] for source in separator.sources])
    elif rate == separator.rate:
        yield from separator.blocks(mixture)
    else:
        blocks = separator.blocks(resampled(mixture, rate, separator.rate))
        yield from resampled_blocks(blocks, separator.rate, rate, mixture.shape[-1])


@cache
def _warn_of_idle_gpu() -> None:
    warnings.warn("separating on the CPU although a GPU is there: device='cuda' is much faster", stacklevel=3)
