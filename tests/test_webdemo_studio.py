"""What the web demo does for a visitor, without a page around it: takes, changes, and what cannot be asked for."""

import html
import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from songs import noise

from sepnb import audio
from sepnb.errors import SepnbError

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
from demos import LIMITS, RATE, Tones, visitors  # noqa: F401

from sepnb.listening.equalizer import Band, Equalizer
from sepnb.listening.separating import Stopped
from sepnb.webdemo import models, pieces
from sepnb.webdemo.handlers import without_paths
from sepnb.webdemo.models import ModelShelf
from sepnb.webdemo.songs import SongShelf
from sepnb.webdemo.sound_handlers import bands_of, rows_of
from sepnb.webdemo.studio import Studio, faders


class Shelf(ModelShelf):
    def get(self, name):
        super().get(name) if name != "band-unet" else None
        return Tones()


@pytest.fixture
def studio(visitors):  # noqa: F811
    return Studio(LIMITS, Shelf(["band-unet"]), SongShelf(visitors.songs, seconds=4.0), visitors.check_room)


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    audio.write(path, noise(0, 4.0, rate=RATE), RATE)
    return path


def test_a_take_is_stems_on_disk_and_replaces_the_one_before(studio, visitors, song):  # noqa: F811
    with visitors.working("one") as visitor:
        first = studio.separate(visitor, str(song), None, "band-unet", 1, 2)
        stems = first.read()
        np.testing.assert_allclose(sum(stems.values()), noise(0, 4.0, rate=RATE)[:, RATE : 3 * RATE], atol=2 / 32768)
        second = studio.separate(visitor, None, studio.songs.names[1], "band-unet", 0, 3)
        assert (second.song, second.seconds) == (studio.songs.names[1], 3.0)
        assert list(visitor.folder.iterdir()) == [second.folder]


def test_changes_are_made_from_the_separated_stems_and_undone(studio, visitors, song):  # noqa: F811
    with visitors.working("one") as visitor:
        take = studio.separate(visitor, str(song), None, "band-unet", 0, 4)
        louder = Equalizer((Band("low_shelf", 100.0, 0.0), Band("peaking", 1000.0, 6.0)))
        for _ in range(2):  # twice is not more than once
            changed = studio.change(visitor, 0, {"rest": louder})
        sounds = changed.read(changed.heard)
        np.testing.assert_allclose(sounds["vocals"], take.read()["vocals"], atol=2 / 32768)
        expected = louder.filter(take.read()["rest"], RATE)
        np.testing.assert_allclose(sounds["rest"], expected, atol=4 / 32768)
        assert len(list(visitor.folder.iterdir())) == 2
        assert "rest was equalised" in changed.changes[0]
        plain = studio.change(visitor, 0, {})
        assert plain.changed == {}
        assert len(list(visitor.folder.iterdir())) == 1


def test_names_are_text_in_the_page_never_markup(studio, visitors, tmp_path):  # noqa: F811
    path = tmp_path / "a&b '><img src=x onerror=alert(1)>.wav"
    audio.write(path, noise(0, 2.0, rate=RATE), RATE)
    with visitors.working("one") as visitor:
        take = studio.separate(visitor, str(path), None, "band-unet", 0, 2)
        written = pieces.mixer(take) + pieces.links(take) + pieces.sentence(take.song) + pieces.head()
    assert take.song.startswith("a&b")
    for text in (pieces.mixer(take), pieces.links(take), pieces.sentence(take.song)):
        assert "<img" not in text
        assert not re.search(r"&(?!amp;|quot;|#x27;|lt;|gt;)", text)
    config = json.loads(html.unescape(re.search(r'data-config="([^"]+)"', written).group(1)))
    assert config["rate"] == RATE
    assert written.count("</script") == 1


