"""Verdicts, ways out and reports; networks of one's own; and what is said where nothing can be."""

import json
from dataclasses import replace

import pytest
import torch
from probed import Run
from torch import nn

import sepnb
from sepnb.errors import SepnbError
from sepnb.probing import describe, examine, find_card, verdict_table, ways_out, ways_table
from sepnb.probing.cards import GIB
from sepnb.probing.examining import Examination
from sepnb.probing.predicting import Predictor
from sepnb.probing.prediction import SESSION
from sepnb.probing.setting import Setting
from sepnb.probing.story import find_workload


@pytest.fixture(scope="module")
def toy():
    """The toy's published step on a T4."""
    return sepnb.probe("toy", batch=4, segment=0.5)


def on_a_card_of(prediction, memory: float):
    return replace(prediction, card=replace(prediction.card, memory=int(memory)))


def test_what_a_prediction_is_made_of(toy):
    assert toy.setting == Setting(4, 0.5)
    assert sum(toy.parts.values()) == toy.memory
    assert toy.memory_low <= toy.memory <= toy.memory_high
    assert 0 < toy.step.low <= toy.step.seconds <= toy.step.high
    assert toy.steps_per_epoch == 20 * 100 // 4
    assert toy.hours_per_epoch == pytest.approx(toy.steps_per_epoch * toy.step.seconds / 3600)
    assert toy.hours == pytest.approx(50 * toy.hours_per_epoch)
    assert toy.hours_range[0] <= toy.hours <= toy.hours_range[1]


def test_it_fits_where_the_most_it_can_need_is_there(toy):
    exactly = on_a_card_of(toy, toy.memory_high)
    assert exactly.fits is True
    assert exactly.verdict.startswith("fits")
    assert f"of {toy.memory_high / GIB:.1f}" in exactly.decides


def test_it_may_fit_between_the_least_and_the_most(toy):
    for memory in (toy.memory_low, toy.memory_high - 1):
        between = on_a_card_of(toy, memory)
        assert between.fits is None
        assert between.verdict.startswith("may fit")
        assert f"needs {toy.memory_low / GIB:.1f} to {toy.memory_high / GIB:.1f} GiB" in between.decides


def test_it_does_not_fit_below_the_least(toy):
    below = on_a_card_of(toy, toy.memory_low - 1)
    assert below.fits is False
    assert below.verdict == "does not fit"
    largest = max(below.parts, key=below.parts.get)
    assert f"GiB of that: {largest}" in below.decides


def test_a_long_training_takes_sessions(toy):
    long = replace(toy, training=replace(toy.training, epochs=10**6))
    assert long.sessions > 1
    assert (long.sessions - 1) * SESSION < long.hours <= long.sessions * SESSION
    assert long.verdict == f"fits, takes {long.sessions} sessions"
    short = replace(toy, training=replace(toy.training, epochs=1))
    assert (short.sessions, short.verdict) == (1, "fits")


def test_networks_that_are_trained_apart_all_take_their_time(toy):
    four = replace(toy, training=replace(toy.training, networks=4))
    assert four.hours == pytest.approx(4 * toy.hours)


def test_without_a_published_training_there_are_no_hours(toy):
    alone = replace(toy, training=None)
    assert (alone.hours, alone.hours_per_epoch, alone.sessions, alone.hours_range) == (None, None, None, None)
    assert alone.verdict == "fits"
    assert "GiB of" in alone.decides
    json.dumps(alone.as_dict())


def test_all_of_it_is_plain_values(toy):
    values = json.loads(json.dumps(toy.as_dict()))
    assert values["memory"] == toy.memory
    assert values["setting"]["batch"] == 4
    assert values["parts"]["activations"] == toy.parts["activations"]


def test_a_report_says_memory_time_and_verdict(toy):
    said = describe(toy)
    assert said.startswith("toy U-Net (ours) on NVIDIA T4: batch 4 of 0.5 s, fp32")
    for words in (
        "activations",
        "CUDA context",
        "time of a training step",
        "published training, 50 epochs",
        toy.verdict,
    ):
        assert words in said
    assert "forward pass only" not in said


def test_accumulated_batches_are_as_many_examples(toy):
    four = sepnb.probe("toy", batch=4, segment=0.5, accumulate=4)
    assert four.steps_per_epoch == toy.steps_per_epoch // 4
    assert four.step.seconds > 3 * toy.step.seconds
    assert four.trace.peak > toy.trace.peak


# Networks of one's own.


class Mine(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(2, width, 9, padding=4), nn.ReLU(), nn.Conv1d(width, 2, 9, padding=4))

    def forward(self, mixture):
        return self.layers(mixture)


def test_ones_own_network_as_instance_class_or_what_makes_it():
    network = Mine()
    found = [sepnb.probe(one, shape=(2, 44100), batch=3) for one in (network, Mine, lambda: Mine())]
    assert len({(one.memory, one.trace.flops) for one in found}) == 1
    assert [one.model for one in found] == ["Mine", "Mine", "network"]
    assert found[0].setting == Setting(3, 1.0)
    assert found[0].training is None


