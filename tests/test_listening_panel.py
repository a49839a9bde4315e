"""The panel, driven from Python: what is chosen is separated, heard and saved; what cannot be is a sentence."""

import base64
import io
import math
import re
import threading
import zipfile
from datetime import UTC, datetime

import ipywidgets as widgets
import numpy as np
import pytest
import soundfile
from songs import noise

from sepnb import audio, figures
from sepnb.errors import SepnbError
from sepnb.listening.panel import UPLOADED, SeparationPanel, download_link, uploaded
from sepnb.listening.pictures import spectrograms_png
from sepnb.listening.uploads import UploadLimits
from sepnb.separators.streaming import StreamingSeparator

RATE = 8000


class Halves(StreamingSeparator):
    """The mixture's halves, a second at a time; waits at `gate` before each, if there is one."""

    name, sources, rate, channels, settings = "halves", ("vocals", "rest"), RATE, 2, {"kind": "test"}

    def __init__(self, gate: threading.Semaphore | None = None):
        self.gate = gate

    def stream(self, mixture):
        for first in range(0, mixture.shape[-1], RATE):
            if self.gate is not None:
                assert self.gate.acquire(timeout=20)
            block = mixture[:, first : first + RATE] / 2
            yield np.stack([block, block])


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    audio.write(path, noise(0, 6.0), RATE)
    return path


@pytest.fixture
def panel(song, tmp_path):
    return SeparationPanel({"A song": song}, {"halves": Halves()}, tmp_path / "out")


def test_what_is_chosen_is_separated_and_can_be_heard_and_seen(panel):
    panel.start.value, panel.length.value = 1.0, 3.0
    panel.separate(wait=True)
    assert panel.error is None
    assert "A song: 3.0 s separated by halves." in panel.message.value
    expected = noise(0, 6.0)[:, RATE : 4 * RATE] / 2
    for stem in ("vocals", "rest"):
        np.testing.assert_array_equal(panel.separated.stems[stem], expected)
    assert panel.bar.value == 1.0
    assert [system["name"] for system in panel.mixer.config["systems"]] == ["halves", "original"]
    picture = next(child for child in panel.results.children if isinstance(child, widgets.Image))
    assert bytes(picture.value[:4]) == b"\x89PNG"
    assert (panel.separate_button.disabled, panel.stop_button.disabled) == (False, True)


def test_presets_move_the_faders_and_the_zip_follows_them(panel, tmp_path):
    panel.separate(wait=True)
    panel.preset.value = "karaoke"
    assert panel.mixer.gains["vocals"] == -math.inf
    path = panel.save_zip()
    assert path.parent == tmp_path / "out"
    with zipfile.ZipFile(path) as archive:
        mixed, _ = soundfile.read(io.BytesIO(archive.read("A song - halves/mix.flac")), dtype="float32")
        assert "vocals off, rest +0.0 dB" in archive.read("A song - halves/README.txt").decode()
    np.testing.assert_allclose(mixed.T, panel.separated.stems["rest"], atol=1 / 32768)
    panel.preset.value = "practice rest (−12 dB)"
    assert panel.mixer.gains == {"vocals": 0.0, "rest": -12.0}


def test_downloads_follow_mute_and_solo_whatever_is_heard(panel, tmp_path):
    panel.separate(wait=True)
    panel.mixer.system = "original"
    vocals, rest = (panel.separated.stems[name] for name in ("vocals", "rest"))

    def saved():
        with zipfile.ZipFile(panel.save_zip()) as archive:
            zipped, _ = soundfile.read(io.BytesIO(archive.read("A song - halves/mix.flac")), dtype="float32")
        mixed, _ = audio.read(panel.save_mix())
        np.testing.assert_array_equal(zipped.T, mixed)
        return mixed

    one_step = {"atol": 1 / 32768}
    panel.mixer.gains = {"vocals": -6.0, "rest": 0.0}
    np.testing.assert_allclose(saved(), vocals * 10 ** (-6 / 20) + rest, **one_step)
    panel.mixer.muted = ["rest"]
    np.testing.assert_allclose(saved(), vocals * 10 ** (-6 / 20), **one_step)
    panel.mixer.muted, panel.mixer.soloed = [], ["rest", "mixture"]
    np.testing.assert_allclose(saved(), rest, **one_step)
    panel.mixer.soloed = ["mixture"]
    np.testing.assert_allclose(saved(), vocals * 10 ** (-6 / 20) + rest, **one_step)


def test_a_separation_lets_go_of_what_the_one_before_showed(panel):
    panel.separate(wait=True)
    first, link = panel.mixer, panel.link
    there = len(widgets.Widget.get_manager_state()["state"])
    panel.separate(wait=True)
    assert panel.mixer is not first
    assert first.comm is None
    assert len(widgets.Widget.get_manager_state()["state"]) == there
    panel.download_buttons["mix"].click()
    assert "A song - mix.flac" in link.value
    assert link.comm is not None


def test_a_high_rate_draws_no_more_than_one_can_hear(monkeypatch):
    drawn = []
    real = figures.spectrogram_grid
    monkeypatch.setattr(
        figures, "spectrogram_grid", lambda *given, **named: drawn.append(given) or real(*given, **named)
    )
    for rate in (8000, 48000, 192000):
        sounds = {"original": noise(0, 1.0, 2, rate), "vocals": noise(1, 1.0, 2, rate)}
        assert spectrograms_png(sounds, rate)[:4] == b"\x89PNG"
    assert [(stems.shape, rate) for stems, rate, *_ in drawn] == [
        ((2, 2, 8000), 8000),
        ((2, 2, 48000), 48000),
        ((2, 2, 44100), 44100),
    ]


