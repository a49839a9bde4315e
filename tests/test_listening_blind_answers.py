"""Answers are on the disk when they are given, survive what can happen to a file, and read as one table."""

import contextlib
import csv
import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from listening_blind import SYSTEMS, made_items

from sepnb.errors import SepnbError
from sepnb.listening.blind.answers import COLUMNS, AnswerFile, read_answers
from sepnb.listening.blind.design import ABX, QUESTIONS, RATING, abx_design, rating_design

NAMES = ["Ann", 'O\'Neil, "Bob"', "Zoë 李", "../../etc/passwd", "=1+1", "CON", "two\nlines", "a" * 100]


@pytest.fixture(scope="module")
def items():
    return made_items()


@pytest.fixture(scope="module")
def abx(items):
    return abx_design(items, repetitions=2, seed=3)


@pytest.fixture(scope="module")
def rating(items):
    return rating_design(items, seed=3)


def all_ratings(trial, points=50):
    return {label: dict.fromkeys(QUESTIONS, points) for label in trial.labels}


def answered(design, listener, where, count=None):
    """A file with the first `count` trials answered: ABX right, ratings 50."""
    file = AnswerFile(where, design, listener)
    for number, trial in enumerate(design.trials(listener)[:count], start=1):
        file.add(trial, number, trial.answer if design.kind == ABX else all_ratings(trial), took=1.25)
    return file


def test_an_abx_answer_is_a_row_with_all_there_is_to_know(abx, tmp_path):
    trial = abx.trials("Ann")[0]
    file = AnswerFile(tmp_path / "answers.csv", abx, "Ann")
    file.add(trial, 1, {"A": "B", "B": "A"}[trial.answer], took=12.34)
    (row,) = csv.DictReader(file.path.open(encoding="utf-8", newline=""))
    assert list(row) == COLUMNS[ABX]
    assert (row["test"], row["listener"], row["trial"]) == (abx.fingerprint, "Ann", trial.id)
    assert (row["a"], row["b"], row["x"]) == tuple(trial.labels[label] for label in "ABX")
    assert row["correct"] == "False"
    assert row["took"] == "12.3"
    assert abs(float(row["loudness_a"]) - float(row["loudness_b"])) < 0.1


def test_ratings_are_a_row_for_each_sound_and_question(rating, tmp_path):
    trial = rating.trials("Ann")[0]
    given = {label: {q: 10 * int(label) + n for n, q in enumerate(QUESTIONS)} for label in trial.labels}
    file = AnswerFile(tmp_path, rating, "Ann")
    file.add(trial, 1, given, took=3)
    table = read_answers(file.path)
    assert list(table.columns) == [*COLUMNS[RATING], "unfinished"]
    assert len(table) == 4 * 3
    for row in table.itertuples():
        assert row.system == trial.labels[str(row.label)]
        assert row.rating == given[str(row.label)][row.question]
    assert set(table["role"]) == {"reference", "anchor", "system"}
    assert np.ptp(table["loudness"]) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_any_name_comes_back_as_it_was_and_stays_in_the_folder(abx, tmp_path, name):
    file = answered(abx, name, tmp_path / "answers")
    assert file.path.parent == tmp_path / "answers"
    table = read_answers(tmp_path / "answers")
    assert set(table["listener"]) == {" ".join(name.split())}
    assert set(table["a"]) == set(SYSTEMS)
    assert len(AnswerFile(tmp_path / "answers", abx, name).done) == 4


def test_names_that_look_alike_on_disk_have_files_of_their_own(abx, tmp_path):
    paths = {AnswerFile(tmp_path, abx, name).path for name in ("a/b", "a:b", "a-b", "a b")}
    assert len(paths) == 4


def test_a_stopped_test_goes_on_with_what_is_not_answered(rating, tmp_path):
    answered(rating, "Ann", tmp_path, count=1)
    again = AnswerFile(tmp_path, rating, "Ann")
    first, second = rating.trials("Ann")
    assert again.done == {first.id}
    again.add(second, 2, all_ratings(second), took=1)
    assert read_answers(tmp_path)["trial"].nunique() == 2
    assert again.path.read_text(encoding="utf-8").count("listener") == 1  # one header


