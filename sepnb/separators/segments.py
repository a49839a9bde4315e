"""Cutting a mixture into overlapping segments, and joining what a network made of them.

Each segment gets a triangle of weights; where segments overlap, a sample is the weighted mean of what they say of it
(as in Demucs' `apply_model`, Défossez 2021). The weights follow from the geometry alone, so a segment's share of every
sample is known when it is added, and a sample is finished as soon as no later segment reaches it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BLOCK = 1 << 19  # samples that are handed out at once, at most


@dataclass(frozen=True)
class Cut:
    """Segments of `segment` samples, one every `stride`, that cover a mixture of `samples` from `begin` to its end.

    `begin` is 0, or below it for a cut that is shifted against the mixture. The last segments end with the mixture.
    """

    begin: int
    samples: int
    segment: int
    stride: int

    def __len__(self) -> int:
        return math.ceil((self.samples - self.begin) / self.stride)

    def start(self, number: int) -> int:
        """Where a segment begins; for the number after the last one, the end of the mixture."""
        return min(self.begin + number * self.stride, self.samples)

    def length(self, number: int) -> int:
        """Samples of a segment."""
        return min(self.segment, self.samples - self.start(number))

    def share(self, number: int) -> np.ndarray:
        """The part (samples of the segment,) that a segment has in each sample; over all segments they sum to 1."""
        reach = (self.segment - 1) // self.stride
        before, after = min(reach, number), min(reach, len(self) - 1 - number)
        return _share(self.segment, self.stride, before, after)[: self.length(number)]


@lru_cache(maxsize=2)  # between the ends of a song all are the same
def _share(segment: int, stride: int, before: int, after: int) -> np.ndarray:
    """A segment's share of its samples, if so many others begin before and after it that reach into it."""
    weight = triangle(segment)
    total = weight.copy()
    for offset in range(stride, before * stride + 1, stride):
        total[: segment - offset] += weight[offset:]
    for offset in range(stride, after * stride + 1, stride):
        total[offset:] += weight[: segment - offset]
    return weight / total


def triangle(samples: int) -> np.ndarray:
    """Weights (samples,) that rise to 1 in the middle and fall again, never to 0: the ends of a song count."""
    rising = np.arange(1, samples // 2 + 1, dtype=np.float32)
    falling = np.arange(samples - samples // 2, 0, -1, dtype=np.float32)
    weights = np.concatenate([rising, falling])
    return weights / weights.max()


def with_context(
    mixture: np.ndarray, start: int, samples: int, length: int, mean: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """As `fill_with_context`, a new array (channels, length)."""
    segment = np.zeros((len(mixture), length), np.float32)
    fill_with_context(segment, mixture, start, samples, mean, scale)
    return segment


def fill_with_context(
    segment: np.ndarray, mixture: np.ndarray, start: int, samples: int, mean: float, scale: float
) -> None:
    """Fill zeros (channels, length) with so many `samples` of a mixture, and what lies on both sides of them.

    Where the mixture has begun or ended there is silence; the rest is (mixture - mean) / scale.
    """
    length = segment.shape[-1]
    first = start - (length - samples) // 2
    begin = max(0, first)
    end = max(begin, min(mixture.shape[-1], first + length))  # a shifted segment can lie before the song as a whole
    inner = segment[:, begin - first : end - first]
    inner[:] = mixture[:, begin:end]
    if mean != 0 or scale != 1:
        inner -= np.float32(mean)
        inner /= np.float32(scale)


class OverlapAdd:
    """The sum of weighted segments (sources, channels, samples), which are kept only until they are handed out."""

    def __init__(self, sources: int, channels: int) -> None:
        self._shape = (sources, channels)
        self._begin = 0  # the first sample of the mixture that was not handed out
        self._segments: list[tuple[int, np.ndarray]] = []  # where they begin, and they

    def add(self, start: int, stems: np.ndarray) -> None:
        """Add weighted stems (sources, channels, n) that begin at a sample; what lies before the mixture is dropped."""
        self._segments.append((start, stems))

    def finish(self, end: int) -> np.ndarray:
        """Hand out the sum up to a sample (sources, channels, n), and forget it."""
        begin, self._begin = self._begin, max(self._begin, end)
        block = np.zeros((*self._shape, self._begin - begin), np.float32)
        for start, stems in self._segments:
            first, last = max(start, begin), min(start + stems.shape[-1], end)
            if first < last:
                block[..., first - begin : last - begin] += stems[..., first - start : last - start]
        self._forget()
        return block

    def blocks(self, end: int) -> Iterator[np.ndarray]:
        """As `finish`, some seconds at a time."""
        while self._begin < end:
            yield self.finish(min(end, self._begin + BLOCK))

    def _forget(self) -> None:
        left = []
        for start, stems in self._segments:
            done = self._begin - start
            if done >= stems.shape[-1]:
                continue
            if 2 * done > stems.shape[-1]:  # a copy of what is left lets go of the whole
                start, stems = self._begin, stems[..., done:].copy()
            left.append((start, stems))
        self._segments = left
