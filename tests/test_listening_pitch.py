"""Shifted and stretched audio is in tune within 5 cents, as long as it must be, and what sounds together stays so."""

import numpy as np
import pytest

from sepnb import audio as sepnb_audio
from sepnb.errors import SepnbError
from sepnb.listening.pitch import cents_higher, shift_pitch, shift_stems, stretch_stems, stretch_time

RATE = 44100
SHIFTS = (-12, -7, -1, 0.5, 3, 12)
CLICKS = np.array([3000, 30_000, 58_000, 85_000])  # farther apart than the stretcher's block


def tone(frequency: float, rate: int = RATE, seconds: float = 2.0, partials: int = 1) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    partial = np.arange(1, partials + 1)[:, None]
    partial = partial[partial[:, 0] * frequency < 0.45 * rate]
    return (0.3 * np.sin(2 * np.pi * frequency * partial * time + partial) / partial).sum(0)[None].astype(np.float32)


def frequency_of(audio: np.ndarray, rate: int, near: float) -> float:
    """Frequency in Hz of the strongest line within half a semitone of `near`, by a parabola through the peak."""
    steady = audio[0, audio.shape[1] // 5 : -audio.shape[1] // 5].astype(np.float64)
    size = 2**20
    spectrum = np.log(np.abs(np.fft.rfft(steady * np.blackman(len(steady)), size)) + 1e-12)
    low, high = (round(near * 2 ** (side / 24) * size / rate) for side in (-1, 1))
    top = low + int(np.argmax(spectrum[low:high]))
    before, peak, after = spectrum[top - 1 : top + 2]
    return (top + 0.5 * (before - after) / (before - 2 * peak + after)) * rate / size


def cents_off(audio: np.ndarray, rate: int, expected: float) -> float:
    return 1200 * np.log2(frequency_of(audio, rate, expected) / expected)


def clicks() -> np.ndarray:
    audio = np.zeros((1, 2 * RATE), np.float32)
    audio[0, CLICKS] = 0.9
    return audio


def places(audio: np.ndarray, expected: np.ndarray, reach: int = 2500) -> np.ndarray:
    """Where the loudest sample near each expected place lies, in milliseconds from it."""
    magnitude = np.abs(audio).max(axis=0)
    starts = np.maximum(0, np.round(expected).astype(int) - reach)
    found = [start + int(np.argmax(magnitude[start : start + 2 * reach])) for start in starts]
    return (np.array(found) - expected) * 1000 / RATE


@pytest.mark.parametrize("frequency", [41.2, 110.0, 440.0, 1760.0, 3520.0])
def test_a_sine_is_shifted_in_tune(frequency):
    audio = tone(frequency)
    for semitones in SHIFTS:
        shifted = shift_pitch(audio, RATE, semitones)
        assert shifted.shape == audio.shape
        assert shifted.dtype == np.float32
        assert abs(cents_off(shifted, RATE, frequency * 2 ** (semitones / 12))) < 1, semitones


@pytest.mark.parametrize(("frequency", "rate"), [(55.0, 44100), (220.0, 44100), (110.0, 8000)])
def test_each_partial_of_a_tone_is_shifted_in_tune(frequency, rate):
    for semitones in (-12, -5, 4, 12):
        shifted = shift_pitch(tone(frequency, rate, partials=8), rate, semitones)
        for partial in (1, 2, 3, 5):
            expected = partial * frequency * 2 ** (semitones / 12)
            assert abs(cents_off(shifted, rate, expected)) < 5, (semitones, partial)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 2.0])
def test_a_stretch_keeps_the_pitch_and_has_exactly_the_length(factor):
    audio = np.repeat(tone(220.0, seconds=2.00003, partials=5), 2, axis=0)
    stretched = stretch_time(audio, RATE, factor)
    assert stretched.shape == (2, round(audio.shape[1] * factor))
    for partial in (1, 2, 5):
        assert abs(cents_off(stretched, RATE, 220.0 * partial)) < 5
    np.testing.assert_allclose(stretched[0], stretched[1], atol=1e-3)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5, 2.0])
def test_onsets_are_at_their_place_times_the_factor(factor):
    assert np.abs(places(stretch_time(clicks(), RATE, factor), CLICKS * factor)).max() < 2


@pytest.mark.parametrize("semitones", [-12, -3, 5, 12])
def test_a_shift_has_no_latency(semitones):
    assert np.abs(places(shift_pitch(clicks(), RATE, semitones), CLICKS)).max() < 2


