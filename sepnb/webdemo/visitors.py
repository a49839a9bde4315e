"""Visitors and their folders: a folder each, with a name that cannot be guessed, gone some time after the visitor."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sepnb.errors import SepnbError
from sepnb.webdemo.limits import DemoLimits

LOCK = "server.lock"
WAIT_SECONDS = 30.0  # for one's turn after another light job


@dataclass
class Visitor:
    """One open page: its folder, when it was last heard of, and what it has made."""

    folder: Path
    touched: float
    busy: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    light: bool = False  # whether what runs is soon over
    made: Any = None  # what the demo keeps of the last separation
    turn: threading.Lock = field(default_factory=threading.Lock)  # one job of a visitor at a time


class Visitors:
    """All visitors of one server, in a folder of its own that is removed with it.

    `root` is the server's folder, made new under `base` (the system's temporary folder without it); folders of servers
    that no longer run are removed first.
    """

    def __init__(self, limits: DemoLimits, base: Path | str | None = None, clock: Callable[[], float] = time.monotonic):
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._visitors: dict[str, Visitor] = {}
        base = _own_base(Path(base) if base is not None else None)
        with FileLock(base / "starting.lock"):  # or a server that starts would sweep away one that just has
            _remove_stale(base)
            self.root = base / f"run-{secrets.token_hex(8)}"
            self.root.mkdir(mode=0o700)
            self._held = FileLock(self.root / LOCK)
            self._held.acquire(timeout=0)
        self.uploads = self.root / "uploads"  # where Gradio puts what is uploaded
        self.songs = self.root / "songs"
        self.rooms = self.root / "visitors"
        for folder in (self.uploads, self.songs, self.rooms):
            folder.mkdir()
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_often, daemon=True, name="sepnb-demo-sweeper")
        self._sweeper.start()

    @contextmanager
    def working(self, key: str | None, light: bool = False) -> Iterator[Visitor]:
        """The visitor with a page's `key`, new where it has not been seen; not removed while the block runs.

        A `light` job, soon over, waits while another light one of the same visitor has its turn, and any job while one
        ends that was stopped.
        Raises SepnbError where the key is none, the same visitor has a job running, or there are too many visitors.
        """
        if not key or not isinstance(key, str) or len(key) > 200:
            raise SepnbError("this works from the demo's page: open it in a browser")
        with self._lock:
            visitor = self._visitors.get(key)
            if visitor is None:
                visitor = self._new(key)
            visitor.touched = self._clock()
            visitor.busy += 1
        try:
            soon_over = (light and visitor.light) or visitor.stop.is_set()
            if not visitor.turn.acquire(timeout=WAIT_SECONDS if soon_over else 0):
                raise SepnbError("you have something running already: wait for it, or stop it")
            try:
                visitor.light = light
                visitor.stop.clear()  # from here on, a stop is for this job
                yield visitor
            finally:
                visitor.turn.release()
        finally:
            with self._lock:
                visitor.busy -= 1
                visitor.touched = self._clock()

    def find(self, key: str | None) -> Visitor | None:
        """The visitor with a page's `key`, or None: to look at what it has made, whatever it has running."""
        return self._visitors.get(key) if isinstance(key, str) else None

    def _new(self, key: str) -> Visitor:
        """A new visitor; where there are too many, in the place of one who has made nothing. Raises SepnbError."""
        if len(self._visitors) >= self.limits.visitors:
            empty = [
                (visitor.touched, other)
                for other, visitor in self._visitors.items()
                if visitor.made is None and not visitor.busy
            ]
            if not empty:
                raise SepnbError("the demo has as many visitors as it takes: come back in half an hour")
            shutil.rmtree(self._visitors.pop(min(empty)[1]).folder, ignore_errors=True)
        visitor = Visitor(self.rooms / secrets.token_urlsafe(24), self._clock())
        visitor.folder.mkdir(mode=0o700)
        self._visitors[key] = visitor
        return visitor

    def stop(self, key: str | None) -> bool:
        """Ask the job of a visitor to stop as soon as can be; whether there was one."""
        visitor = self.find(key)
        if visitor is None or not visitor.busy:
            return False
        visitor.stop.set()
        return True

    def leave(self, key: str | None) -> None:
        """The page was closed, or a phone went to sleep: stop what runs; the folder has its time, should it wake up."""
        self.stop(key)
        visitor = self.find(key)
        if visitor is not None:
            visitor.touched = self._clock()

    def check_room(self) -> None:
        """Raise SepnbError where visitors' files have filled what the demo may use of the disk."""
        if self.used() > self.limits.disk_bytes:
            self.sweep()
            if self.used() > self.limits.disk_bytes:
                raise SepnbError("the demo's disk space is used up: come back in half an hour")

    def used(self) -> int:
        """Bytes of all files under the root."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with contextlib.suppress(OSError):  # removed meanwhile
                    total += (Path(folder) / name).stat().st_size
        return total

    def sweep(self) -> None:
        """Remove the folders of visitors who have gone, and uploads nobody came back for."""
        now = self._clock()
        with self._lock:
            gone = [
                key
                for key, visitor in self._visitors.items()
                if not visitor.busy and now - visitor.touched > self.limits.keep_seconds
            ]
            folders = [self._visitors.pop(key).folder for key in gone]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        for upload in self.uploads.iterdir():
            with contextlib.suppress(OSError):  # removed meanwhile
                if time.time() - _last_change(upload) > self.limits.upload_seconds:
                    if upload.is_dir():
                        shutil.rmtree(upload, ignore_errors=True)
                    else:  # an upload that was broken off
                        upload.unlink()

    def close(self) -> None:
        """Remove everything; nothing works afterwards."""
        self._closed.set()
        for visitor in list(self._visitors.values()):
            visitor.stop.set()
        self._held.release()
        shutil.rmtree(self.root, ignore_errors=True)

    def _sweep_often(self) -> None:
        while not self._closed.wait(self.limits.sweep_seconds):
            with contextlib.suppress(OSError):
                self.sweep()


def _own_base(base: Path | None) -> Path:
    """The folder that servers' folders lie in: the caller's, or one in the temporary folder that is ours alone."""
    if base is not None:
        base.mkdir(parents=True, exist_ok=True)
        return base.resolve()
    mine = os.getuid() if hasattr(os, "getuid") else 0
    base = Path(tempfile.gettempdir()) / f"sepnb-demo-{mine}"
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
    found = base.lstat()
    # On a shared machine somebody else may have put a folder or a link under this name.
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != mine):
        base = Path(tempfile.mkdtemp(prefix="sepnb-demo-"))
    return base.resolve()


def _remove_stale(base: Path) -> None:
    """Remove folders of servers that no longer run: their lock can be had."""
    for folder in base.glob("run-*"):
        try:
            with FileLock(folder / LOCK, timeout=0):
                pass
        except (Timeout, OSError):
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _last_change(entry: Path) -> float:
    return max([entry.stat().st_mtime, *(path.stat().st_mtime for path in entry.rglob("*"))])
