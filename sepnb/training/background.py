"""Work in the background of a training, and what went wrong with it."""

from collections.abc import Callable
from threading import Thread


class Job(Thread):
    """One piece of work in the background: its result or its error. It does not keep Python from ending."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.result: object = None
        self.error: Exception | None = None
        self._work = work
        self.start()

    def run(self) -> None:
        try:
            self.result = self._work()
        except Exception as error:  # handed to the training thread, which looks after every step
            self.error = error

    def within(self, seconds: float) -> object:
        """The result, if it comes within so many seconds; else raises TimeoutError, or what the work raised."""
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError(f"no answer in {seconds:g} seconds")
        if self.error is not None:
            raise self.error
        return self.result
