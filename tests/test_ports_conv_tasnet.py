from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from songs import stacked

from sepnb.errors import SepnbError
from sepnb.ports.checkpoints import load_into, read_package
from sepnb.ports.conv_tasnet import ConvTasNet
from sepnb.ports.demucs_v2 import DemucsV2
from sepnb.separators.demucs_family import load_demucs_folder
from sepnb.separators.demucs_v2 import CLASSES, RELEASED

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = GOLDEN / "conv_tasnet_tiny.th"  # see make_demucs_v2_golden.py
TINY = partial(ConvTasNet, sources=2, filters=12, bottleneck=12, hidden=16, blocks=3, repeats=2)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """What the original package made of the same weights."""
    with np.load(GOLDEN / "conv_tasnet_tiny.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def network() -> ConvTasNet:
    return load_into(TINY(), read_package(PACKAGE, CLASSES)["state"], PACKAGE)


def test_the_network_computes_what_the_original_does(network, golden):
    with torch.inference_mode():
        stems = network(torch.from_numpy(golden["normal"])[None])[0].numpy()
    assert stems.shape == golden["raw"].shape
    np.testing.assert_allclose(stems, golden["raw"], atol=2e-5)


def test_examples_of_a_batch_do_not_touch_each_other(network, golden):
    mixture = torch.from_numpy(golden["normal"])
    with torch.inference_mode():
        both = network(torch.stack([mixture, 5 * mixture.flip(-1)]))
        alone = network(mixture[None])
    torch.testing.assert_close(both[:1], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [20, 21, 29, 30, 1003])
def test_stems_are_as_long_as_the_mixture(network, samples):
    with torch.inference_mode():
        assert network(torch.ones(3, 2, samples)).shape == (3, 2, 2, samples)


def test_silence_gives_silence(network):
    with torch.inference_mode():
        assert network(torch.zeros(1, 2, 500)).abs().max() == 0


def test_released_networks_are_as_large_as_the_originals():
    with torch.device("meta"):
        network = RELEASED["tasnet"].network()
    assert sum(parameter.numel() for parameter in network.parameters()) == 10_977_872


def test_separation_in_segments_is_the_original_packages(golden):
    separator = load_demucs_folder(PACKAGE)
    assert (separator.sources, separator.rate, separator.channels) == (("vocals", "accompaniment"), 8000, 2)
    stems = stacked(separator(golden["mixture"], 8000))
    np.testing.assert_allclose(stems, golden["split"], atol=1e-5)
    assert np.abs(golden["whole"] - golden["split"]).max() > 1e-3  # segments do matter


def test_separation_of_a_whole_song_at_once_is_the_original_packages(golden):
    separator = load_demucs_folder(PACKAGE).with_options(segment=1.0, overlap=0.0)
    np.testing.assert_allclose(stacked(separator(golden["mixture"], 8000)), golden["whole"], atol=1e-5)


@pytest.mark.parametrize("samples", [1, 15, 700, 2 * 525 + 3])
def test_songs_and_last_segments_shorter_than_a_filter_are_separated(golden, samples):
    stems = load_demucs_folder(PACKAGE)(golden["mixture"][:, :samples], 8000)
    assert stacked(stems).shape == (2, 2, samples)
    assert np.isfinite(stacked(stems)).all()


def test_weights_of_a_demucs_are_refused():
    state = read_package(GOLDEN / "demucs_v2_tiny.th", CLASSES)
    assert state["klass"] is DemucsV2
    with pytest.raises(SepnbError, match=r"demucs_v2_tiny\.th holds weights of another network.*ConvTasNet"):
        load_into(TINY(), state["state"], GOLDEN / "demucs_v2_tiny.th")
