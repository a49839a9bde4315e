"""Whether what lies in a folder is the run that is asked for, and whether it is finished."""

import json
import warnings
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.files import checksum, read_json
from sepnb.training.history import JSON
from sepnb.training.recipes import Recipe

# What must be the same for a run to be gone on with, in words.
SAME = {"recipe": "recipe", "store": "store", "processes": "number of processes"}


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
    check_same(run, history, {key: about[key] for key in SAME if not (finished and key == "processes")}, finished)
    checksums = history.get("checksums")
    return (
        finished
        and bool(checksums)
        and all((run / name).is_file() and checksum(run / name) == digest for name, digest in checksums.items())
    )


def check_same(where: Path, found: dict, asked: dict, finished: bool = False) -> None:
    """Raise SepnbError, saying what differs, unless `found` (a history, or a checkpoint's) is of the run `asked`."""
    # A setting that a recipe of an earlier version does not know has the value that it has by default.
    recipe = json.loads(json.dumps(Recipe.from_dict(found.get("recipe", {})).as_dict()))
    found = {**found, "recipe": recipe}
    differing = [key for key in SAME if key in asked and found.get(key) != asked[key]]
    if not differing:
        return
    details = []
    if "recipe" in differing:
        details = [f"{name} {there} there, {here} asked" for name, there, here in _changes(recipe, asked["recipe"])]
    if "processes" in differing:
        details.append(f"{found.get('processes')} processes there, {asked['processes']} asked")
    kind = "a finished" if finished else "an unfinished"
    raise SepnbError(
        f"{where} holds {kind} run with another {' and '.join(SAME[key] for key in differing)}"
        + (f" ({'; '.join(details)})" if details else "")
        + ": give another folder"
        + (", or give the recipe another name" if "recipe" in differing else "")
    )


def _changes(there: dict, here: dict, before: str = "") -> list[tuple[str, object, object]]:
    """The values that differ in two recipes, as (name, there, here); of groups (augment, settings) name by name."""
    changes = []
    for name in sorted(there.keys() | here.keys()):
        one, other = there.get(name), here.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            changes += _changes(one, other, f"{before}{name}.")
        elif one != other:
            changes.append((f"{before}{name}", one, other))
    return changes
