"""The bands of an editor and its equaliser are one; what is no band is refused; without JavaScript, a picture."""

import base64
import io
import json

import numpy as np
import pytest
from matplotlib.image import imread

from sepnb.errors import SepnbError
from sepnb.listening.equalizer import Band, Equalizer
from sepnb.listening.equalizer_editor import EqualizerEditor
from sepnb.listening.equalizer_fit import match_spectrum

RATE = 16_000
START = Equalizer((Band("low_shelf", 100, 4, 0.7), Band("peaking", 2000, -3, 2)))
NOISE = np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32)


def test_bands_and_equaliser_follow_each_other():
    editor = EqualizerEditor(START, RATE, name="vocals")
    assert editor.equalizer == START
    moved = [dict(editor.bands[0], gain=-2), editor.bands[1]]
    editor.set_state({"bands": moved})  # as the browser does it
    assert editor.equalizer.bands[0].gain == -2.0
    editor.equalizer = Equalizer()
    assert editor.bands == []


def test_what_is_no_band_is_refused_and_nothing_changes():
    editor = EqualizerEditor(START, RATE)
    with pytest.raises(SepnbError, match="9000 Hz is out of reach"):
        editor.bands = [{"kind": "peaking", "frequency": 9000, "gain": 1, "q": 1}]
    with pytest.raises(SepnbError, match="a band has"):
        editor.bands = [{"kind": "peaking", "freq": 900}]
    beyond = r"max_gain must hold the bands' gains \(up to {} dB here\) and be at most 24 dB, not {}"
    with pytest.raises(SepnbError, match=beyond.format("15.0", "12")):
        editor.bands = [{"kind": "peaking", "frequency": 900, "gain": -15, "q": 1}]
    with pytest.raises(SepnbError, match=beyond.format("15.0", "12")):
        editor.equalizer = Equalizer((Band("peaking", 900, 15),))
    assert editor.equalizer == START
    with pytest.raises(SepnbError, match=beyond.format("4.0", "3")):
        EqualizerEditor(START, RATE, max_gain=3.0)
    with pytest.raises(SepnbError, match="out of reach"):
        EqualizerEditor(START, 3000)


def test_a_match_comes_with_its_spectra_and_all_of_it_is_json():
    match = match_spectrum(NOISE, "pink", RATE, steps=5)
    editor = EqualizerEditor(match, RATE, name="<b>odd</b>")
    assert editor.equalizer == match.equalizer
    np.testing.assert_allclose(editor.config["source"], match.source, atol=0.01)
    np.testing.assert_allclose(editor.config["target"], match.target, atol=0.01)
    json.dumps([editor.config, editor.bands], allow_nan=False)


@pytest.mark.parametrize("matched", [True, False])
def test_a_page_without_javascript_has_a_picture(matched):
    start = match_spectrum(NOISE, "pink", RATE, steps=5) if matched else START
    shown = EqualizerEditor(start, RATE)._repr_mimebundle_()
    bundle = shown[0] if isinstance(shown, tuple) else shown
    assert "application/vnd.jupyter.widget-view+json" in bundle
    code = bundle["text/html"].partition("base64,")[2].partition("'")[0]
    picture = imread(io.BytesIO(base64.b64decode(code)))
    assert picture.shape[1] > 400
    assert (picture[..., :3].min(axis=(0, 1)) < 0.5).all()  # something dark was drawn
