"""The mixer in a real browser: in step to the sample, obedient to hand, key and host, and readable by everyone."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import browser, decoded, lag, page, recorded, served, start_recording  # noqa: F401

import sepnb.listening
from sepnb.listening.encoding import LARGEST_BYTES, Encoded, checked, encode, mixer_config
from sepnb.listening.mixer import StemMixer
from sepnb.listening.players import mix

STATIC = Path(sepnb.listening.__file__).parent / "static"
RATE = 44100
SECONDS = 4.0

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Mixer</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="mixer.css"><style>body { margin: 12px }</style>
<div id="mixer"></div>
<script type="module">
import { createMixer } from "./mixer.js";
const config = await (await fetch("config.json")).json();
function hostOf(config, state = {}) {
  const callbacks = {};
  return {
    config, state, told: [],
    load: async (id) => (await fetch(id)).arrayBuffer(),
    get: (name) => state[name],
    set(name, value) { state[name] = value; this.told.push([name, value]); },
    onChange: (name, callback) => ((callbacks[name] = callback), () => delete callbacks[name]),
    say(name, value) { state[name] = value; callbacks[name](value); },
  };
}
window.hostOf = hostOf;
window.createMixer = createMixer;
window.host = hostOf(config);
window.mixer = createMixer(document.getElementById("mixer"), window.host);
</script></html>"""

# A notebook's page, with a widget's model in place of Jupyter's; sounds come in two pieces, as Python sends them.
NOTEBOOK = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Notebook</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="mixer.css"><div id="mixer"></div><div id="other"></div>
<script type="module">
import makeWidget from "./widget.js";
const state = { config: await (await fetch("config.json")).json() };
const callbacks = new Map();
const model = {
  wanted: [],
  get: (name) => state[name],
  set(name, value) { state[name] = value; for (const tell of callbacks.get(`change:${name}`) ?? []) tell(); },
  save_changes() {},
  on: (name, callback) => callbacks.set(name, [...(callbacks.get(name) ?? []), callback]),
  off: (name, callback) => callbacks.set(name, callbacks.get(name).filter((other) => other !== callback)),
  async send({ id }) {
    model.wanted.push(id);
    const bytes = await (await fetch(id)).arrayBuffer();
    const parts = [new DataView(bytes, 0, 1000), new DataView(bytes, 1000)];
    parts.forEach((part, number) => {
      for (const tell of callbacks.get("msg:custom") ?? []) tell({ kind: "piece", id, number, count: 2 }, [part]);
    });
  },
};
const widget = makeWidget();
const close = widget.initialize({ model });
const show = (id) => widget.render({ el: document.getElementById(id) });
const player = (id = "mixer") => document.getElementById(id).sepnbMixer?.player;
window.notebook = { state, model, close, show, player };
</script></html>"""


def noise(seed: int, seconds: float = SECONDS, level: float = 0.1) -> np.ndarray:
    """Stereo noise on the 16-bit grid."""
    drawn = np.random.default_rng(seed).uniform(-level, level, (2, round(seconds * RATE)))
    return (np.rint(drawn * 32768) / 32768).astype(np.float32)


def write_page(folder: Path, systems: dict, rate: int = RATE, largest: int = LARGEST_BYTES, **options) -> Encoded:
    """A page with a mixer of these systems."""
    systems = checked(systems, rate)
    encoded = encode(systems, rate, largest)
    for sound in encoded.sounds:
        (folder / sound.id).write_bytes(sound.data)
    (folder / "config.json").write_text(json.dumps(mixer_config(systems, rate, encoded, **options)))
    (folder / "index.html").write_text(PAGE)
    (folder / "notebook.html").write_text(NOTEBOOK)
    (folder / "widget.js").write_text(StemMixer._esm)
    for name in ("mixer.js", "mixer.css"):
        (folder / name).write_bytes((STATIC / name).read_bytes())
    return encoded


@pytest.fixture(scope="module")
def systems() -> dict[str, dict[str, np.ndarray]]:
    names = ("drums", "bass", "vocals")
    true = {name: noise(seed) for seed, name in enumerate(names)}
    other = {name: noise(10 + seed, level=0.05) for seed, name in enumerate(names)}
    return {"reference": true, "network": other}


@pytest.fixture(scope="module")
def address(systems, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mixer")
    write_page(folder, systems)
    with served(folder) as base:
        yield base


@contextmanager
def opened(browser, address: str, width: int = 1280, **options: object):  # noqa: F811
    """The mixer's page, loaded and decoded."""
    with page(browser, width, **options) as tab:
        tab.goto(address)
        tab.set_default_timeout(30_000)
        tab.wait_for_function("window.mixer?.player?.state.ready")
        yield tab
        assert not tab.errors


