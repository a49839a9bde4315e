"""The engine under the networks: segments in batches, shifts, bags of models, and memory that stays bounded.

What differs between families is a `Policy`. A family's loader ends like this:

    from sepnb.separators.engine import NetworkSeparator, Policy

    policy = Policy(
        segment=round(7.8 * 44100),
        overlap=0.25,
        length=network.valid_length,
        normalise=True,
    )
    return NetworkSeparator(
        name="tiny",
        sources=("drums", "bass", "other", "vocals"),
        rate=44100,
        channels=2,
        network=network,
        policy=policy,
        device=device,
        settings={"weights": identity([checksum(path)])},
    )

`network` takes (batch, channels, samples) and gives (batch, sources, channels, samples). For a bag, give sequences of
networks and, where they differ, of policies, and `weights` (networks, sources). A system that is no network on segments
subclasses `sepnb.separators.streaming.StreamingSeparator` and gives `stream`.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from sepnb.errors import SepnbError
from sepnb.separators.runner import Network, Runner, half_precision
from sepnb.separators.segments import Cut, OverlapAdd, fill_with_context
from sepnb.separators.streaming import StreamingSeparator

# Seconds of music in a batch on a GPU, and the most segments: enough to keep a T4 busy within its memory.
BATCH_SECONDS, BATCH_MOST = 60.0, 8

OPTIONS = ("segment", "overlap", "normalise", "shifts", "seed", "batch", "precision")


def _unchanged(samples: int) -> int:
    return samples


@dataclass(frozen=True)
class Policy:
    """How a family of networks wants its audio."""

    segment: int  # samples that a network hears at once
    overlap: float = 0.25  # part of a segment that the next one repeats
    # Samples that a network wants to be given for so many, at least as many: the rest is true audio on both sides.
    length: Callable[[int], int] = _unchanged
    whole: bool = False  # every segment, the last one too, is widened to `segment` samples, whatever `length` says
    longest: int | None = None  # samples that a segment cannot exceed (a transformer's positions)
    normalise: bool = False  # the song's mono mix is brought to mean 0 and deviation 1 first, and the stems back
    shift: float = 0.5  # seconds that a random shift can have
    # Whether half precision (float16) was measured to gain speed on a GPU at no loss that can be heard. No family says
    # so yet: until one does, a user asks for it.
    half: bool = False

    @property
    def stride(self) -> int:
        """Samples from one segment to the next."""
        return int((1 - self.overlap) * self.segment)

    def wanted(self, samples: int) -> int:
        """Samples that the network is given for a segment of so many."""
        return self.segment if self.whole else self.length(samples)


class NetworkSeparator(StreamingSeparator):
    """A network, or a bag of them, that separates mixtures of any length in bounded memory.

    With `shifts`, each network separates that many times, shifted against the mixture by random times that `seed`
    draws, and the results are averaged. `batch` is how many segments go through a network together (None: by device);
    it becomes smaller by itself where memory does not suffice. `precision` is "fp32", "fp16" (on a GPU) or "auto",
    which is fp32 unless the policy says that half precision gains. Results are the same from run to run for one batch
    size.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[str],
        rate: int,
        channels: int,
        network: Network | Sequence[Network],
        policy: Policy | Sequence[Policy],
        *,
        weights: Sequence[Sequence[float]] | None = None,
        device: str = "cpu",
        batch: int | None = None,
        shifts: int = 0,
        seed: int = 0,
        precision: str = "auto",
        progress: bool = False,
        settings: dict[str, str | int | float] | None = None,
    ) -> None:
        self.name, self.sources, self.rate, self.channels = name, tuple(sources), rate, channels
        self.networks = [network] if callable(network) else list(network)
        self.policies = [policy] * len(self.networks) if isinstance(policy, Policy) else list(policy)
        self.gains = _gains(weights or [[1.0] * len(self.sources)] * len(self.networks))
        self.device = device
        self.batch, self.shifts, self.seed = batch, shifts, seed
        self.precision, self.progress = precision, progress
        self.identity = dict(settings or {})
        for each in self.networks:
            if isinstance(each, nn.Module):
                each.to(device).eval()
        self._check_options()

    @property
    def settings(self) -> dict[str, str | int | float]:
        """What results depend on: what the family says of the weights, and the options in force."""
        policy = self.policies[0]
        options: dict[str, str | int | float] = {
            "segment": policy.segment / self.rate,
            "overlap": policy.overlap,
            "normalise": policy.normalise,
            "shifts": self.shifts,
            "precision": "fp16" if self._half(policy) else "fp32",
        }
        if self.shifts:
            options["seed"] = self.seed
        return {**self.identity, **options}

    def with_options(self, **options: Any) -> Self:
        """A separator on the same networks with other options; those that are None stay as they are.

        segment (seconds), overlap (part of a segment, 0 to below 1), normalise, shifts, seed, batch, precision,
        progress.
        Raises SepnbError for an option that there is not, or a value that cannot be.
        """
        given = {name: value for name, value in options.items() if value is not None}
        own = {name: given.pop(name) for name in OPTIONS if name in given}
        changed = super().with_options(**given)
        for name in ("shifts", "seed", "batch", "precision"):
            setattr(changed, name, own.get(name, getattr(self, name)))
        policy: dict[str, Any] = {name: own[name] for name in ("overlap", "normalise") if name in own}
        if "segment" in own:
            policy["segment"] = int(own["segment"] * self.rate)
        changed.policies = [replace(before, **policy) for before in self.policies]
        changed._check_options()
        return changed

    def stream(self, mixture: np.ndarray) -> Iterator[np.ndarray]:
        """Separate a mixture (channels, samples) into blocks (sources, channels, n): see `StreamingSeparator`."""
        samples = mixture.shape[-1]
        level = _level(mixture) if any(policy.normalise for policy in self.policies) else _Level()
        passes = self._passes(samples)
        sums = OverlapAdd(len(self.sources), self.channels)
        done = 0
        while done < samples:
            min(passes, key=lambda one: one.position).advance(mixture, level, sums)
            end = min(one.position for one in passes)
            if end > done:
                done = end
                yield from sums.blocks(end)

    def _passes(self, samples: int) -> list["_Pass"]:
        draw = random.Random(self.seed)
        passes = []
        for network, policy, gain in zip(self.networks, self.policies, self.gains, strict=True):
            furthest = int(policy.shift * self.rate)
            begins = [draw.randint(0, furthest) - furthest for _ in range(self.shifts)] or [0]
            runner = Runner(network, self.device, self._half(policy), self._batch(policy), self.name)
            for begin in begins:
                cut = Cut(begin, samples, policy.segment, policy.stride)
                passes.append(_Pass(cut, policy, gain / len(begins), runner))
        return passes

    def _half(self, policy: Policy) -> bool:
        return half_precision(self.name, self.precision, self.device, policy.half)

    def _batch(self, policy: Policy) -> int:
        if self.batch is not None:
            return self.batch
        if torch.device(self.device).type == "cpu":
            return 1  # a CPU is busy with one segment; more only take memory
        return min(max(int(BATCH_SECONDS * self.rate / policy.segment), 1), BATCH_MOST)

    def _check_options(self) -> None:
        for policy in self.policies:
            self._half(policy)
            if not 0 <= policy.overlap < 1 or policy.segment < 1 or policy.stride < 1:
                raise SepnbError(
                    f"{self.name}: segments of {policy.segment / self.rate:g} s that overlap by {policy.overlap:g} of "
                    "their length cannot be; a segment is longer than 0, an overlap is from 0 to below 1"
                )
            if policy.longest is not None and policy.segment > policy.longest:
                raise SepnbError(
                    f"{self.name} cannot hear segments of {policy.segment / self.rate:g} s: it was trained for at most "
                    f"{policy.longest / self.rate:g} s; give a shorter segment"
                )
        if self.shifts < 0 or (self.batch is not None and self.batch < 1):
            raise SepnbError(f"{self.name}: shifts ({self.shifts}) are 0 or more, a batch ({self.batch}) 1 or more")


