"""Graphics cards as data: what they hold, how fast they move it and how fast they compute, each figure with its source.

PyTorch lets convolutions (cuDNN) use TF32 where a card has it, and matrix products not: by default
`torch.backends.cudnn.allow_tf32` is true and `torch.backends.cuda.matmul.allow_tf32` false, the latter since PyTorch
1.12. So a card has both peaks, "tf32" and "fp32", and whoever prices an operator picks by its kind.
"""

import platform
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import psutil

from sepnb.errors import SepnbError

GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A device that a network runs on."""

    name: str
    title: str
    # Bytes that a program can use, all that it needs beside its tensors included.
    memory: int
    # Bytes a second between memory and chip; None where only a measurement can say.
    bandwidth: float | None
    # Peak FLOP/s by "fp32", "tf32", "fp16", "bf16": a precision that the card lacks, or that is not known, is missing.
    arithmetic: dict[str, float]
    # CUDA's compute capability; None for a CPU.
    capability: tuple[int, int] | None
    # Where each figure is from, by the name of its field.
    sources: dict[str, str]


def _cards() -> tuple[dict[str, Card], dict[str, str]]:
    """All cards by name, and the name that each spelling stands for."""
    table = tomllib.loads(files(__package__).joinpath("cards.toml").read_text(encoding="utf-8"))
    cards, spellings = {}, {}
    for name, row in table.items():
        cards[name] = Card(
            name=name,
            title=row["title"],
            memory=int(row["memory"] * GIB),
            bandwidth=row["bandwidth"] * 1e9,
            arithmetic={precision: rate * 1e12 for precision, rate in row["arithmetic"].items()},
            capability=tuple(row["capability"]),
            sources=row["sources"],
        )
        spellings |= {_plain(spelling): name for spelling in (name, row["title"], *row["aliases"])}
    return cards, spellings


def _plain(name: str) -> str:
    """A name without what people write or leave out as they like."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(nvidia)?(tesla)?", "", letters)


CARDS, _SPELLINGS = _cards()


def find_card(name: str) -> Card:
    """The card of a name, such as "t4", "Tesla T4" or "NVIDIA A100-SXM4-80GB".

    Raises SepnbError for one that is not in the table.
    """
    spelling = _plain(name)
    if spelling not in _SPELLINGS:
        raise SepnbError(f"no card {name!r}; there are {', '.join(CARDS)}")
    return CARDS[_SPELLINGS[spelling]]


def cpu_card() -> Card:
    """The CPU at hand, with the memory that is free now; how fast it is, only a calibration can tell."""
    return Card(
        name="cpu",
        title=_processor(),
        memory=psutil.virtual_memory().available,
        bandwidth=None,
        arithmetic={},
        capability=None,
        sources={"memory": "what the operating system calls available now"},
    )


def this_card() -> Card:
    """The first graphics card that PyTorch sees here, else the CPU.

    A card that is not in the table has no rates: only a calibration can tell them.
    """
    import torch

    if not torch.cuda.is_available():
        return cpu_card()
    # Not mem_get_info: it gives the same total, but starts CUDA's context, which holds memory from then on.
    found = torch.cuda.get_device_properties(0)
    here = {"memory": found.total_memory, "capability": (found.major, found.minor)}
    sources = {"memory": "what PyTorch reports for the card at hand"}
    if _plain(found.name) in _SPELLINGS:
        card = find_card(found.name)
        return replace(card, **here, sources=card.sources | sources)
    name = re.sub(r"[^a-z0-9]+", "-", found.name.lower()).strip("-")
    return Card(name, found.name, bandwidth=None, arithmetic={}, sources=sources, **here)


@cache
def _processor() -> str:
    """The processor's name: Linux keeps it in a file, elsewhere Python knows."""
    about = Path("/proc/cpuinfo")
    if about.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", about.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine() or "CPU"
