"""The mixer in a real browser plays in step to the sample, and obeys hand, key and host."""

import io

import numpy as np
import pytest
import soundfile
from browser import decoded, lag, recorded, served, start_recording
from mixer_pages import (
    RATE,
    SECONDS,
    factors,
    host,
    noise,
    opened,
    play,
    position,
    settled,
    write_page,
)

from sepnb.listening.players import mix


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


def test_mp3s_play_in_step_and_begin_where_the_stems_do(browser, tmp_path):
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
    settled(tab, [0, 0, 1, 0, 0, 0])
    tab.get_by_label("Level of drums").dblclick()
    assert host(tab, "gains") == {"drums": 0}
    assert host(tab, "muted") == ["bass"]
    assert host(tab, "soloed") == ["vocals"]


def test_solo_of_a_stem_that_a_system_has_not_takes_nothing_of_it(browser, tmp_path):
    stems = {"drums": noise(0, 1.0), "vocals": noise(1, 1.0)}
    write_page(tmp_path, {"separated": stems, "original": {"mixture": noise(2, 1.0)}})
    with served(tmp_path) as base, opened(browser, base) as tab:
        tab.get_by_role("button", name="Solo vocals").click()
        settled(tab, [0, 1, 0])
        tab.get_by_role("button", name="original").click()
        settled(tab, [0, 0, 1])
        assert "silent" not in tab.locator(".row.stem", has_text="mixture").get_attribute("class")
        assert tab.get_by_role("button", name="Match levels").count() == 0  # no stem is in both: none to match


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


def test_stems_beyond_full_scale_come_back_at_their_level(browser, tmp_path):
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
