"""Noticing that training has gone wrong, and saying where: which step, which batch."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from sepnb.errors import SepnbError
from sepnb.files import write_json

# The loss counts as diverging when the median of the last WINDOW steps is above both limits: twice what silence
# scores (every loss here is at most 1 for silence, so a network that says nothing is never above it), and FAR times
# the best such median so far (an untrained network may begin far above silence; that is no divergence if it comes
# down). The median, because single odd batches are ordinary: up to 12 of 25 steps may be arbitrarily bad.
WINDOW = 25
WORSE_THAN_SILENCE = 2.0
FAR = 4.0


class TrainingDiverged(SepnbError):
    """The loss is no longer a number, or far worse than it was."""


@dataclass
class Watch:
    """Follows the loss. Its fields are plain values and belong into a checkpoint."""

    recent: list[float] = field(default_factory=list)
    best: float | None = None
    skipped_in_a_row: int = 0

    @property
    def limit(self) -> float:
        """The median loss from which on training counts as diverging."""
        return math.inf if self.best is None else max(WORSE_THAN_SILENCE, FAR * self.best)

    @property
    def calm(self) -> bool:
        """Whether the last loss was an ordinary one, and its gradient a number, so that the state is worth keeping."""
        return self.skipped_in_a_row == 0 and (not self.recent or self.recent[-1] <= self.limit)

    def problem(self, loss: float, norm: float, scaling: bool) -> str | None:
        """What is wrong with a step, before the weights take it; None if nothing is.

        With loss scaling (fp16), a step whose gradient overflows is left out and the scale lowered: that is normal,
        a long series of them is not.
        """
        if math.isfinite(loss) and math.isfinite(norm):
            self.skipped_in_a_row = 0
            return self._diverging(loss)
        if scaling:
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row < WINDOW:
                return None
            return f"{WINDOW} steps in a row had gradients too large for fp16, however small the scale"
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        return f"the norm of the gradient is {norm} (the loss is {loss:.4g})"

    def _diverging(self, loss: float) -> str | None:
        self.recent = [*self.recent, loss][-WINDOW:]
        if len(self.recent) < WINDOW:
            return None
        now = median(self.recent)
        if now > self.limit:
            return f"the loss diverges: its median over {WINDOW} steps is {now:.4g} and was {self.best:.4g} at its best"
        self.best = now if self.best is None else min(self.best, now)
        return None


def divergence(out: Path, problem: str, where: dict, checkpoint: Path | None, write: bool = True) -> TrainingDiverged:
    """The error to raise, with its details written to `out/diverged.json`.

    where: epoch, step, batch (its number), loss, gradient_norm, learning_rate, examples (what the batch held).
    """
    details = {"problem": problem, **where, "checkpoint": None if checkpoint is None else str(checkpoint)}
    details = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in details.items()}
    if write:
        write_json(out / "diverged.json", details)
    kept = (
        f"the last good state is {checkpoint}; going on from it with the same recipe comes to the same end"
        if checkpoint
        else "no checkpoint had been written yet"
    )
    return TrainingDiverged(
        f"epoch {where['epoch']}, step {where['step']}: {problem}. The last batch was number {where['batch']}, "
        f"with {_songs(where['examples'])} (all of it in {out / 'diverged.json'}). Try a smaller learning rate than "
        f"{where['learning_rate']:.3g}, a longer warm-up, or a smaller clip, in a new folder; {kept}"
    )


def _songs(examples: list[dict[str, dict]]) -> str:
    """The first example of a batch in words, and how many more there are."""
    parts = (f"{source} of {part['song']!r} at {part['start']:.1f} s" for source, part in examples[0].items())
    return " + ".join(parts) + (f" and {len(examples) - 1} more examples" if len(examples) > 1 else "")
