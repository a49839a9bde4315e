"""The multichannel Wiener oracle agrees with norbert, on any channels, and works a few frames at a time."""

import numpy as np
import pytest
import soundfile
import torch
from conftest import REPOSITORY

from sepnb import spectral
from sepnb.errors import SepnbError
from sepnb.separators import load_separator, references
from sepnb.separators.base import describe
from sepnb.separators.stft_blocks import Inverse, blocks
from sepnb.separators.wiener import MultichannelWiener
from sepnb.tracks import Track, find_tracks

GOLDEN = np.load(REPOSITORY / "tests" / "golden" / "wiener_norbert.npz")
RATE = 8000


def track_of(folder, stems: np.ndarray) -> Track:
    """A track of float WAV files whose mixture is the sum of its stems (sources, channels, samples)."""
    song = folder / "test" / "song"
    song.mkdir(parents=True)
    for number, stem in enumerate(stems):
        soundfile.write(song / f"{'abcdef'[number]}.wav", stem.T, RATE, subtype="FLOAT")
    return find_tracks(folder)[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_it_agrees_with_norbert(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(references, "FRAMES", 7)
    track = track_of(tmp_path, GOLDEN[f"stems{channels}"])
    oracle = MultichannelWiener("MWF", n_fft=256, hop=128).bind(track)
    estimates = np.stack(list(oracle(track.mixture(), RATE).values()))
    np.testing.assert_allclose(estimates, GOLDEN[f"estimates{channels}"], atol=1e-5)


def test_the_number_of_frames_at_a_time_changes_nothing(tmp_path, monkeypatch):
    track = track_of(tmp_path, GOLDEN["stems2"])
    results = []
    for frames in (1, 5, 1000):
        monkeypatch.setattr(references, "FRAMES", frames)
        oracle = MultichannelWiener("MWF", n_fft=256, hop=64).bind(track)
        results.append(np.stack(list(oracle(track.mixture(), RATE).values())))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-6)


def test_stems_that_add_up_to_the_mixture_are_estimated_so_that_they_do(tmp_path):
    track = track_of(tmp_path, GOLDEN["stems2"])
    estimates = load_separator("mwf").bind(track)(track.mixture(), RATE)
    np.testing.assert_allclose(sum(estimates.values()), track.mixture(), atol=1e-4)


def test_sources_that_only_differ_in_direction_are_told_apart(tmp_path):
    """Two noises with the same spectrum, left and right of centre: ratio masks cannot part them, directions can."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (2, 1, 2 * RATE)).astype(np.float32)
    stems = noise * np.array([[[1.0], [0.2]], [[0.2], [1.0]]], np.float32)
    track = track_of(tmp_path, stems)
    for name, most in (("mwf", 0.01), ("irm2", 1.0)):
        estimate = load_separator(name).bind(track)(track.mixture(), RATE)["a"]
        error = np.sum((estimate - stems[0]) ** 2) / np.sum(stems[0] ** 2)
        assert (error < 0.01) == (most == 0.01), f"{name}: {error}"


def test_a_mix_that_is_mono_in_two_channels_is_filtered_as_in_one(tmp_path):
    mono = GOLDEN["stems1"]
    one = track_of(tmp_path / "mono", mono)
    two = track_of(tmp_path / "dual", np.repeat(mono, 2, axis=1))
    expected = load_separator("mwf").bind(one)(one.mixture(), RATE)
    for source, stem in load_separator("mwf").bind(two)(two.mixture(), RATE).items():
        np.testing.assert_allclose(stem, np.repeat(expected[source], 2, axis=0), atol=1e-6)


def test_silence_stays_silent_and_finite(tmp_path):
    stems = np.zeros((2, 2, 5000), np.float32)
    stems[0, :, :2500] = np.random.default_rng(0).normal(0, 0.1, (2, 2500))
    track = track_of(tmp_path, stems)
    estimates = load_separator("mwf").bind(track)(track.mixture(), RATE)
    assert np.isfinite(estimates["a"]).all()
    assert not np.any(np.abs(estimates["b"]) > 1e-6)


def test_another_mixture_is_refused_and_the_settings_are_told(tmp_path):
    track = track_of(tmp_path, GOLDEN["stems2"])
    oracle = load_separator("mwf").bind(track)
    with pytest.raises(SepnbError, match="bound to 'song'"):
        oracle(track.mixture()[:, :-1], RATE)
    assert describe(oracle) == {"name": "MWF", "sources": ["a", "b", "c"], "rate": RATE, "n_fft": 2048, "hop": 1024}


@pytest.mark.parametrize("samples", [1, 100, 1023, 1024, 5000])
@pytest.mark.parametrize("hop", [64, 128])
def test_blocks_of_an_stft_are_the_stft_and_give_the_audio_back(samples, hop):
    audio = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 3, samples)))
    whole = spectral.stft(audio, 256, hop)
    frames = whole.shape[-1]
    parts = list(blocks(audio, 256, hop, frames, 6))
    torch.testing.assert_close(torch.cat(parts, -1), whole)
    inverse = Inverse(256, hop, samples)
    audio_again = [inverse.add(part, last=part is parts[-1]) for part in parts]
    torch.testing.assert_close(torch.cat(audio_again, -1), audio)


def test_mirrored_ends_are_those_of_torch():
    audio = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 5001)))
    window = torch.hann_window(256, dtype=audio.dtype)
    whole = torch.stft(audio, 256, 64, window=window, return_complex=True)
    parts = list(blocks(audio, 256, 64, whole.shape[-1], 9, pad="reflect"))
    torch.testing.assert_close(torch.cat(parts, -1), whole)


def test_a_hop_that_does_not_divide_the_window_is_refused():
    with pytest.raises(SepnbError, match="a hop of 100 does not divide a window of 256"):
        Inverse(256, 100, 1000)


def test_on_a_real_song_it_beats_the_ratio_masks(real):
    track = find_tracks(real / "musdb18hq")[0].middle(3)
    mixture, stems = track.mixture(), track.stems()

    def error(name: str) -> float:
        estimates = np.stack(list(load_separator(name).bind(track)(mixture, track.rate).values()))
        return float(np.sum((estimates - stems) ** 2))

    assert error("mwf") < error("irm2") < error("irm1")
