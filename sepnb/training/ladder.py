"""The ladder: the same recipe on more and more songs for more and more epochs, and what each rung scores."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from accelerate import PartialState

from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.store import Store
from sepnb.training.history import read_history
from sepnb.training.loop import train
from sepnb.training.mirror import make_mirror
from sepnb.training.recipes import Recipe, find_recipe


@dataclass(frozen=True)
class Rung:
    """How many songs, and how many times they are heard: an epoch is as much music as its songs hold."""

    songs: int
    epochs: int

    @property
    def folder(self) -> str:
        """Name of its run's folder; sorted by name, rungs of up to 99 songs are in order."""
        return f"{self.songs:02}-songs-{self.epochs:02}-epochs"


LADDERS = {
    # The student report's.
    "report": (Rung(5, 50), Rung(10, 100), Rung(20, 200)),
    # Its songs with a fifth of its epochs, for excerpts of a few seconds.
    "short": (Rung(5, 10), Rung(10, 20), Rung(20, 40)),
    # The same shape, twice the songs and epochs from rung to rung, for eight songs and about a minute on two cores.
    "demo": (Rung(2, 1), Rung(4, 2), Rung(8, 4)),
}


def find_ladder(name: str) -> tuple[Rung, ...]:
    """The ladder of that name; raises SepnbError with the names there are."""
    if name not in LADDERS:
        raise SepnbError(f"no ladder {name!r}; there are {', '.join(LADDERS)}")
    return LADDERS[name]


def within_reach(rungs: Sequence[Rung], songs: int) -> tuple[Rung, ...]:
    """The rungs that so many songs are enough for; where the first is too high already, one with all of the songs."""
    return tuple(rung for rung in rungs if rung.songs <= songs) or (Rung(songs, rungs[0].epochs),)


def on_rung(recipe: Recipe, rung: Rung) -> Recipe:
    """The recipe as it is trained on a rung. How much a rung costs grows with the product of songs and epochs."""
    return replace(
        recipe, name=f"{recipe.name}-{rung.folder}", songs=rung.songs, epochs=rung.epochs, steps_per_epoch=None
    )


def run_ladder(
    store: Store | Path | str,
    out: Path | str,
    rungs: Sequence[Rung] | str,
    recipe: Recipe | str,
    device: str = "cpu",
    *,
    resume: bool = True,
    stop_after: float | None = None,
    mirror: Path | str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every rung in a folder of its own under `out`, and return a table with a row a finished rung.

    Finished rungs are not trained again, an interrupted one goes on. All rungs validate on the same songs.
    stop_after: seconds for all of them together; mirror: a second folder for their checkpoints and results.
    Columns: songs, epochs, steps, minutes, train_loss, valid_loss, valid_sdr and valid_sdr_SOURCE (dB; of the best
    epoch, whose weights are kept), run. Raises SepnbError if the store has too few songs, before anything is trained.
    """
    began = time.monotonic()
    store = store if isinstance(store, Store) else Store(store)
    recipe = find_recipe(recipe)
    rungs = find_ladder(rungs) if isinstance(rungs, str) else rungs
    there = sum(entry.subset == "train" for entry in store.entries)
    most = max(rung.songs for rung in rungs)
    if most > there:
        raise SepnbError(f"the ladder's last rung wants {most} training songs, {store.path} has {there}")
    if mirror is not None:
        make_mirror(Path(mirror))
    rows = []
    for rung in rungs:
        left = None if stop_after is None else stop_after - (time.monotonic() - began)
        run = train(
            store,
            Path(out) / rung.folder,
            on_rung(recipe, rung),
            device,
            resume=resume,
            # A rung that is finished is only opened; one that is not stops after one step.
            stop_after=None if left is None else max(0.0, left),
            mirror=None if mirror is None else Path(mirror) / rung.folder,
            progress=progress,
        )
        PartialState().wait_for_everyone()  # the main process writes what all of them read now
        if not read_json(run / "history.json")["finished"]:
            break
        rows.append(_row(run, rung))
    sources = (f"valid_sdr_{source}" for source in store.sources)
    columns = ["songs", "epochs", "steps", "minutes", "train_loss", "valid_loss", "valid_sdr", *sources, "run"]
    return pd.DataFrame(rows, columns=columns)


def ladder_history(out: Path | str) -> pd.DataFrame:
    """The histories of all rungs under a folder, below each other, with a column `run`: for the plot of the losses.

    A rung that was stopped in its first epoch has none yet. Raises SepnbError where no rung has any.
    """
    files = sorted(Path(out).glob("*-songs-*-epochs/history.csv"), key=_songs_and_epochs)
    runs = [path.parent for path in files if path.read_text().strip()]
    if not runs:
        raise SepnbError(f"{out} holds no rung of a ladder with an epoch that is done: run one first")
    return pd.concat([read_history(run).assign(run=run.name) for run in runs], ignore_index=True)


def _songs_and_epochs(history: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in history.parent.name.split("-") if part.isdigit())


def _row(run: Path, rung: Rung) -> dict[str, object]:
    history = read_history(run)
    best = history.set_index("epoch").loc[read_json(run / "history.json")["best_epoch"]]
    scores = {name: best[name] for name in history.columns if name.startswith(("train_loss", "valid_"))}
    return {
        "songs": rung.songs,
        "epochs": rung.epochs,
        "steps": int(history["step"].iloc[-1]),
        "minutes": history["seconds"].sum() / 60,
        **scores,
        "run": str(run),
    }
