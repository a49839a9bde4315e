"""STFT pair, masks, and the analyses of stems, against signals whose answers are known."""

import numpy as np
import pytest
import soundfile
import torch

from sepnb.errors import SepnbError
from sepnb.spectral import apply_masks, band_levels, istft, levels, overlap, ratio_masks, stft

RATE = 44100


def sine(frequency: float, amplitude: float = 0.5, seconds: float = 2.0, channels: int = 2) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return np.tile((amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32), (channels, 1))


@pytest.mark.parametrize("samples", [1, 100, 511, 512, 513, 2047, 2048, 10_001])
@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 512), (2048, 1024), (1000, 300), (64, 1)])
def test_round_trip_of_any_length(samples, n_fft, hop):
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    back = istft(stft(audio, n_fft, hop), hop, samples)
    assert back.shape == audio.shape
    assert (back - audio).abs().max() < 1e-5


@pytest.mark.parametrize("leading", [(), (3,), (2, 4, 2)])
def test_round_trip_of_any_leading_dimensions(leading):
    audio = torch.randn(*leading, 3000, generator=torch.Generator().manual_seed(0))
    spectrogram = stft(audio, 512, 128)
    assert spectrogram.shape == (*leading, 257, 1 + -(-3000 // 128))
    assert (istft(spectrogram, 128, 3000) - audio).abs().max() < 1e-5
    assert istft(spectrogram, 128).shape[-1] == 24 * 128


def test_frames_are_centred_on_multiples_of_the_hop():
    click = torch.zeros(4096)
    click[1024] = 1.0
    energy = stft(click, 512, 256).abs().square().sum(dim=0)
    assert int(energy.argmax()) == 1024 // 256


def test_gradients_flow_through_the_pair():
    audio = torch.randn(1, 2000, requires_grad=True)
    istft(stft(audio), samples=2000).square().sum().backward()
    assert torch.allclose(audio.grad, 2 * audio.detach(), atol=1e-4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stft(torch.zeros(2, 0)), "no samples"),
        (lambda: stft(torch.zeros(5000), 1024, 600), "hop is 600"),
        (lambda: stft(torch.zeros(5000), 1023, 256), "n_fft is 1023"),
        (lambda: istft(stft(torch.zeros(1000)), samples=5000), "not the 5000"),
    ],
)
def test_what_cannot_be_inverted_is_refused(call, says):
    with pytest.raises(SepnbError, match=says):
        call()


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_masks_are_shares_that_sum_to_one(power):
    magnitudes = torch.rand(5, 4, 2, 9, 7, generator=torch.Generator().manual_seed(1))  # a batch in front
    magnitudes[..., 0, :] = 0.0  # a silent frame
    masks = ratio_masks(magnitudes, power)
    assert masks.shape == magnitudes.shape
    assert torch.allclose(masks.sum(dim=1), torch.ones(5, 2, 9, 7), atol=1e-6)
    weights = magnitudes[..., 1:, :] ** power
    assert torch.allclose(masks[..., 1:, :], weights / weights.sum(dim=1, keepdim=True), atol=1e-6)


def test_masks_of_very_quiet_sources_do_not_underflow():
    magnitudes = torch.tensor([3e-30, 1e-30]).reshape(2, 1, 1, 1)
    assert torch.allclose(ratio_masks(magnitudes, 2.0).flatten(), torch.tensor([0.9, 0.1]))


def test_oracle_masks_separate_tones_that_do_not_overlap():
    stems = torch.as_tensor(np.stack([sine(300), sine(4000)]))
    masks = ratio_masks(stft(stems).abs(), power=2.0)
    estimates = istft(apply_masks(masks, stft(stems.sum(0))), samples=stems.shape[-1])
    inside = slice(4096, -4096)  # a sine that is cut off is broadband at its ends
    assert (estimates - stems)[..., inside].abs().max() < 1e-3


