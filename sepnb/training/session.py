"""One call of `train`: what it writes down, and when, around the steps of the loop."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from sepnb.errors import SepnbError
from sepnb.files import checksum
from sepnb.models import save
from sepnb.training.checkpoints import generations, remove_checkpoints
from sepnb.training.divergence import TrainingDiverged, divergence
from sepnb.training.history import RESULTS, write_history
from sepnb.training.interrupts import Interrupts
from sepnb.training.keeping import Keeper
from sepnb.training.processes import on_main
from sepnb.training.state import State, random_state


class Session:
    """Keeps a run's folder up to date. All processes call its methods; only the main one writes.

    about: what the history says of the run. began: when the call did (`time.monotonic`). asked: the call's arguments
    that do not change the outcome; of them, `stop_after` is obeyed here (seconds).
    """

    def __init__(
        self,
        accelerator: Accelerator,
        state: State,
        keeper: Keeper,
        about: dict,
        began: float,
        asked: dict,
    ) -> None:
        self._accelerator = accelerator
        self._main = accelerator.is_main_process
        self._state = state
        self._keeper = keeper
        self._out = keeper.out
        self._about = about
        self._began = began
        self._stop_after = asked["stop_after"]
        self._entry = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": 0.0,
            "first_step": state.progress.step + 1,
            **{key: about[key] for key in ("device", "threads", "processes", "precision", "torch")},
            **asked,
        }
        if accelerator.device.type == "cuda":
            self._entry["gpu"] = torch.cuda.get_device_name(accelerator.device)
        state.progress.sessions.append(self._entry)
        self._write(self._write_history)

    def _write(self, work: Callable[[], None]) -> None:
        """Have the main process write something; a full disk, say, is an error in all processes."""

        def written() -> None:
            try:
                work()
            except OSError as error:
                raise SepnbError(
                    f"{self._out} cannot be written ({error}): make room, then go on with resume"
                ) from error

        on_main(self._accelerator, written)

    def _write_history(self, stopped: str | None = None, finished: bool = False) -> None:
        self._entry["seconds"] = time.monotonic() - self._began
        about = self._about
        if finished:
            names = (name for name in RESULTS if not name.startswith("history"))
            about = {**about, "checksums": {name: checksum(self._out / name) for name in names}}
        write_history(self._out, about, self._state.progress, stopped, finished)

    def end_epoch(self, scores: dict[str, float], learning_rate: float, validating: float) -> dict:
        """Take down an epoch; keep its weights if they are the best so far; ask for a checkpoint. Returns its row."""
        row = self._state.progress.end_epoch(scores, learning_rate, validating)
        if self._state.progress.is_best():
            self._state.keep_best()
            self._write(lambda: save(self._state.average.network, self._out))
        self._write(self._write_history)
        self._keeper.want()
        return row

    def decide(self, interrupts: Interrupts) -> tuple[str | None, bool]:
        """(why to stop now, if at all; whether to take a checkpoint), after a step. For the main process only."""
        self._keeper.check()
        stop = "interrupt" if interrupts.asked else None
        if stop is None and self._stop_after is not None and time.monotonic() - self._began >= self._stop_after:
            stop = "time"
        # A state that has gone astray is not worth a checkpoint: the one before it is better.
        good = self._state.progress.watch.calm and (stop is None or self._state.is_finite())
        return stop, good and (stop is not None or self._keeper.due())

    def checkpoint(self, at_once: bool) -> None:
        """Take a checkpoint: written in the background after `confirm`, or `at_once`, before this returns."""
        randoms = gather_object([random_state()])

        def take() -> None:
            self._entry["seconds"] = time.monotonic() - self._began
            if at_once:
                self._keeper.wait()
            self._keeper.hold(self._state.progress.step, self._state.as_dict(self._about, randoms))
            if at_once:
                self._keeper.confirm()
                self._keeper.wait()

        on_main(self._accelerator, take)

    def confirm(self) -> None:
        """The weights have passed one more step: a checkpoint of them is worth writing."""
        if self._main:
            self._keeper.confirm()

    def diverged(self, problem: str, step: int, loss: float, norm: float, rate: float) -> TrainingDiverged:
        """The error to raise when step number `step` (from 0) has gone wrong. The last good checkpoint stays."""
        if self._main:
            self._keeper.wait()
        where = {
            "epoch": len(self._state.progress.rows) + 1,
            "step": step + 1,
            "batch": step,
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": rate,
            "examples": self._state.batches.describe(step),
        }
        kept = next((path for _, path in generations(self._out)), None)
        return divergence(self._out, problem, where, kept, write=self._main)

    def pause(self, stop: str) -> str:
        """Leave the run so that it can be gone on with. Returns, in words, where it goes on from."""

        def leave() -> None:
            self._write_history(stopped="time" if stop == "time" else None)
            self._keeper.finish(last=False)

        self._write(leave)
        kept = next((str(path) for _, path in generations(self._out)), None)
        if kept is None:
            return "there is no checkpoint yet; resume=True (--resume) begins anew"
        return f"its checkpoint is {kept}; resume=True (--resume) goes on from there"

    def finish(self, stopped: str) -> None:
        """Leave the finished run: the best epoch's model and the history. Its checkpoints go.

        Killed on the way, it goes on from the last checkpoint to here again. The mirror keeps that checkpoint, because
        what has just been copied to a synchronised folder may not have reached the server yet.
        """
        self.checkpoint(at_once=True)

        def leave() -> None:
            self._state.average.network.load_state_dict(self._state.best)
            save(self._state.average.network, self._out)
            (self._out / "diverged.json").unlink(missing_ok=True)  # of an earlier session, no longer true
            self._write_history(stopped, finished=True)
            self._keeper.finish(last=True)
            remove_checkpoints(self._out)

        self._write(leave)
