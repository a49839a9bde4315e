"""The ladder trains what is asked for, once, and goes on where it stopped."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sepnb import audio
from sepnb.augment import Augment
from sepnb.errors import SepnbError
from sepnb.store import Store, prepare
from sepnb.training import ladder as ladder_module
from sepnb.training.history import read_history, read_recipe
from sepnb.training.ladder import LADDERS, Rung, find_ladder, ladder_history, on_rung, run_ladder, within_reach
from sepnb.training.loop import train
from sepnb.training.recipes import Recipe, find_recipe

RATE = 4000
SOURCES = ("bass", "vocals")
TINY = Recipe(
    "tiny",
    epochs=1,
    steps_per_epoch=7,
    seconds=1.0,
    batch_size=2,
    settings={"width": 2, "n_fft": 256, "hop": 128},
    augment=Augment.none(),
    valid_chunks=2,
)
RUNGS = (Rung(1, 1), Rung(3, 2))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Three training songs of 4 s and one to validate on."""
    folder = tmp_path_factory.mktemp("ladder")
    rng = np.random.default_rng(0)
    for name in ("train/A", "train/B", "train/C", "valid/D"):
        for source in SOURCES:
            sound = rng.uniform(-0.3, 0.3, (1, 4 * RATE)).astype(np.float32)
            audio.write(folder / "tracks" / name / f"{source}.wav", sound, RATE)
    return prepare(folder / "tracks", folder / "store", progress=False).store


@pytest.fixture
def trained(monkeypatch) -> list[Recipe]:
    """The recipes that `train` is called with, while it trains them."""
    calls = []

    def counted(store, out, recipe, *arguments, **options):
        calls.append((recipe, options))
        return train(store, out, recipe, *arguments, **options)

    monkeypatch.setattr(ladder_module, "train", counted)
    return calls


def climb(store, out, **options):
    return run_ladder(store, out, RUNGS, TINY, progress=False, **options)


def test_a_row_a_rung_with_songs_epochs_and_scores(store, tmp_path):
    table = climb(store, tmp_path)
    assert list(table["songs"]) == [1, 3]
    assert list(table["epochs"]) == [1, 2]
    # An epoch is as much music as its songs hold: 4 s a song in batches of 2 s.
    assert list(table["steps"]) == [2, 12]
    assert {"minutes", "train_loss", "valid_loss", "valid_sdr", "valid_sdr_bass", "valid_sdr_vocals"} <= set(table)
    assert table.drop(columns="run").notna().all().all()
    assert (table["minutes"] > 0).all()
    for rung, run in zip(RUNGS, table["run"], strict=True):
        assert run == str(tmp_path / rung.folder)
        assert read_recipe(run) == on_rung(TINY, rung)
        assert read_history(run)["valid_sdr"].max() == pytest.approx(table.set_index("run")["valid_sdr"][run])


def test_finished_rungs_are_not_trained_again(store, tmp_path):
    first = climb(store, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.safetensors")}
    assert len(written) == 2
    again = climb(store, tmp_path)
    assert again.equals(first)
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.safetensors")}


def test_out_of_time_it_stops_and_then_goes_on(store, tmp_path, trained):
    assert len(climb(store, tmp_path, stop_after=0.0)) == 0
    assert [recipe.songs for recipe, _ in trained] == [1], "rungs after the one that was stopped are not begun"
    table = climb(store, tmp_path, stop_after=600.0)
    assert list(table["songs"]) == [1, 3]
    left = [options["stop_after"] for _, options in trained]
    assert left[0] == 0
    assert 600 > left[1] > left[2] > 0, "the time is that of all rungs together"


def test_a_mirror_outlives_the_folder(store, tmp_path):
    first = climb(store, tmp_path / "here", mirror=tmp_path / "drive")
    elsewhere = climb(store, tmp_path / "there", mirror=tmp_path / "drive")
    assert elsewhere.drop(columns="run").equals(first.drop(columns="run"))
    assert (tmp_path / "drive" / RUNGS[0].folder / "history.json").is_file()


def test_histories_of_all_rungs_below_each_other(store, tmp_path):
    climb(store, tmp_path)
    history = ladder_history(tmp_path)
    assert list(history["run"]) == ["01-songs-01-epochs", "03-songs-02-epochs", "03-songs-02-epochs"]
    assert list(history["epoch"]) == [1, 1, 2]
    with pytest.raises(SepnbError, match="holds no rung of a ladder"):
        ladder_history(tmp_path / "nowhere")


def test_stopped_in_a_first_epoch_there_is_a_table_without_rows_and_the_others_are_shown(store, tmp_path):
    none = climb(store, tmp_path, stop_after=0.0)
    assert len(none) == 0
    with pytest.raises(SepnbError, match="no rung of a ladder with an epoch that is done"):
        ladder_history(tmp_path)
    train(store, tmp_path / RUNGS[0].folder, on_rung(TINY, RUNGS[0]), resume=True, progress=False)
    table = climb(store, tmp_path, stop_after=0.0)
    assert list(table["songs"]) == [1]
    assert list(none.columns) == list(table.columns)
    assert set(ladder_history(tmp_path)["run"]) == {RUNGS[0].folder}


def test_too_few_songs_are_said_before_anything_is_trained(store, tmp_path):
    with pytest.raises(SepnbError, match="wants 5 training songs, .* has 3"):
        run_ladder(store, tmp_path / "out", (Rung(1, 1), Rung(5, 1)), TINY)
    assert not (tmp_path / "out").exists()


def test_ladders_by_name():
    assert [(rung.songs, rung.epochs) for rung in find_ladder("report")] == [(5, 50), (10, 100), (20, 200)]
    with pytest.raises(SepnbError, match="no ladder 'rope'; there are report, short, demo"):
        find_ladder("rope")
    for rungs in LADDERS.values():
        folders = [rung.folder for rung in rungs]
        assert folders == sorted(folders)
        for lower, higher in itertools.pairwise(rungs):
            assert higher.songs == 2 * lower.songs
            assert higher.epochs == 2 * lower.epochs


def test_rungs_that_there_are_too_few_songs_for_are_left_out():
    rungs = find_ladder("report")
    assert within_reach(rungs, 20) == rungs
    assert within_reach(rungs, 19) == rungs[:2]
    assert within_reach(rungs, 4) == (Rung(4, 50),), "all the songs there are, as often as on the first rung"


def test_a_rung_changes_songs_epochs_and_name_only():
    base = find_recipe("toy-3s")
    rung = on_rung(base, Rung(5, 50))
    assert (rung.name, rung.songs, rung.epochs, rung.steps_per_epoch) == ("toy-3s-05-songs-50-epochs", 5, 50, None)
    assert replace(rung, name="", songs=None, epochs=1, steps_per_epoch=1) == replace(
        base, name="", epochs=1, steps_per_epoch=1
    )
