"""Sound files that somebody else chose: looked at before they are decoded, and refused in a sentence where need be."""

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sepnb import audio
from sepnb.errors import AudioError
from sepnb.files import file_name

LONGEST_NAME = 80  # characters; a page shows fewer
LARGEST_NAME = 120  # bytes; a file name may have 255, and the name of a stem is added to it
# What is taken off the end of a file's name; a full stop elsewhere ("Symphony No.5") is part of it.
SUFFIX = re.compile(
    r"(\.stem)?\.(wave?|w64|flac|mp[234]|m4[av]|aac|ac3|og[ga]|opus|wma|aiff?|aifc|caf|au|amr|ape|wv|mka|mkv|webm|avi|mov)$",
    re.IGNORECASE,
)
QUIETEST = 1e-4  # peak, -80 dBFS: below it there is nothing to separate, and a display in dB shows noise


@dataclass(frozen=True)
class UploadLimits:
    """What is taken: decided by the file's size and header; a length not stated there is counted up to the limit."""

    bytes: int = 200_000_000  # of the file; a quarter of an hour of 24-bit stereo WAV is 240 MB, of MP3 20 MB
    song_seconds: float = 2 * 3600.0  # of the whole file: longer ones are recordings of evenings, not songs
    seconds: float = 300.0  # of the excerpt: what a notebook holds in memory with four stems (0.5 GB)
    shortest: float = 1.0  # seconds; less than that no separator has learnt from
    channels: int = 2  # separators for music are stereo; how to fold more into two depends on what the channels are
    rates: tuple[int, int] = (8_000, 192_000)  # Hz; headers that say something else are wrong more often than right


@dataclass(frozen=True)
class Upload:
    """An excerpt of somebody's file: float32 (channels, samples) at `rate` Hz.

    `name` is safe to show and to call a file by; `start` and `whole` (the file's length) are in seconds; `note` says in
    a sentence what is not as asked for, or is empty.
    """

    name: str
    audio: np.ndarray
    rate: int
    start: float
    whole: float
    note: str = ""

    @property
    def duration(self) -> float:
        """Length of the excerpt in seconds."""
        return self.audio.shape[-1] / self.rate


def safe_name(name: str) -> str:
    """The name of somebody's file as that of a song: `safe_title` of it without folders and a sound file's suffix."""
    return safe_title(SUFFIX.sub("", re.split(r"[/\\]", name)[-1].strip()))


def safe_title(title: str) -> str:
    """A song's name as one can show it and call a file by: no folders, control or direction marks.

    At most 80 characters and 120 bytes; "song" where no letter or digit is in it.
    """
    normal = unicodedata.normalize("NFC", title)
    plain = "".join(mark for mark in normal if unicodedata.category(mark)[0] != "C").strip()
    if not any(mark.isalnum() for mark in plain):
        return "song"
    short = file_name(plain)[:LONGEST_NAME].encode()[:LARGEST_NAME].decode(errors="ignore")
    return file_name(short)


def look_at(path: Path | str, limits: UploadLimits = UploadLimits(), name: str | None = None) -> audio.AudioInfo:
    """What a file is, where it is within the limits; read as by `audio.info`, no further than `limits.song_seconds`.

    `name` is what the song is called, if not as the file (`path` may be a temporary one, and is never shown); it is
    taken whole, as by `safe_title`.
    Raises AudioError with a sentence that names the file, what is wrong and what to do.
    """
    path = Path(path)
    shown = safe_title(name) if name is not None else safe_name(path.name)
    try:
        size = path.stat().st_size if path.is_file() else 0
        if size > limits.bytes:
            raise AudioError(
                f"is {_megabytes(size)}, more than the {_megabytes(limits.bytes)} that are taken: "
                "cut an excerpt, or save it as MP3"
            )
        found = audio.info(path, most=limits.song_seconds)
        _check_header(found, limits)
    except AudioError as error:
        raise AudioError(_without_path(str(error), path, shown)) from None
    return found


