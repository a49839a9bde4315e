"""Read, write and resample audio: WAV, FLAC, MP3, AAC in MP4/M4A, and the five streams of `.stem.mp4`.

Audio is float32 of shape (channels, samples), full scale at ±1. libsndfile (through soundfile) reads what it knows,
FFmpeg's libraries (through PyAV, see containers.py) the rest; no external program is needed.
"""

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import soundfile

from sepnb.errors import AudioError
from sepnb.files import written_whole

if TYPE_CHECKING:
    from sepnb.containers import Container

WAV_SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
FLAC_SUBTYPES = {"16": "PCM_16", "24": "PCM_24"}

# How a file begins that libsndfile reads, whatever its name: WAV, long WAV, FLAC, AIFF. The rest goes to PyAV, MP3 too:
# of MP3 files with varying bit rate and no index, libsndfile gives a part without a word.
SOUND_BEGINNINGS = (b"RIFF", b"RF64", b"fLaC", b"FORM")

# How far soxr's filter reaches, with room to spare, in samples of the lower of two rates.
RESAMPLER_REACH = 2000

# Some programs count their own header as audio.
WAV_ALLOWANCE = 64

MOST_CHANNELS = 64  # more than this is an array of shape (samples, channels), handed over the wrong way round


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


def info(path: Path | str) -> AudioInfo:
    """Rate, channels, length and number of streams of an audio file, read without decoding more than its last second.

    (A raw AAC stream says nowhere how long it is: that is decoded.)

    Raises AudioError if the file is missing, empty, not audio, or cut short.
    """
    with _opened(path) as source:
        return AudioInfo(source.rate, source.channels, source.length(), source.streams)


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
    _check_rate(rate)
    _check_rate(new_rate)
    if rate == new_rate or audio.size == 0:
        return audio
    import soxr

    flat = audio.reshape(-1, audio.shape[-1])
    resampled = soxr.resample(flat.T, rate, new_rate, quality="HQ").T
    return np.ascontiguousarray(resampled).reshape(*audio.shape[:-1], -1)


def write(path: Path | str, audio: np.ndarray, rate: int, subtype: str = "16") -> None:
    """Write float audio (channels, samples) at `rate` Hz to .wav, .flac or .mp3; the suffix chooses.

    subtype: "16", "24" bits, or "32f" (32-bit floats, WAV only); MP3 has none. The file is whole or not there.
    Integers cannot go beyond ±1: samples that do are clipped, with a warning that says how many ("32f" keeps them).
    Raises AudioError on an unknown suffix or subtype, a wrong shape, or samples that are not finite.
    """
    path = Path(path)
    with _naming(path):
        suffix = path.suffix.lower()
        if suffix not in (".wav", ".flac", ".mp3"):
            raise AudioError(f"cannot write {suffix or 'a file without a suffix'}: use .wav, .flac or .mp3")
        audio = _writable(audio, rate, dimensions=2, shape="(channels, samples)")
        if suffix == ".mp3":
            from sepnb import containers

            with _written(path) as partial:
                containers.encode_mp3(partial, audio, rate)
        else:
            _write_pcm(path, audio, rate, subtype, WAV_SUBTYPES if suffix == ".wav" else FLAC_SUBTYPES)


def write_stems(path: Path | str, stems: np.ndarray, rate: int) -> None:
    """Write float stems (streams, channels, samples) at `rate` Hz as the AAC streams of an MP4 file (`.stem.mp4`).

    Mono or stereo; the first stream is the mixture, where there is one. AAC is lossy; what is read back begins where
    `stems` does and ends up to a frame (1,024 samples) later. The file is whole or not there.
    Raises AudioError on another suffix, a wrong shape, or samples that are not finite.
    """
    path = Path(path)
    with _naming(path):
        if path.suffix.lower() not in (".mp4", ".m4a"):
            raise AudioError(f"cannot write stems to {path.suffix or 'a file without a suffix'}: use .stem.mp4")
        stems = _writable(stems, rate, dimensions=3, shape="(streams, channels, samples)")
        from sepnb import containers

        with _written(path) as partial:
            containers.encode_aac(partial, stems, rate)


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

    def length(self) -> int:
        return self._sound.frames

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
    with _naming(path):
        beginning = _beginning(path)
        sound = None
        if beginning.startswith(SOUND_BEGINNINGS):
            with suppress(soundfile.LibsndfileError):  # an AVI film begins with RIFF, too: PyAV may know it
                sound = _Sound(soundfile.SoundFile(path))
        if sound is None:
            from sepnb.containers import Container

            sound = Container(path)
        elif beginning.startswith(b"RIFF"):
            _check_wav_is_whole(path)
        with sound:
            yield sound


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what an AudioError says."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error.__cause__


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
    _check_rate(rate)
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


def _check_rate(rate: float) -> None:
    if not rate > 0 or rate != int(rate):
        raise AudioError(f"{rate} Hz is not a rate: it must be a whole number above 0")


# --- writing ---------------------------------------------------------------------------------------------------------


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """As `written_whole`; what the disk or an encoder refuses is an AudioError."""
    try:
        with written_whole(path) as partial:
            yield partial
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"could not be written ({error}); is there room on the disk, and a right to write?") from error


def _writable(audio: np.ndarray, rate: int, dimensions: int, shape: str) -> np.ndarray:
    audio = np.asarray(audio)
    if audio.ndim != dimensions or audio.size == 0 or audio.shape[-2] > MOST_CHANNELS:
        raise AudioError(f"cannot write an array of shape {audio.shape}: it must be {shape}")
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"cannot write {audio.dtype}: audio is floating point with full scale at ±1")
    _check_rate(rate)
    bad = audio.size - np.count_nonzero(np.isfinite(audio))
    if bad:
        raise AudioError(f"cannot write: {bad} of {audio.size} samples are not finite (NaN or infinite)")
    return audio.astype(np.float32, copy=False)


def _write_pcm(path: Path, audio: np.ndarray, rate: int, subtype: str, known: dict[str, str]) -> None:
    if subtype not in known:
        raise AudioError(f"cannot write {path.suffix} with subtype {subtype!r}: use one of {', '.join(known)}")
    samples = audio.T if subtype == "32f" else _quantised(path, audio, int(subtype)).T
    with _written(path) as partial:
        soundfile.write(partial, samples, rate, subtype=known[subtype])


def _quantised(path: Path, audio: np.ndarray, bits: int) -> np.ndarray:
    """Round to integers of so many bits, in the upper bits of int16 or int32, full scale at 2 ** (bits - 1).

    That is the scale by which files are read, so what was quantised before comes back exactly.
    """
    beyond = np.count_nonzero(np.abs(audio) > 1)
    if beyond:
        warnings.warn(
            f"{path}: {beyond} of {audio.size} samples are beyond ±1 (peak {np.abs(audio).max():.3f}) and were "
            'clipped; lower the level, or write a WAV with subtype="32f"',
            stacklevel=4,  # the line that calls `write`
        )
    full = 2 ** (bits - 1)
    integers = np.clip(np.rint(audio.astype(np.float64) * full), -full, full - 1)
    return integers.astype(np.int16) if bits == 16 else integers.astype(np.int32) << (32 - bits)
