"""What a run leaves to read: `history.json` (what was done, with what, how it went) and `history.csv` (an epoch a row).

Columns of the table: epoch, step (steps done), train_loss (mean over the epoch's steps), valid_loss, valid_sdr (mean
over the sources, dB), valid_sdr_SOURCE, learning_rate (of the last step), seconds (of the whole epoch), of them
waiting_seconds (for data), computing_seconds (training steps), validating_seconds and saving_seconds (checkpoints that
were taken since the epoch before), and skipped_steps (fp16: steps left out because a gradient overflowed).
"""

import math
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from sepnb import __version__
from sepnb.errors import SepnbError
from sepnb.files import read_json, write_json, written_whole
from sepnb.training.checkpoints import generations, slots, whole
from sepnb.training.divergence import Watch
from sepnb.training.recipes import Recipe

JSON, CSV = "history.json", "history.csv"
# What a run leaves; the history comes last, because it is what says that the rest is complete.
RESULTS = ("model.json", "weights.safetensors", CSV, JSON)


@dataclass
class Epoch:
    """Sums over the steps of the epoch that is under way. Times in seconds."""

    loss: float = 0.0
    steps: int = 0
    skipped: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    computing: float = 0.0
    saving: float = 0.0

    @property
    def mean_loss(self) -> float:
        """Mean over the steps that were taken; NaN where none was."""
        taken = self.steps - self.skipped
        return self.loss / taken if taken else math.nan

    def summary(self) -> dict[str, str]:
        """For the progress bar."""
        return {"loss": f"{self.mean_loss:.4f}", "waiting": f"{self.waiting / max(1e-9, self.seconds):.0%}"}


@dataclass
class Progress:
    """Where a run stands, but for its tensors: plain values, as they go into a checkpoint."""

    step: int = 0  # steps done
    rows: list[dict] = field(default_factory=list)  # an epoch each
    best_epoch: int | None = None
    best_sdr: float = math.nan
    epoch: Epoch = field(default_factory=Epoch)
    watch: Watch = field(default_factory=Watch)
    sessions: list[dict] = field(default_factory=list)

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Progress":
        return cls(**{**values, "epoch": Epoch(**values["epoch"]), "watch": Watch(**values["watch"])})

    def end_step(self, loss: float, skipped: bool, waiting: float, seconds: float) -> None:
        """Count a step in. waiting: seconds until its batch was there; seconds: of the whole step."""
        self.step += 1
        self.epoch.steps += 1
        self.epoch.skipped += skipped
        if not skipped:
            self.epoch.loss += loss
        self.epoch.waiting += waiting
        self.epoch.computing += seconds - waiting
        self.epoch.seconds += seconds

    def save(self, seconds: float) -> None:
        """Count the time of a checkpoint in."""
        self.epoch.saving += seconds
        self.epoch.seconds += seconds

    def end_epoch(self, scores: dict[str, float], learning_rate: float, validating: float) -> dict:
        """Add the row of the epoch that is done, and begin the next one; returns the row."""
        done = self.epoch
        row = {
            "epoch": len(self.rows) + 1,
            "step": self.step,
            "train_loss": done.mean_loss,
            **scores,
            "learning_rate": learning_rate,
            "seconds": done.seconds + validating,
            "waiting_seconds": done.waiting,
            "computing_seconds": done.computing,
            "validating_seconds": validating,
            "saving_seconds": done.saving,
            "skipped_steps": done.skipped,
        }
        self.rows.append(row)
        self.epoch = Epoch()
        return row

    def is_best(self) -> bool:
        """Whether the last epoch has the best validation SDR so far (where there is none, the last is the best)."""
        now = self.rows[-1]["valid_sdr"]
        return self.best_epoch is None or math.isnan(self.best_sdr) or now > self.best_sdr


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    return {
        "sepnb": __version__,
        "torch": version("torch"),
        "accelerate": version("accelerate"),
        "python": platform.python_version(),
    }


def write_history(folder: Path, about: dict, progress: Progress, stopped: str | None, finished: bool = False) -> None:
    """Write both files anew. The JSON file comes last: when it says that the run is finished, all the rest is there."""
    with written_whole(folder / CSV) as partial:
        pd.DataFrame(progress.rows).to_csv(partial, index=False)
    state = {"finished": finished, "stopped": stopped, "best_epoch": progress.best_epoch}
    epochs = [{key: _plain(value) for key, value in row.items()} for row in progress.rows]
    write_json(folder / JSON, {**about, **state, "sessions": progress.sessions, "epochs": epochs})


def read_history(run: Path | str) -> pd.DataFrame:
    """A run's history, a row an epoch; raises SepnbError where no epoch has been done."""
    path = Path(run) / CSV
    if not path.is_file() or not path.read_text().strip():
        raise SepnbError(f"{run} holds no history of training: no epoch has been finished there")
    return pd.read_csv(path)


def read_recipe(run: Path | str) -> Recipe:
    """The recipe that a run was trained with: from its history, or where that cannot be read, from a checkpoint."""
    path = Path(run) / JSON
    problem = f"it has no {JSON}"
    if path.is_file():
        try:
            return Recipe.from_dict(read_json(path).get("recipe", {}))
        except SepnbError as error:
            problem = str(error)
    found, _ = whole([*(kept for _, kept in generations(Path(run))), *slots(Path(run))])
    if not found:
        raise SepnbError(f"{run} holds no training run that can be read: {problem}")
    return Recipe.from_dict(found[0][1]["about"]["recipe"])


def _plain(value: object) -> object:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
