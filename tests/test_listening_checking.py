"""What is no rate and no audio is refused, whoever is asked."""

import numpy as np
import pytest

from sepnb.errors import SepnbError
from sepnb.listening import StemMixer, match_spectrum, shift_stems, stretch_stems
from sepnb.listening.checking import checked_audio, checked_rate
from sepnb.listening.equalizer import Band, Equalizer
from sepnb.listening.loudness import loudness

RATE = 8000
SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, (2, RATE)).astype(np.float32)
USES = {
    "shift": lambda audio, rate: shift_stems({"voice": audio}, rate, 2),
    "stretch": lambda audio, rate: stretch_stems({"voice": audio}, rate, 1.25),
    "filter": lambda audio, rate: Equalizer((Band("peaking", 400, 6, 1),)).apply(audio, rate),
    "loudness": loudness,
    "mixer": lambda audio, rate: StemMixer({"mix": {"voice": audio}}, rate),
    "match": lambda audio, rate: match_spectrum(audio, SOUND, rate, steps=1),
}


def test_what_is_right_comes_back():
    assert checked_rate(np.int64(44100)) == 44100
    given = checked_audio(SOUND.astype(np.float64))
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, SOUND)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("rate", [0, 30, -44100, 44.1, "44100", None])
def test_no_rate(use, rate):
    with pytest.raises(SepnbError, match=r"Hz is not a rate: it must be a whole number of 1000 or more"):
        USES[use](SOUND, rate)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (SOUND.T, r"\(8000, 2\), which is \(samples, channels\): transpose it"),
        (SOUND[0], r"must have the shape \(channels, samples\) with samples in it, not \(8000,\)"),
        (SOUND[:, :0], "with samples in it"),
        ((SOUND * 32767).astype(np.int16), "is int16: audio is floating point with full scale at ±1"),
        (SOUND * np.nan, "no numbers"),
        ({"voice": SOUND}, r"(must be an array \(channels, samples\), not dict|is a dict and no audio)"),
    ],
)
def test_no_audio(use, audio, message):
    with pytest.raises(SepnbError, match=message):
        USES[use](audio, RATE)