@pytest.mark.parametrize("kept", [0, 5, 60, 0.3, 0.5, 0.99, -1])
@pytest.mark.parametrize("kind", [ABX, RATING])
def test_whatever_was_cut_off_only_whole_trials_count_and_the_test_goes_on(abx, rating, tmp_path, kind, kept):
    design = abx if kind == ABX else rating
    path = answered(design, 'A, "Ann" ü', tmp_path / "a.csv", count=2).path
    whole = path.read_bytes()
    header = len(whole.splitlines(keepends=True)[0])
    place = header + round(kept * (len(whole) - header)) if isinstance(kept, float) else kept % len(whole)
    path.write_bytes(whole[:place])
    again = AnswerFile(path, design, 'A, "Ann" ü')
    ids = [trial.id for trial in design.trials('A, "Ann" ü')]
    assert again.done == set(ids[: len(again.done)])
    assert len(again.done) < 2
    for number, trial in enumerate(design.trials('A, "Ann" ü'), start=1):
        if trial.id not in again.done:
            again.add(trial, number, trial.answer if kind == ABX else all_ratings(trial), took=1)
    table = read_answers(path)
    assert sorted(table["trial"].unique()) == sorted(ids)
    assert len(table) == len(ids) * (1 if kind == ABX else 12)


def test_a_file_that_was_cut_off_can_be_read_without_being_mended(rating, tmp_path):
    path = answered(rating, "Ann", tmp_path / "a.csv").path
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    assert len(read_answers(path)) == 12  # the first trial of two
    assert path.read_bytes() == whole[:-200]


