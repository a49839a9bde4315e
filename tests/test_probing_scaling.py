"""Two small batches say what all others need; the largest batch and the longest segment are just that."""

from dataclasses import replace

import pytest
import torch
from probed import Run, workload
from torch import nn

from sepnb.errors import SepnbError
from sepnb.probing.cards import GIB, find_card
from sepnb.probing.predicting import Predictor
from sepnb.probing.scaling import scaling
from sepnb.probing.searching import LONGEST, NEAR, largest_batch, longest_segment
from sepnb.probing.setting import Setting
from sepnb.probing.story import find_workload
from sepnb.probing.tracing import Tracer
from sepnb.probing.workloads import own_workload


def small(name: str, share: float = 0.125):
    known = find_workload(name)
    return replace(known, build=lambda width: known.build(share * width))


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))


def norms() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 8, 8, 4), nn.BatchNorm1d(8), nn.GELU(), nn.ConvTranspose1d(8, 2, 8, 4))


CASES = {
    "chain": (workload(chain, 10), {}),
    "convolutions in 16 bits": (workload(norms, 2, 4000), {"precision": "fp16"}),
    "on a CPU": (workload(norms, 2, 4000), {"device": "cpu"}),
    "toy": (small("toy"), {}),
    "toy, accumulated": (small("toy"), {"accumulate": 2}),
    "open_unmix": (small("open_unmix"), {}),
    "open_unmix, forward": (small("open_unmix"), {"training": False}),
    "demucs_v2, checkpointed": (small("demucs_v2", 0.06), {"checkpoint": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_two_batches_say_of_the_seventh_is_its_trace(case):
    of_what, how = CASES[case]
    tracer = Tracer(of_what, Setting(1, 0.4, **how))
    said, traced = scaling(tracer).at(7), tracer.trace(batch=7)
    assert said.setting == traced.setting
    assert said.peak == traced.peak
    assert said.at_peak() == traced.at_peak()
    assert (said.curve() == traced.curve()).all()
    for column in ("operator", "flops", "bytes"):
        assert (said.ops[column] == traced.ops[column]).all(), column


def test_a_network_that_does_something_else_with_each_batch_is_said():
    def run(self, x):
        return self.layer(x) if len(x) == 2 else self.layer(x).relu()

    moody = workload(lambda: Run(run, layer=nn.Linear(4, 4)), 4, title="Moody")
    with pytest.raises(SepnbError, match="Moody does not do the same for 2 and for 3 examples.*probe each batch"):
        scaling(Tracer(moody, Setting(1, 1.0)))


# Peaks of a layer that is wide enough to be searched for in GiB; a CPU's trace needs no allowances.
WIDE = own_workload(lambda: nn.Sequential(nn.Linear(1000, 4000), nn.ReLU(), nn.Linear(4000, 1000)), (500, 1000), 1000)


def predictor(memory: float, of_what=WIDE) -> Predictor:
    """A predictor for a T4 with so many GiB."""
    return Predictor(of_what, replace(find_card("t4"), memory=int(memory * GIB)))


@pytest.mark.parametrize("memory", [0.7, 2.0, 5.0])
@pytest.mark.parametrize("how", [{}, {"precision": "fp16"}], ids=["fp32", "fp16"])
def test_the_largest_batch_is_the_largest(memory, how):
    knows, setting = predictor(memory), Setting(1, 1.0, **how)
    found = largest_batch(knows, setting)
    assert found.fits is True
    assert replace(found.setting, batch=1) == setting
    more = knows.at(replace(setting, batch=found.setting.batch + 1))
    assert more.fits is not True


def test_no_more_than_is_asked_for():
    assert largest_batch(predictor(1000), Setting(1, 1.0), most=37).setting.batch == 37
    assert largest_batch(predictor(1000), Setting(1, 1.0), most=1).setting.batch == 1


def test_where_nothing_fits_there_is_none():
    assert largest_batch(predictor(0.3), Setting(1, 1.0)) is None
    assert longest_segment(predictor(0.1, by_seconds()), Setting(1, 10.0)) is None


def by_seconds(steps: int = 1):
    """A network on so many numbers a second, in steps; its memory rises with each."""
    layers = lambda: nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))  # noqa: E731
    return own_workload(layers, lambda seconds: (max(1, int(seconds * 1000 / steps)) * steps, 64), 1000)


@pytest.mark.parametrize("steps", [1, 700], ids=["straight", "in steps"])
@pytest.mark.parametrize("start", [0.5, 7.0, 100.0])
def test_the_longest_segment_fits_and_a_little_more_does_not(steps, start):
    knows, setting = predictor(1.0, by_seconds(steps)), Setting(20, start)
    found = longest_segment(knows, setting)
    assert found.fits is True
    assert found.setting.segment < LONGEST
    longer = found.setting.segment * (1 + 1.1 * NEAR) + steps / 1000 * (steps > 1)
    assert knows.at(replace(setting, segment=longer)).fits is not True


def test_the_longest_segment_needs_few_traces(monkeypatch):
    knows, seen = predictor(1.0, by_seconds()), []
    at = knows.at
    monkeypatch.setattr(knows, "at", lambda setting: seen.append(setting.segment) or at(setting))
    longest_segment(knows, Setting(20, 7.0))
    assert len(seen) <= 6


def test_a_segment_is_no_longer_than_is_asked_for():
    knows = predictor(1000, by_seconds())
    assert longest_segment(knows, Setting(2, 3.0), most=5.0).setting.segment == 5.0
    assert longest_segment(knows, Setting(2, 3.0)).setting.segment == LONGEST
    assert longest_segment(knows, Setting(2, 30.0), most=5.0).setting.segment == 5.0


@pytest.mark.parametrize("seconds", [0.3, 0.5])
def test_a_segment_that_cannot_be_halved_is_searched_from_too(seconds):
    knows = predictor(1000, by_seconds())
    assert longest_segment(knows, Setting(2, seconds), most=seconds).setting.segment == seconds
    assert longest_segment(knows, Setting(2, seconds), most=5.0).setting.segment == 5.0
    assert longest_segment(predictor(0.3, by_seconds()), Setting(2, seconds), most=seconds) is None


def test_networks_of_real_weights_are_not_changed_by_a_search():
    torch.manual_seed(0)
    network = nn.Linear(8, 8)
    before = network.weight.detach().clone()
    assert largest_batch(predictor(1.0, own_workload(network, (8,), 1)), Setting(1, 8.0), most=10).setting.batch == 10
    assert torch.equal(network.weight, before)
    assert type(network.weight.data) is torch.Tensor
    assert network.weight.grad is None
