"""A run that is killed, stopped or interrupted ends with the very weights that it would have had."""

import itertools
import json
import random
import signal
import warnings

import pytest
import torch
from training_runs import TINY, assert_same_end, at_rename, at_step, at_write, killed, longer, losses, tones, weights

from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.training import loop, read_history, read_recipe, run_ladder, train
from sepnb.training.checkpoints import generations
from sepnb.training.ladder import Rung

QUIET = {"progress": False, "resume": True}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """A run that was never stopped; its last checkpoint is kept in `mirror`."""
    folder = tmp_path_factory.mktemp("whole")
    return train(store, folder / "out", TINY, mirror=folder / "mirror", progress=False)


def test_killed_in_random_steps_it_ends_with_the_same_bits(store, whole, tmp_path):
    # Never in the same step twice, several times in a run, now and then with a checkpoint on its way.
    for point in random.Random(0).sample(range(2, 8), 2):
        killed(store.path, tmp_path / "out", at_step, point)
    assert not (tmp_path / "out" / "weights.safetensors").exists() or len(losses(tmp_path / "out")) < TINY.epochs
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(tmp_path / "out", whole)
    assert len(read_json(tmp_path / "out" / "history.json")["sessions"]) >= 2


@pytest.mark.parametrize(("trap", "point"), [(at_write, 1), (at_write, 4), (at_rename, 9)])
def test_killed_while_it_writes_it_ends_with_the_same_bits(store, whole, tmp_path, trap, point):
    killed(store.path, tmp_path / "out", trap, point)
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(tmp_path / "out", whole)
    assert not list((tmp_path / "out").rglob(".partial-*"))


@pytest.fixture
def stopped(store, tmp_path):
    """A run interrupted in its tenth step, with two generations of checkpoints."""
    out, real, steps = tmp_path / "out", loop.gradient, itertools.count(1)

    def gradient(*arguments):
        if next(steps) == 10:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    before = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "gradient", gradient)
        train(store, out, TINY, checkpoint_every=0.0, progress=False)
    assert signal.getsignal(signal.SIGINT) is before
    return out


def test_the_stop_button_takes_a_checkpoint_of_the_step_it_came_in(stopped, store, whole, tmp_path):
    assert [step for step, _ in generations(stopped)][0] == 10
    assert len(generations(stopped)) == 2
    assert read_json(stopped / "history.json")["stopped"] is None
    assert len(read_history(stopped)) == 1
    train(store, stopped, TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(stopped, whole)


def test_the_stop_button_says_where_the_checkpoint_is(store, tmp_path, monkeypatch, capsys):
    real = loop.gradient
    monkeypatch.setattr(loop, "gradient", lambda *given: (signal.raise_signal(signal.SIGINT), real(*given))[1])
    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "out", TINY, progress=False)
    out = capsys.readouterr().out
    assert "interrupted after step 1 of 18; its checkpoint is" in out
    assert "step-00000001.ckpt; resume=True (--resume) goes on from there" in out


def test_the_stop_button_in_the_last_step_finishes_the_run_and_stops_what_called_it(store, tmp_path, monkeypatch):
    real = loop.gradient
    monkeypatch.setattr(loop, "gradient", lambda *given: (signal.raise_signal(signal.SIGINT), real(*given))[1])
    with pytest.raises(KeyboardInterrupt):
        run_ladder(store, tmp_path, [Rung(1, 1), Rung(2, 1)], longer(batch_size=12), progress=False)
    assert read_json(tmp_path / Rung(1, 1).folder / "history.json")["finished"]
    assert not (tmp_path / Rung(2, 1).folder).exists()


