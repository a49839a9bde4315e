"""What a separation costs: time and memory, to be set against its quality."""

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
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

    `separators` as for `evaluate`; those given by name are loaded on `device`, one after the other. What could not be
    loaded is left out with a warning. See `measure_cost` for what is measured, and how well.
    """
    mixture, rows = track.mixture(), []
    for item in separators:
        try:
            system = load_separator(item, device) if isinstance(item, str | Path) else item
        except SepnbError as error:
            warnings.warn(f"{item} is left out: {error}", stacklevel=2)
            continue
        separator = system.bind(track) if isinstance(system, Bindable) else system
        # An oracle is bound to the whole track: a second of its mixture is none that it knows.
        cost = measure_cost(separator, mixture, track.rate, device, warm_up=separator is system)
        rows.append(
            {
                "system": cost.system,
                "device": cost.device,
                "seconds_per_second": cost.seconds,
                "memory_bytes": cost.peak_bytes,
            }
        )
    return pd.DataFrame(rows, columns=["system", "device", "seconds_per_second", "memory_bytes"])


def measure_cost(
    separator: Separator, mixture: np.ndarray, rate: int, device: str = "cpu", warm_up: bool = True
) -> Cost:
    """Separate a mixture (channels, samples) at `rate` Hz and measure what it takes.

    Compute is wall-clock time divided by the length of the mixture. On "cuda" the peak is torch's own count of what it
    allocated on the GPU beyond what was allocated before (so without the weights, and without the driver's share). On
    "cpu" a thread looks at the resident memory of this process every 5 ms and the highest value counts, beyond the one
    at the start: memory that an earlier separation has left to the process is used again and not seen, so measure a
    system in a fresh process where that matters. `warm_up` separates a second of the mixture first, since the first
    call may compile and allocate for all that follow.

    A baseline or oracle is bound to its track first.
    """
    if warm_up:
        separate(separator, mixture[:, :rate], rate)
    watch = _cuda_peak if device.startswith("cuda") else _resident_peak
    with watch() as peak:
        began = time.perf_counter()
        separate(separator, mixture, rate)
        taken = time.perf_counter() - began
    return Cost(separator.name, device, taken * rate / mixture.shape[-1], peak[0])


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
