"""Real steps on the device at hand: what they hold and how long they take, to set beside what was predicted.

On a GPU, PyTorch keeps the books itself. On a CPU it keeps none, but its profiler can be told of each block that the
allocator hands out and takes back; their running sum is what tensors hold. Freed memory that the C library keeps, the
program itself and what libraries take without asking PyTorch are not in it.
"""

import gc
import os
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import accumulate
from statistics import median

import psutil
import torch
from torch.autograd.profiler import profile, record_function

from sepnb.errors import SepnbError
from sepnb.probing.cards import cpu_card, this_card
from sepnb.probing.setting import Setting
from sepnb.probing.step import Step
from sepnb.probing.workloads import Workload
from sepnb.training.memory import freed_memory_kept

GIB = 2**30
# The share of free memory that a measurement on a CPU may take: without free memory, a machine stands still.
USABLE = 0.9
# The outcome where keeping freed memory, as is done while steps are timed, takes more than there is.
TIMELESS = "measured, but out of memory when timed"
_SECOND = "the second step"
# What PyTorch and the libraries below it say where a plain RuntimeError stands for "out of memory".
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Measurement:
    """What came of running a workload in a setting; without `peak` where nothing did, and `outcome` says why."""

    model: str
    setting: Setting
    # The processor's or graphics card's name.
    device: str
    # "measured", "out of memory", or why nothing was run, in a sentence.
    outcome: str
    # Bytes that tensors hold at the worst moment of a step after the first.
    peak: int | None = None
    # On a GPU: the bytes that PyTorch's allocator has taken from the card for them.
    reserved: int | None = None
    # Of each step that was timed, after the first two.
    seconds: tuple[float, ...] = ()
    threads: int = 0
    torch: str = ""
    date: str = ""

    @property
    def typical(self) -> float | None:
        """Median seconds of a step."""
        return median(self.seconds) if self.seconds else None

    @property
    def least(self) -> float | None:
        """Seconds of the fastest step."""
        return min(self.seconds, default=None)

    def as_dict(self) -> dict:
        """All of it as plain numbers, text and lists, for a JSON file."""
        return {**asdict(self), "seconds": list(self.seconds), "typical": self.typical, "least": self.least}


def measure(
    workload: Workload, setting: Setting, device: str = "cpu", repeats: int = 3, expected: int | None = None
) -> Measurement:
    """Run real steps of a workload on a device ("cpu", "cuda"), whatever `setting.device` says.

    Memory is that of the second step: the optimizer's state is there from then on. Then `repeats` steps are timed, on a
    CPU with freed memory kept (as in training) and with as many threads as PyTorch uses anyway. `expected` is how many
    bytes a step will need: on a CPU, what does not fit what is free is not started.

    A step that runs out of memory is an outcome, not an error. On a CPU, see `measure_apart`: there, the system may end
    a process that takes too much. Raises SepnbError where there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SepnbError("there is no GPU here that PyTorch can use: measure on the CPU")
    result = nothing_yet(workload.name, setting, device)
    free = psutil.virtual_memory().available
    if device == "cpu" and expected is not None and expected > USABLE * free:
        return replace(result, outcome=f"not run: needs {expected / GIB:.1f} GiB, {free / GIB:.1f} GiB are free")
    try:
        step, held = (_held_on_gpu if device == "cuda" else _held_on_cpu)(workload, result.setting)
        result = replace(result, outcome="measured", **held)
        return replace(result, seconds=_seconds(step, repeats))
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        return replace(result, outcome="out of memory" if result.peak is None else TIMELESS)
    finally:
        # By now the error is gone, and with it the traceback that held on to the step's tensors.
        step = None
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def nothing_yet(model: str, setting: Setting, device: str) -> Measurement:
    """A measurement that has not been made: what is to be run, where, and with which PyTorch."""
    return Measurement(
        model=model,
        setting=replace(setting, device=device),
        device=(this_card() if device == "cuda" else cpu_card()).title,
        outcome="not run",
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _held_on_cpu(workload: Workload, setting: Setting) -> tuple[Step, dict]:
    # Its library says on stderr that it begins and ends; 6 is above all its levels.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    gc.collect()
    # From the start: a block that the profiler has not seen coming, it does not see going either.
    with profile(profile_memory=True) as profiler:
        step = Step(workload, setting, setting.device)
        step.run()
        with record_function(_SECOND):
            step.run()
    return step, {"peak": _peak(profiler.kineto_results.events())}


def _peak(events: list) -> int:
    """The most bytes of tensors during the second step, out of the profiler's events, which are in order of time."""
    second = next(event for event in events if event.name() == _SECOND)
    blocks = [event for event in events if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in blocks)
    return max(
        live
        for event, live in zip(blocks, held, strict=True)
        if second.start_ns() <= event.start_ns() <= second.end_ns()
    )


def _held_on_gpu(workload: Workload, setting: Setting) -> tuple[Step, dict]:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    before, taken = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    step = Step(workload, setting, setting.device)
    step.run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    step.run()
    torch.cuda.synchronize()
    return step, {
        "peak": torch.cuda.max_memory_allocated() - before,
        "reserved": torch.cuda.max_memory_reserved() - taken,
    }


def _seconds(step: Step, repeats: int) -> tuple[float, ...]:
    # A GPU works on after a step has returned.
    finish = torch.cuda.synchronize if step.device == "cuda" else (lambda: None)
    seconds = []
    with freed_memory_kept(torch.device(step.device)):
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            step.run()
            finish()
            seconds.append(time.perf_counter() - begin)
    return tuple(seconds[1:])


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)
