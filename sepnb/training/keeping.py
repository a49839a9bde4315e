"""Keeping a run safe while it trains: checkpoints written in the background, here and in a second folder."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from sepnb.errors import SepnbError
from sepnb.files import checksum, written_whole
from sepnb.training.checkpoints import copied, generations, pack, write_generation
from sepnb.training.history import CSV, JSON

# What a run leaves; the history comes last, because it is what says that the rest is complete.
RESULTS = ("model.json", "weights.safetensors", CSV, JSON)
# How long the end of a run waits for the second folder, in seconds.
PATIENCE = 300.0


class Job(Thread):
    """One piece of work in the background, and what went wrong with it. It does not keep Python from ending."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._work = work
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # handed to the training thread, which looks after every step
            self.error = error


class Keeper:
    """Writes the checkpoints of the run in `out`, and copies them and the results to `mirror`, if there is one.

    Training only waits while the state is copied in memory; a thread turns it into a file. One file is written at a
    time: a checkpoint that becomes due meanwhile is taken as soon as the thread is free, of what is then the newest
    state. The mirror (a folder on Google Drive, say) has a thread of its own, so that a slow or vanished Drive holds up
    neither training nor the checkpoints in `out`.
    """

    def __init__(self, out: Path, mirror: Path | None, every: float) -> None:
        self.out = out
        self.mirror = mirror
        self._every = every
        self._last = time.monotonic()
        self._wanted = False
        self._held: tuple[int, dict] | None = None
        self._local: Job | None = None
        self._copy: Job | None = None
        self._to_copy = False
        self._away = False

    def want(self) -> None:
        """Ask for a checkpoint as soon as one can be written."""
        self._wanted = True

    def due(self) -> bool:
        """Whether a checkpoint is to be taken now."""
        wanted = self._wanted or time.monotonic() - self._last >= self._every
        return wanted and self._held is None and (self._local is None or not self._local.is_alive())

    def hold(self, step: int, state: dict) -> None:
        """Copy the state, to be written by `confirm`: when the next step has shown that its weights are good ones."""
        self._held = (step, copied(state))
        self._wanted, self._last = False, time.monotonic()

    def confirm(self) -> None:
        """Have the state that is held written, if there is one."""
        if self._held is not None:
            self.wait()
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
                    f"the second folder {self.mirror} cannot be written ({error}): training goes on, its checkpoints "
                    f"are in {self.out} only; the copy is tried again with each of them",
                    stacklevel=2,
                )
            self._away = error is not None
        if self._to_copy and self._local is None and self._copy is None and self.mirror is not None:
            self._copy, self._to_copy = Job(lambda: copy_run(self.out, self.mirror)), False

    def finish(self) -> None:
        """Bring the mirror up to date, as far as it lets itself, at the end of a run or a session."""
        self._to_copy = True
        self.wait()
        until = time.monotonic() + PATIENCE
        # The copy under way may have begun before the last results were there; then one more follows.
        while self._copy is not None and time.monotonic() < until:
            self._copy.join(max(0.0, until - time.monotonic()))
            if self._copy.is_alive():
                warnings.warn(f"the second folder {self.mirror} does not answer; all is in {self.out}", stacklevel=2)
            self.check()


def copy_run(source: Path, target: Path) -> None:
    """Bring a second folder up to date with a run: its newest checkpoint, then its results, each file whole.

    The folder itself must be there: where a drive is no longer mounted, nothing shall grow in its place.
    """
    if not target.is_dir():
        raise FileNotFoundError(f"there is no folder {target}")
    for step, path in generations(source)[:1]:
        if step not in [there for there, _ in generations(target)]:
            write_generation(target, step, path.read_bytes())
    for name in RESULTS:
        here, there = source / name, target / name
        if here.is_file() and not (there.is_file() and checksum(here) == checksum(there)):
            with written_whole(there) as partial:
                partial.write_bytes(here.read_bytes())
