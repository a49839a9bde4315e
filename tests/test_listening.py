"""Players hold the audio that they were given, and a mix is the sum that its faders say."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from sepnb.errors import SepnbError
from sepnb.listening import fader_mixer, mix, players
from sepnb.listening.players import LARGEST_PLAYER_BYTES, flac_bytes

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


def test_the_mixer_follows_its_faders(stems):
    box = fader_mixer(stems, RATE)
    *faders, player = box.children
    assert [fader.description for fader in faders] == list(stems)
    before = player.value
    faders[0].value = -20.0
    assert player.value != before
    expected = mix(stems, {"drums": -20.0})
    np.testing.assert_allclose(decoded(player.value), expected, atol=1 / 32768)


def test_too_long_for_a_notebook_is_said_with_its_size():
    noise = np.random.default_rng(0).uniform(-1, 1, (1, LARGEST_PLAYER_BYTES // 2 + RATE)).astype(np.float32)
    with pytest.raises(SepnbError, match=r"a player of 2\d MB.*pick an excerpt"):
        flac_bytes(noise, RATE)
