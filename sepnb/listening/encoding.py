"""Stems as sounds that a browser plays: checked, encoded to a bounded size, and described for the mixer (mixer.js).

A notebook's mixer and the web page's are told the same, by `mixer_config`: what is not here, neither can show.
"""

import functools
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from sepnb.audio import resample
from sepnb.errors import SepnbError
from sepnb.listening.checking import checked_audio, checked_rate
from sepnb.listening.loudness import loudness

# Colab refuses messages of some tens of megabytes, and what is sent has to be waited for.
LARGEST_BYTES = 24_000_000
# A browser keeps sounds as 32-bit floats, and a tab that asks for more than some gigabytes dies without a word.
LARGEST_DECODED = 1_500_000_000
# kbit/s of an MP3 in stereo, the best that fits is taken; of less, one hears the encoder and not the separation.
BIT_RATES = (192, 160, 128, 96)
MOST_CHANNELS = 8  # of FLAC
MP3_RATES = (32000, 44100, 48000)
MP3_HEADER = 4096  # bytes, generously: headers, and the encoder's padding
LARGEST_MATCH = 20.0  # dB: what is quieter by more than that is bleed, not a stem that was turned down

Systems = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Sound:
    """One encoded stem of a system; `id` says nothing about either."""

    id: str
    system: str
    stem: str
    mime: str
    data: bytes


@dataclass(frozen=True)
class Encoded:
    """Encoded sounds; all were multiplied by `scale` before, so that none clips. `note` says format and size."""

    sounds: tuple[Sound, ...]
    scale: float
    note: str

    @property
    def size(self) -> int:
        """Bytes of all sounds."""
        return sum(len(sound.data) for sound in self.sounds)


def checked(systems: Systems | Mapping[str, np.ndarray], rate: int) -> dict[str, dict[str, np.ndarray]]:
    """{system: {stem: audio}} with all audio float32 (channels, samples); {stem: audio} becomes one system, "mix".

    Raises SepnbError where there is no stem, shapes differ, samples are not finite, or a name or the rate is none.
    """
    if not isinstance(systems, Mapping):
        raise SepnbError(
            f"stems come as {{stem: audio}} or {{system: {{stem: audio}}}}, not as {type(systems).__name__}"
        )
    if not systems:
        raise SepnbError("there is nothing to mix: give {stem: audio} or {system: {stem: audio}}")
    checked_rate(rate)
    if not any(isinstance(stems, Mapping) for stems in systems.values()):
        systems = {"mix": systems}
    found = {}
    for system, stems in systems.items():
        _check_name(system)
        if not isinstance(stems, Mapping) or not stems:
            raise SepnbError(f"{system!r} has no stems: give {{stem: audio (channels, samples)}}")
        found[system] = {stem: _checked_audio(system, stem, audio) for stem, audio in stems.items()}
    shapes = {
        audio.shape: f"{stem!r} of {system!r}" for system, stems in found.items() for stem, audio in stems.items()
    }
    if len(shapes) > 1:
        unlike = ", ".join(f"{name} has {channels} × {samples}" for (channels, samples), name in shapes.items())
        mend = ": cut them to one length" if len({samples for _, samples in shapes}) > 1 else ""
        raise SepnbError(f"stems of one mixer have the same channels and samples, but {unlike}{mend}")
    return found