@dataclass(frozen=True)
class _Level:
    """Mean and deviation of a song's mono mix, which networks that are sensitive to level are given."""

    mean: float = 0.0
    scale: float = 1.0


def _level(mixture: np.ndarray) -> _Level:
    """Of the mean over channels, as Demucs' own separation takes it, block by block in double precision."""
    samples = mixture.shape[-1]
    if samples < 2:
        return _Level()

    def mono() -> Iterator[np.ndarray]:
        for at in range(0, samples, 1 << 16):
            yield mixture[:, at : at + (1 << 16)].mean(axis=0, dtype=np.float64)

    mean = sum(block.sum() for block in mono()) / samples
    square = sum(((block - mean) ** 2).sum() for block in mono())
    return _Level(float(mean), float(np.sqrt(square / (samples - 1))) + 1e-8)


class _Pass:
    """One way of one network through a song: from segment to segment, in batches."""

    def __init__(self, cut: Cut, policy: Policy, gain: np.ndarray, runner: Runner) -> None:
        self._cut, self._policy, self._gain, self._runner = cut, policy, gain, runner
        self._next = 0

    @property
    def position(self) -> int:
        """The sample before which this pass has nothing more to add."""
        return max(0, self._cut.start(self._next))

    def advance(self, mixture: np.ndarray, level: _Level, sums: OverlapAdd) -> None:
        """Separate the next batch of segments that go through the network at one length."""
        cut = self._cut
        first = self._next
        wanted = self._policy.wanted(cut.length(first))
        numbers = list(
            itertools.takewhile(
                lambda number: self._policy.wanted(cut.length(number)) == wanted,
                range(first, min(first + self._runner.batch, len(cut))),
            )
        )
        if not self._policy.normalise:
            level = _Level()
        segments = np.zeros((len(numbers), len(mixture), wanted), np.float32)
        for number, segment in zip(numbers, segments, strict=True):
            fill_with_context(segment, mixture, cut.start(number), cut.length(number), level.mean, level.scale)
        for number, stems in zip(numbers, self._runner(segments), strict=True):
            length = cut.length(number)
            skipped = (stems.shape[-1] - length) // 2  # the context
            stems = stems[..., skipped : skipped + length]
            # In place, and as few times over it as can be: a segment may be ten minutes long.
            share = cut.share(number)
            stems *= share * np.float32(level.scale)
            if level.mean:
                stems += share * np.float32(level.mean)
            if (self._gain != 1).any():
                stems *= self._gain
            sums.add(cut.start(number), stems)
        self._next = numbers[-1] + 1


def _gains(weights: Sequence[Sequence[float]]) -> list[np.ndarray]:
    """What each network of a bag has in each source, (sources, 1, 1), from weights (networks, sources)."""
    table = np.asarray(weights, np.float64)
    return [row.astype(np.float32)[:, None, None] for row in table / table.sum(axis=0)]
