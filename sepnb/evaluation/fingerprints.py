"""What a finished pair depended on, so that a later run can tell whether it still stands."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sepnb.evaluation.pairs import METRICS_VERSION, Pair

PIECE = 2**20  # bytes that are looked at in the beginning, the middle and the end of a file


@dataclass(frozen=True)
class Needed:
    """A file that scores depend on, and what it is to them: the track's vocals.wav is not the estimates'."""

    role: str  # track or estimates
    name: str  # below the folder that all files of this role are in
    path: Path

    def __str__(self) -> str:
        return f"the file {self.name} of the {self.role}"


def dependence(pair: Pair) -> dict[str, Any]:
    """All that the scores of a pair depend on, beside the files: the system, the cut of the track, the metrics."""
    track = pair.track
    return {
        "system": pair.system.description,
        "track": {
            "sources": list(track.sources),
            "rate": track.rate,
            "channels": track.channels,
            "first sample": track.first,
            "samples": track.samples,
        },
        "metrics": METRICS_VERSION,
    }


def files(pair: Pair) -> tuple[Needed, ...]:
    """The files that the scores of a pair depend on: the track's, and the estimates where they are files too."""
    of_system = getattr(pair.system.source, "files", None)
    estimates = of_system(pair.track) if of_system else ()
    return (*_needed("track", pair.track.files), *_needed("estimates", estimates))


def marks(needed: Iterable[Needed]) -> list[dict[str, Any]]:
    """Role, name, size, time and digest of each file."""
    found = []
    for file in needed:
        size, mtime = _stat(file.path)
        mark = {"role": file.role, "name": file.name, "size": size, "mtime_ns": mtime}
        found.append({**mark, "digest": _digest(file.path, size, mtime)})
    return found


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two dependences, in words."""
    said = []
    for part in now.keys() | before.keys():
        old, new = before.get(part), now.get(part)
        if isinstance(old, dict) and isinstance(new, dict):
            names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            said += [f"{name} was {old.get(name)}, is {new.get(name)}" for name in names]
        elif old != new:
            said.append(f"{part} was {old}, is {new}")
    return sorted(said)


def changed_files(before: Iterable[Mapping[str, Any]], needed: Iterable[Needed]) -> list[str]:
    """The files that are not as they were marked, in words.

    A file of the same size and time counts as the same and is not opened. One of the same size and another time, as a
    copy has, counts as the same if it has the same bytes in a MiB each of its beginning, middle and end: whole songs
    are read over a network for nothing otherwise. A file that was changed elsewhere, to the same size, is taken for
    the old one.
    """
    known, said = {(mark["role"], mark["name"]): mark for mark in before}, []
    for file in needed:
        mark = known.pop((file.role, file.name), None)
        try:
            size, mtime = _stat(file.path)
            same = mark is not None and mark["size"] == size
            if not same or (mark["mtime_ns"] != mtime and mark["digest"] != _digest(file.path, size, mtime)):
                said.append(str(file))
        except OSError:
            said.append(str(file))
    return [*said, *(f"the file {name} of the {role}" for role, name in known)]


def _needed(role: str, paths: Iterable[Path]) -> list[Needed]:
    paths = [path.absolute() for path in paths]
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return [Needed(role, path.relative_to(root).as_posix(), path) for path in paths]


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime: int) -> str:
    # Size and time are there for the cache: several systems share a track, and its files are read once.
    found = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for begin in sorted({max(0, place) for place in (0, (size - PIECE) // 2, size - PIECE)}):
            file.seek(begin)
            found.update(file.read(PIECE))
    return found.hexdigest()