def test_what_a_page_cannot_ask_for_is_said(studio, visitors, song):  # noqa: F811
    good = {"upload": str(song), "song": None, "model": "band-unet", "start": 0, "length": 2}
    bad = [
        ({"model": "/etc/passwd"}, "there is no model of that name here"),
        ({"model": "htdemucs"}, "there is no model of that name here"),
        ({"model": None}, "there is no model of that name here"),
        ({"start": -1}, "the start must lie from 0 to 900"),
        ({"start": 1e300}, "the start must lie"),
        ({"start": "0"}, "the start must be a number"),
        ({"length": 61}, "the length must lie from 1 to 60"),
        ({"length": float("nan")}, "the length must be a number"),
        ({"length": None}, "the length must be a number"),
        ({"upload": None}, "there is nothing to separate yet"),
        ({"upload": None, "song": "../../etc/passwd"}, "there is nothing to separate yet"),
        ({"upload": None, "song": ["x"]}, "there is nothing to separate yet"),
    ]
    with visitors.working("one") as visitor:
        for change, said in bad:
            with pytest.raises(SepnbError, match=said):
                studio.separate(visitor, **{**good, **change})
        for call in (lambda: studio.change(visitor, 0, {}), lambda: studio.bundle(visitor, {})):
            with pytest.raises(SepnbError, match="separate a song first"):
                call()
        studio.separate(visitor, **good)
        for steps in (13, "2", float("inf"), None):
            with pytest.raises(SepnbError, match="the pitch must"):
                studio.change(visitor, steps, {})
        with pytest.raises(SepnbError, match="choose the stem to equalise"):
            studio.fit(visitor, "flute", "pink")
        with pytest.raises(SepnbError, match="no target of that name"):
            studio.fit(visitor, "rest", "/etc/passwd")
        with pytest.raises(SepnbError, match="sounds like itself"):
            studio.fit(visitor, "rest", "rest")


def test_the_table_of_bands_goes_there_and_back_and_is_looked_at():
    rows = [["peaking", 1000.0, 6.0, 1.0], ["high_shelf", "8000", "-3", "0.7"], ["", None, None, None]]
    equalizer = bands_of(rows)
    assert [band.frequency for band in equalizer.bands] == [1000.0, 8000.0]
    assert bands_of(rows_of(equalizer)) == equalizer
    for bad, said in (
        ("rows", "could not be read"),
        ([["peaking", 1000.0]], "row 1 of the bands needs"),
        ([["peaking", "a", 0, 1]], "row 1 of the bands: frequency, gain and q must be numbers"),
        ([["peaking", float("nan"), 0, 1]], "must be numbers"),
        ([["notch", 1000, 0, 1]], "a band is peaking"),
        ([["peaking", 1000, 99, 1]], "within ±24 dB"),
        ([["peaking", 1000, 0, 1]] * 13, "13 bands are more than the 12"),
    ):
        with pytest.raises(SepnbError, match=said):
            bands_of(bad)


def test_faders_from_a_page_are_looked_at():
    assert faders({"vocals": None, "drums": -3}) == {"vocals": -np.inf, "drums": -3.0}
    for bad in ([], "x", {"a": "loud"}, {"a": 1e9}, {str(n): 0 for n in range(100)}):
        with pytest.raises(SepnbError):
            faders(bad)


def test_only_networks_are_offered(monkeypatch, tmp_path):
    monkeypatch.setenv("SEPNB_WEIGHTS", str(tmp_path / "none"))
    assert ModelShelf().names[0] == "band-unet"
    assert ModelShelf(["umxhq"]).labels() == [("umxhq (downloads 142 MB)", "umxhq")]
    with pytest.raises(SepnbError, match="did you mean band-unet"):
        ModelShelf(["band-unett"])
    with pytest.raises(SepnbError, match=r"irm2 \(oracle\) separates nothing"):
        ModelShelf(["irm2"])
    shelf = ModelShelf(["band-unet"])
    assert shelf.get("band-unet") is shelf.get("band-unet")


def test_messages_lose_the_servers_folders():
    assert without_paths("the weights /root/.cache/sepnb/x.pth are not there") == "the weights x.pth are not there"
    assert without_paths(r"C:\Users\me\a.wav is silent") == "a.wav is silent"
    assert without_paths("3/4 of a song, at -6 dB") == "3/4 of a song, at -6 dB"


def test_addresses_are_links_with_odd_characters_quoted():
    link = pieces.address(Path('/tmp/x/a "quoted" <song> – ü #1.flac'))
    assert not set(' "<>#') & set(link)
    assert unquote(link).endswith('a "quoted" <song> – ü #1.flac')


def test_a_stop_is_not_lost_while_the_model_loads_or_the_song_is_read(studio, visitors, song, monkeypatch):  # noqa: F811
    def pressed_while(what):
        def slow(*arguments, **named):
            visitors.stop("one")
            return what(*arguments, **named)

        return slow

    def separated():
        with visitors.working("one") as visitor:
            return studio.separate(visitor, str(song), None, "band-unet", 0, 2)

    for owner, name in ((studio.models, "get"), (studio, "_read")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, pressed_while(getattr(owner, name)))
            with pytest.raises(Stopped):
                separated()
    assert separated().seconds == 2.0  # a stop is for one job


