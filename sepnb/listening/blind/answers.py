"""Answers of a listening test, kept in a CSV file as they are given; and many such files read as one table."""

import contextlib
import csv
import io
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.files import file_name
from sepnb.listening.blind.design import ABX, QUESTIONS, RATING, Design, Trial, listener_name, role_of

_FIRST = ["test", "listener", "trial", "number", "trials", "rows", "track", "target"]
_LAST = ["took", "at"]
COLUMNS = {
    ABX: [*_FIRST, "a", "b", "x", "answer", "correct", "loudness_a", "loudness_b", "gain_a", "gain_b", *_LAST],
    RATING: [*_FIRST, "label", "system", "role", "question", "rating", "loudness", "gain", *_LAST],
}
# What no two rows of a table have in common; a row that has is the same answer twice.
_KEYS = {ABX: ["test", "listener", "trial"], RATING: ["test", "listener", "trial", "label", "question"]}
_NUMBERS = {"number", "trials", "rows", "rating", "took"} | {
    f"{what}{whose}" for what in ("loudness", "gain") for whose in ("", "_a", "_b")
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
SAME_GAIN = 0.2  # dB; a system computed again on another machine differs by far less, a system trained anew by more

Row = dict[str, str]
Rows = list[dict[str, object]]


class AnswerFile:
    """The answers of one listener to one test, in a CSV file: `done` holds the ids of the trials answered so far.

    `where`: a file ending in ".csv", which several listeners may share one after the other, or a folder, where each has
    a file of their own. The columns are those of `COLUMNS`: for ABX a row a trial, for ratings a row a sound and
    question; `trials` says how many trials the whole test has, `rows` how many rows belong to the trial, `took` is in
    seconds, `at` is UTC.

    A test that was stopped goes on: a line that was not written to its end, and a trial of which rows are missing, are
    cut off. Raises SepnbError where the file holds something else, answers to another test, or answers to this test
    with other sounds (a system that was trained anew).
    """

    def __init__(self, where: Path | str, design: Design, listener: str) -> None:
        self.design, self.listener = design, listener_name(listener)
        where = Path(where)
        self.path = where if where.suffix.lower() == ".csv" else where / _name(design.kind, self.listener)
        self.done: set[str] = set()
        self._trials = len(design.trials(self.listener))
        self._torn = False  # whether something was written half, and could not be taken back
        if self.path.exists():
            self._go_on()

    def add(self, trial: Trial, number: int, answer: "str | Mapping[str, Mapping[str, float]]", took: float) -> None:
        """Append the answer to a trial; when this returns it is on the disk.

        `answer`: of ABX "A" or "B", of ratings label → question → 0 to 100. `number`: the trial's place in the test,
        from 1. `took`: seconds. Raises OSError where it could not be written; it can be added again, and what was
        written of it is cut off at once or, where that fails too, before the next answer.
        """
        if self._torn:
            self._go_on()
        if trial.id in self.done:
            return
        rows = _abx_rows(trial, answer) if self.design.kind == ABX else _rating_rows(trial, answer)
        common = {
            "test": self.design.fingerprint,
            "listener": self.listener,
            "trial": trial.id,
            "number": number,
            "trials": self._trials,
            "rows": len(rows),
            "track": trial.item.track,
            "target": trial.item.target,
            "took": f"{took:.1f}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        before = self.path.stat().st_size if self.path.exists() else 0
        text = _text([{**common, **row} for row in rows], self.design.kind, header=before == 0)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file, self._torn = self.path.open("ab"), True
        try:
            with file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # a full disk: half of a line may be written, to which the next answer would be glued
            with contextlib.suppress(OSError):
                self._cut(before)
                self._torn = False
            raise
        self._torn = False
        self.done.add(trial.id)

    def _go_on(self) -> None:
        """Find what is answered already, and cut off what was not written to its end."""
        kind, rows, whole = _parsed(self.path)
        if rows and (kind != self.design.kind or {row["test"] for row in rows} != {self.design.fingerprint}):
            raise SepnbError(
                f"{self.path} holds the answers to another listening test (other songs, systems, questions or another "
                "seed): name another file or folder for this one"
            )
        gains = {
            (_one_line(item.track), _one_line(item.target), _one_line(condition)): gain
            for item in self.design.items
            for condition, gain in item.gains_db.items()
        }
        for row in rows:
            for condition, gain in _gains_in(row):
                if abs(gains.get((row["track"], row["target"], condition), np.inf) - gain) > SAME_GAIN:
                    raise SepnbError(
                        f"{self.path}: {condition!r} does not sound on {row['track']!r} as it did when these answers "
                        "were given (was it trained anew?): name another file or folder for the new sounds"
                    )
        if whole < self.path.stat().st_size:
            self._cut(whole)
        self._torn = False
        self.done = {row["trial"] for row in rows if row["listener"] == self.listener}

    def _cut(self, size: int) -> None:
        """Make the file as short as `size` bytes."""
        with self.path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())


def read_answers(
    where: Path | str | Iterable[Path | str], kind: str | None = None, *, several: bool = False
) -> pd.DataFrame:
    """The answers of all listeners in one table; columns as `AnswerFile` writes them, and `unfinished`.

    `unfinished` is how many trials of the test the row's listener has not answered yet.

    `where`: a file, a folder (all answer files in it; other CSV files are passed over), or several of them. `kind`:
    "abx" or "rating", needed where both are there. `several`: take answers to several tests together. Trials that were
    not written to their end are left out. Of a trial that is there twice (a file that was copied) the first counts, and
    a warning says so. Raises SepnbError where there are no answers, both kinds, answers to more than one test (unless
    `several`), answers to one test with different sounds, or a file that holds something else.
    """
    if kind not in (None, *COLUMNS):
        raise SepnbError(f"there are no answers of the kind {kind!r}: {' or '.join(COLUMNS)}")
    places = [where] if isinstance(where, (str, Path)) else list(where)
    tables: dict[str, list[tuple[Path, Row]]] = {ABX: [], RATING: []}
    for place in map(Path, places):
        found = sorted(path for path in place.glob("*.csv") if _is_answers(path)) if place.is_dir() else [place]
        for path in found:
            of_kind, rows, _ = _parsed(path)
            tables[of_kind] += [(path, row) for row in rows]
    there = [name for name, rows in tables.items() if rows and kind in (None, name)]
    if not there:
        raise SepnbError(f"there are no answers{f' of the kind {kind!r}' if kind else ''} in {_listed(places)}")
    if len(there) > 1:
        raise SepnbError(f'{_listed(places)} holds ABX answers and ratings: say which (kind="abx" or kind="rating")')
    found = tables[there[0]]
    if not several:
        _require_one_test(found)
    _require_same_sounds(found)
    return _typed(pd.DataFrame([row for _, row in found], columns=COLUMNS[there[0]]), there[0])


def _require_one_test(found: Iterable[tuple[Path, Row]]) -> None:
    files: dict[str, dict[str, None]] = {}
    for path, row in found:
        files.setdefault(row["test"], {})[str(path)] = None
    if len(files) > 1:
        said = "; ".join(f"{test} in {', '.join(paths)}" for test, paths in files.items())
        raise SepnbError(
            f"these are answers to {len(files)} tests (other songs, systems or another seed): {said}. Give the files "
            "of one test, or read_answers(…, several=True) to take them together"
        )


def _require_same_sounds(found: Iterable[tuple[Path, Row]]) -> None:
    """A test is named by what was asked; that the sounds were the same is told by the gains that matched them."""
    first: dict[tuple[str, ...], tuple[float, Path, str]] = {}
    for path, row in found:
        for condition, gain in _gains_in(row):
            key = (row["test"], row["track"], row["target"], condition)
            known, known_path, listener = first.setdefault(key, (gain, path, row["listener"]))
            if abs(known - gain) > SAME_GAIN:
                raise SepnbError(
                    f"{row['listener']} in {path} heard another {condition!r} on {row['track']!r} ({row['target']}) "
                    f"than {listener} in {known_path} (was it trained anew?): leave one of the files out"
                )


def _abx_rows(trial: Trial, answer: str) -> Rows:
    if answer not in ("A", "B"):
        raise SepnbError(f"X is A or B, not {answer!r}")
    a, b, x = (trial.labels[label] for label in "ABX")
    said = {"a": a, "b": b, "x": x, "answer": answer, "correct": answer == trial.answer}
    for label, condition in (("a", a), ("b", b)):
        said |= {f"loudness_{label}": f"{trial.item.loudness[condition]:.3f}"}
        said |= {f"gain_{label}": f"{trial.item.gains_db[condition]:.3f}"}
    return [said]


def _rating_rows(trial: Trial, answer: Mapping[str, Mapping[str, float]]) -> Rows:
    rows = []
    for label, condition in trial.labels.items():
        for question in QUESTIONS:
            rating = answer.get(label, {}).get(question)
            if rating is None or not 0 <= rating <= 100:
                raise SepnbError(f"sound {label} has no rating from 0 to 100 of its {question}: {rating}")
            rows.append(
                {
                    "label": label,
                    "system": condition,
                    "role": role_of(condition),
                    "question": question,
                    "rating": f"{rating:g}",
                    "loudness": f"{trial.item.loudness[condition]:.3f}",
                    "gain": f"{trial.item.gains_db[condition]:.3f}",
                }
            )
    return rows


def _gains_in(row: Mapping[str, str]) -> list[tuple[str, float]]:
    """What an answer says of the level of the sounds: (condition, gain in dB)."""
    if "system" in row:
        return [(row["system"], float(row["gain"]))]
    return [(row["a"], float(row["gain_a"])), (row["b"], float(row["gain_b"]))]


def _name(kind: str, listener: str) -> str:
    return f"{kind} {file_name(listener, distinct=True)}.csv"


def _text(rows: Rows, kind: str, header: bool) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS[kind], lineterminator="\n")
    if header:
        writer.writeheader()
    # A row is a line, so that what was cut off in the middle of one can be told.
    writer.writerows([{key: _one_line(value) for key, value in row.items()} for row in rows])
    return file.getvalue()


