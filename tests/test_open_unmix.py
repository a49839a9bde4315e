"""Open-Unmix separates as its own package does, in little memory, and reads the published files as data."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from loopback import Resource, Server, loopback

from sepnb import audio
from sepnb.errors import DownloadError, SepnbError
from sepnb.files import checksum
from sepnb.separators import REGISTRY, load_separator, open_unmix
from sepnb.separators.base import describe
from sepnb.weights import BASE_VARIABLE, FOLDER_VARIABLE

HIDDEN = 24
TARGETS = ("vocals", "drums", "bass", "other")


def networks() -> dict[str, torch.nn.Module]:
    """A small random network for each target, with running statistics and scales that are not 0 and 1."""
    from openunmix.model import OpenUnmix

    torch.manual_seed(0)
    made = {}
    for target in TARGETS:
        network = OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=HIDDEN, max_bin=1487)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
        for parameter in (network.input_mean, network.output_mean):
            parameter.data.normal_(0.3, 0.2)
        for parameter in (network.input_scale, network.output_scale):
            parameter.data.uniform_(0.3, 1)
        made[target] = network.eval()
    return made


def original(targets: dict[str, torch.nn.Module], mixture: np.ndarray) -> np.ndarray:
    """What the package's own Separator, with the settings of its released models, makes of a mixture."""
    from openunmix.model import Separator

    separator = Separator(
        targets, niter=1, n_fft=4096, n_hop=1024, nb_channels=2, wiener_win_len=open_unmix.FRAMES
    ).eval()
    with torch.inference_mode():
        return separator(torch.from_numpy(mixture)[None])[0].numpy()


def test_a_real_song_is_separated_as_by_the_package(real):
    mixture, rate = audio.read(real / "musdb18hq" / "test" / "Mu - Too Bright" / "mixture.wav", duration=3)
    assert open_unmix.FRAMES == 300
    targets = networks()
    expected = original(targets, mixture)
    stems = open_unmix.OpenUnmixSeparator("umx", targets, "cpu", "")(mixture, rate)
    assert tuple(stems) == TARGETS
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(np.stack(list(stems.values())), expected, atol=1e-5)


# In the last case a single frame is left for the last window of the Wiener filter: its covariances are singular, and
# what rounding does to them is far larger.
@pytest.mark.parametrize(
    ("samples", "tolerance"), [(4096, 1e-5), (24 * 1024, 1e-5), (24 * 1024 + 1, 1e-5), (50_000, 1e-5), (20_480, 1e-3)]
)
def test_any_length_is_separated_as_by_the_package(monkeypatch, samples, tolerance):
    monkeypatch.setattr(open_unmix, "FRAMES", 20)
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    targets = networks()
    stems = open_unmix.OpenUnmixSeparator("umx", targets, "cpu", "")(mixture, 44100)
    np.testing.assert_allclose(np.stack(list(stems.values())), original(targets, mixture), atol=tolerance)


@pytest.mark.parametrize("samples", [1, 2048])
def test_a_snippet_comes_back_as_long_as_it_was(samples):
    mixture = np.full((2, samples), 0.1, np.float32)
    for stem in open_unmix.OpenUnmixSeparator("umx", networks(), "cpu", "")(mixture, 44100).values():
        assert stem.shape == mixture.shape and np.isfinite(stem).all()


@pytest.mark.parametrize("blocks", [7, 300])
def test_a_song_longer_than_a_segment_is_cut_and_cross_faded(monkeypatch, blocks):
    monkeypatch.setattr(open_unmix, "SEGMENT", 40_000)
    monkeypatch.setattr(open_unmix, "FADE", 8_000)
    monkeypatch.setattr(open_unmix, "FRAMES", blocks)
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 90_000)).astype(np.float32)
    targets = networks()
    starts = (0, 32_000, 64_000)
    first, second, third = (original(targets, mixture[:, start : start + 40_000]) for start in starts)
    rising = (np.arange(8_000) + 0.5) / 8_000
    expected = np.concatenate(
        [
            first[..., :32_000],
            first[..., 32_000:] * (1 - rising) + second[..., :8_000] * rising,
            second[..., 8_000:32_000],
            second[..., 32_000:] * (1 - rising) + third[..., :8_000] * rising,
            third[..., 8_000:],
        ],
        axis=-1,
    )
    stems = open_unmix.OpenUnmixSeparator("umx", targets, "cpu", "")(mixture, 44100)
    np.testing.assert_allclose(np.stack(list(stems.values())), expected, atol=1e-5)