@pytest.fixture
def tab(browser, address):  # noqa: F811
    with opened(browser, address) as tab:
        yield tab


def position(tab) -> float:
    return tab.evaluate("mixer.player.position")


def host(tab, name: str) -> object:
    """What the page's host was told, as a notebook's Python would be."""
    return tab.evaluate("(name) => host.state[name]", name)


def factors(tab) -> list[float]:
    return tab.evaluate("mixer.player.config.sounds.map((s) => mixer.player.gain(s.system, s.stem).gain.value)")


def play(tab) -> None:
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("mixer.player.run && mixer.player.context.currentTime > mixer.player.run.when")


def in_step(recording: np.ndarray, systems: dict, sounds: slice) -> int:
    """The sample at which all of the recorded stems begin, the same for each."""
    known = [audio[0] for stems in systems.values() for audio in stems.values()][sounds]
    lags = [lag(one, sound) for one, sound in zip(recording[sounds], known, strict=True)]
    assert len(set(lags)) == 1, f"stems begin at samples {lags}"
    return lags[0]


def test_stems_play_in_step_to_the_sample_and_exactly(tab, systems):
    play(tab)
    start_recording(tab, 0.5)
    heard = recorded(tab)
    first = in_step(heard, systems, slice(0, 3))
    for one, audio in zip(heard[:3], systems["reference"].values(), strict=True):
        # Chromium divides positive 16-bit integers by 32,767: a tenth of their least step.
        np.testing.assert_allclose(one, audio[0, first : first + heard.shape[-1]], atol=4e-6)
    assert not heard[3:].any()  # the other system runs along, unheard


def test_a_jump_while_it_plays_leaves_no_stem_behind(tab, systems):
    play(tab)
    start_recording(tab, 0.8)
    tab.evaluate("mixer.player.set('position', 2.5)")
    heard = recorded(tab)[:, -8000:]
    assert in_step(heard, systems, slice(0, 3)) > 2.5 * RATE


def test_where_a_loop_wraps_no_sample_is_lost(tab, systems):
    start, end = round(1.2 * RATE), round(1.7 * RATE)
    tab.evaluate("([start, end]) => mixer.player.set('loop', [start, end])", [start / RATE, end / RATE])
    play(tab)
    start_recording(tab, 1.2)  # twice around, and more
    heard = recorded(tab)
    first = in_step(heard[:, :4000], systems, slice(0, 3))
    assert start <= first < end
    for one, audio in zip(heard[:3], systems["reference"].values(), strict=True):
        places = start + (first - start + np.arange(heard.shape[-1])) % (end - start)
        np.testing.assert_allclose(one, audio[0, places], atol=4e-6)
    assert start / RATE <= position(tab) <= end / RATE


def test_another_system_goes_on_at_the_same_sample(tab, systems):
    play(tab)
    start_recording(tab, 0.8)
    tab.get_by_role("button", name="network").click()
    heard = recorded(tab)
    # The change comes somewhere in between: the first system at the beginning, the second at the end.
    before = in_step(heard[:, :3000], systems, slice(0, 3))
    after = in_step(heard[:, -3000:], systems, slice(3, 6))
    assert after - before == heard.shape[-1] - 3000
    assert not heard[:3, -3000:].any()
    assert host(tab, "system") == "network"


def test_mp3s_play_in_step_and_begin_where_the_stems_do(browser, tmp_path):  # noqa: F811
    stems = {"one": noise(3, 3.0), "two": noise(4, 3.0)}
    encoded = write_page(tmp_path, stems, largest=200_000)
    assert encoded.note.startswith("MP3")
    with served(tmp_path) as base, opened(browser, base) as tab:
        sounds = decoded(tab)
        for sound, audio in zip(sounds, stems.values(), strict=True):
            assert lag(sound[RATE : 2 * RATE], audio[0]) == RATE
        play(tab)
        start_recording(tab, 1.0)
        in_step(recorded(tab), {"mix": dict(enumerate(sounds[:, np.newaxis]))}, slice(0, 2))


