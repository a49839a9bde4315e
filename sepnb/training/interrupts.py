"""Ctrl-C, or a notebook's stop button, taken at the end of a step instead of in its middle."""

import signal
import threading


class Interrupts:
    """Inside `with`, the first SIGINT only sets `asked`; a second one interrupts at once, as usual.

    In another thread than the main one nothing changes: Python interrupts the main thread only.
    """

    asked = False

    def __enter__(self) -> "Interrupts":
        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _remember(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
