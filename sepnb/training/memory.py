"""Keeping freed memory for the next step, instead of giving it back to the system."""

import ctypes
import sys

# glibc's <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed; whether it could be told (it can where it is glibc, on Linux).

    Every step of a training on a CPU allocates the same large tensors and frees them again. By default each comes
    fresh from the system, which clears it page by page: for small networks on large spectrograms that is about half
    of the time (`python -m benchmarks memory`). What the process once needed it then keeps until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
