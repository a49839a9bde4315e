"""A web server on this machine whose connections break off, whose files change, and whose answers can be wrong."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Resource:
    """A file on the server and how it behaves. Change the fields while the server runs."""

    content: bytes
    tag: str | None = '"1"'
    ranges: bool = True
    heed_if_range: bool = True
    told_length: int | None = None  # a Content-Length that is not true
    statuses: list[int] = field(default_factory=list)  # what the next requests answer instead
    drops: list[int] = field(default_factory=list)  # bytes after which the next answers break off


@dataclass
class Server:
    """Resources by path, and what was asked for."""

    base: str
    files: dict[str, Resource]
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and Range of each request

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"


@contextmanager
def loopback() -> Iterator[Server]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    files: dict[str, Resource] = {}
    httpd = _QuietServer(("127.0.0.1", 0), _Handler)
    httpd.server = Server(f"http://127.0.0.1:{httpd.server_port}", files)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield httpd.server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is part of these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Server = self.server.server
        wanted = self.headers.get("Range")
        server.asked.append((self.path.lstrip("/"), wanted))
        resource = server.files.get(self.path.lstrip("/"))
        if resource is None:
            return self._answer(404, b"")
        if resource.statuses:
            return self._answer(resource.statuses.pop(0), b"")
        total = len(resource.content)
        begin, end = _range(wanted, total) if wanted and resource.ranges else (None, None)
        condition = self.headers.get("If-Range")
        if condition and resource.heed_if_range and condition != resource.tag:
            begin = None
        if begin is None:
            return self._answer(200, resource.content, resource)
        if begin >= total:
            return self._answer(416, b"", extra={"Content-Range": f"bytes */{total}"})
        extra = {"Content-Range": f"bytes {begin}-{end}/{total}"}
        return self._answer(206, resource.content[begin : end + 1], resource, extra)

    def _answer(
        self, status: int, body: bytes, resource: Resource | None = None, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        length = len(body)
        if resource is not None:
            length = length if resource.told_length is None else resource.told_length
            if resource.tag:
                self.send_header("ETag", resource.tag)
        self.send_header("Content-Length", str(length))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if resource is not None and resource.drops:
            body = body[: resource.drops.pop(0)]
        self.wfile.write(body)
        if len(body) < length:
            self.close_connection = True  # fewer bytes than were told: to the client, the line is dead

    def log_message(self, *args: object) -> None:
        """The test's output stays clean."""


def _range(header: str, total: int) -> tuple[int, int]:
    first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", header).groups()
    if not first:
        return max(total - int(last), 0), total - 1
    return int(first), min(int(last), total - 1) if last else total - 1