def test_inference_mode_ends_where_a_block_is_handed_out(monkeypatch):
    monkeypatch.setattr(open_unmix, "FRAMES", 5)
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)
    between = [
        torch.is_inference_mode_enabled()
        for _ in open_unmix.OpenUnmixSeparator("umx", networks(), "cpu", "").blocks(mixture)
    ]
    assert len(between) > 2 and not any(between)


def test_a_mono_song_comes_back_mono_and_options_are_refused():
    mixture = np.random.default_rng(0).normal(0, 0.1, (1, 9000)).astype(np.float32)
    separator = open_unmix.OpenUnmixSeparator("umx", networks(), "cpu", "")
    stems = separator(mixture, 44100)
    stereo = separator(np.repeat(mixture, 2, axis=0), 44100)
    np.testing.assert_allclose(stems["bass"][0], stereo["bass"].mean(0), atol=1e-7)
    assert separator.with_options(progress=True).progress and not separator.progress
    with pytest.raises(SepnbError, match="umx has no option 'shifts'"):
        separator.with_options(shifts=2)


# ------------------------------------------------------------------------------------------ the published files


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Small networks where the published ones would be; digests in names and code follow their content."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setitem(open_unmix.HIDDEN, "umx", HIDDEN)
    monkeypatch.setattr("sepnb.downloads.time.sleep", lambda seconds: None)
    with loopback() as running:
        monkeypatch.setenv(BASE_VARIABLE, running.base)
        for target, network in networks().items():
            # The published files hold more than weights: the window of an STFT, a rate.
            state = {**network.state_dict(), "stft.window": torch.ones(4096), "sample_rate": torch.tensor(44100.0)}
            torch.save(state, tmp_path / "state.pth")
            content = (tmp_path / "state.pth").read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:8]
            monkeypatch.setitem(open_unmix.DIGESTS["umx"], target, digest)
            running.files[f"records/3370486/files/{target}-{digest}.pth"] = Resource(content)
        yield running


def test_the_published_files_are_fetched_checked_and_loaded(server):
    assert not REGISTRY["umx"].cached()
    separator = load_separator("umx")
    assert REGISTRY["umx"].cached()
    paths = [file.path for file in open_unmix.weight_files("umx")]
    assert describe(separator)["weights"] == "+".join(checksum(path)[:16] for path in paths)
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 9000)).astype(np.float32)
    stems = separator(mixture, 44100)
    assert tuple(stems) == REGISTRY["umx"].sources
    np.testing.assert_allclose(np.stack(list(stems.values())), original(networks(), mixture), atol=1e-5)
    asked = len(server.asked)
    load_separator("umx")
    assert len(server.asked) == asked == 4


def test_a_cached_file_is_summed_up_once_a_load(server, monkeypatch):
    load_separator("umx")
    summed = []
    for module in ("sepnb.weights.digest", "sepnb.ports.checkpoints.checksum"):
        monkeypatch.setattr(module, lambda path, *_: summed.append(path) or checksum(path))
    load_separator("umx")
    assert summed == [file.path for file in open_unmix.weight_files("umx")]


def test_a_file_that_is_not_the_published_one_is_refused(server):
    name = next(name for name in server.files if "drums" in name)
    server.files[name].content = server.files[name].content[:-1] + b"!"
    with pytest.raises(DownloadError, match=r"drums-.*what came is not what was promised"):
        load_separator("umx")


def test_a_network_of_another_size_is_refused(server, monkeypatch):
    monkeypatch.setitem(open_unmix.HIDDEN, "umx", HIDDEN + 2)
    with pytest.raises(SepnbError, match=r"vocals-\w+\.pth is not the vocals network of umx"):
        load_separator("umx")


def test_offline_the_message_names_the_file(server, monkeypatch):
    with loopback() as gone:
        monkeypatch.setenv(BASE_VARIABLE, gone.base)
    with pytest.raises(DownloadError, match=r"the weights vocals-c?\w+\.pth are not on this machine"):
        load_separator("umx")


def test_files_and_sizes_are_those_of_the_package():
    """Addresses as the package has them, and the widths its networks are built with."""
    import inspect

    import openunmix

    for name in ("umx", "umxhq", "umxl"):
        text = inspect.getsource(getattr(openunmix, f"{name}_spec"))
        for file in open_unmix.weight_files(name):
            assert file.url in text
            assert file.url.endswith(f"-{file.sha256}.pth")
        assert f"hidden_size={open_unmix.HIDDEN[name]}," in text
