"""MUSDB18 from the network: the 7-second excerpts, MUSDB18-HQ, or a few songs of it.

Both are for academic use and may not be passed on: see https://zenodo.org/records/3338373. A mirror with the same files
can be given as `base`, or in the environment variable SEPNB_DATA_URL.
"""

import errno
import hashlib
import math
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import remotezip
import requests
import urllib3
from tqdm.auto import tqdm

from sepnb import musdb18
from sepnb.archive import extract, free_space, inside, unzip
from sepnb.downloads import LONGEST_PAUSE, fetch, why
from sepnb.errors import ArchiveError, DownloadError
from sepnb.files import write_text

BASE_VARIABLE = "SEPNB_DATA_URL"
MUSDB18HQ_URL = "https://zenodo.org/records/3338373/files/musdb18hq.zip"
MUSDB18HQ_SHA256 = "baac80d0483c61d74b2e5f3be75fa557eec52898339e6aa45c1fa48833c5d21d"
ALL_THERE = ".complete"  # in a folder that the whole zip was unpacked to, not just some songs
BROKEN_OFF = (
    remotezip.RemoteZipError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    zipfile.BadZipFile,
    EOFError,
)


def download_musdb7(folder: Path | str, base: str | None = None, progress: bool = True) -> Path:
    """Fetch the 7-second excerpts of all songs, as stem files (140 MB); returns the folder, for `find_tracks`.

    No checksum of this zip is published with musdb, so the CRC-32 of every file in it is what is checked. Does nothing
    if they are there already. Raises DownloadError.
    """
    return _download_all(_address(musdb18.sample_url(), base), Path(folder), None, progress=progress)


def download_musdb18hq(
    folder: Path | str,
    songs: int | None = None,
    valid_songs: int | None = None,
    test_songs: int | None = None,
    base: str | None = None,
    progress: bool = True,
    retries: int = 5,
    pause: float = 1.0,
) -> Path:
    """Fetch MUSDB18-HQ, all 22.7 GB of it or `songs` training songs out of the remote zip; returns the folder.

    songs: training songs, without those that musdb names for validation (86 there are). 20 take some 3 GB. Which ones
        is drawn once and for all by their names, so that 5 are among 10, 10 among 20, and an artist with many songs
        does not fill the first places.
    valid_songs, test_songs: songs of the validation and test sets that come with them; by default a quarter of
        `songs`, rounded up.
    base: address of the folder that musdb18hq.zip lies in (default: SEPNB_DATA_URL, or Zenodo).
    retries, pause: attempts for a file that breaks off, and seconds before the first of them (then doubled).

    A song that is there already is not fetched again; each lands whole. The whole zip needs room for itself and the
    30 GB that are in it. Raises DownloadError, also if the server does not give out parts of files.
    """
    url, folder = _address(MUSDB18HQ_URL, base), Path(folder)
    if songs is None:
        return _download_all(url, folder, MUSDB18HQ_SHA256, progress=progress, retries=retries, pause=pause)
    quarter = math.ceil(songs / 4)
    wanted = {
        "train": songs,
        "valid": quarter if valid_songs is None else valid_songs,
        "test": quarter if test_songs is None else test_songs,
    }
    return _download_songs(url, folder, wanted, progress, retries, pause)


def _address(url: str, base: str | None) -> str:
    base = base or os.environ.get(BASE_VARIABLE)
    return f"{base.rstrip('/')}/{url.rsplit('/', 1)[1]}" if base else url


def _download_all(url: str, folder: Path, sha256: str | None, **options: object) -> Path:
    """`options` are those of `fetch`: progress, retries, pause."""
    if (folder / ALL_THERE).is_file():
        return folder
    if folder.is_dir() and any(folder.iterdir()):
        raise DownloadError(
            f"{folder} is not empty, and was not made by downloading all of {url}: use what is in it, remove it, or "
            "choose another folder"
        )
    archive = fetch(url, folder.with_name(f"{folder.name}.zip"), sha256=sha256, **options)
    try:
        unzip(archive, folder, _place)
    except ArchiveError as error:
        if isinstance(error.__cause__, zipfile.BadZipFile | EOFError):
            archive.unlink()  # or it would be found, and be torn, again
        raise DownloadError(f"{url}: {error}") from error
    write_text(folder / ALL_THERE, f"{url}\n")
    archive.unlink()
    return folder