def _one_line(value: object) -> object:
    return value.replace("\r", " ").replace("\n", " ") if isinstance(value, str) else value


def _is_answers(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline()
    return _kind_of(first) is not None


def _kind_of(header: bytes) -> str | None:
    said = header.decode("utf-8-sig", "replace").strip().split(",")  # Excel saves with a mark in front
    return next((kind for kind, columns in COLUMNS.items() if columns == said), None)


def _parsed(path: Path) -> tuple[str, Rows, int]:
    """Kind, rows of whole trials, and up to which byte of the file they go; an empty file is of no kind."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SepnbError(f"{path} cannot be read ({error.strerror or error})") from error
    lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    if not lines:
        if any(_text([], kind, header=True).encode().startswith(content) for kind in COLUMNS):
            return ABX, [], 0  # nothing was written, or no more than a piece of the header
        raise SepnbError(f"{path} holds no answers of a listening test")
    kind = _kind_of(lines[0])
    if kind is None:
        raise SepnbError(f"{path} holds no answers of a listening test: its first line names other columns")
    rows, ends, place = [], [], len(lines[0])
    for number, line in enumerate(lines[1:], start=2):
        place += len(line)
        fields = next(csv.reader([line.decode("utf-8", "replace")]), [])
        if len(fields) != len(COLUMNS[kind]):
            raise SepnbError(
                f"{path}, line {number}: {len(fields)} columns instead of {len(COLUMNS[kind])}: mend or remove it"
            )
        row = dict(zip(COLUMNS[kind], fields, strict=True))
        for column in _NUMBERS & row.keys():
            if not _NUMBER.fullmatch(row[column]):
                raise SepnbError(f"{path}, line {number}: {column} is {row[column]!r}, no number: mend or remove it")
        rows.append(row)
        ends.append(place)
    # A trial is written in one go: one of which rows are missing can only be the last.
    torn = 0
    if rows:
        last = [row["listener"] == rows[-1]["listener"] and row["trial"] == rows[-1]["trial"] for row in rows]
        torn = sum(last) % max(int(float(rows[-1]["rows"])), 1)
    kept = len(rows) - torn
    return kind, rows[:kept], ends[kept - 1] if kept else len(lines[0])


def _typed(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The table with numbers for numbers, and each answer once."""
    twice = table.duplicated(_KEYS[kind])
    if twice.any():
        warnings.warn(f"{twice.sum()} answers are there twice: the first of each counts", stacklevel=3)
    table = table[~twice].reset_index(drop=True)
    for column in table.columns.intersection(sorted(_NUMBERS)):
        table[column] = pd.to_numeric(table[column])
    if kind == ABX:  # not as it is written: a spreadsheet makes TRUE of True
        table["correct"] = (table["x"] == table["a"]) == (table["answer"] == "A")
    answered = table.groupby(["test", "listener"])["trial"].transform("nunique")
    return table.assign(unfinished=table["trials"] - answered)


def _listed(places: Iterable[Path | str]) -> str:
    return ", ".join(str(place) for place in places) or "no files at all"