def test_levels_of_a_sine_a_square_and_silence():
    square = np.sign(sine(100.0, seconds=1.0)) * np.float32(0.25)
    measured = levels(np.stack([sine(1000, seconds=1.0), square, np.zeros_like(square)]))
    assert measured.rms[:2] == pytest.approx([-6.02 - 3.01, -12.04], abs=0.02)
    assert measured.peak[:2] == pytest.approx([-6.02, -12.04], abs=0.01)
    assert measured.crest[:2] == pytest.approx([3.01, 0.0], abs=0.02)
    assert measured.rms[2] == measured.peak[2] == -np.inf
    assert np.isnan(measured.crest[2])


@pytest.mark.parametrize("frequency", [100.0, 1000.0, 10_000.0])
def test_a_tone_lands_in_its_third_octave_band(frequency):
    centres, measured = band_levels(sine(frequency)[None], RATE)
    band = int(np.argmax(measured[0]))
    assert centres[band] == pytest.approx(frequency)
    assert measured[0, band] == pytest.approx(-9.03, abs=0.1)
    assert np.all(np.delete(measured[0], [band - 1, band, band + 1]) < measured[0, band] - 40)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_bands_add_up_to_the_level_at_any_rate(rate):
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 1, 5 * rate)).astype(np.float32)
    centres, measured = band_levels(noise, rate)
    covered = centres[-1] * 10**0.05 / (rate / 2)  # white noise: the share of power below the last band's edge
    assert centres[-1] * 10**0.05 <= rate / 2
    total = 10 * np.log10(np.sum(10 ** (measured / 10)) / covered)
    assert total == pytest.approx(-20.0, abs=0.15)
    assert measured[0, -1] - measured[0, -11] == pytest.approx(10.0, abs=0.6)  # a decade up: ten times as wide


def test_overlap_of_stems_apart_and_on_top_of_each_other():
    apart = overlap(np.stack([sine(300), sine(4000)]))
    assert np.all(apart.dominant > 0.99)
    assert np.all(apart.disjointness > 0.99)
    assert np.nanmax(apart.covered) < 0.01

    noise = np.random.default_rng(0).normal(0, 0.1, (2, 2, RATE)).astype(np.float32)
    noise[1] *= 0.1  # 20 dB quieter, in the same bins
    buried = overlap(noise)
    assert buried.dominant[0] > 0.99
    assert buried.dominant[1] < 0.1
    assert buried.covered[1, 0] > 0.9
    assert buried.covered[0, 1] < 0.01
    assert np.isnan(np.diag(buried.covered)).all()


def test_overlap_of_equal_stems_and_silence():
    tone = sine(440)
    shared = overlap(np.stack([tone, tone, np.zeros_like(tone)]))
    assert np.all(shared.dominant[:2] == 0.0)  # neither holds more than half
    assert shared.covered[0, 1] == pytest.approx(1.0)
    assert np.isnan(shared.dominant[2]) and np.isnan(shared.covered[2, 0])


def test_dominance_and_disjointness_by_hand():
    # Two stems in one frame's worth of energy each: the first is 10 dB louder everywhere, so its mask keeps all of it
    # and lets all of the other through: disjointness is 1 - 0.1.
    noise = np.random.default_rng(3).normal(0, 0.1, (1, 8192)).astype(np.float32)
    measured = overlap(np.stack([noise, noise * np.float32(np.sqrt(0.1))]))
    assert measured.dominant == pytest.approx([1.0, 0.0])
    assert measured.disjointness == pytest.approx([0.9, 0.0], abs=1e-5)


def test_a_real_song(real):
    folder = real / "musdb18hq" / "test" / "Mu - Too Bright"
    names = ("drums", "bass", "other", "vocals")
    stems = np.stack([soundfile.read(folder / f"{name}.wav", dtype="float32", always_2d=True)[0].T for name in names])
    measured, shared = levels(stems), overlap(stems)
    assert np.all(measured.rms < measured.peak)
    assert names[int(np.argmax(measured.crest))] == "drums"
    centres, spectra = band_levels(stems, RATE)
    high = centres > 2000
    assert np.all(spectra[names.index("bass"), high] < spectra[names.index("vocals"), high])
    assert np.all((shared.dominant > 0.3) & (shared.dominant < 1.0))
    assert np.all(shared.disjointness < shared.dominant)
