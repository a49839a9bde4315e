"""Read, write and resample audio: WAV, FLAC, MP3, AAC in MP4/M4A, and the five streams of `.stem.mp4`.

Audio is float32 of shape (channels, samples), full scale at ±1. libsndfile (through soundfile) reads what it knows,
FFmpeg's libraries (through PyAV, see containers.py) the rest; no external program is needed.
"""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import soundfile

from sepnb.audio_writing import TAGS, Writer, check_rate, naming, write, write_stems
from sepnb.errors import AudioError

if TYPE_CHECKING:
    from sepnb.containers import Container

__all__ = ["AudioInfo", "Writer", "info", "read", "read_stems", "resample", "tags", "write", "write_stems"]

# How a file begins that libsndfile reads, whatever its name: WAV, long WAV, FLAC, AIFF. The rest goes to PyAV, MP3 too:
# of MP3 files with varying bit rate and no index, libsndfile gives a part without a word.
SOUND_BEGINNINGS = (b"RIFF", b"RF64", b"fLaC", b"FORM")

# How far soxr's filter reaches, with room to spare, in samples of the lower of two rates.
RESAMPLER_REACH = 2000

# Some programs count their own header as audio.
WAV_ALLOWANCE = 64


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says: rate in Hz, channels, samples a channel, number of audio streams."""

    rate: int
    channels: int
    samples: int
    streams: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate


def info(path: Path | str, most: float | None = None) -> AudioInfo:
    """Rate, channels, length and number of streams of an audio file.

    WAV, FLAC and AIFF have the length in their header; of MP3 and MP4 the last second is decoded. What is left (a raw
    AAC stream, Ogg, Matroska) is decoded whole, some ten minutes of music in a second. With `most`, in seconds, that
    ends there, and of a longer file `samples` is a number beyond it.

    Raises AudioError if the file is missing, empty, not audio, or cut short.
    """
    with _opened(path) as source:
        beyond = None if most is None else math.floor(most * source.rate) + 1
        return AudioInfo(source.rate, source.channels, source.length(beyond), source.streams)


def read(
    path: Path | str, start: float = 0.0, duration: float | None = None, rate: int | None = None
) -> tuple[np.ndarray, int]:
    """Read the first audio stream of a file (of a `.stem.mp4`: the mixture), or an excerpt of it.

    start, duration: seconds; an excerpt that runs past the end is as long as what is there. It equals the same slice of
    the whole, also after resampling. rate: Hz to resample to (None: as stored).
    Returns float32 (channels, samples) and the rate. Raises AudioError on files or excerpts that cannot be read.
    """
    with _opened(path) as source:
        if rate is not None and rate != source.rate:
            return _read_resampled(source, start, duration, rate), rate
        return _read_excerpt(source, start, duration, all_streams=False)[0], source.rate


def read_stems(path: Path | str, start: float = 0.0, duration: float | None = None) -> tuple[np.ndarray, int]:
    """Read all audio streams of a file, or an excerpt of them; a file with one stream gives one.

    start, duration: seconds, as in `read`. Returns float32 (streams, channels, samples) and the rate in Hz.
    A `.stem.mp4` has the mixture first. Streams that differ by an encoder's padding are cut to the shortest.
    The samples are those that stempeg gives. Raises AudioError on files or excerpts that cannot be read.
    """
    with _opened(path) as source:
        return _read_excerpt(source, start, duration, all_streams=True), source.rate


def resample(audio: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Change the rate of float audio along its last axis, with soxr's high-quality filter.

    audio: (..., samples) at `rate` Hz. Returns float32 (..., samples * new_rate / rate).
    """
    audio = np.asarray(audio, dtype=np.float32)
    check_rate(rate)
    check_rate(new_rate)
    if rate == new_rate or audio.size == 0:
        return audio
    import soxr

    flat = audio.reshape(-1, audio.shape[-1])
    resampled = soxr.resample(flat.T, rate, new_rate, quality="HQ").T
    return np.ascontiguousarray(resampled).reshape(*audio.shape[:-1], -1)


def tags(path: Path | str) -> dict[str, str]:
    """What an audio file says of itself: those of title, artist, album and comment that it has.

    From the INFO strings of WAV, the Vorbis comments of FLAC, the ID3 tags of MP3 or the like. Raises AudioError where
    the file cannot be read.
    """
    with _opened(path) as source:
        found = source.tags()
    return {name: found[name] for name in TAGS if found.get(name)}


# --- reading ---------------------------------------------------------------------------------------------------------


