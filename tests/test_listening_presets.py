"""Presets are gains that a mix takes, and a stem that is not there is named."""

import math

import numpy as np
import pytest

from sepnb.errors import SepnbError
from sepnb.listening.players import mix
from sepnb.listening.presets import karaoke, practice

STEMS = {name: np.full((1, 4), 0.1 * place, np.float32) for place, name in enumerate(("drums", "bass", "vocals"), 1)}


def test_karaoke_is_the_song_without_the_voice():
    assert karaoke(STEMS) == {"drums": 0.0, "bass": 0.0, "vocals": -math.inf}
    np.testing.assert_allclose(mix(STEMS, karaoke(STEMS)), STEMS["drums"] + STEMS["bass"])
    np.testing.assert_allclose(mix(STEMS, karaoke(STEMS, voice="bass")), STEMS["drums"] + STEMS["vocals"])


def test_practice_lowers_one_stem():
    assert practice(iter(STEMS), "bass") == {"drums": 0.0, "bass": -12.0, "vocals": 0.0}
    quarter = mix(STEMS, practice(STEMS, "bass", db=-12.0412))
    np.testing.assert_allclose(quarter, STEMS["drums"] + STEMS["bass"] / 4 + STEMS["vocals"], rtol=1e-4)


def test_what_cannot_be_is_said():
    with pytest.raises(SepnbError, match="no stem voice to lower; there are drums, bass, vocals"):
        karaoke(STEMS, voice="voice")
    with pytest.raises(SepnbError, match="no stem bass to lower; there are none"):
        practice([], "bass")
    for db in (3.0, math.nan):
        with pytest.raises(SepnbError, match="practice lowers a stem: give 0 dB or less"):
            practice(STEMS, "bass", db=db)
