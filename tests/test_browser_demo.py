"""The web demo under a real browser: upload, separate, listen, change, take home; and what is refused is said."""

import io
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import page

from sepnb import audio

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
from sepnb.webdemo import DemoLimits, build_demo
from sepnb.webdemo.command import free_port

SHOTS = os.environ.get("SEPNB_SHOTS")  # a folder for screenshots, for who wants to look
SLOW = 90_000  # ms; machines that test are busy


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The demo on loopback; quick to make songs."""
    folder = tmp_path_factory.mktemp("demo")
    demo = build_demo(["band-unet"], DemoLimits(), port=free_port("127.0.0.1"), folder=folder)
    try:
        yield demo.launch(prevent_thread_lock=True, quiet=True)
    finally:
        demo.close()
        assert not list(folder.glob("run-*"))


def shot(opened, name):
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        opened.screenshot(path=Path(SHOTS) / f"demo_{name}.png", full_page=True)


def visit(opened, address, asked=None):
    """Open the page; what it asks other servers for is collected."""
    if asked is not None:
        opened.on("request", lambda request: asked.append(request.url))
    opened.set_default_timeout(SLOW)
    opened.goto(address)
    opened.wait_for_selector("#separate")


def status(opened, text):
    """Wait until the page says so."""
    opened.wait_for_function("text => document.querySelector('#status').innerText.includes(text)", arg=text)


def upload(opened, path):
    opened.set_input_files("#upload input[type=file]", path)


def separate(opened):
    opened.click("#separate")
    opened.wait_for_selector(".sepnb-mixer-mount .sepnb-mixer")
    opened.wait_for_function("document.querySelector('.sepnb-mixer-mount').sepnbMixer.player.state.ready")


def player(opened, what):
    return opened.evaluate(f"document.querySelector('.sepnb-mixer-mount').sepnbMixer.player.{what}")


def fetched(opened, link):
    """The bytes behind a link of the page."""
    with opened.expect_download() as download:
        opened.click(link)
    return Path(download.value.path()).read_bytes(), download.value.suggested_filename


def said(opened):
    """What a message at the page's edge says."""
    return opened.locator(".toast-body").last.inner_text()


def test_a_real_song_is_uploaded_separated_heard_and_taken_home(browser, address, real, tmp_path):
    song = real / "songs" / "test.mp3"
    with page(browser, 1280, 900, accept_downloads=True) as opened:
        asked, refused = [], []
        opened.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        visit(opened, address, asked)
        shot(opened, "start")
        upload(opened, song)
        opened.wait_for_function(
            "document.querySelector('#status').innerText.includes('test: 20.0 s, stereo, 44100 Hz')"
        )
        separate(opened)
        shot(opened, "wide")
        assert "test: 20.0 s separated by band-unet" in opened.inner_text("#status")
        assert opened.locator(".sepnb-picture img").evaluate("image => image.naturalWidth") > 800
        listen(opened)
        stems = take_home(opened, song)
        assert set(stems) == {"drums", "bass", "other", "vocals"}
        elsewhere = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
        assert elsewhere == []
        assert refused == []
        assert opened.errors == []


def listen(opened):
    """The mixer plays, goes where it is sent, and solo leaves one stem."""
    opened.click(".sepnb-mixer .play")
    opened.wait_for_function("document.querySelector('.sepnb-mixer-mount').sepnbMixer.player.position > 0.3")
    opened.locator(".sepnb-mixer .timeline").focus()
    opened.keyboard.press("Home")
    for _ in range(2):
        opened.keyboard.press("Shift+ArrowRight")
    assert 9.9 < player(opened, "position") < 13
    opened.click("button[aria-label='Solo vocals']")
    assert player(opened, "state.soloed") == ["vocals"]
    assert opened.evaluate("JSON.parse(window.sepnbMixerGains())") == {
        "drums": None, "bass": None, "other": None, "vocals": 0,
    }  # fmt: skip
    opened.click("button[aria-label='Solo vocals']")
    opened.click(".sepnb-mixer .play")
    assert player(opened, "state.playing") is False


