"""Measuring what work costs on the device at hand: micro-networks are run, and the costs that explain them are found.

Each micro-network is traced as networks are that are to be predicted, and its step is run for real. Seconds of a phase
are then a sum of amounts of work times unknown costs; the costs are those, none below nought, that come closest to all
measurements in relative terms.
"""

import gc
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

import numpy as np
import pandas as pd
import psutil
import torch
from scipy.optimize import nnls
from tqdm.auto import tqdm

from sepnb.errors import SepnbError
from sepnb.probing.assumed_rates import assumed_rates
from sepnb.probing.cards import cpu_card, this_card
from sepnb.probing.micro_networks import MicroNetwork, micro_networks
from sepnb.probing.rates import KINDS, Rates
from sepnb.probing.setting import Setting
from sepnb.probing.step import Step
from sepnb.probing.timing import work
from sepnb.probing.trace import PHASES
from sepnb.probing.tracing import trace
from sepnb.probing.workloads import Workload, absolute_error
from sepnb.training.memory import freed_memory_kept

# Steps of a micro-network that are timed, after one that is not, and the seconds after which two have to do. The
# fastest of each phase counts, since what else a machine does can only make a step slower.
REPEATS, ENOUGH = 5, 0.25
# How much a guess weighs against a measurement, in relative errors: enough for what was hardly measured.
GUESS = 0.03
# Rounds in which measurements that nothing explains come to weigh less, and the relative error from which they do.
ROUNDS, ODD = 5, 0.25
# The share of the processor that other programs may take while a CPU is calibrated, in percent.
BUSY = 20


def calibrate(device: str = "cpu", seconds: float = 30.0, progress: bool = False) -> Rates:
    """Measure the costs of work on a device ("cpu" or "cuda") in about so many seconds, and a few for the fit.

    It holds under 1.5 GB. On a CPU nothing else should run meanwhile; the number of threads is PyTorch's at the moment.
    What there was no time for is guessed as `assumed_rates` would. `Rates.save` keeps the result. Raises SepnbError
    where there is no such device.
    """
    if device not in ("cpu", "cuda"):
        raise SepnbError(f"no device {device!r} to calibrate; there are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise SepnbError("there is no GPU here that PyTorch can use: calibrate on the CPU")
    card = this_card() if device == "cuda" else cpu_card()
    others = psutil.cpu_percent(interval=0.5)
    if device == "cpu" and others > BUSY:
        # With fewer free processors than threads, threads wait for each other for whole time slices.
        warnings.warn(
            f"other programs take {others:.0f} % of this CPU: the calibration will say that it is many times slower "
            "than it is; calibrate again when they are done",
            stacklevel=2,
        )
    precisions = ("fp32",)
    if device == "cuda":
        precisions = ("fp32", "fp16", "bf16") if card.capability >= (8, 0) else ("fp32", "fp16")
    jobs = [(network, precision) for network in micro_networks() for precision in precisions]
    measured = []
    # The first trace and the first step are slow, since much is loaded then: they are not counted.
    _measure(MicroNetwork("warm-up", lambda: torch.nn.Linear(4, 4), (2, 4)), Setting(2, 1.0, device=device))
    until = time.perf_counter() + seconds
    with freed_memory_kept(torch.device(device)):
        for network, precision in tqdm(jobs, desc=f"calibrating {card.title}", disable=not progress):
            measured.append(_measure(network, Setting(network.shape[0], 1.0, precision, device=device)))
            gc.collect()
            if time.perf_counter() > until:
                break
    table = pd.concat(measured, ignore_index=True)
    guess = assumed_rates(card)
    costs, spread = fit(table, guess)
    return Rates(
        card=card.name,
        title=card.title,
        calibrated=True,
        costs=costs,
        spread=dict.fromkeys(KINDS, spread),
        host=_seconds_to_start() if device == "cuda" else 0.0,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def fit(measured: pd.DataFrame, guess: Rates) -> tuple[dict[str, float], tuple[float, float]]:
    """Costs that explain measurements, and the range that most measurements are in, as factors of what is explained.

    `measured` has a row for each sort of work in each measurement: case (what was measured), sort, amount, seconds (of
    the whole case, the same in all its rows). A sort that only `guess` knows keeps its guess.
    """
    amounts = measured.pivot_table(index="case", columns="sort", values="amount", aggfunc="sum", fill_value=0)
    seconds = measured.groupby("case")["seconds"].first().loc[amounts.index].to_numpy()
    prior = np.array([guess.cost(sort) for sort in amounts.columns])
    # In units of the guesses and of the measured times: all numbers are near 1, all errors relative.
    relative = amounts.to_numpy() * prior / seconds[:, None]
    weights = np.ones(len(seconds))
    for _ in range(ROUNDS):
        left = np.concatenate([relative * weights[:, None], GUESS * np.eye(len(prior))])
        right = np.concatenate([weights, np.full(len(prior), GUESS)])
        found, _ = nnls(left, right)
        error = np.abs(relative @ found - 1)
        weights = np.sqrt(np.minimum(1, ODD / np.maximum(error, 1e-9)))
    ratio = 1 / np.maximum(relative @ found, 1e-9)
    low, high = np.quantile(ratio, (0.1, 0.9))
    costs = guess.costs | dict(zip(amounts.columns, map(float, found * prior), strict=True))
    return costs, (float(min(low, 0.9)), float(max(high, 1.1)))


def _measure(network: MicroNetwork, setting: Setting) -> pd.DataFrame:
    """Amounts of work and the seconds of each phase of a micro-network's step; see `fit`."""
    workload = Workload(
        name=network.name,
        title=network.name,
        build=lambda width: network.build(),
        input_shape=lambda batch, seconds: network.shape,
        target_shape=None,
        loss=absolute_error,
    )
    done = work(trace(workload, setting).ops)
    seconds = _seconds(Step(workload, setting, setting.device))
    done = done.groupby(["phase", "sort"], as_index=False)["amount"].sum()
    done["case"] = network.name + " " + str(network.shape) + " " + setting.precision + " " + done["phase"]
    done["seconds"] = done["phase"].map(seconds)
    return done


def _seconds(step: Step) -> dict[str, float]:
    """Seconds of each phase in the fastest of some steps. On a GPU, each phase is waited for."""
    finish: Callable[[], None] = torch.cuda.synchronize if step.device == "cuda" else lambda: None
    least = dict.fromkeys(PHASES, float("inf"))
    until = time.perf_counter() + ENOUGH
    for repeat in range(REPEATS + 1):
        begun: list[tuple[str, float]] = []

        def enter(phase: str, begun: list = begun) -> None:
            finish()
            begun.append((phase, time.perf_counter()))

        step.run(enter)
        enter("end")
        for (phase, begin), (_, end) in pairwise(begun):
            if repeat and phase in least:
                least[phase] = min(least[phase], end - begin)
        if repeat >= 2 and time.perf_counter() > until:
            break
    return least


def _seconds_to_start(times: int = 2_000) -> float:
    """Seconds that the host needs to send one small operator to the GPU, which is faster at doing it."""
    values = torch.ones(8, device="cuda")
    best = float("inf")
    for _ in range(3):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(times):
            values = values + 1
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begin) / times)
    return best
