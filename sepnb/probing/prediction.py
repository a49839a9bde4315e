"""What a step needs and how long it takes on a card, and whether that is a way to train the network."""

import math
from dataclasses import asdict, dataclass

from sepnb.probing.allocator import Reserved
from sepnb.probing.allowances import Allowances
from sepnb.probing.cards import GIB, Card
from sepnb.probing.setting import Setting
from sepnb.probing.timing import StepTime
from sepnb.probing.trace import Trace
from sepnb.probing.workloads import Training

# A session of free Colab, in hours; not guaranteed.
SESSION = 12


def two_digits(value: float) -> str:
    """A number with the two digits of it that count, never with an exponent."""
    return f"{float(f'{value:.2g}'):,.10g}"


@dataclass(frozen=True)
class Prediction:
    """A step of a network in a setting on a card, as it would be. Memory in bytes, times in seconds and hours."""

    model: str
    card: Card
    trace: Trace
    # What CUDA needs beside the tensors.
    extra: Allowances
    # What PyTorch's allocator takes from the card; None on a CPU.
    reserved: Reserved | None
    step: StepTime
    training: Training | None

    @property
    def setting(self) -> Setting:
        """What was probed."""
        return self.trace.setting

    @property
    def memory(self) -> int:
        """Bytes needed at the worst moment: tensors, and what CUDA needs beside them at its typical figure."""
        return self.trace.peak + self.extra.total

    @property
    def memory_low(self) -> int:
        """The least that it can be: tensors, and the least that CUDA needs."""
        return self.trace.peak + self.extra.low

    @property
    def memory_high(self) -> int:
        """The most that it can be: what the allocator reserves with all its gaps, and the most that CUDA needs."""
        if self.reserved is None:
            return self.trace.peak
        gaps = max(0, self.reserved.reserved_peak - self.trace.peak - self.extra.rounding)
        return self.trace.peak + self.extra.high + gaps

    @property
    def fits(self) -> bool | None:
        """Whether it fits the card's memory; None where that cannot be told."""
        if self.memory_high <= self.card.memory:
            return True
        return False if self.memory_low > self.card.memory else None

    @property
    def parts(self) -> dict[str, int]:
        """What the memory is made of at the worst moment, in bytes."""
        return {**self.trace.at_peak(), "context": self.extra.context, "workspaces": self.extra.allocated}

    @property
    def lasting(self) -> int:
        """Bytes that neither batch nor segment change: weights, their gradients, the optimizer, and the context."""
        return sum(self.parts[part] for part in ("parameters", "gradients", "optimizer", "context"))

    @property
    def published(self) -> Training | None:
        """How long the network was trained, where that is published and a training step was probed."""
        training = self.training
        return None if training is None or training.examples is None else training

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps that the published epoch takes with this batch on one card, of all its networks."""
        if self.published is None:
            return None
        examples = self.setting.batch * self.setting.accumulate
        return math.ceil(self.published.examples / examples) * self.published.networks

    @property
    def hours_per_epoch(self) -> float | None:
        """Hours of computing for an epoch of the published training; loading and validating come on top."""
        return None if self.published is None else self.steps_per_epoch * self.step.seconds / 3600

    @property
    def hours(self) -> float | None:
        """Hours of computing for all published epochs."""
        return None if self.published is None else self.hours_per_epoch * self.published.epochs

    @property
    def hours_range(self) -> tuple[float, float] | None:
        """The same, by the fast and by the slow end of the prediction."""
        if self.published is None:
            return None
        return tuple(self.hours * end / self.step.seconds for end in (self.step.low, self.step.high))

    @property
    def sessions(self) -> int | None:
        """Sessions of 12 hours that the published training takes."""
        return None if self.published is None else max(1, math.ceil(self.hours / SESSION))

    @property
    def verdict(self) -> str:
        """In a few words: does it fit, and if so, how long."""
        if self.fits is False:
            return "does not fit"
        words = "fits" if self.fits else "may fit"
        if self.sessions is None or self.sessions == 1:
            return words
        return f"{words}, takes {self.sessions} sessions"

    @property
    def decides(self) -> str:
        """The figure that decides the verdict, as a sentence."""
        need, room = self.memory / GIB, self.card.memory / GIB
        largest = max(self.parts, key=self.parts.get)
        most = f"{self.parts[largest] / GIB:.2f} GiB of that: {largest}"
        if self.fits is False:
            return f"needs {need:.1f} GiB of {room:.1f}; {most}"
        if self.fits is None:
            low, high = self.memory_low / GIB, self.memory_high / GIB
            return f"needs {low:.1f} to {high:.1f} GiB of {room:.1f}, as CUDA chooses; {most}"
        if self.sessions is None:
            return f"needs {need:.2f} GiB of {room:.1f}; {most}"
        low, high = self.hours_range
        return (
            f"needs {need:.1f} GiB of {room:.1f}; {self.published.epochs} epochs of "
            f"{two_digits(self.hours_per_epoch)} h are {two_digits(low)} to {two_digits(high)} h"
        )

    def as_dict(self) -> dict:
        """Plain values, as `sepnb probe --json` prints them."""
        return {
            "model": self.model,
            "card": self.card.title,
            "card_memory": self.card.memory,
            "setting": asdict(self.setting),
            "memory": self.memory,
            "memory_low": self.memory_low,
            "memory_high": self.memory_high,
            "tensors": self.trace.peak,
            "parts": self.parts,
            "allowances": self.extra.as_dict(),
            "reserved": None if self.reserved is None else self.reserved.reserved_peak,
            "flops": self.trace.flops,
            "step": self.step.as_dict(),
            "steps_per_epoch": self.steps_per_epoch,
            "hours_per_epoch": self.hours_per_epoch,
            "hours": self.hours,
            "hours_range": self.hours_range,
            "sessions": self.sessions,
            "fits": self.fits,
            "verdict": self.verdict,
            "decides": self.decides,
            "training": None if self.training is None else asdict(self.training),
        }