def test_an_answer_is_on_the_disk_when_add_returns(abx, tmp_path):
    """A process that dies at once leaves its answer."""
    path = tmp_path / "a.csv"
    script = f"""
import os, sys
sys.path[:0] = {json.dumps(sys.path)}
from listening_blind import made_items
from sepnb.listening.blind.answers import AnswerFile
from sepnb.listening.blind.design import abx_design
design = abx_design(made_items(), repetitions=2, seed=3)
trial = design.trials("Ann")[0]
AnswerFile({str(path)!r}, design, "Ann").add(trial, 1, "A", 1.0)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert AnswerFile(path, abx, "Ann").done == {abx.trials("Ann")[0].id}


def test_another_tests_answers_are_refused_and_left_alone(items, abx, rating, tmp_path):
    path = answered(abx, "Ann", tmp_path / "a.csv").path
    before = path.read_bytes()
    for other in (abx_design(items, repetitions=3, seed=3), abx_design(items, repetitions=2), rating):
        with pytest.raises(SepnbError, match=r"a\.csv holds the answers to another listening test"):
            AnswerFile(path, other, "Ann")
    assert path.read_bytes() == before


def test_the_same_test_with_other_sounds_is_refused(abx, tmp_path, monkeypatch):
    path = answered(abx, "Ann", tmp_path / "a.csv").path
    item = abx.items[0]
    gains = {**item.gains_db, SYSTEMS[0]: item.gains_db[SYSTEMS[0]] + 0.1}
    monkeypatch.setitem(item.__dict__, "gains_db", gains)
    AnswerFile(path, abx, "Ann")  # as far as another machine's arithmetic may be off, and farther
    monkeypatch.setitem(item.__dict__, "gains_db", {**gains, SYSTEMS[0]: gains[SYSTEMS[0]] + 1})
    with pytest.raises(SepnbError, match=r"does not sound on 'song 0' as it did.*trained anew"):
        AnswerFile(path, abx, "Ann")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"system,track\nA,B\n", "its first line names other columns"),
        (b"no end of line", "holds no answers of a listening test"),
        (b"\x00\xff\xfe\n", "names other columns"),
    ],
)
def test_a_file_of_something_else_is_refused(abx, tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SepnbError, match=message):
        AnswerFile(tmp_path / "a.csv", abx, "Ann")
    with pytest.raises(SepnbError, match=message):
        read_answers(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == content


def test_a_damaged_line_in_the_middle_is_named(abx, tmp_path):
    path = answered(abx, "Ann", tmp_path / "a.csv").path
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[2] = "half a row\n"
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(SepnbError, match=r"a\.csv, line 3: 1 columns instead of 19"):
        read_answers(path)


def test_a_number_that_is_none_is_named(rating, tmp_path):
    path = answered(rating, "Ann", tmp_path / "a.csv").path
    path.write_text(path.read_text(encoding="utf-8").replace(",50,", ",fine,", 1), encoding="utf-8")
    for read in (read_answers, lambda path: AnswerFile(path, rating, "Ann")):
        with pytest.raises(SepnbError, match=r"a\.csv, line 2: rating is 'fine', no number"):
            read(path)


def test_several_listeners_are_merged_from_one_file_or_many(abx, tmp_path):
    for name in NAMES[:3]:
        answered(abx, name, tmp_path / "shared.csv")
        answered(abx, name, tmp_path / "folder")
    one, many = read_answers(tmp_path / "shared.csv"), read_answers(tmp_path / "folder")
    keys = ["listener", "trial"]
    columns = [column for column in one if column != "at"]
    pd.testing.assert_frame_equal(
        one.sort_values(keys)[columns].reset_index(drop=True), many.sort_values(keys)[columns].reset_index(drop=True)
    )
    assert one["listener"].nunique() == 3
    assert one["correct"].all()


def test_what_is_there_twice_counts_once_and_is_said(abx, tmp_path):
    path = answered(abx, "Ann", tmp_path / "a.csv").path
    (tmp_path / "a (copy).csv").write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="4 answers are there twice"):
        assert len(read_answers(tmp_path)) == 4


def test_other_tables_in_the_folder_are_passed_over(abx, rating, tmp_path):
    (tmp_path / "scores.csv").write_text("system,SDR\nA,1\n", encoding="utf-8")
    answered(abx, "Ann", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_answers(tmp_path)) == 4
    answered(rating, "Ann", tmp_path)
    with pytest.raises(SepnbError, match="holds ABX answers and ratings: say which"):
        read_answers(tmp_path)
    assert len(read_answers(tmp_path, "abx")) == 4
    assert len(read_answers([tmp_path], kind="rating")) == 24


def test_a_file_that_a_spreadsheet_saved_can_be_read(abx, tmp_path):
    file = AnswerFile(tmp_path / "a.csv", abx, "Zoë")
    wrong = {"A": "B", "B": "A"}
    for number, trial in enumerate(abx.trials("Zoë"), start=1):
        file.add(trial, number, wrong[trial.answer] if number == 2 else trial.answer, took=1)
    before = read_answers(file.path)
    assert list(before["correct"]) == [True, False, True, True]
    text = file.path.read_bytes().replace(b"True", b"TRUE").replace(b"False", b"FALSE")
    file.path.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read_answers(file.path), before)
    assert set(before["listener"]) == {"Zoë"}


def test_answers_to_several_tests_are_taken_together_only_where_asked_for(items, abx, tmp_path):
    answered(abx, "Ann", tmp_path / "first.csv")
    other = answered(abx_design(items, repetitions=1, seed=8), "Bob", tmp_path / "second.csv", count=1)
    with pytest.raises(SepnbError, match=r"answers to 2 tests.*first\.csv; .*second\.csv\. Give the files of one test"):
        read_answers(tmp_path)
    assert len(read_answers(other.path)) == 1
    both = read_answers(tmp_path, several=True)
    assert both["test"].nunique() == 2
    assert dict(both.groupby("listener")["unfinished"].max()) == {"Ann": 0, "Bob": 1}


@pytest.mark.parametrize("kind", [ABX, RATING])
@pytest.mark.parametrize(("decibels", "refused"), [(0.1, False), (1.0, True)])
def test_a_test_with_other_sounds_is_not_pooled(abx, rating, tmp_path, monkeypatch, kind, decibels, refused):
    """Two students train a system each, and take the same test with it."""
    design = abx if kind == ABX else rating
    answered(design, "Ann", tmp_path / "ann.csv")
    item = design.items[1]
    gains = {**item.gains_db, SYSTEMS[0]: item.gains_db[SYSTEMS[0]] + decibels}
    monkeypatch.setitem(item.__dict__, "gains_db", gains)
    answered(design, "Bob", tmp_path / "bob.csv")
    if not refused:
        assert read_answers(tmp_path)["listener"].nunique() == 2
        return
    for several in (False, True):
        with pytest.raises(SepnbError, match=r"Bob in .*bob\.csv heard another .*'song 1'.* than Ann in .*ann\.csv"):
            read_answers(tmp_path, several=several)


def test_what_is_not_answered_yet_is_counted_for_each_listener(abx, rating, tmp_path):
    answered(abx, "Ann", tmp_path)
    answered(abx, "Bob", tmp_path, count=1)
    table = read_answers(tmp_path)
    assert set(table["trials"]) == {4}
    assert dict(table.groupby("listener")["unfinished"].max()) == {"Ann": 0, "Bob": 3}
    answered(rating, "Ann", tmp_path, count=1)
    assert set(read_answers(tmp_path, "rating")["unfinished"]) == {1}


@contextlib.contextmanager
def disk_with_room_for(size):
    """No file can grow beyond `size` bytes: what is written is written up to there, and then an error comes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("undone", [True, False], ids=["taken back at once", "taken back later"])
