"""A run that is killed, stopped or interrupted ends with the very weights that it would have had."""

import itertools
import json
import random
import signal
import warnings

import pytest
import torch
from training_runs import TINY, at_rename, at_step, at_write, killed, longer, losses, tones, weights

from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.training import loop, read_history, train
from sepnb.training.checkpoints import generations, unpack

QUIET = {"progress": False, "resume": True}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """A run that was never stopped; its last checkpoint is kept in `mirror`."""
    folder = tmp_path_factory.mktemp("whole")
    return train(store, folder / "out", TINY, mirror=folder / "mirror", progress=False)


def last_state(run):
    """The last checkpoint of a finished run, from its mirror."""
    return unpack(generations(run.parent / "mirror")[0][1])


def flat(value, name=""):
    """Tensors and values of a nested state, by name."""
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in flat(part, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same_end(run, whole):
    assert weights(run) == weights(whole)
    assert losses(run) == losses(whole)
    ours, theirs = last_state(run), last_state(whole)
    for part in ("network", "average", "optimizer", "batches", "best", "random"):
        one, other = flat(ours[part]), flat(theirs[part])
        assert one.keys() == other.keys()
        for name, value in one.items():
            same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
            assert same, f"{part}{name} differs"


def test_killed_in_random_steps_it_ends_with_the_same_bits(store, whole, tmp_path):
    # Never in the same step twice, several times in a run, now and then with a checkpoint on its way.
    points = [random.Random(0).randint(2, 6) for _ in range(3)]
    for point in points:
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


def test_killed_when_all_but_the_last_files_are_written(store, whole, tmp_path):
    done = {path.name for path in whole.iterdir()}
    killed(store.path, tmp_path / "out", _at_finish, 0)
    assert not read_json(tmp_path / "out" / "history.json")["finished"]
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(tmp_path / "out", whole)
    assert {path.name for path in (tmp_path / "out").iterdir()} == done


def _at_finish(_):
    from training_runs import die

    from sepnb.training import session

    session.remove_checkpoints = session.Session.finish = lambda *_, **__: die()


@pytest.fixture
def stopped(store, tmp_path):
    """A run interrupted in its tenth step, with two generations of checkpoints."""
    out, real, steps = tmp_path / "out", loop.gradient, itertools.count(1)

    def gradient(*arguments):
        if next(steps) == 10:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "gradient", gradient)
        train(store, out, TINY, checkpoint_every=0.0, progress=False)
    return out


def test_the_stop_button_takes_a_checkpoint_of_the_step_it_came_in(stopped, store, whole, tmp_path):
    assert [step for step, _ in generations(stopped)][0] == 10
    assert len(generations(stopped)) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert read_json(stopped / "history.json")["stopped"] is None
    assert len(read_history(stopped)) == 1
    train(store, stopped, TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(stopped, whole)


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
        pytest.warns(UserWarning, match="torn"),
        pytest.raises(SepnbError, match="all checkpoints in .* are torn or damaged.*begin anew"),
    ):
        train(store, stopped, TINY, **QUIET)


def test_an_unfinished_run_is_not_begun_anew_by_mistake(stopped, store):
    with pytest.raises(SepnbError, match=r"holds an unfinished run: go on with it \(resume=True"):
        train(store, stopped, TINY, progress=False)


def test_another_recipe_does_not_go_on_with_it(stopped, store, tmp_path):
    with pytest.raises(SepnbError, match="unfinished run with another recipe"):
        train(store, stopped, longer(epochs=4), **QUIET)
    other = tones(tmp_path / "other", subsets=("train",))
    with pytest.raises(SepnbError, match="unfinished run with another store"):
        train(other, stopped, TINY, **QUIET)


def test_without_its_history_a_checkpoint_still_knows_its_recipe(stopped, store):
    (stopped / "history.json").unlink()
    with pytest.raises(SepnbError, match="another recipe"):
        train(store, stopped, longer(epochs=4), **QUIET)


def test_other_threads_are_warned_of(stopped, store):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        with pytest.warns(UserWarning, match=f"began with threads {before} and goes on with {before + 1}.* last bits"):
            train(store, stopped, TINY, **QUIET)
    finally:
        torch.set_num_threads(before)
    assert [s["threads"] for s in read_json(stopped / "history.json")["sessions"]] == [before, before + 1]


def test_stopped_for_time_it_says_how_to_go_on_and_does(store, whole, tmp_path, capsys):
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(store, out, TINY, stop_after=0.0, progress=False)
        assert "stopped for time after step 1 of 18; resume=True" in capsys.readouterr().out
        history = read_json(out / "history.json")
        assert (history["finished"], history["stopped"], history["epochs"]) == (False, "time", [])
        train(store, out, TINY, stop_after=0.0, **QUIET)
        train(store, out, TINY, stop_after=1e9, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(out, whole)
    history = json.loads((out / "history.json").read_text())
    assert [session["first_step"] for session in history["sessions"]] == [1, 2, 3]
    assert (history["finished"], history["stopped"]) == (True, "epochs")
