"""Keeping freed memory for the next step, instead of giving it back to the system."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# glibc's <malloc.h>, and what its settings are when nobody has changed them.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULTS = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65536}
KEEP = {M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0}


@contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """Within the block, the C library keeps what is freed; on a CPU, and where it is glibc (on Linux).

    Every step of a training on a CPU allocates the same large tensors and frees them again. By default each comes
    fresh from the system, which clears it page by page: for small networks on large spectrograms that is a good part
    of the time (`python -m benchmarks memory`). Behind the block, what is free goes back to the system.
    """
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") and device.type == "cpu" else None
    told = hasattr(library, "mallopt")
    if told:
        _set(library, KEEP)
    try:
        yield
    finally:
        if told:
            _set(library, DEFAULTS)
            library.malloc_trim(0)


def _set(library: ctypes.CDLL, settings: dict[int, int]) -> None:
    for name, value in settings.items():
        library.mallopt(name, value)
