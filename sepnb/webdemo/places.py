"""Places to work at: so many jobs run side by side, a few wait, and the rest are told."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sepnb.errors import SepnbError

LINE = 4  # for each place: the one who has it, and three who wait


class Places:
    """Places that are held by what really runs.

    Gradio counts a job as over when its visitor has gone, while its thread works on, or waits here: hence the line is
    bounded too, or those who come and go would use up all threads.
    """

    def __init__(self, count: int):
        self._free = threading.BoundedSemaphore(count)
        self._line = threading.BoundedSemaphore(LINE * count)

    @contextmanager
    def held(self, patience: float, look: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a place while the block runs; `look` is called while waiting, and may raise.

        Raises SepnbError where none is free within `patience` seconds, or too many wait already.
        """
        if not self._line.acquire(blocking=False):
            raise _busy()
        try:
            end = time.monotonic() + patience
            while not self._free.acquire(timeout=0.2):
                look()
                if time.monotonic() > end:
                    raise _busy()
            try:
                look()
                yield
            finally:
                self._free.release()
        finally:
            self._line.release()


def _busy() -> SepnbError:
    return SepnbError("the demo is busy: try again in a few minutes")
