"""torchaudio's Hybrid Demucs separates as Demucs' own inference does with the same network, and reads files as data."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from loopback import Resource, Server, loopback

from sepnb import audio
from sepnb.errors import DownloadError, SepnbError
from sepnb.separators import REGISTRY, load_separator
from sepnb.separators import torchaudio_hdemucs as family
from sepnb.weights import BASE_VARIABLE, FOLDER_VARIABLE


def small(channels: int = 4) -> torch.nn.Module:
    from torchaudio.models import HDemucs

    torch.manual_seed(0)
    return HDemucs(sources=list(family.SOURCES), nfft=4096, depth=6, channels=channels).eval()


def original(network: torch.nn.Module, mixture: np.ndarray) -> np.ndarray:
    """The same network under Demucs' own `apply_model`, and the normalisation of its command line."""
    from demucs.apply import apply_model

    network.segment, network.samplerate, network.audio_channels = family.SEGMENT / 44100, 44100, 2
    audio = torch.from_numpy(mixture)
    mono = audio.mean(0)
    mean, deviation = mono.mean(), mono.std() + 1e-8
    with torch.inference_mode():
        stems = apply_model(network, ((audio - mean) / deviation)[None], shifts=0, split=True, overlap=0.25)[0]
    return (stems * deviation + mean).numpy()


def test_a_real_song_is_separated_as_by_demucs(real, monkeypatch):
    assert family.SEGMENT == 441000
    monkeypatch.setattr(family, "SEGMENT", 88200)
    mixture, rate = audio.read(real / "musdb18hq" / "test" / "Mu - Too Bright" / "mixture.wav", duration=4)
    network = small()
    stems = np.stack(list(family.separator("x", network, "cpu", {})(mixture, rate).values()))
    expected = original(network, mixture)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(stems, expected, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 700, 4097])
def test_a_snippet_comes_back_as_long_as_it_was(samples):
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    for stem in family.separator("x", small(), "cpu", {})(mixture, 44100).values():
        assert stem.shape == mixture.shape and np.isfinite(stem).all()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A small network where the published one would be."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setattr("torchaudio.models.hdemucs_high", lambda sources: small())
    monkeypatch.setattr("sepnb.downloads.time.sleep", lambda seconds: None)
    torch.save(small().state_dict(), tmp_path / "state.pt")
    with loopback() as running:
        monkeypatch.setenv(BASE_VARIABLE, running.base)
        running.files["torchaudio/models/hdemucs_high_trained.pt"] = Resource((tmp_path / "state.pt").read_bytes())
        yield running


def test_the_published_file_is_fetched_and_loaded(server):
    separator = load_separator("HDEMUCS_HIGH_MUSDB_PLUS")
    assert REGISTRY["hdemucs_high_musdb_plus"].cached() and not REGISTRY["hdemucs_high_musdb"].cached()
    assert (separator.name, separator.sources) == ("hdemucs_high_musdb_plus", family.SOURCES)
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 20000)).astype(np.float32)
    stems = np.stack(list(separator(mixture, 44100).values()))
    np.testing.assert_allclose(stems, original(small(), mixture), atol=1e-5)
    load_separator("hdemucs_high_musdb_plus")
    assert len(server.asked) == 1


def test_a_file_that_changed_since_it_came_is_refused(server):
    load_separator("hdemucs_high_musdb_plus")
    (file,) = family.weight_files("hdemucs_high_musdb_plus")
    file.path.write_bytes(file.path.read_bytes() + b"!")
    with pytest.raises(DownloadError, match="is not the file that first came"):
        load_separator("hdemucs_high_musdb_plus")


def test_the_weights_of_another_network_are_refused(server, tmp_path):
    torch.save(small(channels=8).state_dict(), tmp_path / "state.pt")
    server.files["torchaudio/models/hdemucs_high_trained.pt"].content = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(SepnbError, match=r"hdemucs_high_trained\.pt does not fit hdemucs_high_musdb_plus"):
        load_separator("hdemucs_high_musdb_plus")


def test_addresses_are_those_of_torchaudio():
    from torchaudio import pipelines

    for name in family.FILES:
        (file,) = family.weight_files(name)
        assert file.url.endswith("/torchaudio/" + getattr(pipelines, name.upper())._model_path)
