import argparse
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from loopback import Resource, loopback
from songs import stacked

from sepnb.errors import DownloadError, SepnbError
from sepnb.files import checksum
from sepnb.ports.checkpoints import load_into, read_package
from sepnb.ports.demucs_v2 import DemucsV2
from sepnb.separators import demucs_v2
from sepnb.separators.demucs_family import load_demucs_folder
from sepnb.separators.demucs_v2 import CLASSES, RELEASED, load_demucs_v2, weight_files
from sepnb.weights import WeightFile

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = GOLDEN / "demucs_v2_tiny.th"  # see make_demucs_v2_golden.py
TINY = partial(DemucsV2, sources=2, channels=4, depth=3)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """What the original package made of the same weights."""
    with np.load(GOLDEN / "demucs_v2_tiny.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def network() -> DemucsV2:
    return load_into(TINY(), read_package(PACKAGE, CLASSES)["state"], PACKAGE)


def test_the_network_computes_what_the_original_does(network, golden):
    with torch.inference_mode():
        stems = network(torch.from_numpy(golden["normal"])[None])[0].numpy()
    assert stems.shape == golden["raw"].shape
    np.testing.assert_allclose(stems, golden["raw"], atol=2e-5)


def test_the_network_wants_as_many_samples_as_the_original(golden, network):
    assert [network.valid_length(int(n)) for n in golden["lengths"]] == golden["valid_lengths"].tolist()


@pytest.mark.parametrize("options", [{}, {"resample": False}, {"kernel_size": 4, "stride": 2, "context": 1}])
@pytest.mark.parametrize("samples", [1, 99, 1000])
def test_a_valid_length_gives_all_samples_that_were_asked_for(options, samples):
    network = TINY(**options)
    with torch.inference_mode():
        stems = network(torch.zeros(1, 2, network.valid_length(samples)))
    assert stems.shape[:3] == (1, 2, 2)
    assert stems.shape[-1] >= samples


def test_inside_normalisation_makes_the_network_indifferent_to_level(network):
    normalising = TINY(normalize=True).eval()
    normalising.load_state_dict(network.state_dict())
    mixture = torch.randn(1, 2, 900, generator=torch.manual_seed(0))
    with torch.inference_mode():
        soft, loud = normalising(mixture), normalising(100 * mixture)
    torch.testing.assert_close(100 * soft, loud, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("name", "parameters"), [("demucs", 265_679_496), ("demucs48_hq", 149_462_504)])
def test_released_networks_are_as_large_as_the_originals(name, parameters):
    with torch.device("meta"):
        network = RELEASED[name].network()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_separation_in_segments_is_the_original_packages(golden):
    separator = load_demucs_folder(PACKAGE)
    assert (separator.sources, separator.rate, separator.channels) == (("vocals", "accompaniment"), 8000, 2)
    stems = stacked(separator(golden["mixture"], 8000))
    np.testing.assert_allclose(stems, golden["split"], atol=1e-5)
    assert np.abs(golden["whole"] - golden["split"]).max() > 1e-3  # segments do matter


def test_separation_of_a_whole_song_at_once_is_the_original_packages(golden):
    separator = load_demucs_folder(PACKAGE).with_options(segment=1.0, overlap=0.0)
    np.testing.assert_allclose(stacked(separator(golden["mixture"], 8000)), golden["whole"], atol=1e-5)


def test_the_file_is_part_of_what_a_result_depends_on():
    assert load_demucs_folder(PACKAGE).settings["weights"] == checksum(PACKAGE)[:16]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"glu": False}, "glu=False, a form that is not rebuilt"),
        ({"mystery": 1}, "mystery=1"),
        ({"channels": 5}, "weights of another network"),
        ({"depth": 2}, "weights of another network"),
        ({"depth": "x"}, "cannot be built"),
        ({"sources": None}, "does not say which sources"),
        ({"sources": [1, 2]}, "does not say which sources"),
        ({"segment_length": -1}, "segments of -1 samples"),
    ],
)
def test_a_package_of_another_form_is_refused(tmp_path, network, monkeypatch, change, sentence):
    kwargs = {"sources": ["vocals", "accompaniment"], "channels": 4, "depth": 3, **change}
    path = save_package(tmp_path / "odd.th", network, kwargs, monkeypatch)
    with pytest.raises(SepnbError, match=rf"odd\.th.*{sentence}"):
        load_demucs_folder(path)


def test_arguments_that_do_not_change_the_network_are_passed_over(tmp_path, network, monkeypatch):
    kwargs = {"sources": ["vocals", "accompaniment"], "channels": 4, "depth": 3, "rescale": 0.1, "glu": True}
    separator = load_demucs_folder(save_package(tmp_path / "usual.th", network, kwargs, monkeypatch))
    assert (separator.name, separator.rate, separator.settings["segment"]) == (f"{tmp_path.name}-usual", 44100, 40.0)


