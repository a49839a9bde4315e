"""Compressed audio in containers: MP3, AAC, the streams of `.stem.mp4`, and more that FFmpeg's libraries know.

PyAV carries those libraries with it, so no ffmpeg program is needed. The way in is `sepnb.audio`, which puts the name
of the file in front of the errors raised here.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

import av
import numpy as np

from sepnb.errors import AudioError

# The formats that hold their sound themselves, as FFmpeg names them. It knows others, by whose content it opens further
# files (playlists: HLS, DASH, lists to be joined): with those, whoever sends a file could read any on this machine.
FORMATS = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
OPENING = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
HIGHEST_RATE = 768_000  # Hz; more than that is a header gone wrong

# A codec that is entered in mid-stream needs some blocks before its output is right: the overlap of AAC, the bits that
# MP3 saves up for later frames (half a second of them in the worst case), the state of filters.
PRE_ROLL_SECONDS = 0.5

# Encoders pad to whole frames, so a stream may end a frame or two from where it should; if more, sound was lost.
ALLOWED_DIFFERENCE = 4096

ENCODER_FRAME = 1024
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class Container:
    """An open file with audio streams of one rate in Hz and one number of channels; a context manager."""

    def __init__(self, path: Path):
        self.path = path
        self._used = False
        try:
            self._container = av.open(f"file:{path}", options=OPENING)  # or "Live: ….mp3" would be a protocol
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioError(
                f"not audio in a known format, or cut short or damaged ({_reason(error)}); if it should be, copy or "
                "download it again"
            ) from error
        # Beside AAC, telephones write streams in codecs that FFmpeg does not know.
        found = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        self._audio, self.streams = found, len(found)
        if not found:
            unknown = len(self._container.streams.audio) > 0
            self.close()
            raise AudioError("its sound is in an unknown codec: save it as MP3" if unknown else "has no audio stream")
        if self._is_mp4():
            # Up to FFmpeg 8, an AAC stream is given to the end of its last frame (by stempeg, too, which calls that
            # program); FFmpeg 9 cuts it where the header says. So that a file has one length everywhere, the decoder
            # is told to cut nothing, and what comes before the first sample to be heard is dropped here.
            for stream in found:
                stream.codec_context.options = {"flags2": "+skip_manual"}
        self.rate = found[0].rate
        self.channels = found[0].codec_context.layout.nb_channels
        if not (0 < self.rate <= HIGHEST_RATE and self.channels > 0):
            self.close()
            raise AudioError(
                f"its header says {self.channels} channels at {self.rate} Hz: it is damaged; copy it again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    def length(self, most: int | None = None) -> int:
        """Samples of the first stream, as decoding would give; decodes the last second alone where that is possible.

        Where it is not, all is decoded, or at least `most` samples: what is longer gives a number from there on.
        """
        stream = self._audio[0]
        if self._jumps() and stream.duration:
            last_second = [_Track(stream, most)]
            with suppress(AudioError):  # if what was promised is not there, see below how much is
                self._decode(last_second, enter_at=max(float(stream.duration * stream.time_base) - 1, 0))
                if last_second[0].end > 0:
                    return last_second[0].end
        with self._unused() as container:
            everything = [_Track(container._audio[0], most)]
            container._decode(everything)
            return everything[0].end

    def tags(self) -> dict[str, str]:
        """What the file says of itself: title, comment and the like, by their names in lower case."""
        return {name.lower(): value for name, value in self._container.metadata.items()}

    def read(self, first: int, count: int | None, all_streams: bool) -> np.ndarray:
        """Samples `first` to `first + count` (None: to the end) of the first or of all streams.

        Returns float32 (streams, channels, samples), equal to the same slice of the whole to the last bit.
        """
        streams = self._chosen(all_streams)
        before = 2 * PRE_ROLL_SECONDS
        if first > before * self.rate and self._jumps():
            # Some codecs draw noise from a generator that runs on from the first frame of the file (AAC's noise
            # substitution), others remember for long. So one decoder reads the excerpt twice, with more and with less
            # before it. If both agree, what went before does not matter; if not, only the beginning is early enough.
            attempts = []
            for pre_roll in (before, before / 2):
                wanted = _Excerpt(streams, first, count)
                try:
                    self._decode(wanted.tracks, enter_at=first / self.rate - pre_roll)
                except AudioError:
                    break
                attempts.append(wanted.samples())
            if len(attempts) == 2 and np.array_equal(*attempts):
                return attempts[0]
        with self._unused() as container:
            wanted = _Excerpt(container._chosen(all_streams), first, count)
            container._decode(wanted.tracks)
            return wanted.samples()

    @contextmanager
    def _unused(self) -> Iterator["Container"]:
        """This file with its decoders as they should be before the first frame."""
        if not self._used:
            yield self
            return
        with Container(self.path) as opened_anew:
            yield opened_anew

    def _chosen(self, all_streams: bool) -> list[av.AudioStream]:
        streams = self._audio[: None if all_streams else 1]
        forms = {(stream.codec_context.layout.nb_channels, stream.rate) for stream in streams}
        if len(forms) > 1:
            told = ", ".join(f"{channels} at {rate} Hz" for channels, rate in sorted(forms))
            raise AudioError(f"its audio streams differ in channels or rate ({told}): they are not stems of one song")
        return streams

    def _is_mp4(self) -> bool:
        return "mov" in self._container.format.name.split(",")

    def _jumps(self) -> bool:
        """Whether time stamps are as exact after a jump as without one, so that any sample can be found again."""
        return self._is_mp4() or self._container.format.name == "mp3"

    def _decode(self, tracks: list["_Track"], enter_at: float | None = None) -> None:
        """Decode into the tracks, in one pass over the file, from its beginning or from `enter_at` (seconds) on.

        One pass in one thread is what measured fastest: threads wait for each other's Python between two packets.
        """
        self._used = True
        waiting = {track.stream.index: track for track in tracks}
        try:
            if enter_at is not None:
                stream = tracks[0].stream
                self._container.seek((stream.start_time or 0) + round(enter_at / stream.time_base), stream=stream)
            if enter_at is not None or self._is_mp4():
                for track in tracks:
                    track.enter()
            for packet in self._container.demux([track.stream for track in tracks]):
                track = waiting.get(packet.stream.index)
                if track is None:
                    continue
                for frame in packet.decode():
                    if not packet.is_discard:  # else it lies outside of what the file's edit list shows
                        track.take(frame)
                if track.is_done():
                    del waiting[packet.stream.index]
                    if not waiting:
                        break
        except av.error.FFmpegError as error:
            reached = min(track.end for track in tracks) / self.rate
            raise AudioError(
                f"cut short or damaged: decoding stops at {reached:.2f} s ({_reason(error)}); copy or download it again"
            ) from error
        for track in tracks:
            track.check_end()


class _Track:
    """Where decoding has got to in one stream, and what becomes of its frames."""

    def __init__(
        self, stream: av.AudioStream, last: int | None = None, keep: Callable[[int, av.AudioFrame], None] | None = None
    ):
        self.stream = stream
        self.end = 0  # the sample at which the last decoded frame ended
        self._last = last  # the sample at which the excerpt ends; None: with the stream
        self._keep = keep  # called with the sample at which a frame begins, and the frame
        self._look_at_clock = False

    def enter(self) -> None:
        """Be told that the next frame need not be the first: its time stamp will say where it is."""
        self._look_at_clock = True

    def take(self, frame: av.AudioFrame) -> None:
        begin = self.end  # frames follow each other; a clock that ticks in milliseconds would tear them apart
        if self._look_at_clock:
            stream = self.stream
            ticks = frame.pts - (stream.start_time or 0)  # from the first sample heard, after the encoder's padding
            begin = round(ticks * stream.time_base * stream.rate)
            self._look_at_clock = False
        self.end = begin + frame.samples
        if self._keep is not None:
            self._keep(begin, frame)

    def is_done(self) -> bool:
        return self._last is not None and self.end >= self._last

    def check_end(self) -> None:
        """AudioError if the stream ended well before its header says."""
        promised = _promised_samples(self.stream)
        if promised is None:
            return
        needed = promised if self._last is None else min(promised, self._last)
        if self.end < needed - ALLOWED_DIFFERENCE:
            there, said = self.end / self.stream.rate, promised / self.stream.rate
            raise AudioError(f"cut short: {there:.2f} s of its {said:.2f} s are there; copy or download it again")


class _Excerpt:
    """Samples `first` to `first + count` of some streams, in one array that frames are copied into as they come."""

    def __init__(self, streams: list[av.AudioStream], first: int, count: int | None):
        self._first = first
        self._last = None if count is None else first + count
        self._filled = [0] * len(streams)
        if count is None:
            count = max((_promised_samples(streams[0]) or 0) + 2 * ENCODER_FRAME - first, 0)
        channels = streams[0].codec_context.layout.nb_channels
        self._array = np.empty((len(streams), channels, count), np.float32)
        self.tracks = [_Track(stream, self._last, partial(self._keep, row)) for row, stream in enumerate(streams)]

    def _keep(self, row: int, begin: int, frame: av.AudioFrame) -> None:
        """Copy what is wanted of a frame that begins at a sample."""
        skipped = max(self._first - begin, 0)
        stop = frame.samples if self._last is None else min(frame.samples, self._last - begin)
        if stop <= skipped:
            return
        filled = self._filled[row]
        self._filled[row] = stop = filled + stop - skipped
        if stop > self._array.shape[2]:  # the header promised less, or nothing
            self._array = np.pad(self._array, ((0, 0), (0, 0), (0, stop)))
        for samples, values in zip(self._array[row], _channels(frame), strict=True):
            samples[filled:stop] = values[skipped : skipped + stop - filled]

    def samples(self) -> np.ndarray:
        """Float32 (streams, channels, samples), cut to the shortest as by stempeg; AudioError if they differ much."""
        shortest = min(self._filled)
        if max(self._filled) - shortest > ALLOWED_DIFFERENCE:
            raise AudioError(f"its audio streams differ in length: {', '.join(map(str, self._filled))} samples")
        return self._array[:, :, :shortest]


def _promised_samples(stream: av.AudioStream) -> int | None:
    """Samples by the header; None where there is only a guess by the file's size (raw AAC, MP3 without LAME's)."""
    exact = "mov" in stream.container.format.name.split(",") or stream.start_time
    if not exact or not stream.duration:
        return None
    return round(stream.duration * stream.time_base * stream.rate)


def _channels(frame: av.AudioFrame) -> list[np.ndarray] | np.ndarray:
    """The samples of a frame as floats, channel by channel; integers are scaled to [-1, 1)."""
    if frame.format.name == "fltp":  # what AAC and MP3 decode to: spare the copy that to_ndarray makes
        return [np.frombuffer(plane, np.float32, frame.samples) for plane in frame.planes]
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(frame.samples, -1).T
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if np.issubdtype(array.dtype, np.integer):
        return array / -float(np.iinfo(array.dtype).min)
    return array


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def encode_aac(path: Path, stems: np.ndarray, rate: int) -> None:
    """Encode float32 (streams, channels, samples) as the AAC streams of an MP4 file; 256 kbit/s in 44.1 kHz stereo."""
    _check_form(stems.shape[1], rate, AAC_RATES, "AAC")
    coding = {
        "b": str(round(128_000 * stems.shape[1] * min(rate / 44100, 1))),
        "aac_pns": "0",  # noise substitution puts noise where music was; the encoder of MUSDB18 did not use it either
    }
    # By the usual clock of milliseconds, an MP4 file may end before its last samples.
    options = {"movie_timescale": str(rate)}
    with Encoder(path, rate, stems.shape[1], "aac", coding, "mp4", streams=len(stems), options=options) as encoder:
        encoder.write(stems)


def mp3_encoder(path: Path, channels: int, rate: int, tags: Mapping[str, str]) -> "Encoder":
    """An encoder to MP3, for one stream: 320 kbit/s; below 32 kHz the best variable bit rate."""
    _check_form(channels, rate, MP3_RATES, "MP3")
    # Below 32 kHz, LAME turns the level down by 5 % at constant bit rates.
    coding = {"b": "320000"} if rate >= 32000 else {"flags": "+qscale", "global_quality": "0"}
    return Encoder(path, rate, channels, "libmp3lame", coding, "mp3", tags=tags)


def _check_form(channels: int, rate: int, rates: tuple[int, ...], name: str) -> None:
    if channels > 2:
        raise AudioError(f"{name} is written with one or two channels, not {channels}")
    if rate not in rates:
        raise AudioError(f"{name} has no rate of {rate} Hz; resample to one of {', '.join(map(str, rates))}")


class Encoder:
    """An open file whose streams are encoded block by block, with a codec and a container and the options of each.

    A context manager. On leaving it well, the file is complete; on leaving it with an error, it is torn.
    """

    def __init__(
        self,
        path: Path,
        rate: int,
        channels: int,
        codec: str,
        coding: dict[str, str],
        form: str,
        *,
        streams: int = 1,
        options: dict[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self._rate, self._written = rate, 0
        self._layout = "mono" if channels == 1 else "stereo"
        with _encoding():
            self._container = av.open(str(path), "w", format=form, options=options or {})
            self._container.metadata.update(tags or {})
            self._streams = [self._container.add_stream(codec, rate=rate, options=coding) for _ in range(streams)]
            for stream in self._streams:
                stream.layout = self._layout
                stream.format = "fltp"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception) -> None:
        with _encoding():
            try:
                if kind is None:
                    for stream in self._streams:
                        self._container.mux(stream.encode(None))
            finally:
                self._container.close()

    def write(self, stems: np.ndarray) -> None:
        """Encode a block, float32 (streams, channels, samples), that follows what was written before."""
        with _encoding():
            # Streams take turns, so that an excerpt of all of them lies in one place of the file.
            for begin in range(0, stems.shape[-1], ENCODER_FRAME):
                for stream, stem in zip(self._streams, stems, strict=True):
                    block = np.ascontiguousarray(stem[:, begin : begin + ENCODER_FRAME])
                    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._layout)
                    frame.sample_rate = self._rate
                    frame.pts = self._written + begin
                    self._container.mux(stream.encode(frame))
            self._written += stems.shape[-1]


@contextmanager
def _encoding() -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        raise AudioError(f"could not be encoded or written ({_reason(error)})") from error
