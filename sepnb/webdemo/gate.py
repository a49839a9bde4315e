"""What stands before Gradio's application: routes that the page does not need, and requests too large, stay outside."""

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sepnb.webdemo.visitors import Visitors

FORM_BYTES = 10_000  # what a browser's form adds to the file in it
REQUEST_BYTES = 1_000_000  # of any other request: the largest is a table of bands
UPLOAD = "/gradio_api/upload"
# Gradio brings more: screen recordings, a proxy, code that is edited in the browser. What the page does not need is not
# there.
READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|logout)/?|/(assets|static|svelte)/.+"
    r"|/gradio_api/(heartbeat/[^/]+|queue/data|upload_progress|startup-events|info|app_id|user|login_check|theme\.css)/?"
    r"|/gradio_api/file=.+"
)
SENT = re.compile(r"/login/?|/gradio_api/(upload|queue/join|run/[^/]+|cancel|reset)/?")
# Nothing from elsewhere: what Gradio's page would fetch from other servers is not even asked for. Its own code is built
# on inline scripts and on functions made from text.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
ONLY_OURS = (403, "only files of this demo are served")


class _Refused(Exception):
    """Ends a request half-way: its status, and a sentence."""


class Gate:
    """An ASGI application before another; what is not to come in is answered here, in a sentence.

    Routes that the page does not need; requests larger than they may be, whether or not they say so; uploads when the
    disk is full; requests to fetch from other servers. With every answer goes the content policy.
    """

    def __init__(self, app: Any, visitors: "Visitors", largest: int):
        self._app, self._visitors, self._largest = app, visitors, largest

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await send({"type": "websocket.close"})  # the page has none

    async def _request(self, scope: dict, receive: Any, send: Any) -> None:
        begun = False

        async def with_policy(message: dict) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        try:
            self._check(scope)
            if scope["method"] == "POST":
                receive = await self._body(scope, receive)
            await self._app(scope, receive, with_policy)
        except _Refused as refused:
            if begun:
                return
            status, said = refused.args
            start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]}
            await with_policy(start)
            await with_policy({"type": "http.response.body", "body": said.encode()})

    def _check(self, scope: dict) -> None:
        """Raise _Refused for what can be told before anything of the request's body is there."""
        method, path = scope["method"], scope["path"]
        if re.match(r"/gradio_api/(file=\W*http|file/|proxy=)", path.lower()):
            raise _Refused(*ONLY_OURS)
        known = {"GET": READ, "HEAD": READ, "POST": SENT}.get(method)
        if known is None or not known.fullmatch(path):
            raise _Refused(404, "there is nothing here")
        if method != "POST":
            return
        size = dict(scope["headers"]).get(b"content-length", b"")
        if size.isdigit() and int(size) > self._most(path):
            raise self._too_large(path, int(size))
        if _is_upload(path) and self._visitors.used() > self._visitors.limits.disk_bytes:
            raise _Refused(503, "the demo's disk space is used up: come back in half an hour")

    async def _body(self, scope: dict, receive: Any) -> Any:
        """`receive` for the application: counted where a file comes, else looked through before the application has it.

        A request need not say how long it is, so what comes is counted.
        """
        path, most, count = scope["path"], self._most(scope["path"]), 0

        async def counted() -> dict:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise self._too_large(path)
            return message

        if _is_upload(path):
            return counted
        parts, more = [], True
        while more:
            message = await counted()
            if message["type"] == "http.disconnect":
                raise _Refused(400, "the request was cut short")
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        if not path.startswith("/login"):
            _check_sent(body)
        given = False

        async def replayed() -> dict:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replayed

    def _most(self, path: str) -> int:
        return self._largest + FORM_BYTES if _is_upload(path) else REQUEST_BYTES

    def _too_large(self, path: str, size: int | None = None) -> _Refused:
        if not _is_upload(path):
            return _Refused(413, "this request is larger than any that the page sends")
        told = "this upload is too large" if size is None else f"this file is {size / 1e6:.0f} MB"
        most = f"at most {self._largest / 1e6:.0f} MB are taken"
        return _Refused(413, f"{told}, and {most}: cut an excerpt, or save it as MP3")


def _is_upload(path: str) -> bool:
    return path.rstrip("/") == UPLOAD


def _check_sent(body: bytes) -> None:
    """Raise _Refused for what is no JSON, and where Gradio would fetch a "file" from another server."""
    try:
        sent = json.loads(body)
        if _asks_elsewhere(sent):
            raise _Refused(*ONLY_OURS)
    except (ValueError, RecursionError):
        raise _Refused(400, "the request could not be read: reload the page") from None


def _asks_elsewhere(value: Any) -> bool:
    """Whether a path that is an address of another server is anywhere in a request."""
    if isinstance(value, list):
        return any(map(_asks_elsewhere, value))
    if isinstance(value, dict):
        path = value.get("path")
        return (isinstance(path, str) and "://" in path) or any(map(_asks_elsewhere, value.values()))
    return False