def test_play_pause_and_the_end(tab):
    play(tab)
    tab.wait_for_function("mixer.player.position > 0.2")
    tab.get_by_role("button", name="Pause").click()
    held = position(tab)
    assert held > 0.2
    tab.wait_for_timeout(100)
    assert position(tab) == held == host(tab, "position")
    assert host(tab, "playing") is False
    tab.evaluate("(at) => mixer.player.set('position', at)", SECONDS - 0.2)
    play(tab)
    tab.wait_for_function("!mixer.player.state.playing")
    assert position(tab) == 0.0
    assert host(tab, "playing") is False
    assert tab.get_by_role("button", name="Play").is_visible()
    tab.wait_for_function("mixer.player.context.state === 'suspended'")  # at rest it uses no processor


def test_a_click_on_a_waveform_seeks_and_shift_with_a_drag_loops(tab):
    box = tab.get_by_role("img", name="Waveform of bass").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 4, box["y"] + 10)
    assert position(tab) == pytest.approx(SECONDS / 4, abs=0.02)
    tab.keyboard.down("Shift")
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 3 * box["width"] / 4, box["y"] + 10, steps=3)
    tab.mouse.up()
    tab.keyboard.up("Shift")
    assert host(tab, "loop") == pytest.approx([SECONDS / 2, 3 * SECONDS / 4], abs=0.02)
    handle = tab.locator(".handle.end").bounding_box()
    tab.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] + 50, handle["y"] + 5, steps=3)
    tab.mouse.up()
    assert host(tab, "loop") == pytest.approx([SECONDS / 2, SECONDS], abs=0.02)


def test_a_click_while_it_plays_is_one_jump_and_a_drag_two(tab):
    tab.evaluate(
        """() => {
          const { player } = window.mixer;
          const start = player.start.bind(player);
          window.starts = [];
          player.start = (offset) => (starts.push(offset), start(offset));
        }"""
    )
    play(tab)
    box = tab.get_by_role("img", name="Waveform of bass").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 4, box["y"] + 10)
    assert tab.evaluate("starts") == pytest.approx([0, SECONDS / 4], abs=0.02)
    tab.mouse.move(box["x"] + box["width"] / 8, box["y"] + 10)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10, steps=3)
    tab.mouse.up()
    assert tab.evaluate("starts.slice(2)") == pytest.approx([SECONDS / 8, SECONDS / 2], abs=0.02)


def test_a_loop_that_is_marked_elsewhere_takes_the_position_along_and_says_so(tab):
    tab.evaluate("void mixer.player.on((name) => (window.said ??= []).push(name))")
    tab.evaluate("mixer.player.set('loop', [2, 3])")
    assert position(tab) == host(tab, "position") == 2
    assert "position" in tab.evaluate("said")
    tab.evaluate("mixer.player.set('position', 2.5)")
    tab.evaluate("mixer.player.set('loop', [2.25, 3])")  # the position is in it already
    assert position(tab) == host(tab, "position") == 2.5
    tab.evaluate("host.say('loop', [1, 2])")  # Python, too, hears where that leads
    assert position(tab) == host(tab, "position") == 1


@pytest.mark.parametrize("playing", [False, True])
def test_behind_the_loop_it_is_off_before_it_it_is_on_and_the_button_agrees(tab, playing):
    button = tab.get_by_role("button", name="Loop", exact=True)
    if playing:
        play(tab)
    running = "mixer.player.run?.loop ?? null"
    tab.evaluate("mixer.player.set('loop', [1, 2])")
    tab.evaluate("mixer.player.set('position', 0.25)")  # it plays into the loop
    assert host(tab, "loop") == [1, 2]
    assert tab.evaluate(running) == ([1, 2] if playing else None)
    assert button.get_attribute("aria-pressed") == "true"
    tab.evaluate("mixer.player.set('position', 2.5)")
    assert host(tab, "loop") is None
    assert tab.evaluate("mixer.player.state.loop") is None
    assert tab.evaluate(running) is None
    assert position(tab) >= 2.45
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert host(tab, "loop") == [1, 2]
    assert 1 <= host(tab, "position") < (2 if playing else 1.01)  # while it plays, it goes on from there
    assert tab.evaluate(running) == ([1, 2] if playing else None)
    assert button.get_attribute("aria-pressed") == "true"
    tab.evaluate("host.say('position', 3)")  # from Python
    assert host(tab, "loop") is None


