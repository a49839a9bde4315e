"""The registry says of every separator what it is, and its facts agree with the networks that can be built."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from loopback import loopback

from sepnb.errors import DownloadError, SepnbError
from sepnb.models import UNet, UNetConfig, save
from sepnb.separators import REGISTRY, Bindable, facts, load_separator, seen_test_songs
from sepnb.separators.listing import listing
from sepnb.weights import BASE_VARIABLE, FOLDER_VARIABLE

GOLDEN = Path(__file__).parent / "golden"
REFERENCES = ["silence", "mixture", "mixture/n", "irm1", "irm2", "mwf"]
PRETRAINED = [
    *("htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "mdx", "mdx_extra"),
    *("hdemucs_high_musdb", "hdemucs_high_musdb_plus"),
    *("umx", "umxhq", "umxl"),
    *("demucs", "demucs48_hq", "demucs_extra", "tasnet", "tasnet_extra"),
    *("spleeter-2stems", "spleeter-4stems", "spleeter-5stems"),
]
SHIPPED = ["band-unet"]


@pytest.fixture
def nothing_cached(tmp_path, monkeypatch):
    """A machine without any weights, and without a network."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("sepnb.downloads.time.sleep", lambda seconds: None)
    with loopback() as gone:
        monkeypatch.setenv(BASE_VARIABLE, gone.base)


def test_every_system_of_the_story_is_there():
    assert set(REGISTRY) == {*REFERENCES, *SHIPPED, *PRETRAINED}
    assert all(name == name.lower() for name in REGISTRY), "names are looked up in lower case"


@pytest.mark.parametrize("name", REFERENCES)
def test_references_are_always_there_and_bound_to_a_track_first(name):
    entry = REGISTRY[name]
    assert entry.kind in ("baseline", "oracle")
    assert entry.cached()
    assert isinstance(load_separator(name.upper()), Bindable)


@pytest.mark.parametrize("name", [*SHIPPED, *PRETRAINED])
def test_a_pretrained_system_says_what_it_is(name):
    entry = REGISTRY[name]
    assert entry.kind == "pretrained"
    assert "vocals" in entry.sources
    assert entry.rate == 44100
    assert entry.where.startswith("https://") or name in SHIPPED
    assert entry.about


def test_facts_are_a_table_that_a_notebook_can_show():
    table = facts()
    assert list(table.index) == list(REGISTRY)
    assert table["test songs seen"]["mdx_extra"] == "yes"
    assert table["test songs seen"]["demucs"] == "no"
    assert table["test songs seen"]["umxl"] == "not stated"
    assert table["test songs seen"]["irm2"] == "–"
    assert table["parameters (M)"]["demucs"] == pytest.approx(265.679496)


def test_systems_are_said_to_have_seen_the_test_songs_by_the_names_that_they_have_in_scores():
    said = seen_test_songs(["mixture ÷ N", "IRM2", "MWF", "mdx_extra", "htdemucs", "umxl", "my-run"])
    assert said == {
        "mixture ÷ N": "–",
        "IRM2": "knows the answer",
        "MWF": "knows the answer",
        "mdx_extra": "yes",
        "htdemucs": "no",
        "umxl": "not stated",
        "my-run": "not stated",
    }


def test_systems_that_saw_the_test_songs_are_marked():
    assert {name for name, entry in REGISTRY.items() if entry.test_leak} == {"mdx_extra", "hdemucs_high_musdb_plus"}
    # Of what nobody has said, nothing is claimed.
    assert {name for name in PRETRAINED if REGISTRY[name].test_leak is None} == {"umxl", "htdemucs_6s"}


@pytest.mark.parametrize("name", PRETRAINED)
def test_without_its_weights_a_system_is_not_cached(nothing_cached, name):
    assert not REGISTRY[name].cached()


@pytest.mark.parametrize("name", ["umxhq", "hdemucs_high_musdb", "tasnet", "spleeter-2stems"])
def test_offline_the_missing_file_its_address_and_the_folder_are_named(nothing_cached, tmp_path, name):
    with pytest.raises(DownloadError, match=rf"not on this machine.*https://.* into {tmp_path / 'weights'}"):
        load_separator(name)


# ------------------------------------------------------------------------------------- parameters and sizes


def parameters(name: str) -> int:
    """Parameters of a system, counted on networks without memory."""
    with torch.device("meta"):
        return sum(parameter.numel() for network in _networks(name) for parameter in network.parameters())


def _networks(name: str) -> list[torch.nn.Module]:
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    from openunmix.model import OpenUnmix
    from torchaudio.models import hdemucs_high

    entry = REGISTRY[name]
    sources = list(entry.sources)
    if name.startswith("umx"):
        hidden = 1024 if name == "umxl" else 512
        return [OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=hidden, max_bin=1487)] * 4
    if name.startswith("hdemucs_high"):
        return [hdemucs_high(sources=sources)]
    if name == "hdemucs_mmi":
        return [HDemucs(sources)]
    if name == "mdx_extra":  # two networks give complex spectrograms, two give masks
        return [HDemucs(sources)] * 2 + [HDemucs(sources, cac=False)] * 2
    bottom = 0 if name == "htdemucs_6s" else 512
    network = HTDemucs(sources, channels=48, depth=4, bottom_channels=bottom, t_layers=5, dconv_mode=3)
    return [network] * (4 if name == "htdemucs_ft" else 1)


@pytest.mark.parametrize(
    "name",
    ["umx", "umxl", "hdemucs_high_musdb", "hdemucs_mmi", "mdx_extra", "htdemucs", "htdemucs_ft", "htdemucs_6s"],
)
def test_parameters_are_those_of_the_architecture(name):
    assert REGISTRY[name].parameters == parameters(name)


