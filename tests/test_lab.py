"""Opening a notebook: profiles, folders, data at first use, and what Drive is for."""

import dataclasses
import shutil
import sys
import time
import types
from importlib.machinery import ModuleSpec

import psutil
import pytest
from loopback import Resource, loopback
from test_downloads import musdb_zip

from sepnb import lab as lab_module
from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.lab import open_lab
from sepnb.profiles import PROFILES
from sepnb.separators import REGISTRY
from sepnb.training import Recipe, find_recipe, read_recipe
from sepnb.training.ladder import LADDERS, Rung, find_ladder

BAND = {"train": 1, "valid": 1, "test": 1}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A band of three short songs, made by a lab, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_module, "BAND", BAND)
        patch.setattr(lab_module, "BAND_SECONDS", 3.0)
        return open_lab("band", profile="demo", home=tmp_path_factory.mktemp("band")).data


@pytest.fixture(autouse=True)
def small_band(monkeypatch, rendered):
    """Labs that find that band made, and no settings from outside."""
    monkeypatch.setattr(lab_module, "make_band", lambda out, **_: shutil.copytree(rendered, out, dirs_exist_ok=True))
    for name in ("SEPNB_PROFILE", "SEPNB_HOME", "SEPNB_DATA", "SEPNB_DRIVE", "SEPNB_STOP_AFTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """A stand-in for Colab's module: mounting Drive makes a folder."""
    mounted = []

    def mount(mountpoint):
        (tmp_path / "drive" / "MyDrive").mkdir(parents=True, exist_ok=True)
        mounted.append(mountpoint)

    google, module = types.ModuleType("google"), types.ModuleType("google.colab")
    module.drive = types.SimpleNamespace(mount=mount)
    google.colab, google.__path__ = module, []
    for fake in (google, module):
        fake.__spec__ = ModuleSpec(fake.__name__, None)
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setenv("SEPNB_DRIVE", str(tmp_path / "drive"))
    # This machine may have been up for longer than a session of Colab lasts.
    began = time.time() - 60
    monkeypatch.setattr("sepnb.lab._runtime_began", lambda: began)
    return mounted


def test_says_where_it_runs_and_writes_nothing_yet(tmp_path, capsys):
    lab = open_lab("01_data_prep", home=tmp_path / "home")
    said = capsys.readouterr().out
    assert "01_data_prep on this computer" in said
    assert "profile demo" in said
    assert str(tmp_path / "home") in said
    assert lab.device in ("cpu", "cuda")
    assert not (tmp_path / "home").exists()


def test_data_and_store_are_made_at_first_use(tmp_path):
    lab = open_lab("01_data_prep", home=tmp_path)
    assert [track.subset for track in lab.tracks] == ["train", "valid", "test"]
    assert not lab.tracks.left_out
    store = lab.store(excerpt=2.0)
    assert {entry.samples for entry in store.entries} == {2 * store.rate}
    assert lab.store(excerpt=2.0).fingerprint == store.fingerprint


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_profile_names_recipes_and_a_ladder_that_are_there(profile):
    assert find_recipe(profile.recipe).name == profile.recipe
    assert find_recipe(profile.compact).model == "compact"
    assert find_ladder(profile.ladder)
    short, long = (find_recipe(name) for name in profile.chunks)
    assert short.seconds < long.seconds <= profile.excerpt, (
        "a chunk that is longer than the songs is padded with silence"
    )


def test_the_demos_songs_are_enough_for_its_ladder():
    assert max(rung.songs for rung in find_ladder(PROFILES["demo"].ladder)) == lab_module.BAND["train"]


def test_the_profile_is_the_best_whose_data_is_there(tmp_path, monkeypatch):
    assert open_lab("x", home=tmp_path).profile.name == "demo"
    (tmp_path / "data" / "musdb18-7s" / "train").mkdir(parents=True)
    assert open_lab("x", home=tmp_path).profile.name == "sample"
    (tmp_path / "elsewhere" / "train").mkdir(parents=True)
    monkeypatch.setenv("SEPNB_DATA", str(tmp_path / "elsewhere"))
    lab = open_lab("x", home=tmp_path)
    assert lab.profile.name == "full"
    assert lab.data == tmp_path / "elsewhere"
    monkeypatch.setenv("SEPNB_PROFILE", "demo")
    assert open_lab("x", home=tmp_path).profile.name == "demo"


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(SepnbError, match="no profile 'tiny'; there are demo, sample, full"):
        open_lab("x", profile="tiny", home=tmp_path)


def test_songs_are_those_of_the_full_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPNB_PROFILE", "demo")
    assert open_lab("x", home=tmp_path, songs=5).profile.name == "full"
    with pytest.raises(SepnbError, match="goes with the profile 'full', not 'demo'"):
        open_lab("x", profile="demo", home=tmp_path, songs=5)


def test_full_without_its_data_says_where_to_put_it(tmp_path):
    with pytest.raises(SepnbError, match="MUSDB18-HQ is not here.*SEPNB_DATA"):
        _ = open_lab("x", profile="full", home=tmp_path).data


def test_after_a_disconnect_the_store_comes_back_from_drive(tmp_path, colab, monkeypatch, capsys):
    home, drive = tmp_path / "content", tmp_path / "drive"
    lab = open_lab("02_train_unet", home=home)
    assert colab == [str(drive)]
    assert "on Colab" in capsys.readouterr().out
    store = lab.store(excerpt=2.0)
    (kept,) = (drive / "MyDrive" / "sepnb").glob("*.zip")

    shutil.rmtree(home)  # the runtime is gone, Drive is not
    lab = open_lab("02_train_unet", home=home)
    # Nothing may be decoded again: reading audio is made impossible.
    monkeypatch.setattr("sepnb.tracks.Track.stems", lambda *_: pytest.fail("decoded although the archive was there"))
    again = lab.store(excerpt=2.0)
    assert again.fingerprint == store.fingerprint
    assert kept.stat().st_size > store.nbytes


def test_the_way_of_a_free_gpu(tmp_path, colab, monkeypatch):
    """A few songs out of the remote zip, cut to a store, one archive on Drive; after a disconnect back from it."""
    home = tmp_path / "content"
    with loopback() as server:
        server.files["musdb18hq.zip"] = Resource(musdb_zip())
        monkeypatch.setenv("SEPNB_DATA_URL", server.base)
        lab = open_lab("02_train_unet", profile="full", home=home, songs=2)
        store = lab.store(excerpt=0.5)
        fetched = {entry.name for entry in store.entries if entry.subset == "train"}
        assert len(fetched) == 2
        bytes_asked = [asked for _, asked in server.asked]
        assert None not in bytes_asked, "only parts of the zip were asked for"
    shutil.rmtree(home)
    again = open_lab("02_train_unet", profile="full", home=home, songs=2).store(excerpt=0.5)  # the server is gone
    assert again.fingerprint == store.fingerprint


def test_drive_that_is_refused_is_said_and_the_lab_works(tmp_path, colab, monkeypatch, capsys):
    def refuse(mountpoint):
        raise ValueError("mount failed")

    monkeypatch.setattr(sys.modules["google.colab"].drive, "mount", refuse)
    lab = open_lab("02_train_unet", home=tmp_path)
    assert lab.drive is None
    assert "gone when the runtime disconnects" in capsys.readouterr().out


def test_answers_are_right_wrong_or_not_given_yet(tmp_path, capsys):
    lab = open_lab("x", home=tmp_path)
    capsys.readouterr()
    for answer in (None, 4, 5, "4"):
        lab.check("two and two", answer, lambda given: given == 4, hint="count on your fingers")
    assert capsys.readouterr().out.splitlines() == [
        "○ two and two: your turn",
        "✓ two and two",
        "✗ two and two: count on your fingers",
        "✗ two and two: give a number, not text in quotes",
    ]


def test_published_systems_are_those_of_the_profile_and_those_that_are_here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPNB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    lab = open_lab("04", profile="demo", home=tmp_path)
    shipped = {name for name, entry in REGISTRY.items() if entry.kind == "pretrained" and entry.cached()}
    assert set(lab.pretrained()) == shipped
    story = dataclasses.replace(PROFILES["demo"], pretrained=PROFILES["full"].pretrained)
    monkeypatch.setitem(lab_module.PROFILES, "demo", story)
    named = set(open_lab("04", profile="demo", home=tmp_path).pretrained())
    assert named == set(story.pretrained) | shipped <= set(REGISTRY)
    (tmp_path / "weights").mkdir()
    # Two of them are on this machine; the one of two stems is for a table of its own.
    for name in ("tasnet-beb46fac.th", "2stems.tar.gz"):
        (tmp_path / "weights" / name).write_bytes(b"")
    assert set(lab.pretrained()) == {"tasnet"} | shipped


def test_scores_outlive_a_disconnect_where_there_is_a_drive(tmp_path, colab, monkeypatch):
    assert open_lab("04", profile="demo", home=tmp_path, drive=False).scores == tmp_path / "build" / "scores" / "demo"
    kept = open_lab("04", profile="full", songs=20, home=tmp_path / "home").scores
    assert kept == tmp_path / "drive" / "MyDrive" / "sepnb" / "scores" / "full-20-songs"


# --- training --------------------------------------------------------------------------------------------------------

TINY = Recipe(
    "tiny",
    epochs=2,
    steps_per_epoch=2,
    seconds=0.5,
    batch_size=2,
    settings={"width": 2, "n_fft": 512, "hop": 256},
    valid_chunks=2,
)


def test_a_run_is_trained_at_first_use_and_kept_by_recipe(tmp_path):
    lab = open_lab("02", profile="demo", home=tmp_path)
    run = lab.run(TINY)
    assert run == tmp_path / "build" / "runs" / "demo-30s-tiny"
    written = (run / "weights.safetensors").stat().st_mtime_ns
    assert lab.run(TINY) == run
    assert (run / "weights.safetensors").stat().st_mtime_ns == written
    other = lab.run(dataclasses.replace(TINY, name="tiny-other", seed=1), store=lab.store(excerpt=1.0))
    assert other.name == "demo-1s-tiny-other"


def test_the_course_s_own_network_is_the_top_of_the_ladder(tmp_path, monkeypatch):
    monkeypatch.setattr(lab_module, "find_recipe", lambda _: TINY)
    monkeypatch.setitem(LADDERS, "demo", (Rung(1, 1), Rung(2, 2)))
    lab = open_lab("02", profile="demo", home=tmp_path)
    run = lab.run()
    assert run == tmp_path / "build" / "runs" / "demo-30s-tiny-ladder" / "01-songs-01-epochs"
    assert read_recipe(run).songs == 1, "there is one training song: the rung of two is out of reach"
    written = (run / "weights.safetensors").stat().st_mtime_ns
    assert list(lab.ladder()["run"]) == [str(run)]
    assert (run / "weights.safetensors").stat().st_mtime_ns == written, "the ladder opens it, and does not train again"


def test_after_a_disconnect_training_picks_up_where_it_was(tmp_path, colab, monkeypatch, capsys):
    home = tmp_path / "content"
    uninterrupted = open_lab("02", profile="demo", home=tmp_path / "whole", drive=False).run(TINY)
    monkeypatch.setenv("SEPNB_STOP_AFTER", "0s")
    run = open_lab("02", profile="demo", home=home).run(TINY)
    assert not read_json(run / "history.json")["finished"]
    assert "the time is up and all is saved" in capsys.readouterr().out

    shutil.rmtree(home)  # the runtime is gone, Drive is not
    monkeypatch.delenv("SEPNB_STOP_AFTER")
    run = open_lab("02", profile="demo", home=home).run(TINY)
    history = read_json(run / "history.json")
    assert history["finished"]
    assert len(history["sessions"]) == 2, "it went on, and did not begin again"
    assert (run / "weights.safetensors").read_bytes() == (uninterrupted / "weights.safetensors").read_bytes()
    kept = tmp_path / "drive" / "MyDrive" / "sepnb" / "runs" / run.name
    assert (kept / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()

    shutil.rmtree(home)  # and once more: a finished run is not trained again
    monkeypatch.setattr("sepnb.training.loop.gradient", lambda *_: pytest.fail("trained again"))
    assert (open_lab("02", profile="demo", home=home).run(TINY) / "history.csv").is_file()


def test_a_run_for_so_many_minutes_is_measured_once(tmp_path, monkeypatch):
    lab = open_lab("02", profile="demo", home=tmp_path)
    budgets = []

    def fit(recipe, store, minutes, device):
        budgets.append(minutes)
        return dataclasses.replace(recipe, epochs=len(budgets))

    monkeypatch.setattr("sepnb.training.budget.fit_budget", fit)
    run = lab.run(TINY, minutes=0.5)
    assert run.name == "demo-30s-tiny-0.5-minutes"
    assert lab.run(TINY, minutes=0.5) == run
    assert (budgets, read_recipe(run).epochs) == ([0.5], 1)
    with pytest.raises(SepnbError, match="finished run with another recipe"):
        lab.run(dataclasses.replace(TINY, seed=5), minutes=0.5)


def test_the_ladder_of_the_profile(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(LADDERS, "demo", (Rung(1, 1),))
    lab = open_lab("02", profile="demo", home=tmp_path)
    monkeypatch.setenv("SEPNB_STOP_AFTER", "0s")
    assert len(lab.ladder(TINY)) == 0
    assert "0 of 1 rungs: the time is up" in capsys.readouterr().out
    monkeypatch.delenv("SEPNB_STOP_AFTER")
    table = lab.ladder(TINY)
    assert list(table["songs"]) == [1]
    assert table["run"][0] == str(tmp_path / "build" / "runs" / "demo-30s-tiny-ladder" / "01-songs-01-epochs")


def test_training_stops_before_colab_does(tmp_path, colab, monkeypatch):
    lab = open_lab("02", profile="demo", home=tmp_path)
    assert lab.time_left == pytest.approx(11.5 * 3600 - 60, abs=30)
    monkeypatch.undo()
    assert lab_module._runtime_began() == psutil.Process(1).create_time()
    monkeypatch.setenv("SEPNB_STOP_AFTER", "90m")
    assert lab.time_left == pytest.approx(5400, abs=60)


def test_elsewhere_training_takes_as_long_as_it_takes(tmp_path):
    assert open_lab("02", profile="demo", home=tmp_path).time_left is None
