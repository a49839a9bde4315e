"""The mixer's page in a real browser: what is shown and said, on any screen, and what becomes of it in a notebook."""

import re

import numpy as np
import pytest
from browser import page, served
from mixer_pages import RATE, factors, host, noise, opened, play, settled, write_page


def test_the_spectrogram_shows_a_tone_where_it_is(browser, tmp_path):
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


def test_names_are_text_and_never_markup(browser, tmp_path):
    name = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
    write_page(tmp_path, {name: {name: noise(0, 0.5)}, "__proto__": {"constructor": noise(1, 0.5)}})
    with served(tmp_path) as base, opened(browser, base) as tab:
        assert tab.get_by_text(name).count() >= 2
        assert tab.evaluate("window.broken") is None
        tab.get_by_role("button", name="__proto__").click()
        np.testing.assert_allclose(factors(tab), [0, 1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_colours_stand_out(browser, mixer_address, scheme):
    with opened(browser, mixer_address, 360, color_scheme=scheme) as tab:
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


def test_a_start_before_any_gesture_asks_for_one(browser, mixer_address):
    with page(browser) as tab:
        # A browser lets nothing sound yet; the test's own calls count as gestures, so that has to be played.
        tab.add_init_script(
            "window.resume = AudioContext.prototype.resume; AudioContext.prototype.resume = async () => {}"
        )
        tab.goto(mixer_address)
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
def test_what_cannot_be_heard_is_said(browser, mixer_address, wrong):
    with page(browser) as tab:
        if wrong == "not audio":
            tab.route("**/s4", lambda route: route.fulfill(body=b"not audio"))
        else:
            tab.clock.install()
            tab.route("**/s4", lambda route: None)
        tab.goto(mixer_address)
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


def test_a_blind_mixer_shows_nothing_but_its_buttons(browser, tmp_path):
    write_page(tmp_path, {"A": {"sound": noise(0, 1.0)}, "X": {"sound": noise(1, 1.0)}}, blind=True)
    with served(tmp_path) as base, opened(browser, base) as tab:
        assert tab.locator("canvas").count() == 0
        assert "sound" not in tab.locator(".sepnb-mixer").inner_text()
        assert not tab.get_by_role("button", name="Match levels").is_visible()
        play(tab)
        tab.keyboard.press("2")
        assert host(tab, "system") == "X"
        settled(tab, [0, 1])


def test_a_digit_chooses_the_system_of_that_name_before_that_of_its_place(browser, tmp_path):
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


def test_a_blind_mixer_counts_sounds_while_it_loads(browser, tmp_path):
    write_page(tmp_path, {"A": {"sound": noise(0, 0.5)}, "B": {"sound": noise(1, 0.5)}}, blind=True)
    with served(tmp_path) as base, page(browser) as tab:
        tab.route("**/s1", lambda route: None)
        tab.goto(base)
        tab.get_by_text("Loading: 1 of 2 sounds").wait_for()


def test_a_notebook_lets_go_of_its_sounds_after_the_last_view_and_asks_again(browser, mixer_address):
    with page(browser) as tab:
        tab.clock.install()
        tab.goto(f"{mixer_address}/notebook.html")
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
def test_decibels_stay_in_their_box_and_a_mixture_keeps_its_name(browser, tmp_path, width):
    write_page(tmp_path, {name: noise(seed, 0.5) for seed, name in enumerate(("mixture", "vocals"))})
    with served(tmp_path) as base, opened(browser, base, width) as tab:
        tab.evaluate("mixer.player.set('gains', { mixture: -40, vocals: -12.5 })")
        beyond = "(n) => n.scrollWidth - n.clientWidth"
        assert [one.evaluate(beyond) for one in tab.locator(".row.stem .value").all()] == [0, 0]
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        if width > 320:
            assert [one.evaluate(beyond) for one in tab.locator(".row.stem .name").all()] == [0, 0]
