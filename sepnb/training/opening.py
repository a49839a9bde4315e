"""Opening the folder of a run: is it new, to be gone on with, finished, or somebody else's?"""

import json
import warnings
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.files import written_whole
from sepnb.training.checkpoints import FOLDER, generations, newest, remove_checkpoints
from sepnb.training.history import JSON, RESULTS
from sepnb.training.matching import check_same, is_finished
from sepnb.training.mirror import Mirror, bring_up_to_date, look_at


def open_run(out: Path, mirror: Mirror | None, about: dict, resume: bool) -> tuple[bool, dict | None]:
    """(whether the run is finished, the checkpoint to go on from, if any).

    A run that finished in the mirror only is copied back to `out`, and one that finished in `out` only to the mirror.
    With `resume`, the newest whole checkpoint of both folders counts; without any, the run begins anew, which gives
    the same as going on would have. A mirror that is away is left out of account, with a warning.
    Raises SepnbError where a folder holds another run, or one that is unfinished and `resume` is not asked for.
    """
    about = json.loads(json.dumps(about))  # as it reads in a history: tuples have become lists
    try:
        out.mkdir(parents=True, exist_ok=True)
        for folder in (out, out / FOLDER):
            for partial in folder.glob(".partial-*"):  # of a process that was killed
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise SepnbError(f"{out} cannot be written ({error}): give another folder") from error
    if is_finished(out, about):
        if mirror is not None:
            bring_up_to_date(mirror, out)
        remove_checkpoints(out)  # of a process that was killed when all else was done
        return True, None
    there = None if mirror is None else look_at(mirror)
    if there is not None and there.results:
        for name in RESULTS:
            with written_whole(out / name) as partial:
                partial.write_bytes(there.results[name])
        remove_checkpoints(out)
        return True, None
    if not resume:
        if generations(out) or (out / JSON).is_file():
            raise _unfinished(out)
        if there is not None and there.begun:
            raise _unfinished(mirror.folder)
        return False, None
    found, problems = newest(out)
    if there is not None:
        problems = problems + there.problems
        further = there.checkpoint and (found is None or there.step > found[1]["progress"]["step"])
        found = there.checkpoint if further else found
    if found is None:
        if problems:
            raise SepnbError(
                f"there is no checkpoint to go on from: {'; '.join(problems)}. Try again where that may pass, or "
                f"remove the run's folder {out} and begin anew"
            )
        return False, None
    path, state = found
    check_same(path, state["about"], about)
    _warn_of_other_bits(state["about"], about)
    return False, state


def _unfinished(run: Path) -> SepnbError:
    return SepnbError(
        f"{run} holds an unfinished run: go on with it (resume=True, on the command line --resume), "
        "or give another folder"
    )


def _warn_of_other_bits(found: dict, now: dict) -> None:
    """Say what makes sums round otherwise than in the session before."""
    for key, words in {"threads": "threads", "device": "device", "precision": "precision", "torch": "torch"}.items():
        if found.get(key) != now[key]:
            warnings.warn(
                f"this run was last trained with {words} {found.get(key)} and goes on with {now[key]}: its weights "
                "will differ in their last bits from those of a run that was never stopped",
                stacklevel=2,
            )