def test_no_more_work_than_allowed_whoever_has_gone(studio, visitors, song, monkeypatch):  # noqa: F811
    """Gradio gives the place of a visitor who has gone to the next one; the thread still works."""
    go, running, most, lock = threading.Event(), [0], [0], threading.Lock()

    def gated(separator, mixture, rate, *rest):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go.wait(30)
        with lock:
            running[0] -= 1
        return separator(mixture, rate)

    monkeypatch.setattr("sepnb.webdemo.studio.separate_with_progress", gated)
    done = []

    def work(key):
        with visitors.working(key) as visitor:
            try:
                done.append(studio.separate(visitor, str(song), None, "band-unet", 0, 2).seconds)
            except Stopped:
                done.append("stopped")

    threads = [threading.Thread(target=work, args=(f"visitor {number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    _wait_until(lambda: running[0] == LIMITS.jobs and all(visitors.find(f"visitor {n}") for n in range(5)))
    for number in range(5):  # who waits for a place hears a stop too
        visitors.stop(f"visitor {number}")
    _wait_until(lambda: done.count("stopped") == 5 - LIMITS.jobs)
    go.set()
    for thread in threads:
        thread.join(30)
    assert most[0] == LIMITS.jobs
    assert sorted(map(str, done)) == ["2.0"] * LIMITS.jobs + ["stopped"] * (5 - LIMITS.jobs)


def test_the_clock_runs_while_the_song_is_read(studio, visitors, song, monkeypatch):  # noqa: F811
    told = []

    def separated(separator, mixture, rate, report, stop, limit):
        told.append(limit)
        return separator(mixture, rate)

    read = studio._read
    monkeypatch.setattr("sepnb.webdemo.studio.separate_with_progress", separated)
    clock = [100.0]
    monkeypatch.setattr("sepnb.webdemo.studio.time", SimpleNamespace(monotonic=lambda: clock[0]))
    for spent in (50.0, LIMITS.job_seconds):

        def slowly(*arguments, spent=spent):
            clock[0] += spent
            return read(*arguments)

        monkeypatch.setattr(studio, "_read", slowly)
        with visitors.working("one") as visitor:
            if spent == 50.0:
                studio.separate(visitor, str(song), None, "band-unet", 0, 2)
            else:
                with pytest.raises(SepnbError, match="reading song took too long"):
                    studio.separate(visitor, str(song), None, "band-unet", 0, 2)
    assert told == [LIMITS.job_seconds - 50]


def test_a_model_that_is_fetched_keeps_nobody_from_another(monkeypatch):
    arrived, calls = threading.Event(), []

    def load(name, device):
        calls.append(name)
        if name == "umxhq":
            arrived.wait(30)
        return name

    monkeypatch.setattr(models, "load_separator", load)
    shelf = ModelShelf(["band-unet", "umxhq"])
    threads = [threading.Thread(target=shelf.get, args=("umxhq",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    _wait_until(lambda: "umxhq" in calls)
    other = threading.Thread(target=shelf.get, args=("band-unet",))
    other.start()
    other.join(30)
    assert not other.is_alive()  # while the first still waits
    arrived.set()
    for thread in threads:
        thread.join(30)
    assert sorted(calls) == ["band-unet", "umxhq"]  # each once


def test_levels_are_matched_and_faders_kept_where_stems_were_changed(studio, visitors, song):  # noqa: F811
    with visitors.working("one") as visitor:
        take = studio.separate(visitor, str(song), None, "band-unet", 0, 4)
        plain = pieces.mixer(take)
        changed = pieces.mixer(studio.change(visitor, 0, {"rest": Equalizer((Band("peaking", 1000.0, 12.0),))}), True)
    assert "data-as-before" not in plain
    assert "data-as-before" in changed

    def read(text, what):
        return json.loads(html.unescape(re.search(rf'data-{what}="([^"]+)"', text).group(1)))

    assert read(plain, "state") == {"match_levels": False}
    assert read(changed, "state") == {"match_levels": True}
    systems = {system["name"]: system["match_db"] for system in read(changed, "config")["systems"]}
    assert systems["changed"]["rest"] < -1
    assert systems["changed"]["vocals"] == pytest.approx(0, abs=0.05)


def _wait_until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