def read_upload(
    path: Path | str,
    limits: UploadLimits = UploadLimits(),
    start: float | None = None,
    duration: float | None = None,
    name: str | None = None,
) -> Upload:
    """Read a file, or an excerpt of it, that somebody uploaded.

    start, duration: seconds; without a duration, all that is within the limits. `name` as in `look_at`.
    MP3 and MP4 are decoded around the excerpt alone, WAV, FLAC and AIFF are read there alone; other formats are decoded
    to the excerpt's end, after `look_at` has counted them. Raises AudioError with a sentence that names the file (by
    the visitor's name for it), what is wrong and what to do.
    """
    path = Path(path)
    shown = safe_title(name) if name is not None else safe_name(path.name)
    found = look_at(path, limits, name)
    try:
        first, length, note = _excerpt(found.duration, start, duration, limits)
        sound, rate = audio.read(path, first, length)
        _check_sound(sound, rate, limits)
    except AudioError as error:
        raise AudioError(_without_path(str(error), path, shown)) from None
    return Upload(shown, sound, rate, first, found.duration, note)


def _check_header(found: audio.AudioInfo, limits: UploadLimits) -> None:
    lowest, highest = limits.rates
    if not lowest <= found.rate <= highest:
        raise AudioError(f"has a rate of {found.rate} Hz; {lowest} to {highest} Hz are taken: save it at 44100 Hz")
    if found.channels > limits.channels:
        raise AudioError(f"has {found.channels} channels; at most {limits.channels} are taken: mix it down to stereo")
    if found.duration < limits.shortest:
        raise AudioError(f"lasts {found.duration:.2f} s; {limits.shortest:g} s or more are needed: take a longer piece")
    if found.duration > limits.song_seconds:
        told, most = _minutes(found.duration), _minutes(limits.song_seconds)
        how_long = f"lasts {told}, more" if told != most else "lasts more"  # where it was counted, that ended there
        raise AudioError(f"{how_long} than the {most} that are taken: cut an excerpt first")


def _excerpt(
    whole: float, start: float | None, duration: float | None, limits: UploadLimits
) -> tuple[float, float, str]:
    """Start and length in seconds of what is read of a file, and what to say of it."""
    first = 0.0 if start is None else float(start)
    if not (math.isfinite(first) and first >= 0):
        raise AudioError(f"an excerpt cannot start at {first:g} s: take 0 or more")
    if first > whole - limits.shortest:
        raise AudioError(f"an excerpt cannot start at {first:g} s: the file ends at {whole:.2f} s")
    left = whole - first
    if duration is None:
        note = f"The first {limits.seconds:g} s of {_minutes(whole)} were taken." if left > limits.seconds else ""
        return first, min(left, limits.seconds), note
    if not limits.shortest <= duration <= limits.seconds:
        raise AudioError(
            f"an excerpt cannot last {duration:g} s: take from {limits.shortest:g} to {limits.seconds:g} s"
        )
    note = f"The file ends after {left:.1f} s of the {duration:g} s asked for." if left < duration - 0.05 else ""
    return first, min(left, float(duration)), note


def _check_sound(sound: np.ndarray, rate: int, limits: UploadLimits) -> None:
    if sound.shape[-1] < limits.shortest * rate * 0.99:  # a header may promise more than there is
        raise AudioError(f"holds {sound.shape[-1] / rate:.2f} s there: it is damaged or cut short; copy it again")
    peak = float(np.abs(sound).max())
    if not math.isfinite(peak):
        raise AudioError("holds samples that are not finite (NaN or infinite): export it again")
    if peak < QUIETEST:
        raise AudioError("is silent there: pick another excerpt, or another file")


def _without_path(message: str, path: Path, shown: str) -> str:
    """The message about `path` as a sentence about the name that the visitor knows."""
    rest = message.removeprefix(f"{path}: ").replace(str(path), shown).replace(path.name, shown)
    return f"{shown}: {rest}"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
