"""Checkpoints of a run: files that are whole or not there, two generations of them, in one folder or two.

A file is a line that says what it is, the SHA-256 of the rest, and the rest: what `torch.save` makes of tensors and
plain values. It is read as data, never as code (`weights_only=True`). The checksum tells a torn or altered file, which
renaming alone does not: a folder that is synchronised with a server (Google Drive) may lose the end of a file that it
has already shown under its name.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch

from sepnb.errors import SepnbError
from sepnb.files import written_whole

FOLDER = "checkpoints"
KEPT = 2
SLOTS = ("a.ckpt", "b.ckpt")  # in a second folder
_BEGIN = b"sepnb checkpoint 1\n"
_NAME = re.compile(r"step-(\d+)\.ckpt")


def copied(value: object) -> object:
    """The same value with all its tensors copied to the CPU, so that training can go on while it is written."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copied(part) for part in value)
    return value


def pack(state: dict) -> bytes:
    """A checkpoint file's content."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return _BEGIN + hashlib.sha256(buffer.getbuffer()).digest() + buffer.getvalue()


def unpack(path: Path) -> dict:
    """Read a checkpoint; raises SepnbError where the file is not whole."""
    content = path.read_bytes()
    digest, rest = content[len(_BEGIN) : len(_BEGIN) + 32], content[len(_BEGIN) + 32 :]
    if not content.startswith(_BEGIN) or hashlib.sha256(rest).digest() != digest:
        raise SepnbError(f"the checkpoint {path} is torn or damaged")
    return torch.load(io.BytesIO(rest), map_location="cpu", weights_only=True)


def generations(run: Path) -> list[tuple[int, Path]]:
    """The checkpoints in a run's folder as (step, path), the newest first."""
    if not (run / FOLDER).is_dir():
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in (run / FOLDER).iterdir())
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def write_generation(run: Path, step: int, content: bytes) -> Path:
    """Write a packed checkpoint into a run's folder and remove all but the newest two."""
    path = run / FOLDER / f"step-{step:08d}.ckpt"
    with written_whole(path) as partial:
        partial.write_bytes(content)
    for _, old in generations(run)[KEPT:]:
        old.unlink()
    return path


def slots(run: Path) -> list[Path]:
    """The checkpoints in a run's second folder: up to two files that are overwritten in turn."""
    return [path for name in SLOTS if (path := run / FOLDER / name).is_file()]


def whole(paths: Iterable[Path], first: bool = False) -> tuple[list[tuple[Path, dict]], list[str]]:
    """The checkpoints among some files that are whole, with their contents, and what is wrong with the others.

    first: look no further than to the first that is whole, and remove those before it that are torn, so that they do
    not count as generations from then on. What only cannot be read now, as on a disk that does not answer, stays.
    """
    found, problems, torn = [], [], []
    for path in paths:
        try:
            found.append((path, unpack(path)))
        except SepnbError as error:
            torn.append(path)
            problems.append(str(error))
        except OSError as error:
            problems.append(f"the checkpoint {path} cannot be read now ({error})")
        if found and first:
            break
    if found:
        for problem in problems:
            warnings.warn(f"{problem}: going back to the checkpoint before it", stacklevel=3)
        for path in torn if first else []:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                warnings.warn(f"{path} cannot be removed ({error})", stacklevel=3)
    return found, problems


def newest(run: Path) -> tuple[tuple[Path, dict] | None, list[str]]:
    """The newest whole checkpoint in a run's folder and its content, if any, and what is wrong with later ones."""
    found, problems = whole((path for _, path in generations(run)), first=True)
    return (found[0] if found else None), problems


def remove_checkpoints(run: Path) -> None:
    """Remove the checkpoints of a run that is finished, and what a killed process may have left half written."""
    for _, path in generations(run):
        path.unlink(missing_ok=True)
    if (run / FOLDER).is_dir():
        for partial in (run / FOLDER).glob(".partial-*"):
            partial.unlink(missing_ok=True)
        if not any((run / FOLDER).iterdir()):
            (run / FOLDER).rmdir()
