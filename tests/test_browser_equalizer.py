"""The equaliser's editor in a real browser: its curve is Python's, handles follow mouse and keys, names stay text."""

import json
import shutil

import numpy as np
import pytest
from browser import page, served
from conftest import REPOSITORY

from sepnb.listening.equalizer import Band, Equalizer

STATIC = REPOSITORY / "sepnb" / "listening" / "static"
RATE = 44100
START = Equalizer((Band("low_shelf", 120, 6, 0.7), Band("peaking", 1000, -4, 2), Band("high_shelf", 6000, 3, 0.9)))
CENTRES = [100.0, 1000.0, 10_000.0]
CONFIG = {
    "rate": RATE,
    "max_gain": 12.0,
    "name": "<img src=x onerror='window.hacked = true'>",
    "centres": CENTRES,
    "source": [-20.0, -30.0, -40.0],
    "target": [-25.0, -25.0, -35.0],
    "counted": [True, True, False],
}
PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="equalizer.css"><title>editor</title><div id="root"></div>
<script type="module">
import { createEqualizer, bandDb } from "./equalizer.js";
const state = START, callbacks = [];
window.bandDb = bandDb;
window.state = state;
window.tell = (bands) => { state.bands = bands; callbacks.forEach((call) => call(bands)); };
window.editor = createEqualizer(document.getElementById("root"), {
  config: CONFIG,
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; },
  onChange: (name, callback) => { callbacks.push(callback); return () => callbacks.splice(0); },
});
</script>"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editor")
    for name in ("equalizer.js", "equalizer.css"):
        shutil.copy(STATIC / name, folder)
    config = json.dumps(CONFIG).replace("<", "\\u003c")
    text = PAGE.replace("START", json.dumps(START.as_dict())).replace("CONFIG", config)
    (folder / "index.html").write_text(text, "utf-8")
    with served(folder) as found:
        yield found


@pytest.fixture
def editor(browser, address):
    with page(browser, 900, 700) as opened:
        opened.goto(f"{address}/index.html")
        opened.wait_for_selector(".handle")
        yield opened
        assert not opened.errors


def bands(editor) -> list[dict]:
    return editor.evaluate("window.state.bands")


def test_the_browsers_formulas_are_pythons(editor):
    frequencies = np.geomspace(20, 20_000, 60)
    script = "([bands, at, rate]) => at.map((f) => bands.reduce((sum, band) => sum + bandDb(band, f, rate), 0))"
    heard = editor.evaluate(script, [START.as_dict()["bands"], frequencies.tolist(), RATE])
    np.testing.assert_allclose(heard, START.response_db(frequencies, RATE), atol=1e-9)


def test_keys_move_a_band(editor):
    handle = editor.locator(".handle").nth(1)
    handle.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "+"):
        handle.press(key)
    band = bands(editor)[1]
    assert band["gain"] == pytest.approx(-3.0)
    assert band["frequency"] == pytest.approx(1000 * 2 ** (1 / 12))
    assert band["q"] == pytest.approx(2.2)
    assert handle.get_attribute("aria-valuetext") == "1.06 kHz, -3.0 dB, q 2.20"
    handle.press("Delete")
    assert [band["kind"] for band in bands(editor)] == ["low_shelf", "high_shelf"]
    assert editor.evaluate("document.activeElement.classList.contains('handle')")


def test_the_keys_of_a_handle_go_no_further(editor):
    editor.evaluate("window.passed = []; document.addEventListener('keydown', (event) => passed.push(event.key))")
    editor.locator(".handle").nth(1).focus()
    for pressed in ("ArrowUp", "m", "x", "1", "Delete", "Control+s", "Escape", "Tab"):
        editor.keyboard.press(pressed)
    assert editor.evaluate("passed") == ["Control", "s", "Escape", "Tab"]
    assert editor.locator(".sepnb-equalizer").get_attribute("data-lm-suppress-shortcuts") == "true"


def test_it_is_as_dark_as_its_page(editor):
    box = editor.locator(".sepnb-equalizer")
    assert box.get_attribute("data-theme") == "light"
    light = box.evaluate("(n) => getComputedStyle(n).backgroundColor")
    editor.evaluate("document.body.style.background = '#111'")
    editor.wait_for_selector(".sepnb-equalizer[data-theme=dark]")
    assert box.evaluate("(n) => getComputedStyle(n).backgroundColor") != light
    editor.evaluate("document.body.style.background = '#fff'")
    editor.wait_for_selector(".sepnb-equalizer[data-theme=light]")


def test_a_drag_changes_frequency_and_gain_and_the_wheel_q(editor):
    box = editor.locator(".handle .dot").nth(1).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    editor.mouse.move(x, y)
    editor.mouse.down()
    editor.mouse.move(x + 60, y - 40, steps=4)
    editor.mouse.up()
    band = bands(editor)[1]
    assert 1300 < band["frequency"] < 2500
    assert 0 < band["gain"] < 6
    editor.mouse.wheel(0, -100)
    editor.wait_for_function(f"window.state.bands[1].q > {band['q']}")


def test_no_drag_leaves_the_bounds(editor):
    box = editor.locator(".handle .dot").nth(1).bounding_box()
    editor.mouse.move(box["x"] + 5, box["y"] + 5)
    editor.mouse.down()
    editor.mouse.move(5000, -5000)
    editor.mouse.up()
    assert bands(editor)[1]["gain"] == 12
    assert bands(editor)[1]["frequency"] == pytest.approx(20_000)


def test_python_moves_the_handles(editor):
    before = editor.locator("path.curve").first.get_attribute("d")
    editor.evaluate("window.tell([{ kind: 'peaking', frequency: 500, gain: 9, q: 1 }])")
    assert editor.locator(".handle").count() == 1
    assert editor.locator(".handle").get_attribute("aria-valuetext") == "500 Hz, +9.0 dB, q 1.00"
    assert editor.locator("path.curve").first.get_attribute("d") != before


def test_buttons_and_fields(editor):
    editor.get_by_role("button", name="Add band").click()
    assert len(bands(editor)) == 4
    editor.get_by_label("dB").fill("99")
    editor.get_by_label("dB").press("Enter")
    assert bands(editor)[3]["gain"] == 12
    editor.get_by_role("button", name="All flat").click()
    assert {band["gain"] for band in bands(editor)} == {0}


def test_a_name_is_text_never_markup(editor):
    assert editor.locator("#root img").count() == 0
    assert editor.evaluate("window.hacked") is None
    assert "<img src=x" in editor.locator(".legend").inner_text()


def test_a_phone_has_no_sideways_scroll(browser, address):
    with page(browser, 360, 700) as phone:
        phone.goto(f"{address}/index.html")
        phone.wait_for_selector(".handle")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        phone.evaluate("window.editor.destroy()")
        assert phone.locator(".sepnb-equalizer").count() == 0
