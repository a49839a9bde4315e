"""Opening the folder of a run: is it new, to be gone on with, finished, or somebody else's?"""

import json
import warnings
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.files import checksum, read_json, written_whole
from sepnb.training.checkpoints import generations, newest
from sepnb.training.history import JSON
from sepnb.training.keeping import RESULTS
from sepnb.training.recipes import Recipe

# What must be the same for a run to be gone on with, in words.
SAME = {"recipe": "recipe", "store": "store", "processes": "number of processes"}


def open_run(out: Path, mirror: Path | None, about: dict, resume: bool) -> tuple[bool, dict | None]:
    """(whether the run is finished, the checkpoint to go on from, if any).

    A run that finished in the mirror only is copied back to `out`. With `resume`, the newest whole checkpoint of both
    folders counts; without any, the run begins anew, which gives the same as going on would have.
    Raises SepnbError where a folder holds another run, or one that is unfinished and `resume` is not asked for.
    """
    about = json.loads(json.dumps(about))  # as it reads in a history: tuples have become lists
    for run in filter(None, (out, mirror)):
        run.mkdir(parents=True, exist_ok=True)
        for partial in run.rglob(".partial-*"):  # of a process that was killed
            partial.unlink(missing_ok=True)
    if is_finished(out, about):
        return True, None
    if mirror is not None and is_finished(mirror, about):
        for name in RESULTS:
            with written_whole(out / name) as partial:
                partial.write_bytes((mirror / name).read_bytes())
        return True, None
    if not resume:
        for run in filter(None, (out, mirror)):
            if (run / JSON).is_file() or generations(run):
                raise SepnbError(
                    f"{run} holds an unfinished run: go on with it (resume=True, on the command line --resume), "
                    "or give another folder"
                )
        return False, None
    found = newest((out, mirror))
    if found is None:
        return False, None
    path, state = found
    _check_same(path, state["about"], about)
    _warn_of_other_bits(state["about"], about)
    for run in filter(None, (out, mirror)):
        for step, later in generations(run):
            if step > state["progress"]["step"]:
                later.unlink()
    return False, state


def is_finished(run: Path, about: dict) -> bool:
    """Whether a folder holds this run, finished, with nothing torn: its files are as they were when it ended.

    Raises SepnbError if it holds another run.
    """
    if not (run / JSON).is_file():
        return False
    try:
        history = read_json(run / JSON)
    except SepnbError as error:
        warnings.warn(f"{error}: it is left out of account", stacklevel=2)
        return False
    finished = bool(history.get("finished"))
    # How many processes trained it does not matter to a finished model.
    _check_same(run, history, {key: about[key] for key in SAME if not (finished and key == "processes")}, finished)
    return finished and all(
        (run / name).is_file() and checksum(run / name) == digest for name, digest in history["checksums"].items()
    )


def _check_same(where: Path, found: dict, asked: dict, finished: bool = False) -> None:
    # A setting that a recipe of an earlier version does not know has the value that it has by default.
    found = {**found, "recipe": json.loads(json.dumps(Recipe.from_dict(found["recipe"]).as_dict()))}
    differing = [words for key, words in SAME.items() if key in asked and found.get(key) != asked[key]]
    if differing:
        kind = "a finished" if finished else "an unfinished"
        raise SepnbError(f"{where} holds {kind} run with another {' and '.join(differing)}: give another folder")


def _warn_of_other_bits(found: dict, now: dict) -> None:
    """Say what makes sums round otherwise than in the session before."""
    for key, words in {"threads": "threads", "device": "device", "precision": "precision", "torch": "torch"}.items():
        if found.get(key) != now[key]:
            warnings.warn(
                f"this run began with {words} {found.get(key)} and goes on with {now[key]}: its weights will differ in "
                "their last bits from those of a run that was never stopped",
                stacklevel=2,
            )
