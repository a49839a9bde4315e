"""An equaliser does what its curve says: an impulse measures it, scipy computes it, and its ends are known."""

import json
import math

import numpy as np
import pytest
import scipy.signal

from sepnb.errors import SepnbError
from sepnb.listening.equalizer import KINDS, Band, Equalizer, without_clipping

MANY = Equalizer(
    (
        Band("low_shelf", 120, 9, 0.7),
        Band("peaking", 1000, -11, 3),
        Band("peaking", 40, 12, 6),
        Band("high_shelf", 3200, -7, 1.2),
    )
)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_the_closed_form_is_what_an_impulse_measures(rate):
    impulse = np.zeros((1, 2 * rate), np.float32)
    impulse[0, 0] = 0.25
    heard = np.abs(np.fft.rfft(MANY.filter(impulse, rate)[0].astype(np.float64))) / 0.25
    frequencies = np.fft.rfftfreq(2 * rate, 1 / rate)
    some = (frequencies >= 20) & (frequencies < 0.49 * rate)
    np.testing.assert_allclose(20 * np.log10(heard[some]), MANY.response_db(frequencies[some], rate), atol=1e-3)


def test_the_closed_form_agrees_with_scipy_down_to_a_hertz():
    frequencies = np.geomspace(1, 90_000, 200)
    _, response = scipy.signal.sosfreqz(MANY.sections(192_000), frequencies, fs=192_000)
    np.testing.assert_allclose(MANY.response_db(frequencies, 192_000), 20 * np.log10(np.abs(response)), atol=1e-5)


@pytest.mark.parametrize("gain", [-24.0, -3.0, 6.0])
def test_each_kind_has_its_gain_where_it_should(gain):
    at = np.array([1e-3, 500.0, 22_049.0])  # far below, at, and far above the band's frequency
    expected = {"peaking": [0, gain, 0], "low_shelf": [gain, gain / 2, 0], "high_shelf": [0, gain / 2, gain]}
    for kind in KINDS:
        response = Equalizer((Band(kind, 500.0, gain, 0.7),)).response_db(at, 44100)
        np.testing.assert_allclose(response, expected[kind], atol=0.01)


def test_filtering_keeps_shape_and_type_and_nothing_changes_without_bands():
    audio = np.random.default_rng(0).normal(0, 0.1, (3, 500)).astype(np.float32)
    filtered = MANY.filter(audio, 44100)
    assert filtered.dtype == np.float32
    assert filtered.shape == audio.shape
    np.testing.assert_array_equal(Equalizer().apply(audio, 44100), audio)
    assert Equalizer().response_db(np.array([10.0, 100.0]), 44100).tolist() == [0, 0]


def test_what_would_clip_is_lowered_as_a_whole_and_says_by_how_much():
    time = np.arange(4410) / 44100
    audio = 0.8 * np.sin(2 * np.pi * 1000 * np.stack([time, time])).astype(np.float32) * np.array([[1], [0.5]])
    loud = Equalizer((Band("peaking", 1000, 12),))
    heard = loud.apply(audio, 44100)
    assert 0.9999 < np.abs(heard).max() <= 1.0
    fits, lowered = without_clipping(loud.filter(audio, 44100))
    np.testing.assert_array_equal(fits, heard)
    np.testing.assert_allclose(heard * 10 ** (lowered / 20), loud.filter(audio, 44100), rtol=1e-5)
    assert without_clipping(audio)[1] == 0.0
    np.testing.assert_allclose(heard[1], heard[0] / 2, atol=1e-6)  # both channels alike


def test_json_and_back():
    assert Equalizer.from_dict(json.loads(json.dumps(MANY.as_dict()))) == MANY


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "notch"}, "a band is peaking, low_shelf or high_shelf, not 'notch'"),
        ({"frequency": 0.0}, "frequency must be above 0 Hz"),
        ({"frequency": math.nan}, "a band's frequency must be a number, not nan"),
        ({"gain": -25.0}, "gain must lie within ±24 dB, not -25"),
        ({"gain": "3"}, "a band's gain must be a number, not '3'"),
        ({"q": 0.01}, "q must lie between 0.1 and 20, not 0.01"),
        ({"q": True}, "a band's q must be a number"),
    ],
)
def test_a_band_that_is_none_is_refused(values, message):
    with pytest.raises(SepnbError, match=message):
        Band(**values)


@pytest.mark.parametrize("values", [{}, [], {"bands": "x"}, {"bands": [3]}, {"bands": [{"kind": "peaking", "f": 1}]}])
def test_a_dictionary_that_is_no_equaliser_is_refused(values):
    with pytest.raises(SepnbError, match="an equaliser is written as|a band has frequency, gain, kind, q"):
        Equalizer.from_dict(values)


def test_bands_out_of_reach_and_broken_audio_are_refused():
    high = Equalizer((Band("peaking", 9000, 3),))
    for use in (high.sections, lambda rate: high.response_db(np.array([100.0]), rate)):
        with pytest.raises(SepnbError, match="9000 Hz is out of reach: at 16000 Hz audio ends at 8000 Hz"):
            use(16000)
    with pytest.raises(SepnbError, match="no numbers"):
        high.apply(np.array([[0.0, np.nan]], np.float32), 44100)