@pytest.mark.parametrize("begun", [0, 1])
@pytest.mark.parametrize("room", [30, 700, 1200])
def test_an_answer_half_written_is_taken_back_and_written_again(rating, tmp_path, monkeypatch, begun, room, undone):
    file = answered(rating, "Ann", tmp_path / "a.csv", count=begun)
    before = file.path.read_bytes() if begun else b""
    trial = rating.trials("Ann")[begun]
    with disk_with_room_for(len(before) + room), monkeypatch.context() as patch:
        if not undone:
            patch.setattr(AnswerFile, "_cut", lambda self, size: (_ for _ in ()).throw(OSError("no disk")))
        with pytest.raises(OSError):
            file.add(trial, 1, all_ratings(trial), took=1)
        assert len(file.path.read_bytes()) == len(before) + (0 if undone else room)
    assert trial.id not in file.done
    file.add(trial, 1, all_ratings(trial, 70), took=1)
    table = read_answers(file.path)
    assert len(table) == 12 * (begun + 1)
    assert set(table.loc[table["trial"] == trial.id, "rating"]) == {70}
    assert file.path.read_bytes().startswith(before)


def test_an_answer_is_written_once(abx, tmp_path):
    file = answered(abx, "Ann", tmp_path / "a.csv", count=1)
    before = file.path.read_bytes()
    file.add(abx.trials("Ann")[0], 1, "A", took=1)
    assert file.path.read_bytes() == before


def test_no_answers_are_said_to_be_none(abx, tmp_path):
    with pytest.raises(SepnbError, match="there are no answers in"):
        read_answers(tmp_path)
    with pytest.raises(SepnbError, match=r"missing\.csv cannot be read"):
        read_answers(tmp_path / "missing.csv")
    with pytest.raises(SepnbError, match="no answers of the kind 'abc'"):
        read_answers(tmp_path, "abc")


def test_an_answer_that_is_none_is_not_written(abx, rating, tmp_path):
    file = AnswerFile(tmp_path, abx, "Ann")
    with pytest.raises(SepnbError, match="X is A or B, not 'C'"):
        file.add(abx.trials("Ann")[0], 1, "C", 1)
    trial = rating.trials("Ann")[0]
    for wrong in ({}, all_ratings(trial, 101), all_ratings(trial, None), all_ratings(trial, float("nan"))):
        with pytest.raises(SepnbError, match="no rating from 0 to 100"):
            AnswerFile(tmp_path, rating, "Ann").add(trial, 1, wrong, 1)
    assert not list(tmp_path.iterdir())
