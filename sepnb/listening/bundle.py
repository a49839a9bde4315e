"""What one takes home: the stems, a mix of them, and a page that says what made them, in one zip file."""

import json
import math
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sepnb.audio import Writer
from sepnb.errors import SepnbError
from sepnb.files import file_name, written_whole
from sepnb.listening.players import mix
from sepnb.separators.registry import REGISTRY

FORMATS = ("flac", "wav", "mp3")
BLOCK = 1 << 20  # samples that are scaled and written at a time


@dataclass(frozen=True)
class Origin:
    """Where stems come from: the song's name, the model's, what the result depends on, and what was done afterwards."""

    song: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()  # a sentence each: pitch, equaliser


def common_scale(stems: Mapping[str, np.ndarray]) -> float:
    """What all stems (channels, samples) are multiplied by so that none clips: 1, or less."""
    peak = max((float(np.abs(stem).max()) for stem in stems.values() if stem.size), default=0.0)
    return 1.0 if peak <= 1.0 else 0.999 / peak


def write_stem(path: Path | str, stem: np.ndarray, rate: int, scale: float = 1.0, title: str = "") -> Path:
    """Write one stem (channels, samples) times `scale`, block by block; the suffix chooses .flac, .wav or .mp3."""
    path = Path(path)
    with Writer(path, rate, len(stem), tags={"title": title} if title else None) as writer:
        for first in range(0, stem.shape[-1], BLOCK):
            writer.write(np.asarray(stem[:, first : first + BLOCK], np.float32) * np.float32(scale))
    return path


def write_bundle(
    path: Path | str,
    stems: Mapping[str, np.ndarray],
    rate: int,
    origin: Origin,
    gains_db: Mapping[str, float] | None = None,
    format: str = "flac",
) -> Path:
    """Write a zip of the stems (channels, samples), their mix and a README.txt; whole or not there.

    `gains_db` are the faders: dB, -inf mutes, 0 where none is given. One stem is encoded at a time, beside the zip, so
    memory does not grow with their number. Stems that would clip are lowered, all by the same, so that their sum stays
    the mixture's shape; the README says by how much.
    Raises SepnbError for a format or a gain that is not one, or stems of different shapes.
    """
    gains = {name: float(gain) for name, gain in (gains_db or {}).items()}
    _check(stems, gains, format)
    path = Path(path)
    scale = common_scale(stems)
    inside = file_name(f"{origin.song} - {origin.model}")
    names = distinct_names(stems)
    with (
        written_whole(path) as partial,
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".bundle-") as beside,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
    ):
        for name, stem in stems.items():
            made = write_stem(Path(beside) / f"stem.{format}", stem, rate, scale, f"{origin.song} – {name}")
            archive.write(made, f"{inside}/{names[name]}.{format}")
        mixed = mix(stems, gains)
        made = write_stem(Path(beside) / f"mix.{format}", mixed, rate, title=f"{origin.song} – mix")
        archive.write(made, f"{inside}/mix.{format}")
        archive.writestr(f"{inside}/README.txt", _readme(stems, rate, origin, gains, scale))
    return path


def _check(stems: Mapping[str, np.ndarray], gains: Mapping[str, float], format: str) -> None:
    if format not in FORMATS:
        raise SepnbError(f"no format {format!r} to write stems in: take one of {', '.join(FORMATS)}")
    if not stems:
        raise SepnbError("there are no stems to write: separate a song first")
    if len({np.shape(stem) for stem in stems.values()}) > 1:
        raise SepnbError("the stems have different lengths or channels: they do not belong together")
    bad = [f"{name} {gain}" for name, gain in gains.items() if math.isnan(gain) or gain == math.inf]
    if bad:
        raise SepnbError(f"a fader cannot stand at {', '.join(bad)} dB: take a number, or -inf for silence")


def distinct_names(stems: Iterable[str]) -> dict[str, str]:
    """Stem name to file name: no two alike, none that of the mix, also where case makes no difference."""
    taken, names = {"mix", "readme"}, {}
    for name in stems:
        wanted = safe = file_name(name)[:80]
        number = 2
        while safe.lower() in taken:
            safe, number = f"{wanted} {number}", number + 1
        taken.add(safe.lower())
        names[name] = safe
    return names


def _readme(
    stems: Mapping[str, np.ndarray], rate: int, origin: Origin, gains: Mapping[str, float], scale: float
) -> str:
    entry = REGISTRY.get(origin.model)
    seconds = next(iter(stems.values())).shape[-1] / rate
    lines = [
        f"{origin.song}",
        "",
        f"{seconds:.1f} s at {rate} Hz, separated by {origin.model}"
        + (f" ({entry.about})." if entry is not None else "."),
        f"Licence of the model's weights: {(entry.licence if entry else None) or 'not stated'}.",
        f"Trained on: {(entry.trained_on if entry else None) or 'not stated'}.",
        "The song itself is under whatever licence it was before; separating does not change that.",
        "",
        *(f"{change}" for change in origin.changes),
        f"mix: {', '.join(f'{name} {_decibels(gains.get(name, 0.0))}' for name in stems)}.",
        "A mix that would clip is lowered as a whole.",
    ]
    if scale < 1:
        lines.append(f"All stems were lowered by {-20 * math.log10(scale):.1f} dB together, or one would have clipped.")
    settings = json.dumps(dict(origin.settings), ensure_ascii=False, default=str)
    lines += ["", f"Settings: {settings}", f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC with sepnb."]
    return "\n".join(lines) + "\n"


def _decibels(gain: float) -> str:
    return "off" if gain == -math.inf else f"{gain:+.1f} dB"