class _Sound:
    """An open file that libsndfile reads; has what `containers.Container` has."""

    streams = 1

    def __init__(self, sound: soundfile.SoundFile):
        self._sound = sound
        self.rate = sound.samplerate
        self.channels = sound.channels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self._sound.close()

    def length(self, most: int | None = None) -> int:
        """Samples by the header, however many."""
        return self._sound.frames

    def tags(self) -> dict[str, str]:
        return {name: getattr(self._sound, name) for name in TAGS}

    def read(self, first: int, count: int | None, all_streams: bool) -> np.ndarray:
        wanted = max(self._sound.frames - first, 0)
        if count is not None:
            wanted = min(wanted, count)
        if wanted == 0:
            return np.zeros((1, self.channels, 0), np.float32)
        try:
            self._sound.seek(first)
            audio = self._sound.read(wanted, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"damaged or cut short ({error.error_string}); copy or download it again") from error
        if len(audio) < wanted:
            raise AudioError(f"cut short: {len(audio)} of {wanted} samples are there; copy or download it again")
        return np.ascontiguousarray(audio.T)[np.newaxis]


@contextmanager
def _opened(path: Path | str) -> Iterator["_Sound | Container"]:
    """Open a file for reading; AudioErrors inside the block get its name."""
    path = Path(path)
    with naming(path):
        beginning = _beginning(path)
        sound = None
        if beginning.startswith(SOUND_BEGINNINGS):
            with suppress(soundfile.LibsndfileError):  # an AVI film begins with RIFF, too: PyAV may know it
                opened = soundfile.SoundFile(path)
                # FLAC that was written to a pipe does not say how long it is; libsndfile then gives the largest number.
                if opened.frames < 2**62:
                    sound = _Sound(opened)
                else:
                    opened.close()
        if sound is None:
            from sepnb.containers import Container

            sound = Container(path)
        elif beginning.startswith(b"RIFF"):
            _check_wav_is_whole(path)
        with sound:
            yield sound


def _beginning(path: Path) -> bytes:
    """The first bytes of a file; AudioError if there are none."""
    if path.is_dir():
        raise AudioError("is a folder, not an audio file")
    try:
        with path.open("rb") as file:
            beginning = file.read(4)
    except FileNotFoundError as error:
        raise AudioError("there is no such file") from error
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})") from error
    if not beginning:
        raise AudioError("is empty (0 bytes); copy or download it again")
    return beginning


def _check_wav_is_whole(path: Path) -> None:
    """AudioError if a WAV file is shorter than its header says; libsndfile would give what is there."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 12  # chunks follow "RIFF", its size and "WAVE"
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                missing = position + 8 + length - size
                # Programs that write to a pipe cannot know the length and leave the largest number there.
                if missing > WAV_ALLOWANCE and length < 0x7FFFF000:
                    raise AudioError(f"cut short: {missing} of {length} bytes of audio are missing; copy it again")
                return
            position += 8 + length + length % 2


def _read_excerpt(source: "_Sound | Container", start: float, duration: float | None, all_streams: bool) -> np.ndarray:
    """Float32 (streams, channels, samples) of an excerpt given in seconds."""
    first, count = _in_samples(start, duration, source.rate)
    audio = source.read(first, count, all_streams)
    if audio.shape[-1] == 0:
        raise _beyond_the_end(source, start)
    return audio


def _in_samples(start: float, duration: float | None, rate: int) -> tuple[int, int | None]:
    """First sample and number of samples (None: all that follow) of an excerpt given in seconds."""
    if not 0 <= start < math.inf:
        raise AudioError(f"an excerpt cannot start at {start} s: start is 0 or more")
    if duration is not None and not 0 < duration < math.inf:
        raise AudioError(f"an excerpt cannot last {duration} s: duration is above 0, or None for all that follows")
    return round(start * rate), None if duration is None else max(round(duration * rate), 1)


def _beyond_the_end(source: "_Sound | Container", start: float) -> AudioError:
    length = source.length() / source.rate
    return AudioError(f"an excerpt cannot start at {start} s: the audio ends at {length:.2f} s")


def _read_resampled(source: "_Sound | Container", start: float, duration: float | None, rate: int) -> np.ndarray:
    """An excerpt at another rate, float32 (channels, samples): a slice of the whole at that rate."""
    check_rate(rate)
    first, count = _in_samples(start, duration, rate)
    # Resampling starts where both clocks tick together, and reads on either side what the filter reaches.
    common = math.gcd(source.rate, rate)
    step, new_step = source.rate // common, rate // common
    reach = math.ceil(RESAMPLER_REACH * max(1, source.rate / rate))
    ticks = max(0, (first * step // new_step - reach) // step)
    begin = ticks * step
    span = None if count is None else math.ceil((first + count) * step / new_step) + reach - begin
    audio = resample(source.read(begin, span, all_streams=False)[0], source.rate, rate)
    offset = first - ticks * new_step
    excerpt = audio[:, offset : None if count is None else offset + count]
    if excerpt.shape[-1] == 0:
        raise _beyond_the_end(source, start)
    return excerpt