def take_home(opened, song):
    """A stem and the zip; the stems add up to the song, and the mix is as the preset set the faders."""
    opened.locator("#preset label", has_text="karaoke").click()
    opened.wait_for_function("JSON.parse(window.sepnbMixerGains()).vocals === null")
    content, name = fetched(opened, "#links a:has-text('vocals')")
    assert name == "test - vocals.flac"
    vocals, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    content, name = fetched(opened, "#zip")
    assert name == "test - band-unet.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        found = {
            Path(entry).stem: soundfile.read(io.BytesIO(archive.read(entry)), dtype="float32")[0]
            for entry in archive.namelist()
            if entry.endswith(".flac")
        }
        assert "vocals off" in archive.read("test - band-unet/README.txt").decode()
    mix = found.pop("mix")
    np.testing.assert_array_equal(found["vocals"], vocals)
    np.testing.assert_allclose(mix, sum(found.values()) - vocals, atol=4 / 32768)
    original, _ = audio.read(song)
    heard = np.corrcoef(sum(found.values())[:, 0], original[0])[0, 1]
    assert heard > 0.97
    return found


def test_stems_are_shifted_equalised_and_put_back(browser, address, real):
    with page(browser, 1280, 900) as opened:
        visit(opened, address)
        upload(opened, real / "songs" / "test.mp3")
        status(opened, "test: 20.0 s")
        separate(opened)
        opened.locator("#preset label", has_text="karaoke").click()
        opened.wait_for_function("JSON.parse(window.sepnbMixerGains()).vocals === null")
        assert player(opened, "state.match_levels") is False  # there is nothing to match yet
        opened.locator("#semitones input[type=number]").fill("2.5")
        opened.locator("#semitones input[type=number]").press("Enter")
        opened.click("#shift")
        status(opened, "Shifted by +2.5 semitones")
        opened.click("#eq-fit")
        opened.wait_for_selector("#eq-picture img")
        opened.wait_for_function("document.querySelector('#eq-bands').innerText.includes('peaking')")
        opened.click("#eq-apply")
        status(opened, "drums was equalised")
        opened.wait_for_function(
            "document.querySelector('.sepnb-mixer-mount').sepnbMixer?.player.config.systems[0].name === 'changed'"
        )
        as_before(opened)
        assert player(opened, "state.match_levels") is True
        shot(opened, "changed")
        opened.click("#undo")
        opened.wait_for_function("!document.querySelector('#status').innerText.includes('Shifted')")
        opened.wait_for_function(
            "document.querySelector('.sepnb-mixer-mount').sepnbMixer?.player.config.systems[0].name === 'separated'"
        )
        as_before(opened)
        assert opened.inner_text("#eq-picture").strip() == ""
        assert "peaking" not in opened.inner_text("#eq-bands")
        separate(opened)  # and a new take begins with its faders up
        opened.wait_for_function("JSON.parse(window.sepnbMixerGains()).vocals === 0")
        assert opened.locator("#preset label", has_text="as it is").locator("input").is_checked()
        assert opened.errors == []


def as_before(opened):
    """The faders are as the preset has set them, and the preset says so."""
    assert opened.evaluate("JSON.parse(window.sepnbMixerGains()).vocals") is None
    assert opened.locator("#preset label", has_text="karaoke").locator("input").is_checked()


def test_what_is_no_song_is_refused_in_a_sentence(browser, address, tmp_path):
    words = tmp_path / "lyrics <b>.mp3"
    words.write_text("These are words, and no song.\n" * 100)
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.truncate(200_000_000)
    with page(browser, 1280, 900) as opened:
        visit(opened, address)
        upload(opened, words)
        opened.wait_for_selector(".toast-body")
        assert "lyrics" in said(opened)
        assert "not audio in a known format" in said(opened)
        status(opened, "not audio in a known format")  # and stays there
        opened.wait_for_selector("#song")
        opened.wait_for_function("!document.querySelector('#song input:checked')")  # any of them can be chosen now
        shot(opened, "no_song")
        opened.locator(".toast-close").last.click()
        opened.reload()
        opened.wait_for_selector("#separate")
        upload(opened, huge)
        opened.wait_for_selector(".toast-body")
        shot(opened, "huge")
        assert re.search(r"exceed the maximum|more than", said(opened))
        assert "47.7 Mb" in said(opened)  # Gradio counts in 1024s


