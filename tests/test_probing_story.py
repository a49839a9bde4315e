"""The networks of the story are those that were published, and all of them can be probed."""

import math
from dataclasses import replace

import psutil
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sepnb.errors import SepnbError
from sepnb.probing import story
from sepnb.probing.setting import Setting
from sepnb.probing.shortcuts import Shortcuts
from sepnb.probing.story import RATE, WORKLOADS, available, find_workload, musdb_segments
from sepnb.probing.tracing import trace

# Published, in millions: htdemucs' released weights; hdemucs; v2's weights of 1,014 MB; Conv-TasNet's of 42 MB;
# Open-Unmix, one target.
PUBLISHED = {
    "htdemucs": 41.98,
    "hdemucs": 83.64,
    "demucs_v2": 265.68,
    "conv_tasnet": 10.98,
    "open_unmix": 8.89,
}
SHORT = 0.7


def network_of(name: str, width: float = 1.0) -> nn.Module:
    with FakeTensorMode():
        return find_workload(name).build(width)


def parameters(network: nn.Module) -> int:
    """Numbers that are trained; Open-Unmix keeps the window of its STFT among its weights, too."""
    return sum(weights.numel() for weights in network.parameters() if weights.requires_grad)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_published(name):
    assert parameters(network_of(name)) / 1e6 == pytest.approx(PUBLISHED[name], abs=0.005)


def small(name: str):
    """The network with an eighth of its channels, which is traced sooner and does the same."""
    known = find_workload(name)
    return replace(known, build=lambda width: known.build(width / 8))


@pytest.fixture(scope="module")
def htdemucs_on_a_gpus_share():
    """Its published training on one of eight GPUs; the bytes that the process held more afterwards."""
    before = psutil.Process().memory_info().rss
    found = trace(find_workload("htdemucs"), Setting(4, 7.8))
    return found, psutil.Process().memory_info().rss - before


@pytest.mark.parametrize("workload", available(), ids=lambda workload: workload.name)
@pytest.mark.filterwarnings("ignore:In CPU autocast")  # moises-light means CUDA
def test_a_training_step_of_each_can_be_traced(workload, request):
    if workload.name == "htdemucs":
        found, _ = request.getfixturevalue("htdemucs_on_a_gpus_share")
    else:
        found = trace(small(workload.name), Setting(1, SHORT))
    assert list(found.ops["phase"].drop_duplicates()) == ["forward", "backward", "optimizer"]
    gradients, weights = (
        found.blocks[found.blocks["role"] == role]["size"].sum() for role in ("gradients", "parameters")
    )
    assert 0 < gradients <= weights
    moments = found.blocks[found.blocks["role"] == "optimizer"]["size"].sum()
    assert moments == pytest.approx(2 * gradients, rel=0.02)
    assert found.flops > 0
    # Nothing but weights, gradients and the optimizer is left when the step is done.
    left = found.blocks[found.blocks["died"] == len(found.ops)]
    assert set(left["role"]) <= {"parameters", "gradients", "optimizer", "temporaries"}


@pytest.mark.parametrize("name", ["demucs_v2", "open_unmix"])
def test_networks_of_recurrent_layers_run_them_as_such(name):
    ops = trace(small(name), Setting(1, SHORT)).ops
    recurrent = ops[ops["kind"] == "recurrent"]
    assert {"forward", "backward"} <= set(recurrent["phase"])
    assert (recurrent["steps"] > 1).all()


def test_attention_of_htdemucs_is_fused_though_it_has_dropout():
    known = find_workload("htdemucs")

    def build(width):
        from demucs.htdemucs import HTDemucs

        return HTDemucs(["a"], channels=8, bottom_channels=16, t_layers=1, t_heads=2, t_dropout=0.02)

    found = trace(replace(known, build=build, target_shape=lambda b, s: (b, 1, 2, round(s * RATE))), Setting(1, 2.0))
    assert "attention" in set(found.ops[found.ops["phase"] == "forward"]["kind"])


@pytest.mark.parametrize("workload", available(), ids=lambda workload: workload.name)
def test_a_share_of_the_channels_is_a_smaller_network(workload):
    sizes = [parameters(network_of(workload.name, width)) for width in (1.0, 0.5, 0.01)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] > 0


def test_shapes_are_those_that_networks_take_and_give():
    for name in ("toy", "demucs_v2", "conv_tasnet"):
        workload = small(name)
        with FakeTensorMode(allow_non_fake_inputs=True), Shortcuts(), torch.no_grad():
            network = workload.build(1.0).eval()
            out = network(torch.zeros(workload.input_shape(2, SHORT)))
        wanted = workload.target_shape(2, SHORT)
        assert tuple(out.shape[:3]) == wanted[:3]
        assert out.shape[-1] <= wanted[-1]


def test_our_networks_are_probed_as_they_are_trained():
    from sepnb.training.recipes import find_recipe

    for name, of in (("toy", "toy-3s"), ("compact", "compact")):
        published, recipe = WORKLOADS[name].training, find_recipe(of)
        assert (published.segment, published.batch) == (recipe.seconds, recipe.batch_size)
        assert recipe.model == name
        assert recipe.settings == {}, "it is trained as it comes"


def test_published_trainings_are_whole():
    for name, workload in WORKLOADS.items():
        published = workload.training
        assert published.batch % published.gpus == 0
        assert min(published.batch, published.segment, published.networks) > 0
        # Without either there are no hours of training to be told, and it says why.
        assert (published.examples is None) == (published.epochs is None) == (name == "moises_light")
        assert published.source


def test_segments_of_musdb_are_counted_by_hand():
    # A song of 237 s: 10 s from second 0, 1, … 227.
    assert musdb_segments(10, 1) == 86 * 228
    assert musdb_segments(237, 1, songs=1) == 1
    assert musdb_segments(10, 2, songs=2) == 2 * 114


def test_an_unknown_name_is_said_with_those_there_are():
    with pytest.raises(SepnbError, match=r"no model 'demux' to probe; there are htdemucs, .*toy"):
        find_workload("demux")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(story, "find_spec", lambda name: None)
    with pytest.raises(SepnbError, match="moises_light needs the package moises-light: pip install moises-light"):
        find_workload("moises_light")
    assert "moises_light" not in {workload.name for workload in available()}
    assert "htdemucs" in {workload.name for workload in available()}


def test_demucs_v4_is_traced_without_being_allocated(htdemucs_on_a_gpus_share):
    found, taken = htdemucs_on_a_gpus_share
    assert found.peak > 8e9
    assert taken < 1e9
    assert psutil.Process().memory_info().rss < 2e9


def test_most_of_what_demucs_v4_needs_are_activations(htdemucs_on_a_gpus_share):
    held = htdemucs_on_a_gpus_share[0].at_peak()
    assert held["activations"] > 0.75 * sum(held.values())
    assert held["parameters"] / 4e6 == pytest.approx(41.98, abs=0.05)
    # Its gradients are not there yet; Adam's two moments are.
    assert held["optimizer"] / 8e6 == pytest.approx(41.98, abs=0.05)


def test_a_tenth_more_audio_takes_a_tenth_more():
    once, longer = (trace(find_workload("toy"), Setting(1, seconds)).peak for seconds in (5.0, 5.5))
    assert math.isclose(longer / once, 1.1, rel_tol=0.02)