def test_faders_mute_and_solo_set_what_is_heard(tab, systems):
    tab.get_by_label("Level of drums").fill("-6")
    tab.get_by_role("button", name="Mute bass").click()
    np.testing.assert_allclose(factors(tab)[:3], [10 ** (-6 / 20), 0, 1], atol=1e-6)
    play(tab)
    start_recording(tab, 0.3)
    heard = recorded(tab)
    first = lag(heard[2], systems["reference"]["vocals"][0])
    expected = systems["reference"]["drums"][0, first : first + heard.shape[-1]] * 10 ** (-6 / 20)
    np.testing.assert_allclose(heard[0], expected, atol=4e-6)
    assert not heard[1].any()
    tab.get_by_role("button", name="Solo vocals").click()
    tab.wait_for_timeout(100)  # the change is a short glide, against clicks
    np.testing.assert_allclose(factors(tab), [0, 0, 1, 0, 0, 0], atol=1e-6)
    tab.get_by_label("Level of drums").dblclick()
    assert host(tab, "gains") == {"drums": 0}
    assert host(tab, "muted") == ["bass"]
    assert host(tab, "soloed") == ["vocals"]


def test_levels_are_matched_to_the_reference(tab):
    tab.get_by_role("button", name="network").click()
    np.testing.assert_allclose(factors(tab)[3:], 1.0, atol=1e-6)
    tab.get_by_role("button", name="Match levels").click()
    np.testing.assert_allclose(factors(tab)[3:], 2.0, rtol=0.02)  # its noise has half the amplitude


def test_it_obeys_its_host(tab):
    tab.evaluate("host.say('gains', { bass: null, vocals: -20 })")
    np.testing.assert_allclose(factors(tab)[:3], [1, 0, 0.1], atol=1e-6)
    assert tab.get_by_label("Level of vocals").input_value() == "-20"
    tab.evaluate("host.say('position', 1.5)")
    assert tab.get_by_role("slider", name="Position").get_attribute("aria-valuetext") == "1.5 seconds of 4.0 seconds"
    tab.evaluate("host.told.length = 0; host.say('system', 'network'); host.say('volume', 0.25)")
    assert tab.evaluate("mixer.player.output.gain.value") == 0.25
    assert tab.evaluate("host.told") == []  # what it was told it does not tell back


def test_everything_works_by_keyboard(tab):
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    tab.wait_for_function("mixer.player.run")
    tab.keyboard.press("Space")
    assert host(tab, "playing") is False
    tab.evaluate("mixer.player.set('position', 1)")
    for pressed, expected in (("ArrowRight", 2.0), ("ArrowLeft", 1.0), ("Shift+ArrowRight", SECONDS), ("Home", 0.0)):
        tab.keyboard.press(pressed)
        assert position(tab) == pytest.approx(expected), pressed
    tab.keyboard.press("2")
    assert host(tab, "system") == "network"
    tab.evaluate("mixer.player.set('position', 1)")
    tab.keyboard.press("[")
    tab.evaluate("mixer.player.set('position', 3)")
    tab.keyboard.press("]")
    assert host(tab, "loop") == [1, 3]
    tab.keyboard.press("l")
    assert host(tab, "loop") is None
    tab.keyboard.press("l")
    assert host(tab, "loop") == [1, 3]
    for _ in range(20):  # Play, the systems, Match levels, the position; then the stems
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.ariaLabel") == "Mute bass":
            break
    tab.keyboard.press("m")
    tab.keyboard.press("s")
    assert host(tab, "muted") == host(tab, "soloed") == ["bass"]
    tab.keyboard.press("Space")  # on a button that was reached by Tab, Space presses it
    assert host(tab, "muted") == []
    tab.get_by_label("Level of bass").focus()
    tab.keyboard.press("ArrowLeft")  # a fader keeps its arrows
    assert host(tab, "gains") == {"bass": -0.5}


def test_its_keys_go_no_further(tab):
    tab.evaluate("window.passed = []; document.addEventListener('keydown', (event) => passed.push(event.key))")
    tab.locator(".sepnb-mixer").focus()
    for pressed in ("m", "x", "1", "Control+s"):
        tab.keyboard.press(pressed)
    assert tab.evaluate("passed") == ["Control", "s"]
    assert tab.locator(".sepnb-mixer").get_attribute("data-lm-suppress-shortcuts") == "true"


