"""The folder that an evaluation leaves, part by part.

    OUT/parts/SYSTEM/SUBSET/TRACK.json      one finished pair: its scores, and what they depend on
    OUT/museval/SYSTEM/SUBSET/TRACK.json    the same scores as museval writes them
    OUT/scores.csv                          the table, a row a system, track, target and frame
    OUT/tracks.csv                          a row a system, track and target: medians, and scores over the whole song
    OUT/README.md                           medians over the tracks, and what was left out
    OUT/left_out.json                       what was not scored, and why

A part is written whole as soon as its pair is finished, so a run can be stopped at any time; the others are written
at the end, of the pairs that were asked for. Parts of other systems and tracks stay for the run that asks for them.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.evaluation.fingerprints import changed, changed_files, dependence, files, marks
from sepnb.evaluation.museval_json import write_museval
from sepnb.evaluation.pairs import SCORES, LeftOut, Pair, PairScores
from sepnb.files import read_json, write_json, write_text, written_whole
from sepnb.metrics import medians


class Results:
    """The folder of one evaluation: finished pairs are looked up and kept in it."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if self.folder.is_file():
            raise SepnbError(f"{self.folder} is a file; scores are written to a folder: name another")

    def finished(self, pair: Pair) -> tuple[PairScores | None, str]:
        """The scores of a pair that was finished before and still stands; or None, and why it is scored again.

        Nothing is said of a pair that was never scored.
        """
        path = self._path("parts", pair)
        if not path.exists():
            return None, ""
        try:
            part = read_json(path)
            differs = changed(part["depends_on"], dependence(pair)) + changed_files(part["files"], files(pair))
            scores = _from_json(part)
        except (SepnbError, KeyError, TypeError) as error:
            return None, f"{path} is damaged ({error})"
        return (None, "; ".join(differs)) if differs else (scores, "")

    def keep(self, pair: Pair, scores: PairScores) -> None:
        """Write a finished pair, whole or not at all."""
        part = {
            "system": pair.system.name,
            "track": pair.track.name,
            "subset": pair.track.subset,
            "depends_on": dependence(pair),
            "files": marks(files(pair)),
            **_as_json(scores),
        }
        write_json(self._path("parts", pair), part)

    def finish(self, done: Sequence[tuple[Pair, PairScores]], left_out: Sequence[LeftOut]) -> None:
        """Write the tables, museval's files and the summary of the pairs that were asked for."""
        write_json(self.folder / "left_out.json", {"left_out": [vars(left) for left in left_out]})
        if not done:
            return
        table = pd.concat([scores.table(p.system.name, p.track.name) for p, scores in done], ignore_index=True)
        songs = pd.concat([scores.song_table(p.system.name, p.track.name) for p, scores in done], ignore_index=True)
        for name, frame in (("scores.csv", table), ("tracks.csv", songs)):
            with written_whole(self.folder / name) as partial:
                frame.to_csv(partial, index=False)
        for pair, scores in done:
            write_museval(self._path("museval", pair), scores)
        notes = {f"{pair.system.name} on {pair.track.name}": scores.notes for pair, scores in done if scores.notes}
        write_text(self.folder / "README.md", _readme(table, songs, left_out, notes))

    def _path(self, kind: str, pair: Pair) -> Path:
        return (
            self.folder / kind / file_name(pair.system.name) / pair.track.subset / f"{file_name(pair.track.name)}.json"
        )


def file_name(name: str) -> str:
    """A name as a file can have it on any system; what must be replaced is told apart by a few digits."""
    safe = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", name).strip(" .") or "_"
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _as_json(scores: PairScores) -> dict[str, Any]:
    by_target = {
        target: {
            **{name: values[row].tolist() for name, values in scores.frames.items()},
            **{name: float(values[row]) for name, values in scores.songs.items()},
        }
        for row, target in enumerate(scores.targets)
    }
    return {"scores": by_target, "notes": list(scores.notes)}


def _from_json(part: Mapping[str, Any]) -> PairScores:
    by_target = part["scores"]
    names = next(iter(by_target.values())).keys()
    arrays = {name: np.array([values[name] for values in by_target.values()], np.float64) for name in names}
    return PairScores(
        tuple(by_target),
        {name: values for name, values in arrays.items() if values.ndim == 2},
        {name: values for name, values in arrays.items() if values.ndim == 1},
        tuple(part["notes"]),
    )


def _readme(
    table: pd.DataFrame, songs: pd.DataFrame, left_out: Sequence[LeftOut], notes: Mapping[str, Sequence[str]]
) -> str:
    lines = [
        "# Scores",
        "",
        f"{table['system'].nunique()} systems, {table['track'].nunique()} tracks, dB: median over tracks of the median "
        "over 1-second frames (BSSEval v4); of uSDR the mean over tracks.",
        "",
    ]
    for metric in SCORES:
        lines += [f"## {metric}", "", markdown(medians(table, metric)), ""]
    mean = songs.groupby(["system", "target"], sort=False)["uSDR"].mean().unstack("target")
    lines += ["## uSDR", "", markdown(mean), ""]
    if left_out:
        lines += ["## Left out", "", *(f"- {left}" for left in left_out), ""]
    if notes:
        lines += ["## Notes", "", *(f"- {pair}: {'; '.join(said)}" for pair, said in notes.items()), ""]
    lines += [
        "scores.csv: a row a frame. tracks.csv: a row a track, with uSDR and SI-SAR over the whole song. "
        "museval/: the format of museval. parts/: finished pairs, by which a stopped run goes on.",
    ]
    return "\n".join(lines) + "\n"


def markdown(table: pd.DataFrame) -> str:
    """A table of numbers in Markdown, two decimals, rows by their index; a dash where there is none."""
    head = [str(table.index.name or ""), *map(str, table.columns)]
    rows = [
        [str(name), *(f"{v:.2f}" if np.isfinite(v) else "–" for v in row)]
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    rule = ["---", *["---:"] * len(table.columns)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in (head, rule, *rows))