def test_the_network_that_is_given_is_not_changed():
    network = Mine()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sepnb.probe(network, shape=(2, 1000), trainable=0.5, checkpoint=1)
    assert network.training
    for name, value in network.named_parameters():
        assert value.requires_grad
        assert value.grad is None
        assert torch.equal(value, before[name])
    assert "forward" not in vars(network.layers[0])
    assert network(torch.zeros(1, 2, 50)).shape == (1, 2, 50)


def test_a_shape_may_be_a_function_of_seconds():
    found = sepnb.probe(lambda: nn.Linear(64, 64), shape=lambda seconds: (round(100 * seconds), 64), segment=2.0)
    assert found.trace.flops >= 2 * 200 * 64 * 64


def test_a_network_that_gives_a_dict_needs_its_loss():
    network = Run(lambda self, x: {"vocals": self.layer(x)}, layer=nn.Linear(50, 50))
    with pytest.raises(SepnbError, match=r"Run gives a dict, not a tensor: say what its loss is"):
        sepnb.probe(network, shape=(2, 50))
    found = sepnb.probe(network, shape=(2, 50), loss=lambda network, x, references: network(x)["vocals"].abs().mean())
    assert found.memory > 0


def test_a_loudness_passes_and_a_length_is_refused():
    loud = Run(lambda self, x: self.layer(x / x.abs().max().item()), layer=nn.Linear(50, 50))
    assert sepnb.probe(loud, shape=(2, 50)).memory > 0
    cut = Run(lambda self, x: self.layer(x)[..., : x.argmax().item()], layer=nn.Linear(50, 50))
    with pytest.raises(SepnbError, match="asks for the value of a tensor"):
        sepnb.probe(cut, shape=(2, 50))


@pytest.mark.parametrize(
    ("model", "how", "said"),
    [
        ("demux", {}, "no model 'demux' to probe; there are htdemucs"),
        ("toy", {"gpu": "t1000"}, "no card 't1000'; there are t4"),
        ("toy", {"precision": "bf16"}, "NVIDIA T4 has no bf16: take fp16"),
        ("toy", {"batch": 0}, "nothing to probe"),
        ("toy", {"width": 2.0}, "width 2.0"),
        (Mine, {}, "a network of your own needs the shape of one example"),
        (Mine, {"shape": (2, 100), "width": 0.5}, "give a narrower one"),
        (Mine, {"shape": lambda seconds: (2, 100)}, "say how many seconds"),
    ],
)
def test_what_cannot_be_probed_is_said(model, how, said):
    with pytest.raises(SepnbError) as error:
        sepnb.probe(model, **how)
    assert said in str(error.value)


def test_bf16_is_for_cards_that_have_it():
    assert sepnb.probe(Mine, "l4", shape=(2, 100), precision="bf16").setting.precision == "bf16"


# Several networks, and ways out.


def test_examining_one_after_the_other():
    (found,) = examine(["toy"], workers=1, batch=2, segment=0.5)
    assert isinstance(found, Examination)
    assert (found.name, found.ways) == ("toy", ())
    assert list(verdict_table([found])["model"]) == ["toy U-Net (ours)"]
    assert json.loads(json.dumps(found.as_dict()))["ways_out"] == []


def test_a_wrong_name_is_said_before_anything_is_begun():
    with pytest.raises(SepnbError, match="no model 'nothing'"):
        next(examine(["toy", "nothing"], workers=1))


@pytest.fixture(scope="module")
def ways():
    """Ways out for the toy on a card that is too small for it."""
    setting = Setting(4, 0.5)
    whole = sepnb.probe("toy", batch=4, segment=0.5)
    card = replace(find_card("t4"), memory=int(0.9 * whole.memory))
    return setting, ways_out(Predictor(find_workload("toy"), card), setting)


def test_each_way_out_changes_what_it_says(ways):
    setting, found = ways
    changed = {way.change: way.prediction.setting for way in found}
    assert len(changed) == len(found)
    smaller = found[0].prediction.setting
    assert smaller.batch < setting.batch
    assert smaller.batch * smaller.accumulate >= setting.batch
    assert any(one.precision == "fp16" for one in changed.values())
    assert any(one.width < 1 for one in changed.values())
    assert any(one.trainable < 1 for one in changed.values())
    assert all(way.price for way in found)
    assert list(ways_table(found)["way out"]) == list(changed)


def test_a_forward_pass_has_no_ways_out(ways):
    with pytest.raises(SepnbError, match="ways out are about training"):
        ways_out(Predictor(find_workload("toy"), find_card("t4")), Setting(4, 0.5, training=False))


def test_the_reports_finding_demucs_v4_at_its_gpus_share_does_not_fit_a_t4():
    found = sepnb.probe("htdemucs", "t4")
    assert (found.setting.batch, found.setting.segment) == (4, 7.8)
    assert found.verdict == "does not fit"
    assert found.decides.endswith("of that: activations")
