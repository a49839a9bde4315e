"""The fit finds what it can find, keeps to its bounds, and what it reports is measured on filtered audio."""

import numpy as np
import pytest

from sepnb import audio as sepnb_audio
from sepnb.errors import SepnbError
from sepnb.listening.equalizer import Band, Equalizer
from sepnb.listening.equalizer_fit import (
    TARGET_CURVES,
    counted_bands,
    long_term_spectrum,
    match_spectrum,
    spectral_distance,
)

RATE = 44100
NOISE = np.random.default_rng(0).normal(0, 0.05, (2, 5 * RATE)).astype(np.float32)
COLOUR = Equalizer((Band("low_shelf", 150, 8, 0.7), Band("peaking", 1200, -9, 1.5), Band("high_shelf", 5000, 6, 0.7)))
COLOURED = COLOUR.filter(NOISE, RATE)


def test_the_distance_of_spectra_is_the_rms_difference_without_level():
    levels = np.array([-20.0, -20.0, -30.0, -90.0])
    other = np.array([-24.0, -20.0, -28.0, -10.0])
    assert counted_bands(levels).tolist() == [True, True, True, False]
    # The last band is empty in one of them; the rest differ by 4, 0, -2, that is by 10/3, -2/3, -8/3 about their mean.
    assert spectral_distance(levels, other) == pytest.approx(np.sqrt((100 + 4 + 64) / 27))
    assert spectral_distance(levels, other - 6, counted_bands(levels, other)) == spectral_distance(levels, other)
    assert spectral_distance(levels, levels + 7) == 0


def test_volume_alone_is_no_distance():
    one, two = (long_term_spectrum(audio, RATE)[1] for audio in (NOISE, 0.1 * NOISE))
    assert spectral_distance(one, two) < 1e-4


def test_a_known_equaliser_is_found_again():
    match = match_spectrum(NOISE, COLOURED, RATE, steps=150)
    assert match.before_db > 4
    assert match.after_db < 0.1 * match.before_db
    heard = np.geomspace(60, 15_000, 50)
    difference = match.equalizer.response_db(heard, RATE) - COLOUR.response_db(heard, RATE)
    assert np.abs(difference - difference.mean()).max() < 1.5


def test_what_is_reported_is_measured_on_the_filtered_audio():
    match = match_spectrum(NOISE, COLOURED, RATE, steps=30)
    _, filtered = long_term_spectrum(match.equalizer.filter(NOISE, RATE), RATE)
    np.testing.assert_allclose(match.filtered, filtered)
    assert match.after_db == pytest.approx(spectral_distance(filtered, match.target, match.counted))
    assert match.source[match.counted].mean() == pytest.approx(match.target[match.counted].mean())


def test_gains_keep_to_their_bound_where_the_target_asks_for_more():
    steep = Equalizer((Band("low_shelf", 300, 24, 0.7), Band("high_shelf", 3000, -24, 0.7))).filter(NOISE, RATE)
    match = match_spectrum(NOISE, steep, RATE, bands=6, max_gain=5.0, steps=100)
    assert len(match.equalizer.bands) == 6
    assert max(abs(band.gain) for band in match.equalizer.bands) <= 5.0
    everywhere = match.equalizer.response_db(np.geomspace(10, 22_000, 3000), RATE)
    assert 4.0 < np.abs(everywhere).max() <= 5.001
    assert match.after_db < match.before_db


def test_the_same_seed_gives_the_same_bands():
    runs = [match_spectrum(NOISE, "warm", RATE, steps=20, seed=seed).equalizer for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("curve", TARGET_CURVES)
def test_noise_is_brought_to_a_target_curve(curve):
    # White noise rises by 3 dB an octave in third octaves.
    match = match_spectrum(NOISE, curve, RATE, max_gain=24.0, steps=60)
    assert match.after_db < 0.25 * match.before_db
    kept = match.target[match.counted]
    octaves = np.log2(match.centres[match.counted])
    assert np.polyfit(octaves, kept, 1)[0] == pytest.approx(TARGET_CURVES[curve])


def test_other_rates_channels_and_lengths():
    low = np.random.default_rng(1).normal(0, 0.05, (1, 8000)).astype(np.float32)
    match = match_spectrum(low, COLOURED[:, :RATE], 8000, reference_rate=RATE, bands=3, steps=60)
    assert match.centres[-1] < 4000
    assert match.after_db < match.before_db
    backward = match_spectrum(COLOURED[:1, :RATE], low, RATE, reference_rate=8000, bands=2, steps=60)
    assert len(backward.filtered) == len(match.centres)


@pytest.mark.parametrize(
    ("audio", "reference", "options", "message"),
    [
        (NOISE, "loud", {}, "no target curve 'loud': choose pink, warm, bright"),
        (NOISE * 0, "pink", {}, "the audio to equalise is silent"),
        (NOISE, NOISE * 0, {}, "the reference is silent"),
        (NOISE[:, :4000], "pink", {}, "the audio to equalise is 0.091 s long"),
        (NOISE, NOISE[0], {}, "the reference must have the shape"),
        (NOISE * np.nan, "pink", {}, "no numbers"),
        (NOISE, "pink", {"bands": 1}, "2 to 16 bands, not 1"),
        (NOISE, "pink", {"max_gain": 30}, "at most 24 dB, not 30"),
        (NOISE, "pink", {"steps": 0}, "at least one step"),
    ],
)
def test_what_cannot_be_matched_is_said(audio, reference, options, message):
    with pytest.raises(SepnbError, match=message):
        match_spectrum(audio, reference, RATE, **options)


def test_sounds_without_a_common_range_are_refused():
    time = np.arange(2 * RATE) / RATE
    low, high = (0.3 * np.sin(2 * np.pi * f * time)[None].astype(np.float32) for f in (60, 6000))
    with pytest.raises(SepnbError, match="share hardly any range of frequencies"):
        match_spectrum(low, high, RATE)


@pytest.mark.parametrize("stem", ["vocals", "drums", "bass", "other"])
def test_a_real_stem_comes_at_least_half_the_way_to_another_songs(real, stem):
    folder = next((real / "musdb18hq" / "test").iterdir())
    mine, rate = sepnb_audio.read(folder / f"{stem}.wav")
    streams, _ = sepnb_audio.read_stems(next((real / "musdb18" / "train").glob("*.stem.mp4")))
    other = dict(zip(("mixture", "drums", "bass", "other", "vocals"), streams, strict=True))[stem]
    for audio, reference in ((mine, other), (other, mine)):
        match = match_spectrum(audio, reference, rate)
        assert match.after_db <= 0.5 * match.before_db
        heard = match.equalizer.apply(audio, rate)
        assert np.abs(heard).max() <= 1.0
