"""The web demo behind its page: visitors' folders, bounds, hand-made requests, passwords and public links."""

import html
import importlib.util
import io
import json
import os
import re
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from songs import noise

from benchmarks.bad_uploads import CASES, outcome, tune
from sepnb import audio
from sepnb.errors import SepnbError

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
import httpx
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from sepnb.webdemo import DemoLimits, build_demo, check_password, command, new_password, serving
from sepnb.webdemo.handlers import without_paths
from sepnb.webdemo.models import ModelShelf
from sepnb.webdemo.sound_handlers import bands_of, rows_of
from sepnb.webdemo.studio import Studio, faders
from sepnb.webdemo.visitors import LOCK, Visitors

RATE = 44100
LIMITS = DemoLimits(sweep_seconds=3600)


class Tones:
    """Tells the left channel from the right."""

    name, sources, rate = "tones", ("vocals", "rest"), RATE

    def __call__(self, mixture, rate):
        return {"vocals": mixture * np.float32(0.25), "rest": mixture * np.float32(0.75)}


@pytest.fixture
def visitors(tmp_path):
    made = Visitors(LIMITS, tmp_path / "base")
    yield made
    made.close()


# --------------------------------------------------------------------------------------------------------- visitors


def test_each_visitor_has_a_folder_that_cannot_be_guessed(visitors):
    with visitors.working("one") as one, visitors.working("two") as two:
        assert one.folder != two.folder
        assert len(one.folder.name) >= 32
        assert one.folder.is_dir()
    with visitors.working("one") as again:
        assert again is one
    for key in (None, "", "x" * 1000, 7):
        with pytest.raises(SepnbError, match="works from the demo's page"), visitors.working(key):
            pass


def test_a_visitor_has_one_job_at_a_time(visitors):
    with (
        visitors.working("one"),
        pytest.raises(SepnbError, match="something running already"),
        visitors.working("one"),
    ):
        pass
    with visitors.working("one"):
        pass


def test_folders_go_after_some_time_but_not_under_a_job(tmp_path):
    now = [0.0]
    visitors = Visitors(LIMITS, tmp_path, clock=lambda: now[0])
    with visitors.working("idle") as idle:
        pass
    with visitors.working("busy") as busy:
        now[0] = LIMITS.keep_seconds - 1
        visitors.sweep()
        assert idle.folder.is_dir()
        now[0] += 2
        visitors.sweep()
        assert not idle.folder.exists()
        assert busy.folder.is_dir()
    visitors.leave("busy")
    assert not busy.folder.exists()
    visitors.close()
    assert not visitors.root.exists()


def test_who_leaves_is_stopped_and_cleared_away_as_soon_as_can_be(visitors):
    with visitors.working("one") as visitor:
        visitors.leave("one")
        assert visitor.stop.is_set()
        assert visitor.folder.is_dir()
    visitors.sweep()
    assert not visitor.folder.exists()
    visitors.leave("nobody")


def test_old_uploads_go_and_new_ones_stay(visitors):
    for name, age in (("old", LIMITS.upload_seconds + 60), ("waits", LIMITS.keep_seconds + 60), ("new", 0)):
        path = visitors.uploads / name / "song.wav"
        path.parent.mkdir()
        path.write_bytes(b"x")
        for entry in (path, path.parent):
            os.utime(entry, (time.time() - age,) * 2)
    visitors.sweep()
    assert {entry.name for entry in visitors.uploads.iterdir()} == {"waits", "new"}


def test_folders_of_servers_that_died_are_removed_and_of_those_that_run_are_not(tmp_path):
    for name in ("run-dead", "run-alive"):
        (tmp_path / name / "visitors").mkdir(parents=True)
    with FileLock(tmp_path / "run-alive" / LOCK):
        visitors = Visitors(LIMITS, tmp_path)
        assert {entry.name for entry in tmp_path.glob("run-*")} == {"run-alive", visitors.root.name}
        visitors.close()


def test_a_full_disk_is_said(tmp_path):
    visitors = Visitors(DemoLimits(disk_bytes=1000), tmp_path)
    visitors.check_room()
    (visitors.songs / "large").write_bytes(b"x" * 2000)
    with pytest.raises(SepnbError, match="disk space is used up"):
        visitors.check_room()
    visitors.close()


# ----------------------------------------------------------------------------------------------------------- studio


class Shelf(ModelShelf):
    def get(self, name):
        super().get(name) if name != "band-unet" else None
        return Tones()


@pytest.fixture
def studio(visitors):
    from sepnb.webdemo.songs import SongShelf

    return Studio(LIMITS, Shelf(["band-unet"]), SongShelf(visitors.songs, seconds=4.0), visitors.check_room)


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    audio.write(path, noise(0, 4.0, rate=RATE), RATE)
    return path


