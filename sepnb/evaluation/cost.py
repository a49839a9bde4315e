"""What a separation costs: time and memory, to be set against its quality."""

import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.evaluation.pairs import Failure, attempt
from sepnb.evaluation.systems import source_of
from sepnb.processes import side_by_side
from sepnb.separators import Bindable, Separator, load_separator, separate
from sepnb.tracks import Track

SAMPLING = 0.005  # seconds between looks at the process's memory


@dataclass(frozen=True)
class Cost:
    """Cost of one system on one machine: `seconds` of compute per second of music, `peak_bytes` beyond what was held.

    `device` says where: of "cuda" the bytes are the GPU's, of "cpu" main memory.
    """

    system: str
    device: str
    seconds: float
    peak_bytes: int


def costs(separators: Iterable[Separator | Bindable | str | Path], track: Track, device: str = "cpu") -> pd.DataFrame:
    """What each system takes to separate one track: columns system, device, seconds_per_second, memory_bytes.

    `separators` as for `evaluate`, one after the other. A name or path is loaded on `device` ("cpu", "cuda" or "auto")
    in a process of its own, with as many threads as torch has here, and its bytes are the most that the process held
    beyond what it held with numpy, torch and the mixture, before loading: with the weights, and with what else the
    system loads or, as an oracle, learns of the track. Starting the process takes seconds that do not count. A
    separator that is an object is measured in this process and without its weights: see `measure_cost`.

    `device` in the table is where the system computed: an oracle does on the CPU, whatever was asked for. Seconds do
    not hold loading, or an oracle's learning. What fails is left out with a warning. Raises what reading the track
    raises.
    """
    mixture, rows = track.mixture(), []
    for item in separators:
        source = source_of(item)
        if isinstance(source, str):
            cost = attempt(_in_fresh_process, source, track, device)
        else:
            cost = attempt(_measure_here, source, track, mixture)
        if isinstance(cost, Failure):
            name = source if isinstance(source, str) else source.name
            warnings.warn(f"{name} is left out: {cost.reason}", stacklevel=2)
            continue
        rows.append(
            {
                "system": cost.system,
                "device": cost.device,
                "seconds_per_second": cost.seconds,
                "memory_bytes": cost.peak_bytes,
            }
        )
    return pd.DataFrame(rows, columns=["system", "device", "seconds_per_second", "memory_bytes"])


def measure_cost(separator: Separator, mixture: np.ndarray, rate: int, warm_up: bool = True) -> Cost:
    """Separate a mixture (channels, samples) at `rate` Hz in this process and measure what it takes.

    Compute is wall-clock time divided by the length of the mixture. Of a separator whose `device` is a GPU the peak is
    torch's own count of what it allocated there beyond what was allocated before (so without the weights, and without
    the driver's share). Else a thread looks at the resident memory of this process every 5 ms and the highest value
    counts, beyond the one at the start: memory that an earlier separation has left to the process is used again and
    not seen. `costs` takes a fresh process for a system that is given by name. `warm_up` separates a second of the
    mixture first, since the first call may compile and allocate for all that follow.

    A baseline or oracle is bound to its track first.
    """
    if warm_up:
        separate(separator, mixture[:, :rate], rate)
    device = _device_of(separator)
    watch = _cuda_peak if device.startswith("cuda") else _resident_peak
    with watch() as peak:
        seconds = _seconds(separator, mixture, rate)
    return Cost(separator.name, device, seconds, peak[0])


def _measure_here(system: Separator | Bindable, track: Track, mixture: np.ndarray) -> Cost:
    if isinstance(system, Bindable):
        # It is bound to the whole track: a second of its mixture is none that it knows.
        return measure_cost(system.bind(track), mixture, track.rate, warm_up=False)
    return measure_cost(system, mixture, track.rate)


def _in_fresh_process(source: str, track: Track, device: str) -> Cost:
    import torch

    job = (source, track, device, torch.get_num_threads())
    try:
        ((_, cost),) = side_by_side(_measure_fresh, [job], workers=2)  # with 1 it would be this process
    except SepnbError as error:
        if isinstance(error.__cause__, BrokenProcessPool):
            raise SepnbError("the process that separated died, perhaps for want of memory") from error
        raise
    return cost


def _measure_fresh(job: tuple[str, Track, str, int]) -> Cost:
    """Load, separate and measure, in a process where nothing was done before."""
    import torch

    source, track, device, threads = job
    torch.set_num_threads(threads)  # `side_by_side` means its processes to have one each
    mixture, rate = track.mixture(), track.rate
    with _resident_peak() as peak:
        system = load_separator(source, device)
        separator = system.bind(track) if isinstance(system, Bindable) else system
        if separator is system:
            separate(separator, mixture[:, :rate], rate)
        seconds = _seconds(separator, mixture, rate)
    device = _device_of(separator)
    most = torch.cuda.max_memory_allocated() if device.startswith("cuda") else peak[0]
    return Cost(separator.name, device, seconds, most)


def _device_of(separator: Separator) -> str:
    return str(getattr(separator, "device", "cpu"))


def _seconds(separator: Separator, mixture: np.ndarray, rate: int) -> float:
    began = time.perf_counter()
    separate(separator, mixture, rate)
    return (time.perf_counter() - began) * rate / mixture.shape[-1]


@contextmanager
def _cuda_peak() -> Iterator[list[int]]:
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    peak = [0]
    yield peak
    torch.cuda.synchronize()
    peak[0] = torch.cuda.max_memory_allocated() - before


@contextmanager
def _resident_peak() -> Iterator[list[int]]:
    import psutil

    process, stop = psutil.Process(), Event()
    before = process.memory_info().rss
    peak = [0]

    def look() -> None:
        peak[0] = max(peak[0], process.memory_info().rss - before)

    def keep_looking() -> None:
        while not stop.wait(SAMPLING):
            look()

    thread = Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        look()
