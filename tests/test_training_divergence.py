"""Training that goes wrong is stopped with a report, and ordinary noise does not stop it."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_runs import TINY, tones

from sepnb.batches import Batches
from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.training import TrainingDiverged, keeping, loop, train
from sepnb.training.checkpoints import generations, unpack
from sepnb.training.divergence import WINDOW, Watch

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture
def bad_batch(monkeypatch):
    """Batch number 9 explodes: it is so loud that its energy is no number in 32 bits."""
    real = Batches.__next__

    def explode(self):
        number = self.state_dict()["next"]
        return real(self) * (1e25 if number == 9 and self.subset == "train" else 1.0)

    monkeypatch.setattr(Batches, "__next__", explode)


def test_an_exploding_batch_is_named_and_the_last_good_state_kept(store, tmp_path, bad_batch):
    out = tmp_path / "out"
    with pytest.raises(TrainingDiverged, match="epoch 2, step 10: the loss is (nan|inf)") as caught:
        train(store, out, TINY, checkpoint_every=0.0, **QUIET)
    (step, path), *_ = generations(out)
    message = str(caught.value)
    assert "The last batch was number 9, with drums of 'song " in message
    assert "smaller learning rate" in message
    assert f"the last good state is {path}; going on from it with the same recipe comes to the same end" in message
    report = read_json(out / "diverged.json")
    assert (report["epoch"], report["step"], report["batch"], report["loss"]) == (2, 10, 9, None)
    train_batches = Batches(store, TINY.seconds, TINY.batch_size, augment=TINY.augment, seed=TINY.seed)
    assert report["examples"] == train_batches.describe(9)
    assert report["checkpoint"] == str(path)
    assert 5 <= step <= 8
    state = unpack(path)
    assert all(torch.isfinite(value).all() for value in state["network"].values())
    assert not read_json(out / "history.json")["finished"]
    # The same recipe comes to the same end; it is the report's word.
    with pytest.raises(TrainingDiverged, match="epoch 2, step 10"):
        train(store, out, TINY, resume=True, **QUIET)


def test_a_run_that_a_bad_batch_stopped_goes_on_where_it_is_gone(store, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        real = loop.gradient
        patch.setattr(loop, "gradient", lambda *given: (real(*given)[0], math.inf))
        with pytest.raises(
            TrainingDiverged, match="the norm of the gradient is inf .*no checkpoint had been written yet"
        ):
            train(store, tmp_path / "out", TINY, **QUIET)
    train(store, tmp_path / "out", TINY, resume=True, **QUIET)
    assert read_json(tmp_path / "out" / "history.json")["finished"]
    assert not (tmp_path / "out" / "diverged.json").exists()


def test_a_learning_rate_far_too_large_is_no_number_soon(store, tmp_path):
    out = tmp_path / "out"
    wild = replace(TINY, learning_rate=1e20, warmup_steps=0)
    with pytest.raises(
        SepnbError, match="step 2: the loss is nan.* smaller learning rate than 9.92e\\+19.* no checkpoint"
    ):
        train(store, out, wild, checkpoint_every=0.0, **QUIET)
    # The weights after the first step were numbers, but not good ones: the second step showed it in time.
    assert not generations(out)
    assert not (out / "weights.safetensors").exists()


def test_a_loss_that_grows_and_grows_is_stopped_without_being_infinite(store, tmp_path, monkeypatch):
    real, steps = loop.gradient, iter(range(1000))

    def gradient(*given):
        _, norm = real(*given)
        return (0.5 if next(steps) < 40 else 50.0), norm

    monkeypatch.setattr(loop, "gradient", gradient)
    with pytest.raises(TrainingDiverged, match="the loss diverges: its median over 25 steps is 50 and was 0.5"):
        train(store, tmp_path / "out", replace(TINY, epochs=20), checkpoint_every=0.0, **QUIET)
    # What was kept is from before it went wrong.
    assert max(step for step, _ in generations(tmp_path / "out")) <= 40


def test_steps_that_overflow_confirm_no_checkpoint(store, tmp_path, monkeypatch):
    """As with fp16: the gradients of steps 5 to 9 overflow, with an ordinary loss."""
    prepared, real, written, steps = loop._prepare, loop.gradient, [], itertools.count(1)

    def with_scaler(*given):
        state, objective = prepared(*given)
        state.scaler = torch.amp.GradScaler("cpu", enabled=False)
        return state, objective

    def gradient(*given):
        step = next(steps)
        if step == 10:
            raise RuntimeError
        loss, norm = real(*given)
        return loss, math.inf if step >= 5 else norm

    monkeypatch.setattr(loop, "_prepare", with_scaler)
    monkeypatch.setattr(loop, "gradient", gradient)
    monkeypatch.setattr(keeping, "write_generation", lambda out, step, content: written.append(step))
    with pytest.raises(RuntimeError):
        train(store, tmp_path / "out", TINY, checkpoint_every=0.0, **QUIET)
    assert written
    assert max(written) < 4  # of step 4 nothing is known but that what came after it overflowed


# -------------------------------------------------------------------------------- the watch alone


def problems(losses, watch=None):
    watch = watch or Watch()
    return [problem for loss in losses if (problem := watch.problem(loss, 1.0, scaling=False))]


def test_noise_is_no_divergence():
    rng = np.random.default_rng(0)
    falling = np.linspace(1.0, 0.2, 5000)
    assert not problems(falling * rng.lognormal(0, 1.0, 5000))
    spikes = np.where(rng.random(5000) < 0.2, 1000.0, falling)
    assert not problems(spikes)


def test_a_bad_beginning_is_no_divergence():
    assert not problems(np.geomspace(1e4, 0.3, 500))


def test_a_network_that_falls_silent_is_no_divergence():
    assert not problems([0.1] * 100 + [1.0] * 500)


def test_a_loss_worse_than_silence_and_far_above_its_best_is_divergence():
    found = problems([0.1] * 100 + [2.5] * WINDOW)
    assert found
    assert "its median over 25 steps is 2.5 and was 0.1 at its best" in found[0]
    assert problems([10.0] * 50 + [50.0] * WINDOW)
    assert not problems([10.0] * 50 + [30.0] * WINDOW)


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (0.5, math.nan), (0.5, math.inf)])
def test_what_is_no_number_is_a_problem_at_once(loss, norm):
    assert Watch().problem(loss, norm, scaling=False)


def test_with_loss_scaling_single_steps_may_overflow_but_not_all():
    watch = Watch()
    for _ in range(10):
        assert all(watch.problem(math.inf, math.inf, scaling=True) is None for _ in range(WINDOW - 1))
        assert watch.problem(0.5, 1.0, scaling=True) is None
    for _ in range(WINDOW - 1):
        watch.problem(0.5, math.nan, scaling=True)
    assert "25 steps in a row" in watch.problem(0.5, math.nan, scaling=True)


def test_after_an_overflow_it_is_not_calm_until_a_step_is_taken():
    watch = Watch()
    assert watch.calm
    watch.problem(0.5, math.inf, scaling=True)
    assert not watch.calm
    watch.problem(0.5, 1.0, scaling=True)
    assert watch.calm