def test_a_take_is_stems_on_disk_and_replaces_the_one_before(studio, visitors, song):
    with visitors.working("one") as visitor:
        first = studio.separate(visitor, str(song), None, "band-unet", 1, 2)
        stems = first.read()
        np.testing.assert_allclose(sum(stems.values()), noise(0, 4.0, rate=RATE)[:, RATE : 3 * RATE], atol=2 / 32768)
        second = studio.separate(visitor, None, studio.songs.names[1], "band-unet", 0, 3)
        assert (second.song, second.seconds) == (studio.songs.names[1], 3.0)
        assert list(visitor.folder.iterdir()) == [second.folder]


def test_changes_are_made_from_the_separated_stems_and_undone(studio, visitors, song):
    from sepnb.listening.equalizer import Band, Equalizer

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


def test_names_are_text_in_the_page_never_markup(studio, visitors, tmp_path):
    from sepnb.webdemo import pieces

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


def test_what_a_page_cannot_ask_for_is_said(studio, visitors, song):
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


# --------------------------------------------------------------------------------------------- the application itself


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    built = build_demo(["band-unet"], LIMITS, port=command.free_port("127.0.0.1"), folder=folder)
    built.address = built.launch(prevent_thread_lock=True, quiet=True).rstrip("/")
    yield built
    built.close()
    assert not list(folder.glob("run-*"))


@pytest.fixture(scope="module")
def client(demo):
    return Client(demo.address, verbose=False)


def sounds_of(address, mixer):
    """Sounds of a mixer by system and stem, fetched as the page does."""
    config = json.loads(html.unescape(re.search(r'data-config="([^"]+)"', mixer).group(1)))
    found = {}
    for sound in config["sounds"]:
        answer = httpx.get(f"{address}/{sound['url']}")
        assert answer.status_code == 200
        found[sound["system"], sound["stem"]] = soundfile.read(io.BytesIO(answer.content), dtype="float32")[0].T
    return found


@pytest.mark.parametrize(("what", "name", "make", "expected"), CASES, ids=[case[0] for case in CASES])
def test_an_upload_is_taken_or_refused_in_a_sentence(client, tmp_path, what, name, make, expected):
    path = tmp_path / f"case{Path(name).suffix}"
    make(path)
    said = outcome(client, path, name)
    assert expected in said
    assert not re.search(r"Traceback|/tmp|/uploads|\.py", said)


def test_what_is_separated_is_served_and_taken_home(demo, client, tmp_path):
    audio.write(tmp_path / "tune.wav", tune(4.0), RATE)
    shown = client.predict(handle_file(tmp_path / "tune.wav"), None, "band-unet", 1, 3, api_name="/separate")
    status, mixer = shown[0], next(text for text in shown if "sepnb-mixer-mount" in str(text))
    assert "tune: 3.0 s separated by band-unet." in status
    sounds = sounds_of(demo.address, mixer)
    assert {system for system, _ in sounds} == {"separated", "original"}
    np.testing.assert_allclose(sounds["original", "mixture"], tune(4.0)[:, RATE:], atol=1 / 32768)
    link = client.predict(json.dumps({"vocals": None, "drums": -6}), api_name="/zip")
    address = re.search(r'href="([^"]+)"', link).group(1)
    assert httpx.get(f"{demo.address}/{address}").content.startswith(b"PK")
    orders = client.predict("karaoke", None, api_name="/preset")
    assert "&quot;muted&quot;: [&quot;vocals&quot;]" in orders
    for sent in ("no json", "[1]", '{"vocals": 1e9}'):
        with pytest.raises(AppError, match="fader"):
            client.predict(sent, api_name="/zip")
    other = Client(demo.address, verbose=False)
    with pytest.raises(AppError, match="separate a song first"):
        other.predict("{}", api_name="/zip")