def _place(name: str) -> str | None:
    """Where a member of a MUSDB zip goes: from its train/ or test/ on, whatever folder that lies in."""
    parts = PurePosixPath(name).parts
    level = next((i for i, part in enumerate(parts) if part in ("train", "test")), None)
    if level is None or "__MACOSX" in parts or any(part.startswith(".") and part != ".." for part in parts):
        return None
    return "/".join(parts[level:])


def _download_songs(url: str, folder: Path, wanted: dict[str, int], progress: bool, retries: int, pause: float) -> Path:
    try:
        with _remote_zip(url) as remote:
            chosen = _choose(_songs(remote, folder), wanted)
        if not chosen:
            raise DownloadError(f"{url}: there are no songs in it (train/NAME/*.wav or test/NAME/*.wav)")
        missing = {song: members for song, members in chosen.items() if not (folder / song).is_dir()}
        total = sum(member.file_size for members in missing.values() for member in members)
        folder.mkdir(parents=True, exist_ok=True)
        if total > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: the songs take {total / 1e9:.1f} GB")
        with tqdm(total=total, desc=folder.name, unit="B", unit_scale=True, disable=not progress) as bar:
            for song, members in missing.items():
                _fetch_song(url, members, folder / song, bar, retries, pause)
    except BROKEN_OFF as error:
        raise DownloadError(f"{url} cannot be read: {why(error)}. Check the address, or try again") from error
    except ArchiveError as error:
        raise DownloadError(f"{url}: {error}") from error
    except OSError as error:
        raise DownloadError(f"{folder} cannot be written ({error.strerror}); {free_space(folder)}") from error
    return folder


@contextmanager
def _remote_zip(url: str) -> Iterator[zipfile.ZipFile]:
    """A zip on a server, of which only the parts that are wanted come over the network."""
    try:
        with remotezip.RemoteZip(url, timeout=60) as remote:
            yield remote
    except remotezip.RangeNotSupported as error:
        raise DownloadError(
            f"{url}: this server does not give out parts of files (HTTP ranges), so single songs cannot be taken out "
            f"of the zip. Download all of it, or name another server in {BASE_VARIABLE}"
        ) from error


def _songs(remote: zipfile.ZipFile, folder: Path) -> dict[str, list[zipfile.ZipInfo]]:
    """The files of each song, by "train/NAME" or "test/NAME"."""
    songs = {}
    for member in remote.infolist():
        place = None if member.is_dir() else _place(member.filename)
        if place and place.count("/") == 2:
            inside(folder, place)  # or it is refused
            songs.setdefault(place.rpartition("/")[0], []).append(member)
    return songs


def _choose(songs: dict[str, list], wanted: dict[str, int]) -> dict[str, list]:
    """So many songs of each subset, always the same ones, more of them always containing fewer."""
    chosen, left = {}, dict(wanted)
    for song in sorted(songs, key=lambda song: hashlib.sha256(song.encode()).digest()):
        level, name = song.split("/")
        subset = "valid" if level == "train" and name in musdb18.validation_tracks() else level
        if left[subset] > 0:
            left[subset] -= 1
            chosen[song] = songs[song]
    return chosen


def _fetch_song(url: str, members: list[zipfile.ZipInfo], folder: Path, bar: tqdm, retries: int, pause: float) -> None:
    """All files of a song, each checked by its CRC-32; the folder is renamed to its name when they are there."""
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    failures, left = 0, list(members)
    while left:
        before = bar.n
        try:
            with _remote_zip(url) as remote:
                while left:
                    before = bar.n
                    extract(remote, left[0], partial / PurePosixPath(left[0].filename).name, bar)
                    left.pop(0)
                    failures = 0
        except BROKEN_OFF as error:
            bar.n = before
            failures += 1
            if failures > retries:
                raise DownloadError(
                    f"{url}: {left[0].filename} cannot be fetched: {why(error)}, {failures} times in a row. The songs "
                    "that are there are kept: call again for the others"
                ) from error
            time.sleep(min(pause * 2 ** (failures - 1), LONGEST_PAUSE))
    partial.replace(folder)
