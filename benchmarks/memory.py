"""What it gains to keep freed memory: a training step on the CPU with and without.  python -m benchmarks memory

The two take turns, each time in a process of its own, since the C library cannot be told to go back.
"""

import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

import torch

from benchmarks.table import Row, show
from sepnb.models import build
from sepnb.training.losses import LOSSES, energies, target_scale
from sepnb.training.memory import freed_memory_kept

SECONDS, BATCH, STEPS, ROUNDS = 3.0, 4, 6, 3
SOURCES, RATE = ("drums", "bass", "other", "vocals"), 44100


def step_seconds(kind: str) -> float:
    """Median seconds of forward and backward of a network, after a first one that does not count."""
    torch.manual_seed(0)
    network = build(kind, SOURCES, 2, RATE)
    stems = torch.randn(BATCH, len(SOURCES), 2, round(SECONDS * RATE))
    scale = target_scale(energies(stems))
    taken = []
    for _ in range(STEPS + 1):
        begin = time.perf_counter()
        LOSSES["energy"](network, stems, scale).backward()
        network.zero_grad()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def elsewhere(kind: str, how: str) -> float:
    """`step_seconds` in a fresh process that keeps freed memory, or leaves it to the C library."""
    command = [sys.executable, "-m", "benchmarks.memory", kind, how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure both networks both ways, and print."""
    rows = []
    for kind in ("toy", "compact"):
        times = [(elsewhere(kind, "keep"), elsewhere(kind, "leave")) for _ in range(ROUNDS)]
        kept, left = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append(Row(f"{kind}: a step of {BATCH} × {SECONDS:g} s", "s", kept, "as it comes", left, True))
    show("memory", "Freed memory kept for the next step (glibc, CPU)", rows)


if __name__ == "__main__":
    with freed_memory_kept(torch.device("cpu")) if sys.argv[2] == "keep" else nullcontext():
        print(step_seconds(sys.argv[1]))
