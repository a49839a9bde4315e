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
from sepnb.training import keeping, loop, mirror, train
from sepnb.training.checkpoints import FOLDER, SLOTS, generations, newest, pack, slots, unpack, write_generation
from sepnb.training.history import RESULTS
from sepnb.training.mirror import Mirror

QUIET = {"progress": False, "resume": True, "checkpoint_every": 0.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Copies follow each checkpoint, not only every ten minutes."""
    monkeypatch.setattr(keeping, "COPY_EVERY", 0.0)


def steps_in(folder):
    return sorted(unpack(path)["progress"]["step"] for path in slots(folder))


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
    assert read_json(whole / "history.json")["sessions"][0]["mirror"] == str(mirror)
    for name in RESULTS:
        assert (mirror / name).read_bytes() == (whole / name).read_bytes()
    assert steps_in(mirror) == [18]
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


def test_the_newer_of_both_folders_counts(store, tmp_path):
    both = {"mirror": tmp_path / "mirror", **QUIET}
    train(store, tmp_path / "out", TINY, stop_after=0.0, **both)
    shutil.copytree(tmp_path / "out", tmp_path / "earlier")
    train(store, tmp_path / "out", TINY, stop_after=0.0, **both)
    assert steps_in(tmp_path / "mirror") == [1, 2]
    train(store, tmp_path / "earlier", TINY, stop_after=0.0, **both)
    history = read_json(tmp_path / "earlier" / "history.json")
    assert [session["first_step"] for session in history["sessions"]] == [1, 2, 3]
    # The file that holds the newest, torn: the other one counts.
    (last,) = (path for path in slots(tmp_path / "mirror") if unpack(path)["progress"]["step"] == 3)
    last.write_bytes(last.read_bytes()[:-1])
    shutil.rmtree(tmp_path / "earlier")
    with pytest.warns(UserWarning, match=f"{last.name} is torn"):
        train(store, tmp_path / "fresh", TINY, stop_after=0.0, **both)
    assert read_json(tmp_path / "fresh" / "history.json")["sessions"][-1]["first_step"] == 3


def test_a_checkpoint_that_cannot_be_read_now_is_not_removed(tmp_path, monkeypatch):
    for step in (1, 2):
        write_generation(tmp_path, step, pack({"step": step}))
    real = Path.read_bytes

    def passing(path):
        if path.name.endswith("2.ckpt"):
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", passing)
    with pytest.warns(UserWarning, match="step-00000002.ckpt cannot be read now .*Input/output error"):
        (_, state), _ = newest(tmp_path)
    assert state == {"step": 1}
    monkeypatch.setattr(Path, "read_bytes", real)
    assert newest(tmp_path)[0][1] == {"step": 2}
    # What is torn goes, and that it does not let itself be removed is no reason to stop.
    (tmp_path / FOLDER / "step-00000002.ckpt").write_bytes(b"")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
    with pytest.warns(UserWarning, match="step-00000002.ckpt cannot be removed .*read-only"):
        assert newest(tmp_path)[0][1] == {"step": 1}


def test_two_generations_are_kept_and_read_as_data(tmp_path):
    for step in (1, 20, 300):
        path = write_generation(tmp_path, step, pack({"step": step}))
    assert [step for step, _ in generations(tmp_path)] == [300, 20]
    path.write_bytes(pack({"code": Path("a")}))
    with pytest.raises(Exception, match="[Ww]eights"):
        unpack(path)


def test_a_mirror_that_goes_away_is_said_once_and_tried_again(whole, store, tmp_path, on_step):
    drive = tmp_path / "drive"
    drive.mkdir()
    on_step(3, lambda: drive.rename(tmp_path / "away"))
    with pytest.warns(UserWarning) as caught:
        train(store, tmp_path / "out", TINY, mirror=drive / "mirror", **QUIET)
    said = [str(warning.message) for warning in caught if "second folder" in str(warning.message)]
    assert len(said) == 1
    assert "training goes on" in said[0]
    assert weights(tmp_path / "out") == weights(whole)
    assert not drive.exists()  # nothing grows where the drive was


def test_a_mirror_that_comes_back_gets_everything(whole, store, tmp_path, on_step):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / FOLDER).write_text("in the way of the folder of checkpoints")
    on_step(15, (mirror / FOLDER).unlink)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(store, tmp_path / "out", TINY, mirror=mirror, **QUIET)
    assert weights(mirror) == weights(whole)
    assert read_json(mirror / "history.json")["finished"]


@pytest.mark.parametrize("where", ["file/mirror", "nowhere/mirror"])
def test_a_mirror_that_cannot_be_made_is_said_and_nothing_grows(whole, store, tmp_path, where):
    (tmp_path / "file").write_text("x")
    with pytest.warns(UserWarning, match="second folder .* cannot be used now .there is no folder"):
        train(store, tmp_path / "out", TINY, mirror=tmp_path / where, **QUIET)
    assert weights(tmp_path / "out") == weights(whole)
    assert not (tmp_path / "nowhere").exists()
    with pytest.warns(UserWarning, match="second folder .* cannot be written .there is no folder"):
        assert train(store, tmp_path / "out", TINY, mirror=tmp_path / where, **QUIET) == tmp_path / "out"


def test_a_drive_that_died_does_not_break_the_run(whole, store, tmp_path, monkeypatch, on_step):
    dead, died = tmp_path / "mirror", []

    def dying(real):
        def asked(path, *arguments, **options):
            if died and path.is_relative_to(dead):
                raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
            return real(path, *arguments, **options)

        return asked

    for name in ("is_dir", "is_file", "mkdir", "iterdir", "read_bytes", "write_bytes", "unlink", "glob"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    on_step(3, lambda: died.append(True))
    with pytest.warns(UserWarning, match="Transport endpoint is not connected"):
        train(store, tmp_path / "out", TINY, mirror=dead, **QUIET)
    assert weights(tmp_path / "out") == weights(whole)
    assert not (tmp_path / "out" / FOLDER).exists()
    # Dead from the beginning.
    with pytest.warns(UserWarning, match="cannot be used now .*Transport endpoint"):
        train(store, tmp_path / "again", TINY, mirror=dead, **QUIET)
    assert weights(tmp_path / "again") == weights(whole)


def test_a_drive_that_does_not_answer_is_waited_for_so_long_only(whole, store, tmp_path, monkeypatch):
    from threading import Event

    never = Event()
    monkeypatch.setattr(mirror, "make_folder", lambda _: never.wait(60))
    for module in (mirror, keeping):
        monkeypatch.setattr(module, "PATIENCE", 0.05)
    try:
        with pytest.warns(UserWarning) as caught:
            train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    finally:
        never.set()
    said = [str(warning.message) for warning in caught]
    assert any("cannot be used now (no answer in 0.05 seconds)" in words for words in said)
    assert any("does not answer; all is in" in words for words in said)
    assert weights(tmp_path / "out") == weights(whole)


def test_a_finished_run_reaches_a_mirror_that_was_away(whole, store, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    write_generation(tmp_path / "out", 18, pack({"progress": {"step": 18}}))  # killed just before its end
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(RESULTS)
    assert {path.name for path in (tmp_path / "mirror").iterdir()} == {*RESULTS, FOLDER}
    assert weights(tmp_path / "mirror") == weights(whole)


def test_a_mirror_is_overwritten_in_place_in_turn(tmp_path):
    about = {"recipe": TINY.as_dict(), "store": "s", "processes": 1}
    second = Mirror(tmp_path / "mirror", about)
    files = []
    for step in (1, 2, 3):
        write_generation(tmp_path / "out", step, pack({"progress": {"step": step}, "about": about}))
        second.follow(tmp_path / "out")
        files.append({path.name: path.stat().st_ino for path in slots(tmp_path / "mirror")})
    assert [len(there) for there in files] == [1, 2, 2]
    assert files[1] == files[2]
    assert steps_in(tmp_path / "mirror") == [2, 3]
    # What is further there is left alone, by whoever comes later with less.
    write_generation(tmp_path / "behind", 2, pack({"progress": {"step": 2}, "about": about}))
    (tmp_path / "behind" / "history.json").write_text("{}")
    Mirror(tmp_path / "mirror", about).follow(tmp_path / "behind")
    assert steps_in(tmp_path / "mirror") == [2, 3]
    assert not (tmp_path / "mirror" / "history.json").exists()
    with pytest.raises(SepnbError, match="another store"):
        Mirror(tmp_path / "mirror", {**about, "store": "t"}).follow(tmp_path / "behind")
    second.follow(tmp_path / "out", last=True)
    assert [path.name for path in (tmp_path / "mirror" / FOLDER).iterdir()] == [SLOTS[0]]
    assert steps_in(tmp_path / "mirror") == [3]


def test_a_mirror_is_written_every_ten_minutes_only(store, tmp_path, monkeypatch):
    copies = []
    monkeypatch.setattr(keeping, "COPY_EVERY", 600.0)
    monkeypatch.setattr(Mirror, "follow", lambda self, out, last=False: copies.append(last))
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert copies == [False, True]  # the first checkpoint, and the end


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
