"""Keeping a run safe while it trains: checkpoints written in the background, here and in a second folder."""

import time
import warnings
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.training.background import Job
from sepnb.training.checkpoints import copied, pack, write_generation
from sepnb.training.mirror import PATIENCE, Mirror

# Seconds between two copies to the second folder: a quota of writes is used up sooner than ten minutes are missed.
COPY_EVERY = 600.0


class Keeper:
    """Writes the checkpoints of the run in `out`, and copies them and the results to `mirror`, if there is one.

    Training only waits while the state is copied in memory; a thread turns it into a file. One file is written at a
    time: a checkpoint that becomes due meanwhile is taken as soon as the thread is free, of what is then the newest
    state. The mirror (a folder on Google Drive, say) has a thread of its own, so that a slow or vanished Drive holds up
    neither training nor the checkpoints in `out`; it is written every ten minutes, and at the end of a session.
    """

    def __init__(self, out: Path, mirror: Mirror | None, every: float) -> None:
        self.out = out
        self.mirror = mirror
        self._every = every
        self._last = time.monotonic()
        self._wanted = False
        self._held: tuple[int, dict] | None = None
        self._local: Job | None = None
        self._copy: Job | None = None
        self._to_copy = False
        self._copied = -COPY_EVERY  # seconds at which the last copy began; the first is due at once
        self._away = False

    def want(self) -> None:
        """Ask for a checkpoint as soon as one can be written."""
        self._wanted = True

    def due(self) -> bool:
        """Whether a checkpoint is to be taken now."""
        wanted = self._wanted or time.monotonic() - self._last >= self._every
        return wanted and self._held is None and self._local is None

    def hold(self, step: int, state: dict) -> None:
        """Copy the state, to be written by `confirm`: when the next step has shown that its weights are good ones."""
        self._held = (step, copied(state))
        self._wanted, self._last = False, time.monotonic()

    def confirm(self) -> None:
        """Have the state that is held written, if there is one."""
        if self._held is not None:
            (step, state), self._held = self._held, None
            self._local = Job(lambda: write_generation(self.out, step, pack(state)))
            self._to_copy = True

    def wait(self) -> None:
        """Wait for the checkpoint under way, if there is one."""
        if self._local is not None:
            self._local.join()
        self.check()

    def check(self) -> None:
        """Look after the threads: called after every step.

        Raises SepnbError if a checkpoint could not be written to `out`; warns, once, if the mirror is away.
        """
        if self._local is not None and not self._local.is_alive():
            error, self._local = self._local.error, None
            if error is not None:
                raise SepnbError(
                    f"a checkpoint could not be written to {self.out} ({error}): make room, then go on with resume"
                ) from error
        if self._copy is not None and not self._copy.is_alive():
            error = self._copy.error
            self._copy = None
            if error is not None and not self._away:
                warnings.warn(
                    f"the second folder {self.mirror.folder} cannot be written ({error}): checkpoints and results are "
                    f"in {self.out} only; while training goes on, the copy is tried every {COPY_EVERY / 60:g} minutes",
                    stacklevel=2,
                )
            self._away = error is not None
        if self._to_copy and self._local is None and time.monotonic() - self._copied >= COPY_EVERY:
            self._start_copy()

    def _start_copy(self, last: bool = False) -> None:
        if self.mirror is not None and self._copy is None:
            self._to_copy, self._copied = False, time.monotonic()
            self._copy = Job(lambda: self.mirror.follow(self.out, last))

    def finish(self, last: bool) -> None:
        """Bring the mirror up to date, as far as it lets itself, at the end of a session; last: of the run."""
        self._to_copy = False  # what is started here is the last
        self.wait()
        if self.mirror is None:
            return
        until = time.monotonic() + PATIENCE
        if self._copy is not None:  # it may have begun before the last results were there: one more follows
            self._copy.join(PATIENCE)
            self.check()
        self._start_copy(last)
        self._copy.join(max(0.0, until - time.monotonic()))
        if self._copy.is_alive():
            warnings.warn(f"the second folder {self.mirror.folder} does not answer; all is in {self.out}", stacklevel=2)
        self.check()
