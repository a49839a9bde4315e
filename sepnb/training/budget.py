"""What a budget of minutes buys: steps are timed here, and the rest is multiplication."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sepnb.batches import Batches
from sepnb.errors import SepnbError
from sepnb.store import Store
from sepnb.training.history import read_history, read_recipe
from sepnb.training.loop import train
from sepnb.training.recipes import Recipe

# Of a T4, in 32-bit floating point: NVIDIA's data sheet, "Tesla T4", 2019.
T4_RATE = 8.1e12


@dataclass(frozen=True)
class Pace:
    """How fast a recipe trains: seconds a training step, and seconds for the validation after each epoch."""

    step: float
    validation: float

    def scaled(self, factor: float) -> "Pace":
        """The pace of a machine that takes `factor` times as long."""
        return Pace(self.step * factor, self.validation * factor)


def read_duration(text: str) -> float:
    """Seconds of a duration as people write it: 11h30, 2h, 90m, 1h30m, 45s."""
    found = re.fullmatch(r"(?=\d)(?:(\d+)h)?(?:(\d+)m|(?<=h)(\d+))?(?:(\d+)s)?", text.strip().lower())
    if found is None:
        raise SepnbError(f"{text!r} is no duration: write it as in 11h30, 90m or 45s")
    hours, minutes, bare_minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60 * (minutes + bare_minutes) + seconds


def measure_pace(store: Store | Path | str, recipe: Recipe, device: str = "cpu", steps: int = 5) -> Pace:
    """Time a recipe by training it for two short epochs; the first one, in which all gets going, does not count."""
    with TemporaryDirectory(prefix="sepnb-pace-") as folder:
        short = replace(recipe, epochs=2, steps_per_epoch=steps, warmup_steps=0, patience=None)
        last = read_history(train(store, Path(folder) / "run", short, device, progress=False)).iloc[-1]
    return Pace(
        float(last["waiting_seconds"] + last["computing_seconds"]) / steps,
        float(last["validating_seconds"]),
    )


def step_seconds(store: Store | Path | str, recipe: Recipe, device: str = "cpu", steps: int = 5) -> float:
    """Seconds of one training step, with all that belongs to it: data, forward, backward, optimizer."""
    return measure_pace(store, recipe, device, steps).step


def steps_per_epoch(recipe: Recipe, store: Store | Path | str) -> int:
    """Training steps of an epoch, also where the recipe leaves them to the songs."""
    store = store if isinstance(store, Store) else Store(store)
    if recipe.steps_per_epoch is not None:
        return recipe.steps_per_epoch
    return Batches(store, recipe.seconds, recipe.batch_size, songs=recipe.songs, resident=False).per_epoch


def estimate_minutes(recipe: Recipe, store: Store | Path | str, pace: Pace) -> float:
    """Minutes that a whole run takes at a pace, if it does not run out of patience."""
    return recipe.epochs * (steps_per_epoch(recipe, store) * pace.step + pace.validation) / 60


def fit_budget(
    recipe: Recipe, store: Store | Path | str, minutes: float, device: str = "cpu", pace: Pace | None = None
) -> Recipe:
    """The recipe with as many epochs as fit into so many minutes, at a pace that is measured where it is not given.

    If not even one epoch fits, it is one shorter epoch. Raises SepnbError if the minutes are not enough for a step.
    """
    pace = pace or measure_pace(store, recipe, device)
    steps, budget = steps_per_epoch(recipe, store), 60 * minutes
    epochs = int(budget / (steps * pace.step + pace.validation))
    if epochs >= 1:
        return replace(recipe, epochs=epochs, steps_per_epoch=steps)
    steps = int((budget - pace.validation) / pace.step)
    if steps < 1:
        raise SepnbError(
            f"{minutes:g} minutes are not enough for one step of {recipe.name} ({pace.step:.1f} s) and a validation "
            f"({pace.validation:.1f} s): give more time, or a recipe with smaller batches"
        )
    return replace(recipe, epochs=1, steps_per_epoch=steps)


def fit_run(
    folders: Sequence[Path], recipe: Recipe, store: Store | Path | str, minutes: float, device: str = "cpu"
) -> Recipe:
    """`fit_budget` for a run: measured when it is begun, and the same whenever it is gone on with.

    `folders` are those that the run may lie in, its own and its mirror. Raises SepnbError under `accelerate launch`
    with several processes, which would each measure something else.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise SepnbError("minutes are measured by one process: with several, say how many epochs (--epochs)")
    begun = [folder for folder in folders if _is_begun(folder)]
    fitted = read_recipe(begun[0]) if begun else fit_budget(recipe, store, minutes, device)
    return replace(recipe, epochs=fitted.epochs, steps_per_epoch=fitted.steps_per_epoch)


def _is_begun(folder: Path) -> bool:
    try:
        return (folder / "history.json").is_file()
    except OSError:  # a Drive that has dropped out
        return False


def matmul_rate(device: str = "cpu", size: int = 1024, repeats: int = 5) -> float:
    """Floating-point operations a second of a product of two square matrices in 32 bits, the best of some repeats."""
    left, right = (torch.ones(size, size, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        _wait_for(device)
        started = time.perf_counter()
        left @ right
        _wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def pace_on_t4(pace: Pace, device: str = "cpu", rate: float | None = None) -> tuple[Pace, str]:
    """The pace that a T4 would have, from one measured here; and in words, how that was found.

    On a T4 it is what was measured. Elsewhere it is scaled by the ratio of arithmetic rates, 8.1 TFLOP/s for a T4 in
    32 bits (NVIDIA's data sheet), `rate` or a measured matrix product for this machine. That is rough: a network
    reaches another share of the rate on each machine, memory may be what limits it, and 16-bit arithmetic gains more.
    """
    if torch.device(device).type == "cuda" and "T4" in torch.cuda.get_device_name(device):
        return pace, "measured on this T4"
    rate = matmul_rate(device) if rate is None else rate
    words = f"computed: a T4 does {T4_RATE / 1e12:.1f} TFLOP/s, this machine {rate / 1e12:.2f}; a rough figure"
    return pace.scaled(rate / T4_RATE), words


def _wait_for(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
