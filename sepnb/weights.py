"""Weights of published models: where they lie in the cache, and how they come there."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from filelock import FileLock

from sepnb.archive import digest
from sepnb.downloads import fetch
from sepnb.errors import DownloadError
from sepnb.files import write_text

FOLDER_VARIABLE = "SEPNB_WEIGHTS"
BASE_VARIABLE = "SEPNB_WEIGHTS_URL"
RETRIES = 2  # attempts in a row that may bring nothing: without a network one knows after 3 s, not after 30


def weights_folder() -> Path:
    """The folder that weights are kept in: $SEPNB_WEIGHTS, or else `~/.cache/sepnb/weights`."""
    return Path(os.environ.get(FOLDER_VARIABLE) or "~/.cache/sepnb/weights").expanduser()


def identity(digests: Iterable[str]) -> str:
    """What a separator's settings say of its weights: the first 16 digits of each file's sha256."""
    return "+".join(sha256[:16] for sha256 in digests)


@dataclass(frozen=True)
class WeightFile:
    """One file of weights, fetched when it is first needed and then kept.

    url: where it was published. $SEPNB_WEIGHTS_URL, if set, replaces scheme and host (a mirror, or a test's server).
    sha256: its hexadecimal digest or the beginning of one, as file names such as `bass-8d85a5bd.pth` carry it. Where
        none was published, the digest of the first copy is noted beside it and holds from then on.
    name: what it is called in the cache; the last part of the address without it.
    """

    url: str
    sha256: str = ""
    name: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies, or will lie."""
        return weights_folder() / (self.name or PurePosixPath(urlsplit(self.url).path).name)

    @property
    def cached(self) -> bool:
        """Whether the file is on this machine; `fetch` checks that it is the right one."""
        return self.path.is_file()

    @property
    def address(self) -> str:
        """Where the file is fetched from: `url`, or the same file on the server that $SEPNB_WEIGHTS_URL names."""
        base = os.environ.get(BASE_VARIABLE)
        if not base:
            return self.url
        parts = urlsplit(self.url)
        return base.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")

    def fetch(self, progress: bool = True) -> Path:
        """Make sure that the file is there, whole and unchanged, and return its path: see `fetch_with_digest`."""
        return self.fetch_with_digest(progress)[0]

    def fetch_with_digest(self, progress: bool = True) -> tuple[Path, str]:
        """Make sure that the file is there, whole and unchanged, and return its path and its whole sha256.

        A file of a gigabyte takes a second to sum up, so whoever needs the digest takes it from here.
        A download that breaks off is gone on with, now or by a later call. Raises DownloadError if the file cannot be
        fetched (the message says what is missing, its address, and where a copy can be put by hand), and if a file is
        there but is not the right one.
        """
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Several processes that load the same model wait for one download.
            with FileLock(path.with_name(f".{path.name}.lock")):
                sha256 = self._check(progress) if path.is_file() else self._download(progress)
        except OSError as error:
            raise DownloadError(
                f"{path} cannot be written ({error.strerror}): set {FOLDER_VARIABLE} to a folder that can"
            ) from error
        return path, sha256

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.sha256")

    def _noted(self) -> str:
        return self._note.read_text(encoding="utf-8").partition(" ")[0].strip() if self._note.is_file() else ""

    def _check(self, progress: bool) -> str:
        expected = (self.sha256 or self._noted()).lower()
        found = digest(self.path, "sha256", progress)
        if not found.startswith(expected):
            raise DownloadError(
                f"{self.path} is not the file that {'was published' if self.sha256 else 'first came'}: its sha256 is "
                f"{found}, not {expected}. Delete it, and it is fetched again from {self.address}"
            )
        if not expected:
            self._write_note(found)  # a copy put there by hand
        return found

    def _download(self, progress: bool) -> str:
        # A file deleted from the cache is held to the digest of its first copy, too.
        expected = self.sha256 or self._noted()
        try:
            fetch(self.address, self.path, sha256=expected or None, progress=progress, retries=RETRIES)
        except DownloadError as error:
            raise DownloadError(
                f"the weights {self.path.name} are not on this machine and could not be fetched: {error}. "
                f"Without a network, put the file from {self.url} into {self.path.parent}"
            ) from error
        found = digest(self.path, "sha256", progress)
        if not expected:
            self._write_note(found)
        return found

    def _write_note(self, sha256: str) -> None:
        write_text(self._note, f"{sha256}  {self.path.name}\n")  # as `sha256sum --check` reads it