def test_what_was_chosen_last_is_separated(browser, address, tmp_path):
    tune = tmp_path / "tune.wav"
    soundfile.write(tune, np.zeros((44100, 2)), 44100)
    marked = "[...document.querySelectorAll('#song input')].findIndex((one) => one.checked)"
    with page(browser, 1280, 900) as opened:
        visit(opened, address)
        assert opened.evaluate(marked) == 0
        upload(opened, tune)
        status(opened, "tune: 1.0 s, stereo")
        opened.wait_for_function(f"{marked} === -1")
        opened.click("#separate")
        status(opened, "silent there: pick another excerpt")  # said, and it stays
        assert "Error" not in opened.inner_text("#status")
        opened.locator("#song label").nth(1).click()
        opened.wait_for_function("!document.querySelector('#upload').innerText.includes('tune')")
        assert opened.evaluate(marked) == 1
        separate(opened)
        assert "tune" not in opened.inner_text("#status")


def test_a_phone_shows_all_of_it_and_each_visitor_gets_its_own(browser, address):
    with page(browser, 390, 800, has_touch=True, is_mobile=True) as phone, page(browser, 1280, 900) as other:
        for opened in (phone, other):
            visit(opened, address)
        other.locator("#song label").nth(1).click()
        phone.click("#separate")
        other.click("#separate")
        for opened in (phone, other):
            opened.wait_for_function("document.querySelector('.sepnb-mixer-mount')?.sepnbMixer?.player.state.ready")
        assert phone.inner_text("#status").split(":")[0] != other.inner_text("#status").split(":")[0]
        sounds = [
            opened.evaluate(
                "document.querySelector('.sepnb-mixer-mount').sepnbMixer.player.config.sounds.map(sound => sound.url)"
            )
            for opened in (phone, other)
        ]
        assert not set(sounds[0]) & set(sounds[1])
        phone.click("#eq-fit")
        phone.wait_for_selector("#eq-picture img")
        phone.wait_for_function("document.querySelector('#eq-bands').innerText.includes('peaking')")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        picture = phone.locator("#eq-picture .sepnb-picture")
        assert picture.evaluate("element => element.scrollWidth > 1.4 * element.clientWidth")  # it scrolls for itself
        shot(phone, "phone")
        shot(other, "second")


def test_a_separation_is_stopped_and_begun_again(browser, address, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 60 * 44100)).astype(np.float32)
    audio.write(tmp_path / "minute.wav", noise, 44100)
    with page(browser, 1280, 900) as opened:
        visit(opened, address)
        upload(opened, tmp_path / "minute.wav")
        status(opened, "minute: 60.0 s")
        opened.locator("input[type=number][aria-label*='Length']").fill("60")
        opened.keyboard.press("Tab")
        opened.click("#separate")
        status(opened, "of 60 s of music")
        opened.click("#stop")
        status(opened, "Stopped")
        assert opened.locator(".sepnb-mixer").count() == 0
        opened.wait_for_timeout(3000)  # the block that was being worked on has its time
        separate(opened)
        assert "minute: 60.0 s separated" in opened.inner_text("#status")


def test_a_dark_page_is_legible(browser, address):
    with page(browser, 1280, 900, color_scheme="dark") as opened:
        visit(opened, address)
        opened.wait_for_function("document.body.classList.contains('dark')")
        separate(opened)
        shot(opened, "dark")
        assert opened.locator(".sepnb-mixer").get_attribute("data-theme") == "dark"