def encode(systems: Systems, rate: int, largest: int = LARGEST_BYTES, progress: bool = False) -> Encoded:
    """Encode all stems (as `checked` gives them) to FLAC, or, where that takes more than `largest` bytes, to MP3.

    FLAC has 16 bits and gives back every sample of a 16-bit file. MP3 has the best of a few bit rates that fits; it
    takes a second for half a minute of sound, and shows a bar where `progress` is set and it takes long.
    Raises SepnbError where even that is too large, or a browser could not hold it decoded, and says what would fit.
    """
    listed = [(system, stem, audio) for system, stems in systems.items() for stem, audio in stems.items()]
    audio = listed[0][2]
    seconds = audio.shape[-1] / rate
    decoded = 4 * audio.size * len(listed)
    if decoded > LARGEST_DECODED:
        raise _too_large(len(listed), seconds, decoded, LARGEST_DECODED, "in the browser's memory")
    peak = max(float(np.abs(audio).max()) for _, _, audio in listed)
    scale = 1.0 if peak <= 1.0 else 32767 / 32768 / peak
    scaled = [audio if scale == 1.0 else audio * np.float32(scale) for _, _, audio in listed]
    form, mime, coded = "FLAC", "audio/flac", _all_flac(scaled, rate, largest)
    if coded is None:
        kbits = best_bit_rate(audio.shape, rate, len(listed), largest)
        if audio.shape[0] > 2:
            raise SepnbError(
                f"{len(listed)} sounds of {seconds:.0f} s take more than {largest / 1e6:.0f} MB as FLAC, and MP3 has "
                f"no {audio.shape[0]} channels: pick an excerpt, or fewer systems"
            )
        if kbits is None:
            least = mp3_size(audio.shape, rate, BIT_RATES[-1]) * len(listed)
            raise _too_large(len(listed), seconds, least, largest, "even as MP3")
        form, mime, coded = f"MP3, {kbits} kbit/s", "audio/mpeg", _all_mp3(scaled, rate, kbits, progress)
        scale *= mp3_level(rate, audio.shape[0], kbits)
    sounds = tuple(
        Sound(f"s{number}", system, stem, mime, data)
        for number, ((system, stem, _), data) in enumerate(zip(listed, coded, strict=True))
    )
    return Encoded(sounds, scale, f"{form}, {sum(map(len, coded)) / 1e6:.1f} MB")


def mixer_config(
    systems: Systems,
    rate: int,
    encoded: Encoded,
    *,
    reference: str | None = None,
    blind: bool = False,
    strip: bool = True,
    urls: Mapping[str, str] | None = None,
) -> dict:
    """What mixer.js is told: plain JSON, without the sounds' bytes.

    reference: the system that others are matched to in level (None: the first). blind: show nothing but the systems'
    buttons, and tell nothing more of them; levels are not matched. strip: with the spectrogram. urls: where a page
    finds each sound, by its id.
    Raises SepnbError for a reference that is not there.
    """
    from sepnb.figures.style import stem_color

    first = next(iter(systems.values()))
    channels, samples = next(iter(first.values())).shape
    # Who listens blind is not told by numbers either: X would have those of A or of B.
    unmatched = {name: dict.fromkeys(stems, 0.0) for name, stems in systems.items()}
    matches = unmatched if blind else match_db(systems, rate, reference)
    stems = dict.fromkeys(stem for named in systems.values() for stem in named)
    return {
        "rate": int(rate),
        "samples": samples,
        "channels": channels,
        "stems": [{"name": stem, "colour": stem_color(stem)} for stem in stems],
        "systems": [{"name": name, "stems": list(named), "match_db": matches[name]} for name, named in systems.items()],
        "sounds": [
            {"id": sound.id, "system": sound.system, "stem": sound.stem, "mime": sound.mime}
            | ({} if blind else {"bytes": len(sound.data)})
            | ({"url": urls[sound.id]} if urls else {})
            for sound in encoded.sounds
        ],
        "scale": encoded.scale,
        "note": encoded.note.split(",")[0] if blind else encoded.note,  # the format alone
        "blind": blind,
        "strip": strip,
    }


def match_db(systems: Systems, rate: int, reference: str | None = None) -> dict[str, dict[str, float]]:
    """For each system and stem, the gain in dB that makes it as loud as that stem of the reference (BS.1770).

    reference: a system's name (None: the first). The gain is within ±20 dB; it is 0 where the reference has no such
    stem, where either is silent, and where loudness is not defined (more than five channels, a rate below 4 kHz).
    """
    reference = next(iter(systems)) if reference is None else reference
    if reference not in systems:
        raise SepnbError(f"no system {reference!r} to match the others to; there are {', '.join(systems)}")
    if len(systems) == 1:
        return {reference: dict.fromkeys(systems[reference], 0.0)}
    measured = {
        name: {stem: _loudness(audio, rate) for stem, audio in stems.items()} for name, stems in systems.items()
    }
    wanted = measured[reference]
    matches: dict[str, dict[str, float]] = {}
    for name, stems in measured.items():
        gains = {stem: wanted.get(stem, -np.inf) - found for stem, found in stems.items()}
        matches[name] = {
            stem: float(np.clip(gain, -LARGEST_MATCH, LARGEST_MATCH)) if np.isfinite(gain) else 0.0
            for stem, gain in gains.items()
        }
    return matches


