"""A short run learns, leaves a whole history, and is neither repeated nor overwritten."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_runs import RATE, TINY, losses, tones, weights

from sepnb.batches import Batches
from sepnb.errors import SepnbError
from sepnb.files import read_json
from sepnb.models import build, load
from sepnb.separators import load_separator
from sepnb.training import LOSSES, RECIPES, Recipe, find_recipe, read_history, read_recipe, relative_energy, train
from sepnb.training import loop as loop_module
from sepnb.training.averaging import Average
from sepnb.training.history import Progress
from sepnb.training.losses import energies, target_scale
from sepnb.training.optimizing import learning_rate, make_optimizer
from sepnb.training.precision import choose_precision
from sepnb.training.validation import median_sdr, sdr

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("runs") / "tiny", TINY, **QUIET)


def test_the_loss_falls_on_songs_it_never_saw(run):
    history = read_history(run)
    assert list(history.epoch) == [1, 2, 3]
    assert list(history.step) == [6, 12, 18]
    assert history.valid_loss.iloc[-1] < 0.8 * history.valid_loss.iloc[0]
    assert history.valid_sdr.iloc[-1] > history.valid_sdr.iloc[0] + 0.5


def test_the_table_holds_what_is_promised_and_its_times_add_up(run):
    history = read_history(run)
    assert list(history.columns) == [
        *("epoch", "step", "train_loss", "valid_loss", "valid_sdr", "valid_sdr_drums", "valid_sdr_bass"),
        *("learning_rate", "seconds", "waiting_seconds", "computing_seconds", "validating_seconds", "saving_seconds"),
        "skipped_steps",
    ]
    np.testing.assert_allclose(history.valid_sdr, (history.valid_sdr_drums + history.valid_sdr_bass) / 2)
    parts = ("waiting_seconds", "computing_seconds", "validating_seconds", "saving_seconds")
    np.testing.assert_allclose(sum(history[part] for part in parts), history.seconds)
    assert (history.saving_seconds[1:] > 0).all()  # the checkpoints that epochs begin with
    assert (history.skipped_steps == 0).all()


def test_the_history_says_what_was_done(run, store):
    history = read_json(run / "history.json")
    assert history["recipe"]["name"] == "tiny"
    assert history["songs"] == ["song 0", "song 1"]
    assert (history["valid_subset"], history["device"], history["precision"]) == ("valid", "cpu", "fp32")
    assert (history["steps_per_epoch"], history["processes"], history["seed"]) == (6, 1, 0)
    assert (history["finished"], history["stopped"]) == (True, "epochs")
    assert history["best_epoch"] == 1 + int(np.argmax([row["valid_sdr"] for row in history["epochs"]]))
    assert history["parameters"] == sum(w.numel() for w in load(run).parameters())
    assert {"sepnb", "torch", "accelerate", "python", "threads", "store"} <= history.keys()
    assert history["sessions"][0]["seconds"] >= sum(row["seconds"] for row in history["epochs"])


def test_nothing_but_the_results_is_left(run):
    assert sorted(path.name for path in run.iterdir()) == [
        *("history.csv", "history.json", "model.json", "weights.safetensors")
    ]


def test_the_recipe_comes_back_from_the_run(run, tmp_path):
    assert read_recipe(run) == TINY
    with pytest.raises(SepnbError, match="holds no training run"):
        read_recipe(tmp_path)
    with pytest.raises(SepnbError, match="no epoch has been finished"):
        read_history(tmp_path)


def test_the_run_is_a_separator(run, store):
    separator = load_separator(run)
    assert separator.sources == store.sources
    mixture = np.zeros((1, RATE), np.float32)
    assert all(stem.shape == (1, RATE) for stem in separator(mixture, RATE).values())


def test_a_finished_run_is_kept_and_another_is_not_put_over_it(run, store):
    before = (run / "weights.safetensors").stat().st_mtime_ns
    assert train(store, run, TINY, resume=True) == run
    assert train(store, run, TINY) == run
    assert (run / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(SepnbError, match="a finished run with another recipe .*epochs 3 there, 1 asked"):
        train(store, run, Recipe("other", epochs=1, steps_per_epoch=1))


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(run, store, tmp_path):
    again = train(store, tmp_path / "again", TINY, **QUIET)
    assert weights(again) == weights(run)
    other = train(store, tmp_path / "other", replace(TINY, seed=1), **QUIET)
    assert weights(other) != weights(run)


def test_a_batch_in_parts_learns_as_a_whole_one(run, store, tmp_path):
    parts = train(store, tmp_path / "parts", replace(TINY, accumulate=2), **QUIET)
    for whole, split in zip(losses(run), losses(parts), strict=True):
        assert whole == pytest.approx(split, rel=1e-3)


def test_without_songs_to_validate_on_it_takes_the_training_songs_and_says_so(tmp_path):
    store = tones(tmp_path, subsets=("train", "train"))
    with pytest.warns(UserWarning, match="no songs to validate on"):
        run = train(store, tmp_path / "run", replace(TINY, epochs=1, steps_per_epoch=None, songs=1), **QUIET)
    history = read_json(run / "history.json")
    assert history["valid_subset"] == "train"
    assert history["songs"] == ["song 0"]
    assert history["steps_per_epoch"] == 2  # 3 s of music in batches of 4 times 0.5 s


def test_it_stops_when_validation_no_longer_gets_better_and_keeps_the_best(store, tmp_path, monkeypatch):
    scores = iter([1.0, 3.0, 2.0, 3.0, 9.0])
    kept = []

    def validated(self, network):
        kept.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"valid_loss": 0.5, "valid_sdr": next(scores), "valid_sdr_bass": 1.0, "valid_sdr_drums": 1.0}

    monkeypatch.setattr(loop_module.Validation, "scores", validated)
    run = train(store, tmp_path / "run", replace(TINY, epochs=10, patience=2), **QUIET)
    history = read_json(run / "history.json")
    assert (history["stopped"], history["best_epoch"], len(history["epochs"])) == ("patience", 2, 4)
    best = load(run).state_dict()
    assert all(torch.equal(best[name], value) for name, value in kept[1].items())


def test_the_line_of_an_epoch_says_how_it_went(store, tmp_path, capsys):
    train(store, tmp_path / "run", replace(TINY, epochs=1))
    out = capsys.readouterr().out
    assert "epoch   1/1: train loss" in out
    assert "valid SDR" in out


# -------------------------------------------------------------------------------- what is not to be had


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said(store, tmp_path):
    with pytest.raises(SepnbError, match="there is no CUDA GPU here"):
        train(store, tmp_path / "gpu", TINY, device="cuda")


@pytest.mark.parametrize(
    ("changes", "device", "message"),
    [
        ({"loss": "taste"}, "cpu", "no loss 'taste'; there are energy"),
        ({"precision": "fp8"}, "cpu", "no precision 'fp8'; there are auto, fp32, fp16, bf16"),
        ({"precision": "fp16"}, "cpu", "fp16 needs a GPU"),
        ({"model": "huge"}, "cpu", "no model 'huge'"),
        ({"settings": {"wide": 3}}, "cpu", "no setting 'wide'"),
        ({"songs": 9}, "cpu", "2 songs in the subset 'train', not 9"),
        ({}, "tpu", "'cpu' or 'cuda', not on 'tpu'"),
    ],
)
def test_what_is_not_to_be_had_is_said(store, tmp_path, changes, device, message):
    with pytest.raises(SepnbError, match=message):
        train(store, tmp_path / "run", replace(TINY, **changes), device=device)


def test_recipes_are_found_by_name():
    assert all(find_recipe(name).name == name for name in RECIPES)
    with pytest.raises(SepnbError, match="no recipe 'nothing'; there are toy-minute"):
        find_recipe("nothing")


# -------------------------------------------------------------------------------- the parts, against known answers


def test_the_loss_is_the_share_of_energy_that_is_wrong():
    targets = torch.randn(2, 3, 2, 50)
    assert relative_energy(targets, targets) == 1  # silence
    torch.testing.assert_close(relative_energy(0.5 * targets, targets), torch.tensor(0.25))
    torch.testing.assert_close(relative_energy(torch.zeros_like(targets), targets), torch.tensor(0.0))


class Fixed(torch.nn.Module):
    """Gives the true stems, times a factor, whatever the mixture."""

    def __init__(self, stems, factor):
        super().__init__()
        self.plain = build("toy", ("a", "b"), 1, RATE, n_fft=512, hop=256, width=2, depth=1)
        self.config, self.stft = self.plain.config, self.plain.stft
        self.stems, self.factor = stems, factor

    def estimate(self, mixture):
        return self.factor * self.stft(self.stems)

    def forward(self, mixture):
        return self.factor * self.stems


@pytest.mark.parametrize(("factor", "expected"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.25), (3.0, 4.0)])
def test_silence_scores_one_and_the_truth_nothing(factor, expected):
    stems = torch.randn(3, 2, 1, 3 * RATE, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.3]).view(
        2, 1, 1
    )
    for loss in LOSSES.values():
        score = loss(Fixed(stems, factor), stems, target_scale(energies(stems)))
        assert score.item() == pytest.approx(expected, abs=0.02)


def test_on_spectrograms_the_loss_is_never_below_that_on_samples():
    stems = torch.randn(2, 2, 1, RATE, generator=torch.Generator().manual_seed(0))
    network = build("toy", ("a", "b"), 1, RATE, n_fft=512, hop=256, width=2, depth=2)
    masks = torch.rand(2, 2, 1, 257, 1, generator=torch.Generator().manual_seed(1)).round()
    network.estimate = lambda mixture: masks * mixture[:, None]  # every other bin: no sound's spectrogram
    scale = target_scale(energies(stems))
    spectrogram, samples = (LOSSES[name](network, stems, scale).item() for name in ("energy", "waveform"))
    assert samples == pytest.approx(relative_energy(network(stems.sum(dim=1)) - stems, stems).item(), rel=1e-5)
    assert 0.5 * spectrogram < samples < 0.97 * spectrogram


def test_a_network_learns_with_every_loss(store, tmp_path):
    for name in LOSSES:
        history = read_history(train(store, tmp_path / name, replace(TINY, loss=name, epochs=2), **QUIET))
        assert history.valid_sdr.iloc[-1] > 0


def test_every_loss_is_a_mean_over_examples():
    stems = torch.randn(4, 2, 1, RATE, generator=torch.Generator().manual_seed(0))
    network = build("toy", ("a", "b"), 1, RATE, n_fft=512, hop=256, width=2, depth=2)
    scale = target_scale(energies(stems))
    for loss in LOSSES.values():
        parts = [loss(network, part, scale) for part in stems.split(2)]
        torch.testing.assert_close(loss(network, stems, scale), sum(parts) / 2)


def test_a_stem_that_is_silent_in_a_batch_does_not_weigh_without_end():
    torch.testing.assert_close(target_scale(torch.tensor([4.0, 2.0, 0.0])), torch.tensor([4.0, 2.0, 0.02]))
    assert target_scale(torch.zeros(2)).min() > 0


def test_averaged_weights_follow_as_the_formula_says():
    network = torch.nn.Linear(1, 1)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average = Average(network, 0.5)
    expected = 0.0
    for step in range(1, 30):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-5)
    assert 27 < expected < 29
    assert not average.network.weight.requires_grad
    plain = Average(network, 0.0)
    with torch.no_grad():
        network.weight.fill_(math.pi)
    plain.update(network, 1)
    assert torch.equal(plain.network.weight, network.weight)


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine():
    recipe = Recipe("r", epochs=1, steps_per_epoch=40, learning_rate=2.0, warmup_steps=4)
    rates = [learning_rate(recipe, step, 40) for step in range(40)]
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[22] == pytest.approx(1.0)  # half-way down
    assert rates[16] == pytest.approx(2 * 0.5 * (1 + math.cos(math.pi * 12 / 36)))
    assert 0 < rates[39] < 0.05
    assert learning_rate(replace(recipe, warmup_steps=0), 0, 40) == 2.0


def test_a_short_run_does_not_spend_itself_on_warming_up():
    recipe = Recipe("r", epochs=1, steps_per_epoch=20, learning_rate=2.0, warmup_steps=200)
    assert [learning_rate(recipe, step, 20) for step in range(3)] == [1.0, 2.0, 2.0]
    assert learning_rate(recipe, 0, 5) == 2.0


def test_two_seeds_are_scored_on_the_same_chunks(store):
    network = build("toy", store.sources, store.channels, store.rate, **TINY.settings).eval()
    cpu = torch.device("cpu")
    one, other = (loop_module.Validation(store, replace(TINY, seed=seed), cpu).scores(network) for seed in (0, 1))
    assert one == other


def test_an_epoch_of_steps_that_were_all_left_out_has_no_loss():
    progress = Progress()
    progress.end_step(0.5, skipped=True, waiting=0.0, seconds=1.0)
    assert math.isnan(progress.end_epoch({"valid_sdr": 0.0}, 1e-3, 0.0)["train_loss"])


def test_batches_go_on_from_before_there_was_a_variation(store):
    batches = Batches(store, 0.5, 2)
    state = batches.state_dict()
    del state["augment"]["mono"]
    batches.load_state_dict({**state, "next": 3})
    assert batches.state_dict()["next"] == 3
    with pytest.raises(SepnbError, match="augment differ"):
        batches.load_state_dict({**state, "augment": {**state["augment"], "mono": 0.5}})


def test_weight_decay_makes_it_adamw():
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    assert type(make_optimizer(TINY, parameters)) is torch.optim.AdamW
    assert type(make_optimizer(replace(TINY, weight_decay=0.0), parameters)) is torch.optim.Adam


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "fp16"), ((7, 0), "fp16"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((9, 0), "bf16")],
)
def test_the_capability_of_a_gpu_decides_its_16_bits(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)  # as torch says on a T4
    assert choose_precision("auto", torch.device("cuda")) == expected
    assert choose_precision("auto", torch.device("cpu")) == "fp32"
    assert choose_precision("fp32", torch.device("cuda")) == "fp32"


def test_in_16_bits_stft_and_loss_stay_in_32(store, tmp_path, monkeypatch):
    seen = {}

    def loss(network, stems, scale):
        mixture = network.stft(stems.sum(dim=1))
        seen["stft"], seen["masks"] = mixture.dtype, network.masks(mixture.abs()).dtype
        value = plain(network, stems, scale)
        seen["loss"] = value.dtype
        return value

    plain = LOSSES["energy"]
    monkeypatch.setitem(LOSSES, "seen", loss)
    recipe = replace(TINY, epochs=1, loss="seen", precision="bf16", valid_chunks=1)
    monkeypatch.setattr(loop_module.Validation, "scores", lambda self, network: {"valid_loss": 0.0, "valid_sdr": 0.0})
    run = train(store, tmp_path / "run", recipe, **QUIET)
    assert seen == {"stft": torch.complex64, "masks": torch.bfloat16, "loss": torch.float32}
    assert all(value.dtype == torch.float32 for value in load(run).state_dict().values())


def test_the_sdr_is_an_energy_ratio_and_silent_chunks_have_none():
    stems = torch.zeros(3, 2, 1, 100)
    stems[:2, 0] = 1.0
    stems[2, 0] = 1e-4
    estimates = stems.clone()
    estimates[0, 0] = 0.9
    estimates[1, 0] = 0.0
    sdrs = sdr(estimates, stems)
    assert sdrs[0, 0].item() == pytest.approx(20, abs=1e-3)
    assert sdrs[1, 0].item() == pytest.approx(0, abs=1e-6)
    median, none = median_sdr(sdrs, stems)
    assert median == pytest.approx(10, abs=1e-3)
    assert math.isnan(none)


def test_the_best_epoch_is_that_of_the_best_sdr():
    progress = Progress(rows=[{"valid_sdr": math.nan}])
    assert progress.is_best()  # there is none yet
    progress.best_epoch, progress.best_sdr = 1, 2.0
    for value, better in ((2.0, False), (math.nan, False), (2.1, True)):
        progress.rows.append({"valid_sdr": value})
        assert progress.is_best() == better