def test_the_first_and_the_last_sound_are_kept():
    audio = np.zeros((1, RATE), np.float32)
    audio[0, [200, -200]] = 0.9
    for changed in (shift_pitch(audio, RATE, 3), stretch_time(audio, RATE, 1.3)):
        energy = np.square(changed[0]).cumsum()
        middle = changed.shape[1] // 2
        assert 0.2 < energy[middle] / energy[-1] < 0.8
        assert energy[-1] > 0.2 * 0.81


def test_the_same_input_gives_the_same_output():
    noise = np.random.default_rng(0).normal(0, 0.1, (2, RATE)).astype(np.float32)
    np.testing.assert_array_equal(shift_pitch(noise, RATE, 12), shift_pitch(noise, RATE, 12))
    np.testing.assert_array_equal(stretch_time(noise, RATE, 2), stretch_time(noise, RATE, 2))


def test_channels_keep_their_level_to_each_other():
    left = tone(330.0)
    audio = np.concatenate([left, left / 2, -left])
    shifted = shift_pitch(audio, RATE, 4)
    np.testing.assert_allclose(shifted[1], shifted[0] / 2, atol=1e-3)
    np.testing.assert_allclose(shifted[2], -shifted[0], atol=1e-3)


@pytest.mark.parametrize("samples", [1, 7, 100, 5000])
def test_short_sounds_and_silence(samples):
    rng = np.random.default_rng(samples)
    audio = rng.normal(0, 0.1, (1, samples)).astype(np.float32)
    assert shift_pitch(audio, 8000, -5).shape == (1, samples)
    assert stretch_time(audio, 8000, 1.37).shape == (1, round(1.37 * samples))
    assert np.isfinite(shift_pitch(audio, 8000, 12)).all()
    silent = np.zeros((2, samples), np.float32)
    assert not shift_pitch(silent, 8000, 3).any()
    assert stretch_time(silent, 8000, 0.5).shape == (2, round(samples / 2))


def test_nothing_to_do_is_a_copy():
    audio = tone(440.0, seconds=0.1)
    for same in (shift_pitch(audio, RATE, 0), stretch_time(audio, RATE, 1)):
        np.testing.assert_array_equal(same, audio)
        assert not np.shares_memory(same, audio)


def test_stems_stay_in_sync_and_drums_keep_their_pitch():
    stems = {"drums": clicks(), "bass": clicks() * 0.5, "vocals": np.roll(clicks(), 441)}
    shifted = shift_stems(stems, RATE, 5)
    np.testing.assert_array_equal(shifted["drums"], stems["drums"])
    assert list(shifted) == list(stems)
    stretched = stretch_stems(stems, RATE, 1.25)
    assert {audio.shape for audio in stretched.values()} == {(1, round(2 * RATE * 1.25))}
    for result, factor in ((shifted, 1.0), (stretched, 1.25)):
        for name, late in (("drums", 0), ("bass", 0), ("vocals", 441)):
            assert np.abs(places(result[name], (CLICKS + late) * factor)).max() < 2, name
    assert not np.array_equal(shift_stems(stems, RATE, 5, except_for=())["drums"], stems["drums"])


def test_the_meter_of_cents_reads_what_is_known():
    low, high = tone(220.0, partials=6), tone(220.0 * 2 ** (310 / 1200), partials=6)
    assert cents_higher(high, low, RATE, expected=300) == pytest.approx(310, abs=0.5)
    assert cents_higher(low, low, RATE) == pytest.approx(0, abs=0.01)


def test_real_stems_are_in_tune(real):
    folder = next((real / "musdb18hq" / "test").iterdir())
    for name, semitones in (("vocals", 3), ("bass", -5), ("other", 4)):
        audio = sepnb_audio.read(folder / f"{name}.wav")[0]
        shifted = shift_pitch(audio, RATE, semitones)
        assert abs(cents_higher(shifted, audio, RATE, 100 * semitones) - 100 * semitones) < 5, name
    assert abs(cents_higher(stretch_time(audio, RATE, 1.3), audio, RATE)) < 5


def test_what_cannot_be_done_is_said():
    audio = tone(440.0, seconds=0.1)
    for semitones in (13, -12.5, float("nan")):
        with pytest.raises(SepnbError, match="is too far: choose from -12 to 12"):
            shift_pitch(audio, RATE, semitones)
    for factor in (0.4, 2.1, float("nan")):
        with pytest.raises(SepnbError, match="is too far: choose from 0.5"):
            stretch_time(audio, RATE, factor)
    with pytest.raises(SepnbError, match=r"shape \(channels, samples\)"):
        shift_pitch(audio[0], RATE, 1)
    with pytest.raises(SepnbError, match="no numbers"):
        shift_pitch(np.full((1, 10), np.inf), RATE, 1)