def test_arguments_without_names_are_refused(tmp_path, network, monkeypatch):
    path = save_package(tmp_path / "odd.th", network, {"channels": 4}, monkeypatch, (["vocals", "accompaniment"],))
    with pytest.raises(SepnbError, match=r"odd\.th.*without names"):
        load_demucs_folder(path)


def save_package(
    path: Path, network: DemucsV2, kwargs: dict, monkeypatch: pytest.MonkeyPatch, args: tuple = ()
) -> Path:
    """As the original saves itself: its class is named `demucs.model.Demucs` there."""

    class Demucs:
        pass

    Demucs.__module__, Demucs.__qualname__ = "demucs.model", "Demucs"
    module = types.ModuleType("demucs.model")
    module.Demucs = Demucs
    monkeypatch.setitem(sys.modules, "demucs.model", module)
    options = argparse.Namespace(models=None)
    state = network.state_dict()
    torch.save({"klass": Demucs, "args": args, "kwargs": kwargs, "state": state, "training_args": options}, path)
    return path


@pytest.fixture
def released(tmp_path, monkeypatch, network):
    """`demucs` is a tiny network now, whose weights a server on this machine has in the official format."""
    official = tmp_path / "state.th"
    torch.save(network.state_dict(), official)
    file = WeightFile(demucs_v2.ADDRESS + "demucs-abc.th", checksum(official)[:8])
    entry = demucs_v2.Released(TINY, file)
    monkeypatch.setitem(RELEASED, "demucs", entry)
    monkeypatch.setattr(demucs_v2, "SOURCES", ("vocals", "accompaniment"))
    monkeypatch.setenv("SEPNB_WEIGHTS", str(tmp_path / "weights"))
    with loopback() as server:
        server.files["demucs/v3.0/demucs-abc.th"] = Resource(official.read_bytes())
        monkeypatch.setenv("SEPNB_WEIGHTS_URL", server.base)
        yield server


def test_a_released_system_is_fetched_once_and_separates(released, golden):
    separator = load_demucs_v2("demucs")
    assert (separator.name, separator.rate) == ("demucs", 44100)
    assert separator.settings["segment"] == 40.0
    assert separator.settings["weights"] == checksum(weight_files("demucs")[0].path)[:16]
    whole = stacked(separator.with_options(overlap=0.0)(golden["mixture"], 44100))
    np.testing.assert_allclose(whole, golden["whole"], atol=1e-5)
    assert load_demucs_v2("demucs").settings == separator.settings
    assert len(released.asked) == 1


def test_a_cached_file_is_summed_up_once_a_load(released, monkeypatch):
    load_demucs_v2("demucs")
    summed = []
    for module in ("sepnb.weights.digest", "sepnb.ports.checkpoints.checksum"):
        monkeypatch.setattr(module, lambda path, *_: summed.append(path) or checksum(path))
    load_demucs_v2("demucs")
    assert summed == [weight_files("demucs")[0].path]


def test_a_mono_song_comes_back_mono(released, golden):
    mono = golden["mixture"][:1]
    separator = load_demucs_v2("demucs")
    stems = separator(mono, 44100)
    assert {stem.shape for stem in stems.values()} == {mono.shape}
    twice = separator(np.repeat(mono, 2, axis=0), 44100)
    np.testing.assert_allclose(stems["vocals"][0], twice["vocals"].mean(axis=0), atol=1e-6)


def test_tampered_weights_are_refused(released):
    resource = released.files["demucs/v3.0/demucs-abc.th"]
    resource.content = resource.content[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"demucs-abc\.th"):
        load_demucs_v2("demucs")
    assert not weight_files("demucs")[0].cached


def test_weights_that_were_changed_in_the_cache_are_refused(released):
    load_demucs_v2("demucs")
    path = weight_files("demucs")[0].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DownloadError, match=r"demucs-abc\.th"):
        load_demucs_v2("demucs")


def test_weights_of_another_system_are_refused(released, monkeypatch):
    wrong = demucs_v2.Released(partial(TINY, channels=8), RELEASED["demucs"].weights)
    monkeypatch.setitem(RELEASED, "demucs", wrong)
    with pytest.raises(SepnbError, match="weights of another network"):
        load_demucs_v2("demucs")


def test_without_a_network_the_message_says_what_is_missing(released, monkeypatch):
    monkeypatch.setenv("SEPNB_WEIGHTS_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"demucs-abc\.th.*put the file"):
        load_demucs_v2("demucs")


def test_released_files_are_those_of_the_package():
    files = [weight_files(name)[0] for name in RELEASED]
    assert [file.url.rpartition("/")[2] for file in files] == [
        "demucs-e07c671f.th",
        "demucs48_hq-28a1282c.th",
        "demucs_extra-3646af93.th",
        "tasnet-beb46fac.th",
        "tasnet_extra-df3777b2.th",
    ]
    assert all(file.sha256 in file.url for file in files)


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(SepnbError, match=r"demucs48_hq.*tasnet_extra"):
        load_demucs_v2("demucs_v9")