@pytest.mark.parametrize("gains", [{"drums": -9.0, "vocals": -3.5}, {"drums": 12.0, "bass": 12.0, "vocals": 12.0}])
def test_the_saved_mix_is_that_of_python(tab, systems, gains):
    tab.evaluate("(gains) => mixer.player.set('gains', gains)", gains)
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save mix").click()
    saved, rate = soundfile.read(io.BytesIO(download.value.path().read_bytes()), dtype="float32")
    assert rate == RATE
    assert download.value.suggested_filename == "mix.wav"
    np.testing.assert_allclose(saved.T, mix(systems["reference"], gains), atol=2 / 32768)
    assert ("lowered by" in tab.locator(".said").inner_text()) == (gains["drums"] > 0)


def test_a_sum_beyond_full_scale_lights_the_lamp(tab):
    lamp = tab.get_by_role("button", name="clipped")
    play(tab)
    tab.wait_for_function("/−[\\d.]+ dB/.test(document.querySelector('.peak').textContent)")
    assert not lamp.is_visible()
    tab.evaluate("mixer.player.set('gains', { drums: 12, bass: 12, vocals: 12 })")
    lamp.wait_for()


def test_stems_beyond_full_scale_come_back_at_their_level(browser, tmp_path):  # noqa: F811
    loud = {"loud": noise(1, 1.0, level=3.0), "soft": noise(2, 1.0, level=0.5)}
    encoded = write_page(tmp_path, loud)
    assert encoded.scale < 0.34
    with served(tmp_path) as base, opened(browser, base) as tab:
        play(tab)
        start_recording(tab, 0.2)
        heard = recorded(tab)
        first = in_step(heard, {"": loud}, slice(0, 2))
        for one, audio in zip(heard, loud.values(), strict=True):
            np.testing.assert_allclose(one, audio[0, first : first + heard.shape[-1]], atol=2e-4)


def test_the_spectrogram_shows_a_tone_where_it_is(browser, tmp_path):  # noqa: F811
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)
    late = np.where(np.arange(2 * RATE) < RATE, 0, tone)
    write_page(tmp_path, {"tone": np.float32([late, late])})
    with served(tmp_path) as base, opened(browser, base) as tab:
        tab.wait_for_function(
            "document.querySelector('.spectrogram canvas').getContext('2d').getImageData(9, 9, 1, 1).data[3] > 0"
        )
        rows, height = tab.evaluate(
            """() => {
              const canvas = document.querySelector(".spectrogram canvas");
              const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              const light = (row, share) => data[4 * (row * width + Math.round(share * width)) + 1];
              const column = (share) => Array.from({ length: height }, (_, row) => light(row, share));
              return [[column(0.25), column(0.75)], height];
            }"""
        )
    early, later = rows
    assert max(early) == 0
    brightest = height - 0.5 - int(np.argmax(later))
    assert 40 * (RATE / 2 / 40) ** (brightest / height) == pytest.approx(1000, rel=0.06)


