"""Writing audio: at once or block by block, to WAV, FLAC, MP3 and the streams of `.stem.mp4`. See `sepnb.audio`."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import soundfile

from sepnb.errors import AudioError
from sepnb.files import written_whole

if TYPE_CHECKING:
    from sepnb.containers import Encoder

WAV_SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
FLAC_SUBTYPES = {"16": "PCM_16", "24": "PCM_24"}
SUBTYPES: dict[str, dict[str, str]] = {".wav": WAV_SUBTYPES, ".flac": FLAC_SUBTYPES, ".mp3": {}}

TAGS = ("title", "artist", "album", "comment")  # what every format can say of itself

MOST_CHANNELS = 64  # more than this is an array of shape (samples, channels), handed over the wrong way round


def write(path: Path | str, audio: np.ndarray, rate: int, subtype: str = "16") -> None:
    """Write float audio (channels, samples) at `rate` Hz to .wav, .flac or .mp3; the suffix chooses.

    subtype: "16", "24" bits, or "32f" (32-bit floats, WAV only); MP3 has none. The file is whole or not there.
    Integers cannot go beyond ±1: samples that do are clipped, with a warning that says how many ("32f" keeps them).
    Raises AudioError on an unknown suffix or subtype, a wrong shape, or samples that are not finite.
    """
    with naming(Path(path)):
        audio = _writable(audio, rate, dimensions=2, shape="(channels, samples)")
    with Writer(path, rate, len(audio), subtype) as writer:
        writer.write(audio)


class Writer:
    """Writes audio to .wav, .flac or .mp3 block by block, so that a long song need not be in memory; as `write` does.

    A context manager: the file is there when the block has ended well, and not there, or as it was, when it has not.
    `tags` are any of title, artist, album and comment (see `sepnb.audio.tags`).

        with audio.Writer("stem.flac", 44100, channels=2, tags={"title": "Song – vocals"}) as writer:
            for block in blocks:
                writer.write(block)
    """

    def __init__(
        self,
        path: Path | str,
        rate: int,
        channels: int,
        subtype: str = "16",
        tags: Mapping[str, str] | None = None,
    ):
        self.path = path = Path(path)
        self._rate, self._channels, self._subtype, self._tags = rate, channels, subtype, dict(tags or {})
        self._samples = self._beyond = 0
        self._peak = 0.0
        with naming(path):
            check_rate(rate)
            suffix = path.suffix.lower()
            if suffix not in SUBTYPES:
                raise AudioError(f"cannot write {suffix or 'a file without a suffix'}: use .wav, .flac or .mp3")
            known = SUBTYPES[suffix]
            if known and subtype not in known:
                raise AudioError(f"cannot write {path.suffix} with subtype {subtype!r}: use one of {', '.join(known)}")
            unknown = set(self._tags) - set(TAGS)
            if unknown:
                raise AudioError(f"cannot write the tag {', '.join(sorted(unknown))}: use {', '.join(TAGS)}")

    def __enter__(self) -> Self:
        self._whole = written_whole(self.path)
        with naming(self.path), _refusals():
            partial = self._whole.__enter__()
            try:
                self._sink = self._opened(partial)
            except BaseException:
                self._whole.__exit__(*sys.exc_info())
                raise
        return self

    def write(self, audio: np.ndarray) -> None:
        """Write the next block, float (channels, samples); raises AudioError as `sepnb.audio.write` does."""
        with naming(self.path), _refusals():
            audio = _writable(audio, self._rate, dimensions=2, shape="(channels, samples)")
            if len(audio) != self._channels:
                raise AudioError(f"cannot write {len(audio)} channels to a file of {self._channels}")
            self._samples += audio.size
            if isinstance(self._sink, soundfile.SoundFile):
                self._sink.write((audio if self._subtype == "32f" else self._quantised(audio)).T)
            else:
                self._sink.write(audio[np.newaxis])

    def __exit__(self, *exception) -> None:
        with naming(self.path), _refusals():
            try:
                self._sink.__exit__(*exception)
            except BaseException:
                self._whole.__exit__(*sys.exc_info())
                raise
            # An error of the caller's block is the caller's: it goes through here only for the file to be removed.
            self._whole.__exit__(*exception)
        if self._beyond:
            warnings.warn(
                f"{self.path}: {self._beyond} of {self._samples} samples are beyond ±1 (peak {self._peak:.3f}) and "
                'were clipped; lower the level, or write a WAV with subtype="32f"',
                stacklevel=3,  # the line that calls `write`
            )

    def _opened(self, partial: Path) -> "soundfile.SoundFile | Encoder":
        subtypes = SUBTYPES[self.path.suffix.lower()]
        if not subtypes:
            from sepnb.containers import mp3_encoder

            return mp3_encoder(partial, self._channels, self._rate, self._tags)
        sound = soundfile.SoundFile(partial, "w", self._rate, self._channels, subtypes[self._subtype])
        for name, value in self._tags.items():
            setattr(sound, name, value)
        return sound

    def _quantised(self, audio: np.ndarray) -> np.ndarray:
        """Round to integers of so many bits, in the upper bits of int16 or int32, full scale at 2 ** (bits - 1).

        That is the scale by which files are read, so what was quantised before comes back exactly.
        """
        peak = float(np.abs(audio).max())
        if peak > 1:
            self._peak = max(self._peak, peak)
            self._beyond += np.count_nonzero(np.abs(audio) > 1)
        bits = int(self._subtype)
        full = 2 ** (bits - 1)
        integers = np.clip(np.rint(audio.astype(np.float64) * full), -full, full - 1)
        return integers.astype(np.int16) if bits == 16 else integers.astype(np.int32) << (32 - bits)


def write_stems(path: Path | str, stems: np.ndarray, rate: int) -> None:
    """Write float stems (streams, channels, samples) at `rate` Hz as the AAC streams of an MP4 file (`.stem.mp4`).

    Mono or stereo; the first stream is the mixture, where there is one. AAC is lossy; what is read back begins where
    `stems` does and ends up to a frame (1,024 samples) later. The file is whole or not there.
    Raises AudioError on another suffix, a wrong shape, or samples that are not finite.
    """
    path = Path(path)
    with naming(path):
        if path.suffix.lower() not in (".mp4", ".m4a"):
            raise AudioError(f"cannot write stems to {path.suffix or 'a file without a suffix'}: use .stem.mp4")
        stems = _writable(stems, rate, dimensions=3, shape="(streams, channels, samples)")
        from sepnb import containers

        with _written(path) as partial:
            containers.encode_aac(partial, stems, rate)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what an AudioError says."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error.__cause__


def check_rate(rate: float) -> None:
    if not rate > 0 or rate != int(rate):
        raise AudioError(f"{rate} Hz is not a rate: it must be a whole number above 0")


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """As `written_whole`; what the disk or an encoder refuses is an AudioError."""
    with _refusals(), written_whole(path) as partial:
        yield partial


@contextmanager
def _refusals() -> Iterator[None]:
    """What the disk or an encoder refuses is an AudioError."""
    try:
        yield
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"could not be written ({error}); is there room on the disk, and a right to write?") from error


def _writable(audio: np.ndarray, rate: int, dimensions: int, shape: str) -> np.ndarray:
    audio = np.asarray(audio)
    if audio.ndim != dimensions or audio.size == 0 or audio.shape[-2] > MOST_CHANNELS:
        raise AudioError(f"cannot write an array of shape {audio.shape}: it must be {shape}")
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"cannot write {audio.dtype}: audio is floating point with full scale at ±1")
    check_rate(rate)
    bad = audio.size - np.count_nonzero(np.isfinite(audio))
    if bad:
        raise AudioError(f"cannot write: {bad} of {audio.size} samples are not finite (NaN or infinite)")
    return audio.astype(np.float32, copy=False)
