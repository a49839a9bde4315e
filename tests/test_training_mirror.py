"""A second folder: a fresh machine goes on from it, and training does not depend on it."""

import errno
import itertools
import shutil
import warnings
from pathlib import Path

import pytest
from training_runs import TINY, longer, losses, tones, weights

from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.training import keeping, loop, train
from sepnb.training.checkpoints import FOLDER, generations, newest, pack, unpack, write_generation

QUIET = {"progress": False, "resume": True, "checkpoint_every": 0.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(store, folder / "out", TINY, mirror=folder / "mirror", progress=False)


@pytest.fixture
def on_step(monkeypatch):
    """Call something in the training's step of a number."""

    def on_step(number, work):
        real, steps = loop.gradient, itertools.count(1)

        def gradient(*arguments):
            if next(steps) == number:
                work()
            return real(*arguments)

        monkeypatch.setattr(loop, "gradient", gradient)

    return on_step


def test_the_mirror_has_what_the_run_has_and_its_last_checkpoint(whole):
    mirror = whole.parent / "mirror"
    for name in keeping.RESULTS:
        assert (mirror / name).read_bytes() == (whole / name).read_bytes()
    assert [step for step, _ in generations(mirror)] == [18]
    assert not (whole / FOLDER).exists()


def test_a_run_that_finished_in_the_mirror_is_copied_back_and_not_trained_again(whole, store, tmp_path, monkeypatch):
    shutil.copytree(whole.parent / "mirror", tmp_path / "mirror")
    monkeypatch.setattr(loop, "gradient", None)
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", progress=False)
    assert weights(tmp_path / "out") == weights(whole)
    assert read_json(tmp_path / "out" / "history.json") == read_json(whole / "history.json")


def test_results_that_were_torn_in_the_mirror_come_from_its_checkpoint(whole, store, tmp_path):
    shutil.copytree(whole.parent / "mirror", tmp_path / "mirror")
    (tmp_path / "mirror" / "weights.safetensors").write_bytes(b"")
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert weights(tmp_path / "out") == weights(tmp_path / "mirror") == weights(whole)


def test_a_fresh_machine_goes_on_from_the_mirror(whole, store, tmp_path):
    train(store, tmp_path / "lost", TINY, mirror=tmp_path / "mirror", stop_after=0.0, **QUIET)
    shutil.rmtree(tmp_path / "lost")
    with pytest.raises(SepnbError, match="mirror holds an unfinished run"):
        train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", progress=False)
    with pytest.raises(SepnbError, match="another recipe"):
        train(store, tmp_path / "out", longer(epochs=9), mirror=tmp_path / "mirror", **QUIET)
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert weights(tmp_path / "out") == weights(whole)
    assert losses(tmp_path / "out") == losses(whole)
    assert [s["first_step"] for s in read_json(tmp_path / "out" / "history.json")["sessions"]] == [1, 2]


def test_the_newer_of_both_folders_counts(tmp_path):
    for run, steps in (("out", (3, 5)), ("mirror", (5, 8))):
        for step in steps:
            write_generation(tmp_path / run, step, pack({"step": step}))
    both = (tmp_path / "out", tmp_path / "mirror")
    assert newest(both)[1] == {"step": 8}
    (tmp_path / "mirror" / FOLDER / "step-00000008.ckpt").write_bytes(b"sepnb checkpoint 1\n")
    with pytest.warns(UserWarning, match="step-00000008.ckpt is torn"):
        path, state = newest(both)
    assert (path.parent.parent.name, state) == ("out", {"step": 5})
    assert newest((tmp_path / "nowhere", None)) is None


def test_two_generations_are_kept_and_read_as_data(tmp_path):
    for step in (1, 20, 300):
        path = write_generation(tmp_path, step, pack({"step": step}))
    assert [step for step, _ in generations(tmp_path)] == [300, 20]
    path.write_bytes(pack({"code": Path("a")}))
    with pytest.raises(Exception, match="[Ww]eights"):
        unpack(path)


def test_a_mirror_that_goes_away_is_said_once_and_tried_again(whole, store, tmp_path, on_step):
    mirror, away = tmp_path / "mirror", tmp_path / "away"
    on_step(3, lambda: mirror.rename(away))
    with pytest.warns(UserWarning) as caught:
        train(store, tmp_path / "out", TINY, mirror=mirror, **QUIET)
    said = [str(warning.message) for warning in caught if "second folder" in str(warning.message)]
    assert len(said) == 1
    assert "training goes on" in said[0]
    assert weights(tmp_path / "out") == weights(whole)
    assert not mirror.exists()  # nothing grows where the drive was


def test_a_mirror_that_comes_back_gets_everything(whole, store, tmp_path, on_step):
    mirror, away = tmp_path / "mirror", tmp_path / "away"
    mirror.mkdir()
    (mirror / FOLDER).write_text("in the way of the folder of checkpoints")
    on_step(15, (mirror / FOLDER).unlink)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(store, tmp_path / "out", TINY, mirror=mirror, **QUIET)
    assert weights(mirror) == weights(whole)
    assert read_json(mirror / "history.json")["finished"]
    assert not away.exists()


def test_a_full_disk_is_an_error_and_what_was_there_stays(store, tmp_path, monkeypatch, on_step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    on_step(10, lambda: monkeypatch.setattr(keeping, "write_generation", full))
    with pytest.raises(SepnbError, match="checkpoint could not be written.*No space left.*make room"):
        train(store, tmp_path / "out", TINY, **QUIET)
    assert generations(tmp_path / "out")
    monkeypatch.undo()
    train(store, tmp_path / "out", TINY, **QUIET)


def test_training_does_not_wait_for_a_slow_disk(whole, store, tmp_path, monkeypatch):
    from threading import Event

    done, written = Event(), []
    real = keeping.write_generation

    def slow(run, step, content):
        if not written:
            done.wait(60)  # until training is over but for its end
        written.append(step)
        return real(run, step, content)

    monkeypatch.setattr(keeping, "write_generation", slow)
    monkeypatch.setattr(
        loop.Session, "finish", lambda self, stopped, finish=loop.Session.finish: (done.set(), finish(self, stopped))
    )
    train(store, tmp_path / "out", TINY, **QUIET)
    assert written == [1, 18]  # the one that was slow, and the last
    assert weights(tmp_path / "out") == weights(whole)