def test_names_are_text_and_never_markup(browser, tmp_path):  # noqa: F811
    name = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
    write_page(tmp_path, {name: {name: noise(0, 0.5)}, "__proto__": {"constructor": noise(1, 0.5)}})
    with served(tmp_path) as base, opened(browser, base) as tab:
        assert tab.get_by_text(name).count() >= 2
        assert tab.evaluate("window.broken") is None
        tab.get_by_role("button", name="__proto__").click()
        np.testing.assert_allclose(factors(tab), [0, 1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_colours_stand_out(browser, address, scheme):  # noqa: F811
    with opened(browser, address, 360, color_scheme=scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") == 360
        assert tab.locator(".sepnb-mixer").get_attribute("data-theme") == scheme
        colours = (
            "(n) => [getComputedStyle(n).backgroundColor, getComputedStyle(n.closest('.sepnb-mixer')).backgroundColor]"
        )
        for swatch in tab.locator(".swatch").all():
            assert contrast(*swatch.evaluate(colours)) >= 3
        text = "(n) => [getComputedStyle(n).color, getComputedStyle(n.closest('.sepnb-mixer')).backgroundColor]"
        for part in (".name", ".value", ".time", ".note"):
            assert contrast(*tab.locator(part).first.evaluate(text)) >= 4.5
        tab.get_by_role("button", name="network").click()  # and under the mouse
        own = "(n) => [getComputedStyle(n).color, getComputedStyle(n).backgroundColor]"
        tab.wait_for_timeout(300)  # its colours change over a moment
        for pressed in tab.locator("[aria-pressed=true]").all():
            assert contrast(*pressed.evaluate(own)) >= 4.5
        for control in tab.locator("button, input").all():
            assert control.evaluate("(n) => n.ariaLabel || n.textContent.trim()")


def contrast(one: str, other: str) -> float:
    """The contrast of two CSS colours, by WCAG 2."""

    def light(colour: str) -> float:
        parts = np.float64(re.findall(r"[\d.]+", colour)[:3]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    darker, lighter = sorted((light(one), light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_starting_one_mixer_stops_the_other_and_what_is_destroyed_is_gone(tab):
    tab.evaluate(
        """async () => {
          const root = document.body.appendChild(document.createElement("div"));
          window.second = createMixer(root, hostOf(window.host.config));
          while (!second.player.state.ready) await new Promise((done) => setTimeout(done, 20));
        }"""
    )
    tab.get_by_role("button", name="Play").first.click()
    tab.wait_for_function("mixer.player.run")
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("second.player.run")
    assert host(tab, "playing") is False
    assert tab.evaluate("second.player.state.playing") is True
    tab.evaluate("second.destroy()")
    tab.wait_for_function("second.player.context.state === 'closed'")
    assert tab.locator(".sepnb-mixer").count() == 1


def test_a_start_before_any_gesture_asks_for_one(browser, address):  # noqa: F811
    with page(browser) as tab:
        # A browser lets nothing sound yet; the test's own calls count as gestures, so that has to be played.
        tab.add_init_script(
            "window.resume = AudioContext.prototype.resume; AudioContext.prototype.resume = async () => {}"
        )
        tab.goto(address)
        tab.wait_for_function("window.mixer?.player?.state.ready")
        tab.evaluate("host.say('playing', true)")
        told = tab.get_by_role("alert")
        told.wait_for()
        assert "Press play once" in told.inner_text()
        assert host(tab, "playing") is False
        tab.evaluate("void (AudioContext.prototype.resume = window.resume)")
        play(tab)
        assert host(tab, "problem") == ""


@pytest.mark.parametrize("wrong", ["not audio", "no answer"])
def test_what_cannot_be_heard_is_said(browser, address, wrong):  # noqa: F811
    with page(browser) as tab:
        if wrong == "not audio":
            tab.route("**/s4", lambda route: route.fulfill(body=b"not audio"))
        else:
            tab.clock.install()
            tab.route("**/s4", lambda route: None)
        tab.goto(address)
        tab.wait_for_function("window.mixer?.player?.loaded >= 3")
        if wrong == "no answer":
            tab.wait_for_function("mixer.player.loaded === 5")
            sizes = [sound["bytes"] / 1e6 for sound in tab.evaluate("mixer.player.config.sounds")]
            said = f"Loading: {sum(sizes) - sizes[4]:.1f} of {sum(sizes):.1f} MB"
            assert tab.get_by_text(said).wait_for() is None
            tab.clock.fast_forward(25_000)
        told = tab.get_by_role("alert")
        told.wait_for()
        expected = "cannot decode the sound of bass (network" if wrong == "not audio" else "do not arrive"
        assert expected in told.inner_text()
        assert tab.get_by_role("button", name="Play").is_disabled()


def test_a_blind_mixer_shows_nothing_but_its_buttons(browser, tmp_path):  # noqa: F811
    write_page(tmp_path, {"A": {"sound": noise(0, 1.0)}, "X": {"sound": noise(1, 1.0)}}, blind=True)
    with served(tmp_path) as base, opened(browser, base) as tab:
        assert tab.locator("canvas").count() == 0
        assert "sound" not in tab.locator(".sepnb-mixer").inner_text()
        assert not tab.get_by_role("button", name="Match levels").is_visible()
        play(tab)
        tab.keyboard.press("2")
        assert host(tab, "system") == "X"
        tab.wait_for_timeout(100)  # the change is a short glide
        np.testing.assert_allclose(factors(tab), [0, 1], atol=1e-6)


def test_a_digit_chooses_the_system_of_that_name_before_that_of_its_place(browser, tmp_path):  # noqa: F811
    names = ("Reference", "1", "2", "fourth")
    write_page(tmp_path, {name: {"sound": noise(seed, 0.5)} for seed, name in enumerate(names)}, blind=True)
    with served(tmp_path) as base, opened(browser, base) as tab:
        titles = [one.get_attribute("title") for one in tab.locator(".systems button").all()]
        assert titles == ["Reference", "1 (key 1)", "2 (key 2)", "fourth (key 4)"]
        tab.locator(".sepnb-mixer").focus()
        for pressed, expected in (("1", "1"), ("2", "2"), ("3", "2"), ("4", "fourth")):
            tab.keyboard.press(pressed)
            assert host(tab, "system") == expected
        assert tab.locator(".systems [aria-pressed=true]").inner_text() == "fourth"


def test_a_blind_mixer_counts_sounds_while_it_loads(browser, tmp_path):  # noqa: F811
    write_page(tmp_path, {"A": {"sound": noise(0, 0.5)}, "B": {"sound": noise(1, 0.5)}}, blind=True)
    with served(tmp_path) as base, page(browser) as tab:
        tab.route("**/s1", lambda route: None)
        tab.goto(base)
        tab.get_by_text("Loading: 1 of 2 sounds").wait_for()


def test_a_notebook_lets_go_of_its_sounds_after_the_last_view_and_asks_again(browser, address):  # noqa: F811
    with page(browser) as tab:
        tab.clock.install()
        tab.goto(f"{address}/notebook.html")
        tab.wait_for_function("window.notebook")
        assert tab.evaluate("notebook.model.wanted") == []  # nobody looks yet
        tab.evaluate("window.gone = [notebook.show('mixer'), notebook.show('other')]")
        tab.wait_for_function("notebook.state.ready")
        assert tab.evaluate("notebook.player('mixer') === notebook.player('other')")
        assert sorted(tab.evaluate("notebook.model.wanted")) == [f"s{number}" for number in range(6)]
        tab.evaluate("window.first = notebook.player()")

        tab.get_by_role("button", name="Play").first.click()
        tab.wait_for_function("first.run")
        tab.evaluate("gone[0]()")
        tab.clock.fast_forward(60_000)
        assert tab.evaluate("[notebook.state.playing, first.context.state]") == [True, "running"]  # one view is left
        tab.evaluate("gone[1]()")
        assert tab.evaluate("[notebook.state.playing, notebook.state.ready]") == [False, True]
        tab.evaluate("window.gone = [notebook.show('mixer')]")  # an output that was moved
        tab.clock.fast_forward(60_000)
        assert tab.evaluate("first === notebook.player() && first.buffers.size === 6")

        tab.evaluate("gone[0]()")
        tab.clock.fast_forward(60_000)
        tab.wait_for_function("first.context.state === 'closed'")
        assert tab.evaluate("[first.buffers.size, notebook.state.ready]") == [0, False]
        tab.evaluate("notebook.model.set('system', 'network')")  # Python goes on meanwhile
        tab.evaluate("window.gone = [notebook.show('mixer')]")
        tab.wait_for_function("notebook.state.ready")
        assert len(tab.evaluate("notebook.model.wanted")) == 12
        assert tab.evaluate("notebook.player().state.system") == "network"
        tab.get_by_role("button", name="Play").click()
        tab.wait_for_function("notebook.player().position > 0.2")
        tab.evaluate("window.second = notebook.player(); notebook.close(); gone[0]()")  # the widget is closed
        tab.wait_for_function("second.context.state === 'closed'")
        assert not tab.errors


@pytest.mark.parametrize("width", [320, 390, 754, 1280])
def test_decibels_stay_in_their_box_and_a_mixture_keeps_its_name(browser, tmp_path, width):  # noqa: F811
    write_page(tmp_path, {name: noise(seed, 0.5) for seed, name in enumerate(("mixture", "vocals"))})
    with served(tmp_path) as base, opened(browser, base, width) as tab:
        tab.evaluate("mixer.player.set('gains', { mixture: -40, vocals: -12.5 })")
        beyond = "(n) => n.scrollWidth - n.clientWidth"
        assert [one.evaluate(beyond) for one in tab.locator(".row.stem .value").all()] == [0, 0]
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        if width > 320:
            assert [one.evaluate(beyond) for one in tab.locator(".row.stem .name").all()] == [0, 0]