@pytest.mark.parametrize(("name", "channels"), [("demucs", 64), ("demucs48_hq", 48), ("tasnet", None)])
def test_parameters_of_the_older_systems_are_those_of_the_ports(name, channels):
    from sepnb.ports.conv_tasnet import ConvTasNet
    from sepnb.ports.demucs_v2 import DemucsV2

    with torch.device("meta"):
        network = DemucsV2(channels=channels) if channels else ConvTasNet(blocks=10)
    assert REGISTRY[name].parameters == sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_a_spleeter_network_follow_from_its_layers():
    down = [2, 16, 32, 64, 128, 256, 512]
    up = [(512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1)]
    weights = 25 * sum(a * b for a, b in [*itertools.pairwise(down), *up])
    outputs = sum(down[1:]) + sum(b for _, b in up)
    last = 4 * 4 * 1 * 2 + 2
    # A bias, and the scale and offset of a batch normalisation, for every output of every layer but the last.
    assert weights + 3 * outputs + last == REGISTRY["spleeter-2stems"].parameters / 2


@pytest.mark.parametrize("name", [name for name in PRETRAINED if REGISTRY[name].download])
def test_downloads_are_as_large_as_two_or_four_bytes_a_parameter(name):
    entry = REGISTRY[name]
    if entry.parameters:
        ratio = entry.download / entry.parameters
        assert math.isclose(ratio, round(ratio), abs_tol=0.02) and round(ratio) in (2, 4)


# ---------------------------------------------------------------------------------------------- names and paths


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(SepnbError, match="no separator 'spleter'.*silence, .*spleeter-4stems.*htdemucs"):
        load_separator("spleter")


def test_a_runs_folder_is_a_separator(tmp_path):
    save(UNet(UNetConfig(sources=("a", "b"), rate=16000, n_fft=512, hop=256, width=4)), tmp_path / "run")
    separator = load_separator(tmp_path / "run")
    assert (separator.name, separator.sources, separator.rate) == ("run", ("a", "b"), 16000)


def test_a_folder_of_demucs_models_is_a_separator(real):
    folder = real / "weights" / "tiny_demucs"
    separator = load_separator(folder / "af9a0947")
    assert set(separator.sources) == {"drums", "bass", "other", "vocals", "guitars"}
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 20000)).astype(np.float32)
    assert {stem.shape for stem in separator(mixture, separator.rate).values()} == {mixture.shape}


@pytest.mark.parametrize("signature", ["demucs_v2_tiny", "conv_tasnet_tiny", "demucs_v2_tiny.th"])
def test_a_package_of_demucs_v2_is_a_separator(signature):
    separator = load_separator(GOLDEN / signature, overlap=0.5)
    assert separator.name == f"golden-{signature.removesuffix('.th')}"
    assert (separator.sources, separator.rate) == (("vocals", "accompaniment"), 8000)
    assert (separator.settings["overlap"], len(separator.settings["weights"])) == (0.5, 16)


def test_a_package_of_demucs_v2_in_a_bag_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.th").write_bytes((GOLDEN / "demucs_v2_tiny.th").read_bytes())
    (tmp_path / "both.yaml").write_text("models: [a, b]")
    with pytest.raises(SepnbError, match=r"a\.th is of Demucs v2, which has no bags: name it by itself"):
        load_separator(tmp_path / "both")


def test_a_pickled_file_of_something_else_is_refused(tmp_path):
    torch.save({"klass": torch.nn.Linear, "args": (2, 2), "kwargs": {}, "state": {}}, tmp_path / "other.th")
    with pytest.raises(SepnbError, match=r"other\.th .*nothing in it was run: it names torch\.nn\.modules\.linear"):
        load_separator(tmp_path / "other.th")


def test_a_folder_of_neither_is_refused(tmp_path):
    with pytest.raises(SepnbError, match="holds no model: a run .* has a model.json"):
        load_separator(tmp_path)


def test_auto_takes_what_there_is_and_a_missing_gpu_is_said(tmp_path, monkeypatch):
    save(UNet(UNetConfig(sources=("a", "b"), rate=16000, n_fft=512, hop=256, width=4)), tmp_path / "run")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_separator(tmp_path / "run", device="auto").device == "cpu"
    with pytest.raises(SepnbError, match="no GPU is there"):
        load_separator(tmp_path / "run", device="cuda")


def test_settings_reach_the_separator_and_an_oracle_has_none(real):
    separator = load_separator(real / "weights" / "tiny_demucs" / "af9a0947", segment=3.0, shifts=2, seed=None)
    assert (separator.settings["segment"], separator.settings["shifts"]) == (3.0, 2)
    with pytest.raises(SepnbError, match=r"MWF \(oracle\) has no options: leave out shifts"):
        load_separator("mwf", shifts=2)


# -------------------------------------------------------------------------------------------------- the table


def test_the_table_fits_a_terminal_and_holds_every_name(nothing_cached):
    lines = listing(REGISTRY).splitlines()
    assert max(map(len, lines)) <= 150
    assert " ".join(lines[0].split()) == "name sources kHz trained on test leak licence params download"
    for name in REGISTRY:
        (line,) = [line for line in lines if line[3:].startswith(f"{name} ")]
        assert line.startswith("✓") == (name in [*REFERENCES, *SHIPPED])
    assert next(line for line in lines if " mdx_extra " in line).count("YES") == 1


def test_listing_imports_no_family_package():
    code = (
        "import sys; from sepnb.separators import REGISTRY; from sepnb.separators.listing import listing;"
        "listing(REGISTRY); print(*sorted(sys.modules))"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"demucs", "torchaudio", "openunmix", "distributed"} & set(modules)
