"""What a finished pair depended on, so that a later run can tell whether it still stands."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sepnb.evaluation.pairs import METRICS_VERSION, Pair
from sepnb.files import checksum


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


def files(pair: Pair) -> tuple[Path, ...]:
    """The files that the scores of a pair depend on: the track's, and the estimates where they are files too."""
    of_system = getattr(pair.system.source, "files", None)
    return (*pair.track.files, *(of_system(pair.track) if of_system else ()))


def marks(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Name, size, time and checksum of each file."""
    return [_mark(path, *_stat(path)) for path in paths]


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


def changed_files(before: Iterable[Mapping[str, Any]], paths: Iterable[Path]) -> list[str]:
    """Names of files that are not as they were marked.

    A file of the same size and time counts as the same; one that was copied, and so has another time, is read.
    """
    known, said = {mark["name"]: mark for mark in before}, []
    for path in paths:
        mark = known.pop(path.name, None)
        try:
            size, mtime = _stat(path)
        except OSError:
            said.append(f"the file {path.name}")
            continue
        same = mark is not None and mark["size"] == size
        if not same or (mark["mtime_ns"] != mtime and mark["sha256"] != _digest(path, size, mtime)):
            said.append(f"the file {path.name}")
    return [*said, *(f"the file {name}" for name in known)]


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _mark(path: Path, size: int, mtime: int) -> dict[str, Any]:
    return {"name": path.name, "size": size, "mtime_ns": mtime, "sha256": _digest(path, size, mtime)}


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime: int) -> str:
    # Size and time are there for the cache: several systems share a track, and its files are read once.
    return checksum(path)
