"""Fetch a file over HTTP: it resumes where it broke off, is checked, and lands whole."""

import errno
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm.auto import tqdm

from sepnb.archive import digest, free_space
from sepnb.errors import DownloadError
from sepnb.files import write_json

BLOCK = 1 << 16  # bytes; the one that a connection breaks off in is lost
TIMEOUT = (15, 60)  # s to connect, s between two blocks
LONGEST_PAUSE = 30.0  # s between two attempts


class _Interrupted(Exception):
    """An attempt broke off in a way that another may mend."""


def fetch(
    url: str,
    path: Path | str,
    sha256: str | None = None,
    md5: str | None = None,
    progress: bool = True,
    retries: int = 5,
    pause: float = 1.0,
) -> Path:
    """Download `url` to `path`, if it is not there yet; returns the path.

    What has come lies in `PATH.part` until all is there, so that this attempt, a later one, or a later call goes on
    from it, if the server answers ranges and its file is still the same; otherwise it begins again.

    sha256, md5: hexadecimal digests that the file must have, or their beginnings.
    retries: how many attempts in a row may bring nothing new.
    pause: seconds before the second attempt; doubled before each further one.

    Raises DownloadError if the address is wrong, the server keeps failing, the disk is full, or the file is not what
    was promised (it is deleted then).
    """
    path = Path(path)
    expected = {name: value.lower() for name, value in (("sha256", sha256), ("md5", md5)) if value}
    if path.is_file() and not _wrong_digest(path, expected, progress):
        return path

    try:
        part = _Part(path, url)
        _attempts(url, part, progress, retries, pause)
        wrong = _wrong_digest(part.path, expected, progress)
        if wrong:
            part.delete()
            raise DownloadError(f"{url}: what came is not what was promised ({wrong}). It was deleted; try again")
        part.land()
    except OSError as error:
        raise DownloadError(
            f"{path} cannot be written ({error.strerror}); {free_space(path.parent)}. "
            "Make room and call again: what has come is kept"
        ) from error
    return path


def _attempts(url: str, part: "_Part", progress: bool, retries: int, pause: float) -> None:
    failures, furthest = 0, part.size
    while True:
        try:
            return _attempt(url, part, progress)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            _Interrupted,
        ) as e:
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures > retries:
                raise DownloadError(
                    f"{url}: {why(e)}, {failures} times in a row. {part.size:,} bytes are kept in {part.path}: "
                    "call again to go on from there"
                ) from e
            time.sleep(min(pause * 2 ** (failures - 1), LONGEST_PAUSE))
        except requests.RequestException as error:
            raise DownloadError(f"{url} cannot be fetched: {error}. Check the address") from error


@dataclass(frozen=True)
class _Server:
    """What a server said of its file, to know it again: `tag` is an ETag or a date for If-Range."""

    url: str
    tag: str | None = None
    total: int | None = None


class _Part:
    """What has come of a file so far, `NAME.part`, and what the server said of it, `NAME.part.json`."""

    def __init__(self, path: Path, url: str) -> None:
        self._whole = path
        self.path = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".part.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.server = self._read_note()
        if self.server is None or self.server.url != url:  # of another address, or nobody knows of what
            self.delete()

    def _read_note(self) -> _Server | None:
        try:
            return _Server(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # without its note a part is worth nothing

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, server: _Server) -> None:
        """Forget what was there: the server's file begins here."""
        self.delete()
        self.server = server
        write_json(self._note, vars(server))

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.server = None

    def land(self) -> None:
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self._whole)
        self._note.unlink(missing_ok=True)


def _attempt(url: str, part: _Part, progress: bool) -> None:
    """Go on from what is there, to the end; raises _Interrupted or a requests error when it breaks off."""
    begin = part.size
    if begin and begin == part.server.total:
        return
    headers = {"Accept-Encoding": "identity"}  # compressed on the way, byte counts would mean nothing
    if begin:
        headers["Range"] = f"bytes={begin}-"
        if part.server.tag:
            headers["If-Range"] = part.server.tag  # a file that has changed then comes whole, as 200
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if begin and response.status_code in (206, 416):
            same = response.status_code == 206 and begin == _range_start(response)
            if not same or part.server.total not in (None, _total(response)):
                part.delete()
                raise _Interrupted("the file on the server has changed")
        else:
            _require_good(response)
            part.begin(_Server(url, _tag(response), _total(response)))
        _receive(response, part, progress)
    if part.server.total is not None and part.size != part.server.total:
        raise _Interrupted(f"the connection ended after {part.size:,} of {part.server.total:,} bytes")


def _receive(response: requests.Response, part: _Part, progress: bool) -> None:
    begin, total = part.size, part.server.total
    if total is not None and shutil.disk_usage(part.path.parent).free < total - begin:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {total - begin:,} bytes more are needed")
    bar = tqdm(total=total, initial=begin, desc=part.path.stem, unit="B", unit_scale=True, disable=not progress)
    with bar, part.path.open("ab") as file:
        for block in response.iter_content(BLOCK):
            file.write(block)
            bar.update(len(block))


def _require_good(response: requests.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    if status in (408, 425, 429) or status >= 500:
        raise _Interrupted(f"the server answers {status} ({response.reason})")
    raise DownloadError(f"{response.url}: the server answers {status} ({response.reason}). Check the address")


def _tag(response: requests.Response) -> str | None:
    """What If-Range takes: a strong ETag, or else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _total(response: requests.Response) -> int | None:
    """Bytes of the whole file, by "Content-Range: bytes 5-9/10" or by Content-Length."""
    ranged = response.headers.get("Content-Range")
    told = ranged.rpartition("/")[2] if ranged else response.headers.get("Content-Length", "")
    return int(told) if told.isdigit() else None


def _range_start(response: requests.Response) -> int | None:
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdigit() else None


def _wrong_digest(path: Path, expected: dict[str, str], progress: bool) -> str:
    """How a file differs from what was promised; "" if it does not."""
    for algorithm, value in expected.items():
        found = digest(path, algorithm, progress)
        if not found.startswith(value):
            return f"its {algorithm} is {found}, not {value}"
    return ""


def why(error: Exception) -> str:
    """A sentence for what requests and urllib3 wrap several times over."""
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    return str(error)
