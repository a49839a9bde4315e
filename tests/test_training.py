"""A short run learns, leaves a whole history, and is neither repeated nor overwritten."""

import numpy as np
import pytest
import soundfile
import torch

from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.separators import load_separator
from sepnb.store import prepare
from sepnb.training import RECIPES, Recipe, train
from sepnb.training.loop import read_history, read_recipe, relative_energy
from sepnb.training.recipes import find_recipe

RATE = 8000
TINY = Recipe("tiny", epochs=3, steps_per_epoch=10, seconds=1.0, batch_size=2, learning_rate=1e-2, valid_chunks=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Songs of a low tone and a high noise: easy enough to learn in seconds."""
    root = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    time = np.arange(3 * RATE) / RATE
    for number, subset in enumerate(["train", "train", "valid"]):
        folder = root / subset / f"song {number}"
        folder.mkdir(parents=True)
        low = 0.3 * np.sin(2 * np.pi * (100 + 40 * number) * time)
        high = np.diff(rng.normal(0, 0.1, len(time) + 1))
        soundfile.write(folder / "bass.wav", low, RATE)
        soundfile.write(folder / "drums.wav", high, RATE)
    return prepare(root, tmp_path_factory.mktemp("store") / "store", workers=1).store


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("runs") / "tiny", TINY)


def test_the_loss_falls_on_songs_it_never_saw(run):
    history = read_history(run)
    assert list(history.epoch) == [1, 2, 3]
    assert history.valid_loss.iloc[-1] < 0.8 * history.valid_loss.iloc[0]
    assert (history.waiting_seconds < history.seconds).all()


def test_the_history_says_what_was_done(run):
    history = read_json(run / "history.json")
    assert history["recipe"]["name"] == "tiny"
    assert history["valid_subset"] == "valid"
    assert history["device"] == "cpu"
    assert len(history["epochs"]) == 3
    assert {"sepnb", "torch", "python", "threads", "store"} <= history.keys()


def test_the_recipe_comes_back_from_the_run(run):
    assert read_recipe(run) == TINY
    assert TINY.seconds_heard == 3 * 10 * 2 * 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said(store, tmp_path):
    with pytest.raises(SepnbError, match="there is no CUDA GPU here"):
        train(store, tmp_path / "gpu", TINY, device="cuda")


def test_the_loss_is_the_share_of_energy_that_is_wrong():
    targets = torch.randn(2, 3, 2, 50)
    assert relative_energy(targets, targets) == 1  # silence
    torch.testing.assert_close(relative_energy(0.5 * targets, targets), torch.tensor(0.25))
    torch.testing.assert_close(relative_energy(torch.zeros_like(targets), targets), torch.tensor(0.0))


def test_the_run_is_a_separator(run, store):
    separator = load_separator(run)
    assert separator.sources == store.sources
    mixture = np.zeros((1, RATE), np.float32)
    assert all(stem.shape == (1, RATE) for stem in separator(mixture, RATE).values())


def test_a_finished_run_is_kept_and_another_is_not_put_over_it(run, store):
    before = (run / "weights.safetensors").stat().st_mtime_ns
    assert train(store, run, TINY) == run
    assert (run / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(SepnbError, match="finished run with another recipe"):
        train(store, run, Recipe("other", epochs=1, steps_per_epoch=1))


def test_the_same_seed_gives_the_same_weights(run, store, tmp_path):
    again = train(store, tmp_path / "again", TINY)
    assert (again / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()


def test_a_loss_that_is_no_number_stops_the_run(store, tmp_path):
    wild = Recipe("wild", epochs=1, steps_per_epoch=4, seconds=1.0, batch_size=2, width=4, learning_rate=float("inf"))
    with pytest.raises(SepnbError, match="epoch 1: try a smaller learning rate"):
        train(store, tmp_path / "wild", wild)
    assert not (tmp_path / "wild" / "history.json").exists()


def test_recipes_are_found_by_name():
    assert all(find_recipe(name).name == name for name in RECIPES)
    with pytest.raises(SepnbError, match="no recipe 'toy'; there are toy-minute"):
        find_recipe("toy")