def test_a_torn_newest_checkpoint_falls_back_to_the_one_before(stopped, store, whole, tmp_path):
    (_, newest), _ = generations(stopped)
    newest.write_bytes(newest.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match=f"{newest.name} is torn or damaged: going back to the checkpoint before it"):
        train(store, stopped, TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(stopped, whole)


def test_a_single_flipped_bit_is_noticed(stopped, store, whole, tmp_path):
    (_, newest), _ = generations(stopped)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match="torn or damaged"):
        train(store, stopped, TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(stopped, whole)


def test_where_both_are_torn_it_says_so(stopped, store):
    for _, path in generations(stopped):
        path.write_bytes(b"")
    with (
        pytest.raises(SepnbError, match="no checkpoint to go on from: .* torn or damaged; .* torn .*begin anew"),
    ):
        train(store, stopped, TINY, **QUIET)
    assert len(generations(stopped)) == 2


def test_an_unfinished_run_is_not_begun_anew_by_mistake(stopped, store):
    with pytest.raises(SepnbError, match=r"holds an unfinished run: go on with it \(resume=True"):
        train(store, stopped, TINY, progress=False)


def test_another_recipe_does_not_go_on_with_it(stopped, store, tmp_path):
    other = longer(epochs=4, settings={**TINY.settings, "width": 5})
    with pytest.raises(SepnbError, match="unfinished run with another recipe") as caught:
        train(store, stopped, other, **QUIET)
    assert "(epochs 3 there, 4 asked; settings.width 4 there, 5 asked): give another folder" in str(caught.value)
    assert str(caught.value).endswith("or give the recipe another name")
    other = tones(tmp_path / "other", subsets=("train",))
    with pytest.raises(SepnbError, match="unfinished run with another store"):
        train(other, stopped, TINY, **QUIET)


def test_without_its_history_a_checkpoint_still_knows_its_recipe(stopped, store):
    (stopped / "history.json").unlink()
    with pytest.raises(SepnbError, match="another recipe"):
        train(store, stopped, longer(epochs=4), **QUIET)


def test_the_recipe_of_a_run_with_a_torn_history_is_in_its_checkpoint(stopped, store, whole, tmp_path):
    (stopped / "history.json").write_text('{"recipe": {"na')
    assert read_recipe(stopped) == TINY
    with pytest.warns(UserWarning, match="history.json is not readable JSON.* left out of account"):
        train(store, stopped, TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(stopped, whole)


def test_only_what_a_killed_run_left_is_removed(stopped, store):
    ours = stopped / "checkpoints" / ".partial-1-step-00000011.ckpt"
    other = stopped / "notes" / ".partial-1-mine.txt"
    other.parent.mkdir()
    for path in (ours, other):
        path.write_text("half")
    train(store, stopped, TINY, stop_after=0.0, **QUIET)
    assert not ours.exists()
    assert other.exists()


def test_a_history_that_says_no_recipe_is_an_error_that_says_so(store, tmp_path):
    (tmp_path / "history.json").write_text(json.dumps({"recipe": {}, "finished": False}))
    with pytest.raises(SepnbError, match="name, epochs, steps_per_epoch is not said"):
        train(store, tmp_path, TINY, **QUIET)


def test_a_finished_history_without_checksums_is_not_trusted(store, whole, tmp_path):
    history = read_json(whole / "history.json")
    del history["checksums"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "history.json").write_text(json.dumps(history))
    train(store, tmp_path / "out", TINY, **QUIET)
    assert weights(tmp_path / "out") == weights(whole)


def test_other_threads_are_warned_of(stopped, store):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        with pytest.warns(
            UserWarning, match=f"last trained with threads {before} and goes on with {before + 1}.* last bits"
        ):
            train(store, stopped, TINY, **QUIET)
    finally:
        torch.set_num_threads(before)
    assert [s["threads"] for s in read_json(stopped / "history.json")["sessions"]] == [before, before + 1]


def test_stopped_for_time_it_says_how_to_go_on_and_does(store, whole, tmp_path, capsys):
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(store, out, TINY, stop_after=0.0, progress=False)
        assert "stopped for time after step 1 of 18; its checkpoint is" in capsys.readouterr().out
        history = read_json(out / "history.json")
        assert (history["finished"], history["stopped"], history["epochs"]) == (False, "time", [])
        train(store, out, TINY, stop_after=0.0, **QUIET)
        train(store, out, TINY, stop_after=1e9, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(out, whole)
    history = json.loads((out / "history.json").read_text())
    assert [session["first_step"] for session in history["sessions"]] == [1, 2, 3]
    assert [session["stop_after"] for session in history["sessions"]] == [0.0, 0.0, 1e9]
    assert history["sessions"][0]["checkpoint_every"] == 120.0
    assert (history["finished"], history["stopped"]) == (True, "epochs")
