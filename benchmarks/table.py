"""Measuring two ways side by side, and printing what came out."""

import gc
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sepnb.files import write_json

RESULTS = Path(__file__).resolve().parents[1] / "build" / "bench"


@dataclass(frozen=True)
class Row:
    """One comparison: what was done, by us and by a peer, in `unit`; `why_not` says why a peer could not run."""

    what: str
    unit: str
    ours: float
    peer_name: str
    peer: float | None
    less_is_better: bool = False  # true of seconds, false of chunks a second
    why_not: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; None where the peer could not run."""
        if self.peer is None:
            return None
        return self.peer / self.ours if self.less_is_better else self.ours / self.peer


def seconds_side_by_side(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int = 7
) -> tuple[float, float]:
    """Median seconds of a call of each. They take turns, so that a busy machine is as hard on one as on the other."""
    ways = (ours, peer)
    for way in ways:
        way()  # the first call pays for imports and for files that are not in memory yet
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for way, taken in zip(ways, times, strict=True):
            taken.append(_seconds(way))
    return statistics.median(times[0]), statistics.median(times[1])


def seconds_alone(ours: Callable[[], object], rounds: int = 7) -> float:
    """Median seconds of a call, for where there is no peer to take turns with."""
    ours()
    return statistics.median(_seconds(ours) for _ in range(rounds))


def _seconds(way: Callable[[], object]) -> float:
    gc.collect()
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


def missing_programs(*names: str) -> str:
    """A sentence that says which programs are not on PATH; empty if all are."""
    missing = [name for name in names if shutil.which(name) is None]
    return f"cannot run: no {' and no '.join(missing)} program here" if missing else ""


def show(name: str, title: str, rows: list[Row]) -> None:
    """Print the rows as a table, and write them to build/bench/NAME.json."""
    cells = [("", "ours", "peer", "", "ratio")]
    for row in rows:
        if row.peer is None:
            cells.append((row.what, _number(row.ours, row.unit), f"{row.peer_name}: {row.why_not}", "", "–"))
        else:
            cells.append(
                (row.what, _number(row.ours, row.unit), row.peer_name, _number(row.peer, row.unit), f"{row.ratio:.3g}×")
            )
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    print(f"\n{title}")
    for what, ours, peer_name, peer, ratio in cells:
        print(
            f"  {what:<{widths[0]}}  {ours:>{widths[1]}}   {peer_name:<{widths[2]}} {peer:>{widths[3]}}   "
            f"{ratio:>{widths[4]}}"
        )
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    measured = [{**asdict(row), "ratio": row.ratio} for row in rows]
    write_json(RESULTS / f"{name}.json", {"title": title, "machine": machine, "rows": measured})


def _number(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