def test_a_song_keeps_the_name_that_the_caller_gave_it(song, tmp_path):
    panel = SeparationPanel({"AC/DC - No.5": song}, {"halves": Halves()}, tmp_path)
    panel.separate(wait=True)
    assert panel.separated.song.name == "AC-DC - No.5"
    assert panel.save_mix().name == "AC-DC - No.5 - mix.flac"


def test_buttons_give_links_that_carry_the_file(panel):
    panel.separate(wait=True)
    panel.download_buttons["vocals"].click()
    name, carried = re.fullmatch(
        r'<a download="(.+?)" href="data:audio/flac;base64,(.+?)">.*', panel.link.value, re.DOTALL
    ).groups()
    assert name == "A song - vocals.flac"
    sound, _ = soundfile.read(io.BytesIO(base64.b64decode(carried)), dtype="float32")
    np.testing.assert_allclose(sound.T, panel.separated.stems["vocals"], atol=1 / 32768)
    panel.download_buttons["mix"].click()
    assert "A song - mix.flac" in panel.link.value
    panel.download_buttons["all (zip)"].click()
    assert "data:application/zip" in panel.link.value


def test_what_is_too_large_for_a_link_says_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr("sepnb.listening.panel.LARGEST_LINK", 10)
    path = tmp_path / "<b>.zip"
    path.write_bytes(b"x" * 11)
    said = download_link(path)
    assert "too large for a link" in said
    assert str(tmp_path) in said
    assert "<b>" not in said


def content(seconds=3.0):
    file = io.BytesIO()
    soundfile.write(file, noise(5, seconds).T, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


@pytest.mark.parametrize("version", [7, 8])
def test_uploads_are_read_in_the_formats_of_ipywidgets_7_and_8(version):
    data = content(1.0)
    value = (
        {"my song.flac": {"metadata": {"name": "my song.flac"}, "content": data}}
        if version == 7
        else ({"name": "my song.flac", "type": "", "size": len(data), "content": memoryview(data)},)
    )
    assert uploaded(value) == [("my song.flac", data)]
    assert uploaded(type(value)()) == []


def upload(panel, name, data):
    panel.upload.value = (
        {"name": name, "type": "", "size": len(data), "content": data, "last_modified": datetime.now(UTC)},
    )


def test_an_upload_is_chosen_and_separated(panel):
    upload(panel, "../<i>mine</i>.flac", content())
    assert panel.song.value == UPLOADED
    assert "<i>" not in panel.message.value
    panel.separate(wait=True)
    assert panel.error is None
    assert panel.separated.song.name == "i-"
    np.testing.assert_array_equal(panel.separated.stems["rest"], noise(5, 3.0) / 2)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("words.mp3", b"These are words. " * 50, "words: "),
        ("none.wav", b"", "none: is empty"),
        (None, None, "no upload yet"),
    ],
)
def test_an_upload_that_is_no_song_is_a_sentence(panel, name, data, said):
    panel.song.value = UPLOADED
    if name is not None:
        upload(panel, name, data)
    panel.separate(wait=True)
    assert said in panel.message.value
    assert isinstance(panel.error, SepnbError)
    assert "/tmp" not in panel.message.value
    assert panel.separated is None


def test_a_long_file_is_an_excerpt(song, tmp_path):
    panel = SeparationPanel({"A": song}, {"halves": Halves()}, tmp_path, UploadLimits(seconds=2.0))
    assert panel.length.max == 2.0
    panel.separate(wait=True)
    assert panel.separated.song.duration == 2.0


def test_it_runs_beside_other_cells_and_stops(song, tmp_path):
    gate = threading.Semaphore(2)
    panel = SeparationPanel({"A": song}, {"halves": Halves(gate)}, tmp_path)
    panel.separate()
    assert not panel.wait(0.05)
    assert (panel.separate_button.disabled, panel.stop_button.disabled) == (True, False)
    panel.separate()
    assert "running already" in panel.message.value
    panel.stop()
    gate.release(2)
    assert panel.wait(20)
    assert "Stopped after" in panel.message.value
    assert panel.separated is None
    gate.release(10)
    panel.separate(wait=True)
    assert panel.separated is not None


def test_what_fails_unexpectedly_is_said_and_kept(song, tmp_path):
    class Broken(Halves):
        def stream(self, mixture):
            raise ZeroDivisionError("a fault of the model")
            yield

    panel = SeparationPanel({"A": song}, {"broken": Broken()}, tmp_path)
    panel.separate(wait=True)
    assert "ZeroDivisionError: a fault of the model" in panel.message.value
    assert isinstance(panel.error, ZeroDivisionError)
    assert not panel.separate_button.disabled


def test_models_are_named_with_what_they_download(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPNB_WEIGHTS", str(tmp_path / "empty"))
    options = SeparationPanel(models=["band-unet", "umxhq"]).model.options
    assert options == (("band-unet", "band-unet"), ("umxhq (downloads 142 MB)", "umxhq"))
    with pytest.raises(SepnbError, match="no separator 'bandunet' \\(did you mean band-unet\\?\\)"):
        SeparationPanel(models=["bandunet"])
    with pytest.raises(
        SepnbError, match="irm2 (oracle) separates nothing by itself".replace("(", "\\(").replace(")", "\\)")
    ):
        SeparationPanel(models=["irm2"])


def test_nothing_can_be_saved_before_something_is_separated(panel):
    for save in (panel.save_zip, panel.save_mix, lambda: panel.save_stem("vocals")):
        with pytest.raises(SepnbError, match="nothing is separated yet"):
            save()
    panel.separate(wait=True)
    with pytest.raises(SepnbError, match="there is no stem 'flute'"):
        panel.save_stem("flute")
