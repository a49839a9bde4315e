"""The web demo's application, served: uploads, hand-made requests, files, and visitors side by side."""

import json
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bad_uploads import CASES, outcome, tune
from sepnb import audio
from sepnb.errors import SepnbError

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
import httpx
from demos import LIMITS, RATE, answered, demo, event_of, joined, sounds_of, uploaded  # noqa: F401
from gradio_client import Client, handle_file

from sepnb.webdemo import serving, studio
from sepnb.webdemo.handlers import Handlers

HELD = 3.0  # seconds of music of who is held up
FOREIGN = "^{'error': None}$"  # from Gradio; of ours, each has a sentence


@pytest.fixture(scope="module")
def client(demo):  # noqa: F811
    return Client(demo.address, verbose=False)


@pytest.mark.parametrize(("what", "name", "make", "expected"), CASES, ids=[case[0] for case in CASES])
def test_an_upload_is_taken_or_refused_in_a_sentence(client, tmp_path, what, name, make, expected):
    path = tmp_path / f"case{Path(name).suffix}"
    make(path)
    said = outcome(client, path, name)
    assert expected in said
    assert not re.search(r"Traceback|/tmp|/uploads|\.py", said)


def test_what_is_separated_is_served_and_taken_home(demo, client, tmp_path):  # noqa: F811
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
        assert "fader" in client.predict(sent, api_name="/zip")
    other = Client(demo.address, verbose=False)
    assert "separate a song first" in other.predict("{}", api_name="/zip")


def test_a_hand_made_request_reads_nothing_and_gets_a_sentence(demo, tmp_path, monkeypatch):  # noqa: F811
    elsewhere = tmp_path / "private.wav"
    audio.write(elsewhere, tune(4.0), RATE)
    copied = demo.visitors.songs / "private.wav"  # where files are served from, and nothing is uploaded to
    audio.write(copied, tune(4.0), RATE)
    read = []
    monkeypatch.setattr(studio, "read_upload", lambda path, *rest: read.append(path))
    for number, (arguments, said) in enumerate(
        (
            ([uploaded("/etc/passwd"), None, "band-unet", 0, 2], FOREIGN),
            ([uploaded(elsewhere), None, "band-unet", 0, 2], FOREIGN),
            ([uploaded(copied), None, "band-unet", 0, 2], FOREIGN),
            ([None, "../../../etc/passwd", "band-unet", 0, 2], "not in the list of choices"),
            ([None, None, "/etc/passwd", 0, 2], "not in the list of choices"),
            ([None, None, "band-unet", 999, 2], "the start must lie from 0 to 900, not at 999"),
            ([None, None, "band-unet", 0, 1e12], "(?i)maximum|the length must lie"),
            ([None, None, "band-unet", 0, 2], "there is nothing to separate yet"),
        )
    ):
        event = answered(demo.address, "separate", arguments, f"by hand {number}")
        assert not event["success"] or "sepnb-refused" in event["output"]["data"][0]
        assert "sepnb-mixer" not in str(event["output"])
        assert re.search(said, str(event["output"])), (arguments, event["output"])
        assert not re.search("root:|Traceback", str(event))
    assert read == []
    # And should Gradio let one through:
    for path in (elsewhere, copied, demo.visitors.uploads / ".." / "songs" / "private.wav"):
        with pytest.raises(SepnbError, match="was not uploaded here"):
            Handlers(None, demo.visitors)._uploaded(str(path))


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
def test_nothing_outside_the_visitors_folders_is_served(demo, path):  # noqa: F811
    package = Path(serving.__file__).parent
    path = path.format(root=demo.visitors.root, package=package, repository=package.parents[1])
    answer = httpx.get(f"{demo.address}/gradio_api/file={path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_a_folder_is_not_listed(demo):  # noqa: F811
    answer = httpx.get(f"{demo.address}/gradio_api/file={demo.visitors.rooms}")
    assert answer.status_code in (403, 404)


@pytest.fixture
def gated(monkeypatch):
    """Separations wait until they are let go: by name of song, those that have begun; and the event that lets go."""
    begun, go = [], threading.Event()
    separate = studio.separate_with_progress

    def held(separator, mixture, rate, *rest):
        begun.append(mixture.shape[-1] / rate)
        if begun[-1] == HELD:
            go.wait(120)
        return separate(separator, mixture, rate, *rest)

    monkeypatch.setattr(studio, "separate_with_progress", held)
    yield begun, go
    go.set()


def test_a_second_visitor_is_served_while_the_first_waits_for_its_stems(demo, gated):  # noqa: F811
    begun, go = gated
    song = demo_song(demo)
    first = Client(demo.address, verbose=False).submit(None, song, "band-unet", 0, HELD, api_name="/separate")
    _wait_until(lambda: begun == [HELD])
    second = Client(demo.address, verbose=False).submit(None, song, "band-unet", 0, 2, api_name="/separate")
    assert "2.0 s separated by band-unet" in second.result(timeout=120)[0]
    assert not first.done()
    go.set()
    assert f"{HELD:.1f} s separated by band-unet" in first.result(timeout=120)[0]


def test_who_goes_away_makes_no_room_before_its_work_has_ended(demo, gated):  # noqa: F811
    begun, go = gated
    number = event_of(demo.address, "separate")
    for visitor in range(LIMITS.jobs + 2):
        session = f"gone {visitor}"
        answer = joined(demo.address, "separate", [None, demo_song(demo), "band-unet", 0, HELD], session)
        _wait_until(lambda visitor=visitor: len(begun) == min(visitor + 1, LIMITS.jobs))
        time.sleep(0.5)
        cancelled = {"session_hash": session, "fn_index": number, "event_id": answer.json()["event_id"]}
        assert httpx.post(f"{demo.address}/gradio_api/cancel", json=cancelled).status_code == 200
    time.sleep(1.0)
    assert begun == [HELD] * LIMITS.jobs
    for visitor in range(LIMITS.jobs + 2):
        demo.visitors.stop(f"gone {visitor}")
    go.set()
    _wait_until(lambda: not any(visitor.busy for visitor in demo.visitors._visitors.values()))
    assert begun == [HELD] * LIMITS.jobs


def test_looking_at_choices_makes_no_folders_and_waits_for_nobody(demo):  # noqa: F811
    before = set(demo.visitors.rooms.iterdir())
    number = event_of(demo.address, "targets")
    address = f"{demo.address}/gradio_api/run/predict"
    for visitor in range(5):
        sent = {"data": [None], "fn_index": number, "session_hash": f"unknown {visitor}"}
        assert httpx.post(address, json=sent).status_code == 200
    assert set(demo.visitors.rooms.iterdir()) == before
    with demo.visitors.working("busy"):
        sent = {"data": [None], "fn_index": number, "session_hash": "busy"}
        assert httpx.post(address, json=sent).status_code == 200


def test_stop_says_whether_there_was_anything(demo):  # noqa: F811
    def said():
        sent = {"data": [], "session_hash": "stopper"}
        return httpx.post(f"{demo.address}/gradio_api/run/stop", json=sent).json()["data"][0]

    assert "Nothing of yours is running" in said()
    with demo.visitors.working("stopper"):
        assert "Stopped." in said()


def demo_song(served):
    """The name of a demo song."""
    config = httpx.get(f"{served.address}/config").json()
    radio = next(part for part in config["components"] if part["props"].get("elem_id") == "song")
    return radio["props"]["value"]


def _wait_until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
