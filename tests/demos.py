"""The web demo for tests: visitors in a temporary folder, a separator that is told apart, a server on loopback."""

import html
import io
import json
import re

import httpx
import numpy as np
import pytest
import soundfile

from sepnb.webdemo import DemoLimits, build_demo, command
from sepnb.webdemo.visitors import Visitors

RATE = 44100
LIMITS = DemoLimits(sweep_seconds=3600)


class Tones:
    """Not a separator to listen to: a quarter of the mixture, and the rest."""

    name, sources, rate = "tones", ("vocals", "rest"), RATE

    def __call__(self, mixture, rate):
        return {"vocals": mixture * np.float32(0.25), "rest": mixture * np.float32(0.75)}


@pytest.fixture
def visitors(tmp_path):
    made = Visitors(LIMITS, tmp_path / "base")
    yield made
    made.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The application itself, served."""
    folder = tmp_path_factory.mktemp("demo")
    built = build_demo(["band-unet"], LIMITS, port=command.free_port("127.0.0.1"), folder=folder)
    built.address = built.launch(prevent_thread_lock=True, quiet=True).rstrip("/")
    yield built
    built.close()
    assert not list(folder.glob("run-*"))


def sounds_of(address, mixer):
    """Sounds of a mixer by system and stem, fetched as the page does."""
    config = json.loads(html.unescape(re.search(r'data-config="([^"]+)"', mixer).group(1)))
    found = {}
    for sound in config["sounds"]:
        answer = httpx.get(f"{address}/{sound['url']}")
        assert answer.status_code == 200
        found[sound["system"], sound["stem"]] = soundfile.read(io.BytesIO(answer.content), dtype="float32")[0].T
    return found


def event_of(address, name):
    """The number by which a request calls an event of the page."""
    dependencies = httpx.get(f"{address}/config").json()["dependencies"]
    return next(event["id"] for event in dependencies if event["api_name"] == name)


def joined(address, name, data, session):
    """Join the queue with a hand-made request; the answer."""
    sent = {"fn_index": event_of(address, name), "session_hash": session, "data": data}
    return httpx.post(f"{address}/gradio_api/queue/join", json=sent)


def uploaded(path):
    """A file as a request names it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def answered(address, name, data, session):
    """What becomes of a hand-made request at the end of the queue: Gradio's Client would upload the files in it."""
    assert joined(address, name, data, session).status_code == 200
    events = f"{address}/gradio_api/queue/data"
    with httpx.stream("GET", events, params={"session_hash": session}, timeout=120) as answer:
        for line in answer.iter_lines():
            event = json.loads(line[5:]) if line.startswith("data:") else {}
            if event.get("msg") == "process_completed":
                return event
    raise AssertionError("the server hung up")
