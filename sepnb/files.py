"""Files that are whole or not there: written beside, then renamed."""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sepnb.errors import SepnbError

# Tenths of a second that a file under its old name may be read for on Windows.
RETRIES = 20
# Devices, which Windows finds in every folder and under every suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\..*)?", re.IGNORECASE)


def file_name(text: str, distinct: bool = False) -> str:
    """Any name as a file or folder can have it on Linux, macOS and Windows; most stay as they are.

    What some system reserves becomes a hyphen, dots and spaces at the ends go, the name of a device ("aux") gets an
    underscore in front. Two names can become one: with `distinct`, one that had to change is given six digits of its
    own at the end.
    """
    safe = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "-", text).strip(" .") or "_"
    if _DEVICE.fullmatch(safe):
        safe = f"_{safe}"
    if safe == text or not distinct:
        return safe
    return f"{safe}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it is flushed to disk and renamed to `path`.

    If the block raises, the partial file is removed and `path` is left as it was. The name of the partial file keeps
    the suffix of `path` (encoders choose the format by it) and begins with a dot.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        with partial.open("r+b") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        _rename(partial, path)
        _flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _rename(partial: Path, path: Path) -> None:
    """Give a file its name. Windows refuses while another thread reads the file that had it: then a little later."""
    for _ in range(RETRIES if sys.platform == "win32" else 0):
        try:
            partial.replace(path)
            return
        except PermissionError:
            time.sleep(0.1)
    partial.replace(path)


def _flush_folder(folder: Path) -> None:
    """Have the new name on the disk too, or a power cut may undo the renaming: where the system can do that."""
    if sys.platform == "win32":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        return  # network and mounted cloud drives may refuse; the file itself is whole


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Write a readable JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def checksum(path: Path | str, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def read_json(path: Path | str) -> dict:
    """Read a JSON object; raises SepnbError where the file is not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise SepnbError(f"{path} is not readable JSON ({error}): it is damaged, remove it and make it anew") from error
    if not isinstance(value, dict):
        raise SepnbError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value
