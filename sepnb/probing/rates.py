"""How fast a device works, as data: measured (`calibration`) or assumed (`assumed_rates`), used by `timing`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch

from sepnb.errors import SepnbError
from sepnb.files import write_json

# Products fill a processor's units the better the wider they are; where the classes of width begin.
WIDTHS = (1, 8, 32, 128)
# In a recurrent layer the narrow side is the batch: with one example, weights are read for a single use.
BATCHES = (1, 2, 4, 8, 32)
PRODUCTS = ("convolution", "transposed", "grouped", "depthwise", "matmul", "attention")
# The kinds of work in a trace.
KINDS = (*PRODUCTS, "recurrent", "fft", "normalisation", "pointwise", "reduction", "copy", "optimizer")


@dataclass(frozen=True)
class Rates:
    """What work costs on a device: seconds a FLOP, a byte, an operator, a step of a recurrent layer."""

    # The name of the card (`Card.name`) and its title: a calibration is of one device only.
    card: str
    title: str
    # Measured on the device, or assumed from its data sheet.
    calibrated: bool
    # Seconds a unit, by sort of work; see `work` for the names.
    costs: dict[str, float]
    # By kind: what a prediction must be multiplied with for the fast and for the slow end of what is likely.
    spread: dict[str, tuple[float, float]]
    # Seconds that the host needs to send an operator to a GPU: a step is never faster than that. 0 on a CPU, where
    # starting an operator is part of its costs.
    host: float = 0.0
    threads: int = 0
    torch: str = ""
    date: str = ""

    def cost(self, sort: str) -> float:
        """Seconds a unit of a sort of work: of the very sort, or of the most similar one that is known."""
        if sort in self.costs:
            return self.costs[sort]
        words = sort.split()
        # The unit and the kind must be the same; then as many of the other words as can be, and the closest width.
        similar = [known for known in self.costs if known.split()[:2] == words[:2]]
        if not similar:
            raise SepnbError(f"the rates of {self.title} know no cost of {sort!r}: calibrate again")
        return self.costs[max(similar, key=lambda known: _likeness(known.split(), words))]

    def table(self) -> pd.DataFrame:
        """The costs to look at: unit, sort, rate (units a second; none where a unit costs nothing)."""
        rows = [(*sort.split(" ", 1), 1 / cost if cost else None) for sort, cost in self.costs.items()]
        return pd.DataFrame(rows, columns=["unit", "sort", "rate"])

    def save(self, path: Path | str) -> None:
        """Keep them as JSON."""
        write_json(Path(path), asdict(self))

    @classmethod
    def load(cls, path: Path | str, title: str | None = None) -> "Rates":
        """Read rates that were saved; see `cards.this_card` for the title of the device at hand.

        Raises SepnbError for a file that is not of rates, and where calibrated ones are of another device than `title`,
        another number of threads or another major version of PyTorch than now: speeds would not be the same.
        """
        rates = _read(cls, Path(path))
        if not rates.calibrated:
            return rates
        here = {"threads": torch.get_num_threads(), "torch": torch.__version__.split(".")[0]}
        there = {"threads": rates.threads, "torch": rates.torch.split(".")[0]}
        if title is not None and title != rates.title:
            raise SepnbError(f"{path}: these rates are of {rates.title}, and this is {title}: calibrate here")
        for what, words in (("threads", "threads"), ("torch", "as PyTorch's major version")):
            if here[what] != there[what]:
                raise SepnbError(f"{path}: measured with {there[what]} {words}, and now {here[what]}: calibrate again")
        return rates


def _likeness(known: list[str], words: list[str]) -> tuple[int, float]:
    same = sum(left == right for left, right in zip(known, words, strict=False))
    both_widths = known[-1].isdigit() and words[-1].isdigit()
    return same, -abs(int(known[-1]) - int(words[-1])) if both_widths else 0.0


def _read(cls: type[Rates], path: Path) -> Rates:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        rates = cls(**{**values, "spread": {kind: tuple(ends) for kind, ends in values["spread"].items()}})
        if not rates.costs or not all(cost >= 0 for cost in rates.costs.values()):
            raise ValueError("no costs")
    except FileNotFoundError:
        raise SepnbError(f"{path}: no rates here; `calibrate` measures them") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SepnbError(f"{path}: this is not a file of rates ({error}); calibrate again") from error
    return rates
