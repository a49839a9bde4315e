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

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.evaluation.fingerprints import changed, changed_files, dependence, files, marks
from sepnb.evaluation.museval_json import write_museval
from sepnb.evaluation.pairs import SCORES, SONG_SCORES, Failure, LeftOut, Pair, PairScores
from sepnb.figures.tables import markdown_table
from sepnb.files import file_name, read_json, write_json, write_text, written_whole
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
        except (SepnbError, OSError, AttributeError, LookupError, TypeError, ValueError) as error:
            return None, f"{path} is damaged ({Failure.of(error).reason})"
        return (None, "; ".join(differs)) if differs else (scores, "")

    def description(self, source: str) -> dict[str, Any] | None:
        """What a system given by this name or path was when a part of it was last written; None if none was."""
        parts = sorted(self.folder.glob("parts/*/*/[!.]*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in parts:
            try:
                part = read_json(path)
                if part["source"] == source and isinstance(part["depends_on"]["system"]["name"], str):
                    return part["depends_on"]["system"]
            except (SepnbError, LookupError, TypeError):  # a damaged part says nothing; `finished` names it
                continue
        return None

    def keep(self, pair: Pair, scores: PairScores) -> None:
        """Write a finished pair, whole or not at all."""
        part = {
            "system": pair.system.name,
            "source": pair.system.source if isinstance(pair.system.source, str) else None,
            "track": pair.track.name,
            "subset": pair.track.subset,
            "depends_on": dependence(pair),
            "files": marks(files(pair)),
            **_as_json(scores),
        }
        write_json(self._path("parts", pair), part)

    def finish(self, done: Sequence[tuple[Pair, PairScores]], left_out: Sequence[LeftOut], waiting: int = 0) -> None:
        """Write the tables, museval's files and the summary of the pairs that were asked for.

        `waiting` is how many pairs were not come to, in a run that was stopped.
        """
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
        write_text(self.folder / "README.md", _readme(table, songs, left_out, notes, waiting))

    def _path(self, kind: str, pair: Pair) -> Path:
        system, track = (file_name(name, distinct=True) for name in (pair.system.name, pair.track.name))
        return self.folder / kind / system / pair.track.subset / f"{track}.json"


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
    """Scores as `_as_json` wrote them; raises what one gets who looks into anything else."""
    by_target = part["scores"]
    targets = tuple(by_target)
    columns = {
        name: np.array([by_target[target][name] for target in targets], np.float64) for name in (*SCORES, *SONG_SCORES)
    }
    frames = columns["SDR"].shape[1:]
    for name, values in columns.items():
        expected = (len(targets), *(frames if name in SCORES else ()))
        if not targets or len(frames) != 1 or values.shape != expected:
            raise ValueError(f"{name} of {len(targets)} targets has shape {values.shape}")
    return PairScores(
        targets,
        {name: columns[name] for name in SCORES},
        {name: columns[name] for name in SONG_SCORES},
        tuple(str(note) for note in part["notes"]),
    )


def _readme(
    table: pd.DataFrame,
    songs: pd.DataFrame,
    left_out: Sequence[LeftOut],
    notes: Mapping[str, Sequence[str]],
    waiting: int,
) -> str:
    lines = [
        "# Scores",
        "",
        f"Systems: {table['system'].nunique()}. Tracks: {table['track'].nunique()}. In dB, median over tracks of the "
        "median over 1-second frames (BSSEval v4); uSDR is the mean SDR of whole songs, as in the MDX challenge.",
        "",
    ]
    if waiting:
        lines += [f"The run was stopped: {waiting} pairs of system and track are to come. The same again goes on.", ""]
    for metric in SCORES:
        lines += [f"## {metric}", "", markdown_table(medians(table, metric))]
    mean = songs.groupby(["system", "target"], sort=False)["uSDR"].mean().unstack("target")
    lines += ["## uSDR", "", markdown_table(mean)]
    if left_out:
        lines += ["## Left out", "", *(f"- {left}" for left in left_out), ""]
    if notes:
        lines += ["## Notes", "", *(f"- {pair}: {'; '.join(said)}" for pair, said in notes.items()), ""]
    lines += [
        "scores.csv: a row a frame. tracks.csv: a row a track, with uSDR and SI-SAR over the whole song. "
        "museval/: the format of museval. parts/: finished pairs, by which a stopped run goes on.",
    ]
    return "\n".join(lines) + "\n"