def flac_bytes(audio: np.ndarray, rate: int) -> bytes:
    """Audio (channels, samples) as a 16-bit FLAC file: lossless, about half of WAV, and every browser plays it.

    Samples on the 16-bit grid come back exactly; what is beyond ±1 is clipped.
    """
    integers = np.clip(np.rint(audio.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, integers.T, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def mp3_bytes(audio: np.ndarray, rate: int, kbits: int) -> bytes:
    """Audio (channels, samples), mono or stereo, as an MP3 file of `kbits` kbit/s in stereo, half of that in mono.

    Rates that MP3 does not have, or has poorly, are resampled to 44.1 kHz.
    """
    from sepnb.containers import Encoder

    if rate not in MP3_RATES:
        audio, rate = resample(audio, rate, 44100), 44100
    # Of LAME's ten settings, the third from the quickest: of half the time, and hard to tell at these bit rates.
    coding = {"b": str(1000 * kbits * len(audio) // 2), "compression_level": "7"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.mp3"
        with Encoder(path, rate, len(audio), "libmp3lame", coding, "mp3") as encoder:
            encoder.write(audio[np.newaxis])
        return path.read_bytes()


@functools.cache
def mp3_level(rate: int, channels: int, kbits: int) -> float:
    """The level at which `mp3_bytes` gives a sound back, as a factor: LAME turns it down by some per cent."""
    tone = 0.3 * np.sin(2 * np.pi * 441 * np.arange(rate) / rate, dtype=np.float64)
    data = mp3_bytes(np.float32([tone] * channels), rate, kbits)
    back, back_rate = soundfile.read(io.BytesIO(data), always_2d=True)
    middle = back[back_rate // 4 : 3 * back_rate // 4]
    return float(np.sqrt(2 * np.mean(middle**2)) / 0.3)


def mp3_size(shape: tuple[int, int], rate: int, kbits: int) -> int:
    """About how many bytes `mp3_bytes` gives for audio of a shape (channels, samples)."""
    channels, samples = shape
    return int(samples / rate * 1000 * kbits * channels / 2 / 8) + MP3_HEADER


def best_bit_rate(
    shape: tuple[int, int], rate: int, count: int, largest: int, bit_rates: Sequence[int] = BIT_RATES
) -> int | None:
    """The first of `bit_rates` at which `count` sounds of a shape take at most `largest` bytes; None where none does.

    None, too, for more than two channels, which MP3 does not have.
    """
    if shape[0] > 2:
        return None
    return next((kbits for kbits in bit_rates if mp3_size(shape, rate, kbits) * count <= largest), None)


def _all_flac(sounds: Sequence[np.ndarray], rate: int, largest: int) -> list[bytes] | None:
    """All as FLAC, or None as soon as they take more than `largest` bytes."""
    coded, size = [], 0
    for audio in sounds:
        coded.append(flac_bytes(audio, rate))
        size += len(coded[-1])
        if size > largest:
            return None
    return coded


def _all_mp3(sounds: Sequence[np.ndarray], rate: int, kbits: int, progress: bool) -> list[bytes]:
    """All as MP3, one on each processor: LAME leaves Python's lock alone while it works."""
    from tqdm.auto import tqdm

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        coded = pool.map(lambda audio: mp3_bytes(audio, rate, kbits), sounds)
        return list(tqdm(coded, "MP3", len(sounds), unit="sound", leave=False, delay=3, disable=not progress))


def _too_large(count: int, seconds: float, size: int, largest: int, where: str) -> SepnbError:
    return SepnbError(
        f"{count} sounds of {seconds:.0f} s take {size / 1e6:.0f} MB {where}, and the mixer takes {largest / 1e6:.0f}: "
        f"pick an excerpt of about {max(1, int(0.95 * seconds * largest / size))} s, or fewer systems"
    )


def _loudness(audio: np.ndarray, rate: int) -> float:
    try:
        return loudness(audio, rate)
    except SepnbError:
        return -np.inf


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise SepnbError(f"{name!r} is not a name: systems and stems are named by text")


def _checked_audio(system: str, stem: str, audio: np.ndarray) -> np.ndarray:
    _check_name(stem)
    if isinstance(audio, Mapping):
        raise SepnbError(
            f"{stem!r} of {system!r} is a dict and no audio: give {{stem: audio}} or {{system: {{stem: audio}}}}"
        )
    audio = checked_audio(audio, f"{stem!r} of {system!r}")
    if len(audio) > MOST_CHANNELS:
        raise SepnbError(f"{stem!r} of {system!r} has {len(audio)} channels: the mixer takes {MOST_CHANNELS} at most")
    return audio
