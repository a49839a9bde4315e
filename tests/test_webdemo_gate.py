"""The web demo's door: routes, sizes and addresses that stay outside, told before anything of Gradio's is reached."""

import asyncio
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
import httpx
from demos import LIMITS, demo, event_of, joined, uploaded  # noqa: F401

from sepnb.webdemo import gate
from sepnb.webdemo.gate import Gate

LARGEST = 100_000


class Room:
    """Visitors with room for uploads."""

    limits = LIMITS

    def used(self):
        return 0


def passed(method, path, parts=(b"",), headers=()):
    """What becomes of a request: the status, and what the application behind the gate was given."""
    given, answers = [], []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            given.append(message["body"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting[-1]["more_body"] = False

    async def receive():
        return waiting.pop(0)

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(Gate(app, Room(), LARGEST)(scope, receive, send))
    assert (b"content-security-policy", gate.POLICY.encode()) in answers[0]["headers"]
    return answers[0]["status"], b"".join(given)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/assets/index.js"),
        ("GET", "/gradio_api/heartbeat/abc"),
        ("GET", "/gradio_api/queue/data"),
        ("GET", "/gradio_api/file=/tmp/x.flac"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/run/stop"),
        ("POST", "/gradio_api/upload"),
        ("POST", "/login"),
    ],
)
def test_what_the_page_needs_comes_in_as_it_is(method, path):
    assert passed(method, path, (b'{"a":', b" 1}")) == (200, b'{"a": 1}')


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/vibe-edit/"),
        ("POST", "/gradio_api/run-history/connect"),
        ("POST", "/gradio_api/stream/x"),
        ("POST", "/gradio_api/call/separate"),
        ("POST", "/gradio_api/api/separate"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/run-history/records"),
        ("GET", "/gradio_api/file/http://127.0.0.1/x"),
        ("GET", "/gradio_api/file=HTTP://127.0.0.1/x"),
        ("GET", "/gradio_api/file= http://127.0.0.1/x"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1/x"),
        ("GET", "/monitoring"),
        ("PUT", "/"),
    ],
)
def test_what_it_does_not_need_is_not_there(method, path):
    status, given = passed(method, path, (b"{}",))
    assert status in (403, 404)
    assert given == b""


def test_bytes_are_counted_whatever_a_request_says_of_itself():
    part = b"x" * 10_000
    most = (LARGEST + gate.FORM_BYTES) // len(part)
    assert passed("POST", gate.UPLOAD, [part] * most)[0] == 200
    status, given = passed("POST", gate.UPLOAD, [part] * (most + 50))
    assert status == 413
    assert len(given) <= LARGEST + gate.FORM_BYTES
    said_less = [(b"content-length", b"10")]
    assert passed("POST", gate.UPLOAD, [part] * (most + 50), said_less)[0] == 413
    assert passed("POST", "/gradio_api/upload/", [part] * (most + 50))[0] == 413
    spaces = [b" " * 100_000] * 11
    for path in ("/gradio_api/cancel", "/gradio_api/queue/join", "/login"):
        assert passed("POST", path, spaces) == (413, b"")
    assert passed("POST", "/gradio_api/cancel", [b"{}"], [(b"content-length", b"2000000")]) == (413, b"")


@pytest.mark.parametrize("body", [b"", b"no json", b"[" * 200_000, b"\xff\xfe"])
def test_what_is_no_json_is_said(body):
    assert passed("POST", "/gradio_api/queue/join", (body,)) == (400, b"")


@pytest.mark.parametrize("where", ["http://127.0.0.1/x", "https://a.example/x", "HTTP://a/x", " file:///etc/passwd"])
def test_no_file_is_fetched_from_elsewhere(where):
    for data in ([uploaded(where)], [[{"deep": uploaded(where)}]], [{"files": [uploaded(where)]}]):
        assert passed("POST", "/gradio_api/queue/join", (json.dumps({"data": data}).encode(),)) == (403, b"")
    ours = {**uploaded("/tmp/x.wav"), "url": "http://127.0.0.1:7860/gradio_api/file=/tmp/x.wav"}
    assert passed("POST", "/gradio_api/queue/join", (json.dumps({"data": [ours]}).encode(),))[0] == 200


# --------------------------------------------------------------------------------------- before the application itself


def test_an_upload_that_does_not_say_its_size_ends_where_it_is_too_large(demo):  # noqa: F811
    def chunks():
        for number in range(4):
            yield b'--B\r\nContent-Disposition: form-data; name="files"; filename="%d.wav"\r\n\r\n' % number
            for _ in range(30):
                yield bytes([65 + number]) * 1_000_000
            yield b"\r\n"
        yield b"--B--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=B"}
    try:
        status = httpx.post(
            f"{demo.address}/gradio_api/upload", content=chunks(), headers=headers, timeout=60
        ).status_code
    except httpx.TransportError:  # the server hangs up on who goes on sending
        status = 413
    assert status == 413
    assert demo.visitors.used() < LIMITS.upload_bytes + 1_000_000
    assert httpx.get(demo.address).status_code == 200


def test_another_server_is_not_asked(demo):  # noqa: F811
    asked = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{other.server_address[1]}/x.wav"
        statuses = [
            joined(demo.address, "look", [uploaded(address), None], "elsewhere").status_code,
            httpx.post(f"{demo.address}/gradio_api/run/look", json={"data": [uploaded(address), None]}).status_code,
            httpx.get(f"{demo.address}/gradio_api/file/{address}").status_code,
            httpx.get(f"{demo.address}/gradio_api/file={address}").status_code,
        ]
        other.shutdown()
        thread.join(10)
    assert statuses == [403] * 4
    assert asked == []


def test_nothing_is_had_without_the_queue(demo):  # noqa: F811
    data = [None, "x", "band-unet", 0, 2]
    answer = httpx.post(f"{demo.address}/gradio_api/run/separate", json={"data": data, "session_hash": "s"})
    assert answer.status_code == 404
    assert "join the queue" in answer.text
    sent = {"data": data, "session_hash": "s", "fn_index": event_of(demo.address, "separate")}
    assert httpx.post(f"{demo.address}/gradio_api/run/predict", json=sent).status_code == 404


def test_pages_may_fetch_from_nowhere_else(demo):  # noqa: F811
    for path in ("", "/gradio_api/process_recording"):
        answer = httpx.get(f"{demo.address}{path}")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_uploads_are_refused_by_their_size_before_they_come_and_when_the_disk_is_full(demo, monkeypatch):  # noqa: F811
    address = f"{demo.address}/gradio_api/upload"
    answer = httpx.post(address, files={"files": ("a.wav", b"x" * 50_100_000)})
    assert answer.status_code == 413
    assert answer.text == "this file is 50 MB, and at most 50 MB are taken: cut an excerpt, or save it as MP3"
    monkeypatch.setattr(demo.visitors, "used", lambda: LIMITS.disk_bytes + 1)
    answer = httpx.post(address, files={"files": ("a.wav", io.BytesIO(b"x"))})
    assert answer.status_code == 503
    assert "disk space is used up" in answer.text
    monkeypatch.undo()
    assert httpx.post(address, files={"files": ("a.wav", b"x")}).status_code == 200
