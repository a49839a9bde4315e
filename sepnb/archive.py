"""One archive for a folder of many files: what a slow disk such as Google Drive wants, and how to get it back.

A chunk store lies on the local disk of a hosted notebook, which is gone after a disconnect. `pack` writes it to Drive
as one zip (not compressed: audio does not shrink) with its SHA-256 beside it, `unpack` brings it back. Both land by
rename, and an archive that did not reach Drive whole is noticed.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm.auto import tqdm

from sepnb.errors import ArchiveError
from sepnb.files import checksum, write_text, written_whole

BLOCK = 1 << 20  # bytes


def pack(folder: Path | str, archive: Path | str) -> Path:
    """Write a folder's files into one uncompressed zip, with `ARCHIVE.sha256` beside it; returns the archive.

    Partial files of interrupted runs (named .partial-…) are not taken. Raises ArchiveError if the folder is missing or
    empty, or the disk is full; an archive that was there before is then as it was.
    """
    folder, archive = Path(folder), Path(archive)
    if archive.suffix != ".zip":
        raise ArchiveError(f"{archive}: an archive's name ends in .zip")
    if not folder.is_dir():
        raise ArchiveError(f"{folder} is not a folder: there is nothing to pack")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_partial(path.relative_to(folder))]
    if not files:
        raise ArchiveError(f"{folder} holds no files: there is nothing to pack")
    total = sum(path.stat().st_size for path in files)
    try:
        with written_whole(archive) as partial:
            with partial.open("wb") as raw, _bar(total, f"Packing {archive.name}") as bar:
                hashing = _Hashing(raw)
                with zipfile.ZipFile(hashing, "w", zipfile.ZIP_STORED) as out:
                    for path in files:
                        entry = zipfile.ZipInfo.from_file(path, path.relative_to(folder).as_posix())
                        with path.open("rb") as source, out.open(entry, "w") as target:
                            _copy(source, target, bar)
            _sidecar(archive).unlink(missing_ok=True)  # the old sum must not stand beside the new archive
        write_text(_sidecar(archive), f"{hashing.digest.hexdigest()}  {archive.name}\n")
    except OSError as error:
        room = f"it takes {total / 1e9:.1f} GB, {free_space(archive.parent)}"
        raise ArchiveError(f"{archive} cannot be written ({error.strerror}): {room}") from error
    return archive


def unpack(archive: Path | str, folder: Path | str) -> Path:
    """Bring back what `pack` wrote; returns the folder, which must not be there yet (or be empty).

    Checked against the SHA-256 beside the archive, or where that is missing against the zip's own CRC-32s. Raises
    ArchiveError on a torn or altered archive, and then leaves no folder.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise ArchiveError(f"{archive} is not there: pack the folder first (is Drive mounted?)")
    if _sidecar(archive).is_file():
        expected = _sidecar(archive).read_text(encoding="utf-8").split()[:1]
        if [digest(archive, "sha256")] != expected:
            raise ArchiveError(f"{archive} is torn or was altered: it is not what was packed. Pack the folder again")
    return unzip(archive, folder)


def unzip(archive: Path, folder: Path, place: Callable[[str], str | None] = lambda name: name) -> Path:
    """Unzip to a folder that is whole or not there; every file's CRC-32 is checked.

    `place` says where in the folder a member goes, None to leave it out. Raises ArchiveError if the archive is torn,
    a member would land outside the folder, or the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArchiveError(f"{folder} is already there and not empty: remove it, or choose another folder")
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if not member.is_dir() and place(member.filename)]
            total = sum(member.file_size for member in members)
            with _bar(total, f"Unpacking {archive.name}") as bar:
                for member in members:
                    extract(source, member, inside(partial, place(member.filename)), bar)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        partial.replace(folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ArchiveError(f"{archive} is torn or no zip ({error}): remove it and fetch or pack it again") from error
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be unpacked ({error.strerror}); {free_space(folder.parent)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def inside(folder: Path, name: str) -> Path:
    """The path of a zip member below a folder; ArchiveError if its name leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise ArchiveError(f"a member of the archive, {name!r}, would land outside {folder}: it was not made for this")
    return folder.joinpath(*path.parts)


def extract(source: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, bar: tqdm) -> None:
    """Copy one member of a zip to a file; BadZipFile if its CRC-32 is wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with source.open(member) as packed, path.open("wb") as target:
        _copy(packed, target, bar)


def digest(path: Path, algorithm: str, progress: bool = True) -> str:
    """Hexadecimal digest of a file, with a progress bar: a data set takes a minute to read."""
    if not progress:
        return checksum(path, algorithm)
    with _bar(path.stat().st_size, f"Checking {path.name}") as bar, _Watched(path, bar) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def free_space(folder: Path) -> str:
    """What is free on a folder's disk, for a message; the folder may still have to be made."""
    while not folder.exists():
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB are free there"


class _Hashing:
    """A file to write to, once from start to end, that sums up what it is given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


class _Watched(FileIO):
    """A file to read, that moves a bar."""

    def __init__(self, path: Path, bar: tqdm) -> None:
        super().__init__(path)
        self._bar = bar

    def readinto(self, buffer: bytearray | memoryview) -> int:
        count = super().readinto(buffer)
        self._bar.update(count)
        return count


def _copy(source: BinaryIO, target: BinaryIO, bar: tqdm) -> None:
    while block := source.read(BLOCK):
        target.write(block)
        bar.update(len(block))


def _bar(total: int, what: str, progress: bool = True) -> tqdm:
    return tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=not progress)


def _is_partial(path: Path) -> bool:
    return any(part.startswith(".partial-") for part in path.parts)


def _sidecar(archive: Path) -> Path:
    return archive.with_name(archive.name + ".sha256")