def test_a_hand_made_request_reads_nothing_and_gets_a_sentence(demo, client):
    secret = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    for arguments, said in (
        ((secret, None, "band-unet", 0, 2), "."),
        ((None, "../../../etc/passwd", "band-unet", 0, 2), "."),
        ((None, None, "/etc/passwd", 0, 2), "."),
        ((None, None, "band-unet", 0, 1e12), "."),
        ((None, None, "band-unet", 0, 2), "there is nothing to separate yet"),
    ):
        with pytest.raises((AppError, ValueError), match=said) as caught:
            client.predict(*arguments, api_name="/separate")
        assert "root:" not in str(caught.value)
        assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2f..%2fetc/passwd",
        "//etc/passwd",
        "{root}/server.lock",
        "{root}/visitors/../../../etc/passwd",
        "{root}/visitors/..%2fserver.lock",
        "{package}/__init__.py",
        "{repository}/pyproject.toml",
        "https://example.com/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_nothing_outside_the_visitors_folders_is_served(demo, path):
    package = Path(serving.__file__).parent
    path = path.format(root=demo.visitors.root, package=package, repository=package.parents[1])
    answer = httpx.get(f"{demo.address}/gradio_api/file={path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_a_folder_is_not_listed(demo):
    answer = httpx.get(f"{demo.address}/gradio_api/file={demo.visitors.rooms}")
    assert answer.status_code in (403, 404)


def test_pages_may_fetch_from_nowhere_else(demo):
    answer = httpx.get(demo.address)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_uploads_are_refused_by_their_size_before_they_come_and_when_the_disk_is_full(demo, monkeypatch):
    address = f"{demo.address}/gradio_api/upload"
    answer = httpx.post(address, files={"files": ("a.wav", b"x" * 50_100_000)})
    assert answer.status_code == 413
    assert answer.text == "this file is 50 MB, and at most 50 MB are taken: cut an excerpt, or save it as MP3"
    monkeypatch.setattr(demo.visitors, "used", lambda: LIMITS.disk_bytes + 1)
    answer = httpx.post(address, files={"files": ("a.wav", b"x")})
    assert answer.status_code == 503
    assert "disk space is used up" in answer.text
    monkeypatch.undo()
    assert httpx.post(address, files={"files": ("a.wav", b"x")}).status_code == 200


# ------------------------------------------------------------------------------------------ passwords, links, command


def test_a_password_is_asked_for(tmp_path):
    built = build_demo(
        ["band-unet"], LIMITS, port=command.free_port("127.0.0.1"), folder=tmp_path, password="eight-letters"
    )
    try:
        address = built.launch(prevent_thread_lock=True, quiet=True).rstrip("/")
        assert httpx.get(f"{address}/config").status_code == 401
        wrong = httpx.post(f"{address}/login", data={"username": "me", "password": "another-one"})
        assert wrong.status_code == 400
        right = httpx.post(f"{address}/login", data={"username": "me", "password": "eight-letters"})
        assert right.status_code == 200
        assert httpx.get(f"{address}/config", cookies=dict(right.cookies)).status_code == 200
        song = next(iter([built.visitors.songs / "x.flac"]))
        song.write_bytes(b"x")
        assert httpx.get(f"{address}/gradio_api/file={song}").status_code == 401
    finally:
        built.close()


def test_passwords_that_will_not_do_are_said():
    with pytest.raises(SepnbError, match="a public link needs a password"):
        check_password(None, share=True)
    with pytest.raises(SepnbError, match="8 characters or more"):
        check_password("short", share=False)
    check_password(None, share=False)
    assert len({new_password() for _ in range(20)}) == 20
    check_password(new_password(), share=True)


class Launched(Exception):
    """What a stubbed launch raises instead of serving."""


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """What the command hands to Gradio's `launch`, which is stubbed."""
    import gradio

    seen = {}

    def launch(self, **options):
        seen.update(options)
        return None, "http://stub/", None

    monkeypatch.setattr(gradio.Blocks, "launch", launch)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return seen


def run(*arguments):
    from typer.testing import CliRunner

    from sepnb.cli import app

    return CliRunner().invoke(app, ["demo", "--model", "band-unet", *arguments])


def test_the_command_serves_this_machine_alone_and_clears_up(launched, tmp_path):
    result = run("--port", "0")
    assert result.exit_code == 0, result.output
    assert (launched["server_name"], launched["share"], launched["auth"]) == ("127.0.0.1", False, None)
    assert launched["max_file_size"] == 50_000_000
    assert launched["server_port"] > 0
    assert not list(tmp_path.glob("sepnb-demo-*/run-*"))


def test_a_public_link_gets_a_password_that_is_printed(launched):
    result = run("--share")
    assert result.exit_code == 0, result.output
    password = re.search(r"password: (\S+)", result.output).group(1)
    assert launched["share"] is True
    assert launched["auth"]("anyone", password)
    assert not launched["auth"]("anyone", password + "x")
    result = run("--share", "--password", "one of my own")
    assert "password:" not in result.output
    assert launched["auth"]("x", "one of my own")
    assert isinstance(run("--share", "--password", "short").exception, SepnbError)


def test_serving_a_network_without_a_password_is_remarked_upon(launched):
    assert "--password asks them for one" in run("--host", "0.0.0.0").output
    assert launched["server_name"] == "0.0.0.0"


def test_without_gradio_it_says_how_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name))
    with pytest.raises(SepnbError, match='pip install "gradio>=6"'):
        build_demo(["band-unet"])


def test_the_space_builds_the_same_page(monkeypatch, tmp_path):
    import runpy

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("SEPNB_DEMO_PASSWORD", "of-the-space")
    made = runpy.run_path(str(Path(serving.__file__).parents[2] / "app.py"))
    try:
        assert made["demo"] is made["built"].page
        assert made["built"].options["server_name"] == "0.0.0.0"
        assert made["built"].options["auth"]("x", "of-the-space")
    finally:
        made["built"].close()


def test_addresses_are_links_with_odd_characters_quoted():
    from sepnb.webdemo.pieces import address

    link = address(Path('/tmp/x/a "quoted" <song> – ü #1.flac'))
    assert not set(' "<>#') & set(link)
    assert unquote(link).endswith('a "quoted" <song> – ü #1.flac')
