"""Validation: on which chunks, and what knowing nothing scores there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sepnb import audio
from sepnb.models import load
from sepnb.store import Store, prepare
from sepnb.training import Recipe, baseline_scores, read_history, train
from sepnb.training.validation import Validation, sdr

RATE = 4000
TINY = Recipe(
    "tiny",
    epochs=1,
    steps_per_epoch=1,
    seconds=1.0,
    batch_size=2,
    settings={"width": 2, "n_fft": 256, "hop": 128},
    valid_chunks=3,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """A song to train on and one to validate on, 6 s of noise each; the voice is half as loud as the bass."""
    folder = tmp_path_factory.mktemp("validation")
    rng = np.random.default_rng(0)
    for name in ("train/A", "valid/B"):
        for source, level in (("bass", 0.4), ("vocals", 0.2)):
            sound = rng.uniform(-level, level, (1, 6 * RATE)).astype(np.float32)
            audio.write(folder / "tracks" / name / f"{source}.wav", sound, RATE)
    return prepare(folder / "tracks", folder / "store", progress=False).store


def test_the_mixture_shared_out_scores_what_it_must(store):
    scores = baseline_scores(store, TINY)
    # The errors are (bass − vocals) / 2 and its opposite, five quarters of the bass's energy divided by four.
    assert scores["valid_sdr_bass"] == pytest.approx(10 * np.log10(16 / 5), abs=0.1)
    assert scores["valid_sdr_vocals"] == pytest.approx(10 * np.log10(4 / 5), abs=0.1)
    assert scores["valid_sdr"] == pytest.approx((scores["valid_sdr_bass"] + scores["valid_sdr_vocals"]) / 2)
    assert scores["valid_loss"] == pytest.approx((5 / 16 + 5 / 4) / 2, rel=0.02)


def test_runs_on_other_lengths_of_chunks_can_be_judged_on_the_same(store):
    short, long = TINY, replace(TINY, seconds=4.0, batch_size=1, valid_seconds=1.0)
    assert baseline_scores(store, long) == pytest.approx(baseline_scores(store, short), rel=1e-5)
    assert baseline_scores(store, replace(long, valid_seconds=None)) != baseline_scores(store, short)


def test_the_history_has_the_scores_on_the_chunks_that_were_asked_for(store, tmp_path):
    recipe = replace(TINY, seconds=0.5, valid_seconds=2.0, valid_chunks=2)
    row = read_history(train(store, tmp_path / "run", recipe, progress=False)).iloc[0]
    network = load(tmp_path / "run").eval()
    scores = Validation(store, recipe, torch.device("cpu")).scores(network)
    assert row["valid_loss"] == pytest.approx(scores["valid_loss"], rel=1e-4)


def test_sdr_of_half_the_stem_is_six_decibels():
    stems = torch.randn(2, 3, 1, 500, generator=torch.Generator().manual_seed(0))
    assert sdr(stems / 2, stems).numpy() == pytest.approx(np.full((2, 3), 6.0206), abs=1e-3)
