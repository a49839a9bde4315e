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


def generations(run: Path | None) -> list[tuple[int, Path]]:
    """The checkpoints in a run's folder as (step, path), the newest first."""
    if run is None or not (run / FOLDER).is_dir():
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


def newest(runs: Iterable[Path | None]) -> tuple[Path, dict] | None:
    """The newest whole checkpoint in some folders of the same run, and its content; None if there is no file at all.

    What is torn is passed over with a warning, and removed, so that it does not count as a generation from then on.
    Raises SepnbError where all of them are torn.
    """
    found = [(step, -place, path) for place, run in enumerate(runs) for step, path in generations(run)]
    torn = []
    for _, _, path in sorted(found, reverse=True):
        try:
            state = unpack(path)
        except (SepnbError, OSError) as error:
            torn.append(path)
            warnings.warn(f"{error}: going back to the checkpoint before it", stacklevel=2)
            continue
        for bad in torn:
            bad.unlink(missing_ok=True)
        return path, state
    if torn:
        raise SepnbError(
            f"all checkpoints in {' and '.join(sorted({str(path.parent) for path in torn}))} are torn or damaged: "
            "there is nothing to go on from; remove the run's folder and begin anew"
        )
    return None


def remove_checkpoints(run: Path, keep: int = 0) -> None:
    """Remove all but the newest `keep` checkpoints of a run, and what a killed process may have left half written."""
    for _, path in generations(run)[keep:]:
        path.unlink(missing_ok=True)
    if (run / FOLDER).is_dir():
        for partial in (run / FOLDER).glob(".partial-*"):
            partial.unlink(missing_ok=True)
        if not any((run / FOLDER).iterdir()):
            (run / FOLDER).rmdir()
