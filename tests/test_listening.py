"""Players hold the audio that they were given, and a mix is the sum that its faders say."""

import base64
import io
import re
import sys

import numpy as np
import pytest
import soundfile

from sepnb.errors import SepnbError
from sepnb.listening.encoding import encode
from sepnb.listening.players import LARGEST_PAGE_BYTES, mix, page_players, players

RATE = 8000


@pytest.fixture
def stems():
    rng = np.random.default_rng(0)
    # On the 16-bit grid, so that FLAC gives back exactly these numbers.
    draw = rng.integers(-6000, 6000, (2, 2, RATE)) / 32768
    return dict(zip(("drums", "vocals <lead>"), draw.astype(np.float32), strict=True))


def decoded(flac: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(flac), dtype="float32", always_2d=True)[0].T


def test_players_carry_each_stem_without_loss(stems):
    html = players(stems, RATE).data
    carried = [decoded(base64.b64decode(code)) for code in re.findall(r"base64,([^']+)'", html)]
    assert len(carried) == 2
    for audio, stem in zip(carried, stems.values(), strict=True):
        np.testing.assert_array_equal(audio, stem)
    assert "vocals &lt;lead&gt;" in html  # a name is text, never markup


def test_faders_at_zero_give_the_sum_and_minus_infinity_mutes(stems):
    np.testing.assert_allclose(mix(stems, {}), sum(stems.values()), atol=1e-7)
    np.testing.assert_array_equal(mix(stems, {"drums": float("-inf")}), stems["vocals <lead>"])
    np.testing.assert_allclose(
        mix(stems, {"drums": -6.0206, "vocals <lead>": float("-inf")}), stems["drums"] / 2, atol=1e-6
    )


def test_a_mix_that_would_clip_is_lowered_as_a_whole(stems):
    loud = mix(stems, {"drums": 40.0})
    assert np.abs(loud).max() == pytest.approx(1.0)
    quiet = stems["drums"] * 100 + stems["vocals <lead>"]
    np.testing.assert_allclose(loud, quiet / np.abs(quiet).max(), atol=1e-5)


def test_a_fader_of_no_stem_is_refused(stems):
    with pytest.raises(SepnbError, match="no stem bass.*there are drums"):
        mix(stems, {"bass": 0.0})


def test_too_long_for_a_notebook_is_said_with_its_size(monkeypatch):
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["sepnb.listening.players"], "LARGEST_PLAYER_BYTES", 1_500_000)
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 1_000_000)).astype(np.float32)
    with pytest.raises(SepnbError, match=r"125 seconds make a player of 2 MB.*pick an excerpt"):
        players({"noise": noise}, RATE)


def test_a_page_has_what_is_encoded_already_or_mp3_or_a_sentence(stems):
    systems = {"truth": stems, "network": {"drums": stems["drums"]}}
    encoded = encode(systems, RATE)
    page = page_players(systems, RATE, encoded)
    codes = re.findall(r"data:audio/flac;base64,([^']+)'", page)
    assert [base64.b64decode(code) for code in codes] == [
        encoded.sounds[place].data
        for place in (0, 2, 1)  # a row a stem, a column a system
    ]
    assert "aria-label='drums, network'" in page
    small = page_players(systems, RATE, encoded, largest=90_000)
    assert small.count("data:audio/mpeg;base64,") == 3
    assert len(small) <= 90_000 < len(page)
    assert "As MP3 (stereo, 128 kbit/s)" in small
    assert page_players(systems, RATE, encoded, largest=20_000) == (
        "<p>3 sounds of 1 s are too much for this page: open the notebook and run this cell to hear them.</p>"
    )


def test_a_page_of_many_sounds_is_mono_and_says_so_and_stays_within_a_megabyte():
    loud = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 4 * 44100)).astype(np.float32)
    sides = np.stack([loud[0], -loud[0]])
    page = page_players({str(number): {"sides": sides, "loud": loud} for number in range(12)}, 44100, largest=1_000_000)
    assert "As MP3 (mono, 48 kbit/s)" in page
    assert len(page) <= 1_000_000 < LARGEST_PAGE_BYTES
    both = [base64.b64decode(code) for code in re.findall(r"base64,([^']+)'", page)[:24:12]]
    silent, heard = (decoded(data) for data in both)
    assert len(silent) == len(heard) == 1
    assert np.abs(silent).max() < 1e-3  # the mean of both channels
    assert np.abs(heard).max() > 0.1
