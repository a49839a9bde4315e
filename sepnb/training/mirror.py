"""The second folder of a run, on Google Drive say: slow, now and then away, and not to be filled.

What a synchronised folder replaces or loses goes to its server's bin and goes on counting there. So files are
overwritten in place here, two checkpoints in turn; a checksum in each tells one that was torn on the way.
"""

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.files import checksum
from sepnb.training.background import Job
from sepnb.training.checkpoints import FOLDER, SLOTS, generations, slots, whole
from sepnb.training.history import JSON, RESULTS
from sepnb.training.matching import check_same, is_finished

# How long a run waits for the second folder where it has to, in seconds.
PATIENCE = 300.0


@dataclass
class Found:
    """What lies in a second folder."""

    results: dict[str, bytes] = field(default_factory=dict)  # of a finished run, by file name
    begun: bool = False  # whether there is anything of a run
    checkpoint: tuple[Path, dict] | None = None  # the newest that is whole
    problems: list[str] = field(default_factory=list)  # what is wrong with the others

    @property
    def step(self) -> float:
        """How far the run is there; a finished one is as far as can be."""
        if self.results:
            return math.inf
        return 0 if self.checkpoint is None else self.checkpoint[1]["progress"]["step"]


def make_folder(folder: Path) -> None:
    """Make a folder in one that exists: where a drive is not mounted, nothing shall grow in its place.

    Raises FileNotFoundError where the folder around it is not there, or another OSError.
    """
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.parent}")
    folder.mkdir(exist_ok=True)


def make_mirror(folder: Path) -> None:
    """`make_folder` for a folder of several runs' second folders, with a warning where it cannot be made."""
    try:
        Job(lambda: make_folder(folder)).within(PATIENCE)
    except OSError as error:
        warnings.warn(f"the second folder {folder} cannot be used now ({error})", stacklevel=2)


class Mirror:
    """A folder that follows a run. Everything here may hang or raise OSError: it belongs into a background job."""

    def __init__(self, folder: Path, about: dict) -> None:
        self.folder = folder
        self._about = about
        self._step = -1.0  # of the newest checkpoint there; below 0: not looked at yet
        self._newest: str | None = None  # the name of the file that holds it

    def look(self) -> Found:
        """What is there; the folder is made if need be. Raises SepnbError where it holds another run."""
        make_folder(self.folder)
        if is_finished(self.folder, self._about):
            return Found({name: (self.folder / name).read_bytes() for name in RESULTS}, begun=True)
        paths = slots(self.folder)
        states, problems = whole(paths)
        newest = max(states, key=lambda found: found[1]["progress"]["step"], default=None)
        if newest is not None:
            check_same(newest[0], newest[1]["about"], self._about)
        return Found(begun=bool(paths) or (self.folder / JSON).is_file(), checkpoint=newest, problems=problems)

    def follow(self, out: Path, last: bool = False) -> None:
        """Bring the folder up to date with the run in `out`: its newest checkpoint, then its results.

        What is further there than in `out` is left as it is. last: the run is finished, one checkpoint is enough.
        """
        if self._step < 0:
            found = self.look()
            self._step = found.step
            self._newest = found.checkpoint and found.checkpoint[0].name
        # It was there before: if it is not now, a drive was unmounted.
        elif not self.folder.is_dir():
            raise FileNotFoundError(f"there is no folder {self.folder}")
        for step, path in generations(out)[:1]:
            if step < self._step:
                return
            if step > self._step:
                # Never the one that is known to be good: this one is torn until all of it is written.
                other = next(name for name in SLOTS if name != self._newest)
                _overwrite(self.folder / FOLDER / other, path.read_bytes())
                self._step, self._newest = step, other
        if self._step == math.inf:
            return
        for name in RESULTS:
            here, there = out / name, self.folder / name
            if here.is_file() and not (there.is_file() and checksum(here) == checksum(there)):
                _overwrite(there, here.read_bytes())
        if last:
            for path in slots(self.folder):
                if path.name != self._newest:
                    path.write_bytes(b"")  # a bin keeps what is removed: let it be nothing
                    path.unlink()


def look_at(mirror: Mirror) -> Found | None:
    """What lies in a second folder; None, and a warning, where it is away or does not answer.

    Raises SepnbError where it holds another run.
    """
    try:
        return Job(mirror.look).within(PATIENCE)
    except OSError as error:
        warnings.warn(
            f"the second folder {mirror.folder} cannot be used now ({error}): what may be in it is left out of "
            "account, and copying to it is tried again later",
            stacklevel=2,
        )
        return None


def bring_up_to_date(mirror: Mirror, out: Path) -> None:
    """Copy a finished run to its second folder, or warn that this cannot be done."""
    try:
        Job(lambda: mirror.follow(out, last=True)).within(PATIENCE)
    except (OSError, SepnbError) as error:
        warnings.warn(f"the second folder {mirror.folder} cannot be written ({error}); all is in {out}", stacklevel=2)


def _overwrite(path: Path, content: bytes) -> None:
    """Give a file another content without making another file of it."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
