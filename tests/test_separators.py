"""Baselines and oracles do what their names say, and a trained network separates songs of any length."""

import numpy as np
import pytest
import soundfile
import torch

from sepnb import spectral
from sepnb.errors import SepnbError
from sepnb.files import checksum
from sepnb.models import UNet, UNetConfig, save
from sepnb.separators import Separator, load_separator, references, separate
from sepnb.separators.base import describe
from sepnb.separators.unet import UNetSeparator
from sepnb.tracks import find_tracks

RATE = 16000


@pytest.fixture
def track(tmp_path):
    """Two stems that share no frequency: a low and a high tone."""
    time = np.arange(2 * RATE) / RATE
    for name, frequency in (("bass", 110), ("vocals", 3000)):
        folder = tmp_path / "train" / "song"
        folder.mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * frequency * time)
        soundfile.write(folder / f"{name}.wav", np.stack([tone, tone], 1), RATE)
    return find_tracks(tmp_path)[0]


@pytest.mark.parametrize(("name", "factor"), [("silence", 0.0), ("mixture", 1.0), ("mixture/n", 0.5)])
def test_baselines_scale_the_mixture(track, name, factor):
    stems = load_separator(name).bind(track)(track.mixture(), RATE)
    assert tuple(stems) == track.sources
    for stem in stems.values():
        np.testing.assert_allclose(stem, factor * track.mixture(), atol=1e-7)


@pytest.mark.parametrize("name", ["irm1", "irm2", "mwf"])
def test_oracle_recovers_stems_that_do_not_overlap(track, name):
    oracle = load_separator(name).bind(track)
    assert isinstance(oracle, Separator)
    for source, stem in oracle(track.mixture(), RATE).items():
        inner = slice(RATE // 2, -RATE // 2)
        np.testing.assert_allclose(stem[:, inner], track.stem(source)[:, inner], atol=3e-3)


@pytest.mark.parametrize("name", ["irm1", "irm2"])
def test_a_ratio_mask_in_blocks_is_the_ratio_mask(track, monkeypatch, name):
    stems, mixture = (torch.from_numpy(audio) for audio in (track.stems(), track.mixture()))
    masks = spectral.ratio_masks(spectral.stft(stems).abs(), {"irm1": 1.0, "irm2": 2.0}[name])
    expected = spectral.istft(masks * spectral.stft(mixture), samples=mixture.shape[-1])
    monkeypatch.setattr(references, "FRAMES", 9)
    estimates = load_separator(name).bind(track)(track.mixture(), RATE)
    np.testing.assert_allclose(np.stack(list(estimates.values())), expected.numpy(), atol=1e-6)


def test_oracle_refuses_another_mixture(track):
    oracle = load_separator("irm2").bind(track)
    with pytest.raises(SepnbError, match="bound to 'song'"):
        oracle(track.mixture()[:, :-5], RATE)
    with pytest.raises(SepnbError, match="16000 Hz.*44100 Hz"):
        oracle(track.mixture(), 44100)


@pytest.mark.parametrize(("name", "settings"), [("irm1", {"power": 1.0, "hop": 512}), ("mwf", {"hop": 1024})])
def test_oracles_say_what_their_results_depend_on(track, name, settings):
    oracle = load_separator(name)
    for described in (describe(oracle), describe(oracle.bind(track))):
        assert described["name"] == oracle.name
        assert described["n_fft"] == 2048
        assert {key: described[key] for key in settings} == settings


def test_a_network_separates_in_pieces_as_it_would_at_once(tmp_path):
    torch.manual_seed(0)
    network = UNet(UNetConfig(sources=("a", "b"), rate=RATE, n_fft=512, hop=256, width=4)).eval()
    # Masks of a half everywhere: what is left to go wrong is the cutting and joining.
    for parameter in network.up[-1].parameters():
        torch.nn.init.zeros_(parameter)
    save(network, tmp_path / "run")
    separator = UNetSeparator.from_run(tmp_path / "run").with_options(segment=1.0, overlap=0.25)
    assert (separator.name, separator.sources, separator.rate) == ("run", ("a", "b"), RATE)
    assert separator.settings["weights"] == checksum(tmp_path / "run" / "weights.safetensors")[:16]
    rng = np.random.default_rng(0)
    for seconds in (0.1, 1.0, 1.1, 3.7):
        mixture = rng.normal(0, 0.1, (2, round(seconds * RATE))).astype(np.float32)
        for stem in separator(mixture, RATE).values():
            np.testing.assert_allclose(stem, mixture / 2, atol=1e-5)


def test_a_mono_mixture_comes_back_mono_and_three_channels_are_refused(tmp_path):
    save(UNet(UNetConfig(sources=("a", "b"), rate=RATE, n_fft=512, hop=256, width=4)), tmp_path / "run")
    separator = load_separator(tmp_path / "run")
    mixture = np.random.default_rng(0).normal(0, 0.1, (1, 9000)).astype(np.float32)
    mono, stereo = separator(mixture, RATE), separator(np.repeat(mixture, 2, axis=0), RATE)
    for source in ("a", "b"):
        assert mono[source].shape == mixture.shape
        np.testing.assert_allclose(mono[source][0], stereo[source].mean(axis=0), atol=1e-7)
    with pytest.raises(SepnbError, match="trained on 2 channels; this mixture has 3"):
        separator(np.repeat(mixture, 3, axis=0), RATE)
    with pytest.raises(SepnbError, match="works at 16000 Hz, not 44100 Hz"):
        separator(mixture, 44100)


def test_a_mixture_of_another_rate_comes_back_at_its_own(tmp_path):
    network = UNet(UNetConfig(sources=("a", "b"), rate=RATE, n_fft=512, hop=256, width=4))
    save(network, tmp_path / "run")
    mixture = np.random.default_rng(0).normal(0, 0.1, (2, 30011)).astype(np.float32)
    stems = separate(load_separator(tmp_path / "run"), mixture, 44100)
    assert {stem.shape for stem in stems.values()} == {mixture.shape}
    with pytest.raises(SepnbError, match="shape"):
        separate(load_separator(tmp_path / "run"), mixture[0], 44100)
