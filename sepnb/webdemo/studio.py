"""What the demo does for a visitor, without a page around it: separate, change, show, and hand out files."""

import functools
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sepnb import audio
from sepnb.errors import SepnbError
from sepnb.listening.bundle import Origin, common_scale, distinct_names, write_bundle, write_stem
from sepnb.listening.equalizer import Equalizer
from sepnb.listening.pictures import spectrograms_png
from sepnb.listening.separating import Report, Stopped, separate_with_progress
from sepnb.listening.uploads import Upload, look_at, read_upload
from sepnb.separators.base import describe
from sepnb.webdemo.limits import DemoLimits
from sepnb.webdemo.models import ModelShelf
from sepnb.webdemo.places import Places
from sepnb.webdemo.songs import SongShelf
from sepnb.webdemo.visitors import Visitor

ORIGINAL = "original"
SEPARATED = "separated"
CHANGED = "changed"
MOST_SEMITONES = 12
LOWEST_FADER, HIGHEST_FADER = -80.0, 24.0  # dB; what a page can ask for


@dataclass(frozen=True)
class Take:
    """A separated song: 16-bit FLAC files in one folder, all multiplied by `scale` so that none clips."""

    folder: Path
    song: str
    note: str
    model: str
    settings: Mapping[str, Any]
    rate: int
    channels: int
    samples: int
    scale: float
    original: Path
    stems: Mapping[str, Path]
    changed: Mapping[str, Path] = field(default_factory=dict)
    semitones: float = 0
    equalizers: Mapping[str, Equalizer] = field(default_factory=dict)
    changes: tuple[str, ...] = ()

    @property
    def heard(self) -> Mapping[str, Path]:
        """The stems as they are now: changed, or as separated."""
        return self.changed or self.stems

    @property
    def seconds(self) -> float:
        """Length."""
        return self.samples / self.rate

    def read(self, which: Mapping[str, Path] | None = None) -> dict[str, np.ndarray]:
        """Stems (channels, samples) at their own level."""
        files = self.stems if which is None else which
        return {name: audio.read(path)[0] / np.float32(self.scale) for name, path in files.items()}


def _light(method: Callable[..., Any]) -> Callable[..., Any]:
    """Of such methods of a studio, only so many run side by side."""

    @functools.wraps(method)
    def counted(self: "Studio", *arguments: Any, **named: Any) -> Any:
        with self._light_jobs.held(self.limits.job_seconds):
            return method(self, *arguments, **named)

    return counted


class Studio:
    """Separating and what follows, for any visitor; every argument from a page is looked at here."""

    def __init__(self, limits: DemoLimits, models: ModelShelf, songs: SongShelf, check_room: Callable[[], None]):
        self.limits, self.models, self.songs = limits, models, songs
        self._check_room = check_room
        self._jobs = Places(limits.jobs)
        self._light_jobs = Places(limits.light_jobs)

    @_light
    def look(self, upload: str) -> audio.AudioInfo:
        """What an uploaded file's header says. Raises SepnbError where it cannot be taken."""
        return look_at(upload, self.limits.uploads)

    def separate(
        self, visitor: Visitor, upload: str | None, song: object, model: object, start: object, length: object,
        report: Report = lambda done, total, left: None,
    ) -> Take:  # fmt: skip
        """Separate an excerpt of an uploaded file, or of a demo song where there is none; kept as the visitor's take.

        Raises Stopped where the visitor has stopped it, and SepnbError with a sentence for whatever cannot be done.
        """
        self._check_room()
        first = number(start, "the start", 0.0, self.limits.song_seconds)
        seconds = number(length, "the length", 1.0, self.limits.seconds)
        separator = self.models.get(model)  # may be a download, which takes nobody's place
        with self._jobs.held(self.limits.job_seconds, lambda: _go_on(visitor)):
            began = time.monotonic()
            taken = self._read(upload, song, first, seconds)
            _go_on(visitor)
            left = round(self.limits.job_seconds - (time.monotonic() - began))
            if left < 1:
                raise SepnbError(f"reading {taken.name} took too long: save it as WAV, FLAC or MP3")
            stems = separate_with_progress(separator, taken.audio, taken.rate, report, visitor.stop.is_set, left)
            return self._kept(visitor, taken, stems, str(model), describe(separator))

    def _read(self, upload: str | None, song: object, start: float, seconds: float) -> Upload:
        path = Path(upload) if upload else self.songs.path(song) if isinstance(song, str) else None
        if path is None:
            raise SepnbError("there is nothing to separate yet: upload a song, or choose one of the demo songs")
        return read_upload(path, self.limits.uploads, start, seconds)

    def _kept(
        self, visitor: Visitor, taken: Upload, stems: Mapping[str, np.ndarray], model: str, settings: Mapping[str, Any]
    ) -> Take:
        """Stems of an excerpt as files of the visitor's, in the place of those before."""
        scale = common_scale({ORIGINAL: taken.audio, **stems})
        folder = _new_folder(visitor)
        files = _written(folder, taken.name, stems, taken.rate, scale)
        take = Take(
            folder=folder,
            song=taken.name,
            note=taken.note,
            model=model,
            settings=dict(settings) | {"excerpt from (s)": taken.start, "seconds": round(taken.duration, 3)},
            rate=taken.rate,
            channels=len(taken.audio),
            samples=taken.audio.shape[-1],
            scale=scale,
            original=write_stem(folder / "original.flac", taken.audio, taken.rate, scale),
            stems=files,
        )
        visitor.made = take
        _clear(visitor, take)
        return take

    def take(self, visitor: Visitor) -> Take:
        """The visitor's take. Raises SepnbError where there is none (any more)."""
        if visitor.made is None:
            raise SepnbError("there are no stems here (any more): separate a song first")
        return visitor.made

    @_light
    def change(self, visitor: Visitor, semitones: object, equalizers: Mapping[str, Equalizer]) -> Take:
        """The take with its stems shifted by so many semitones (drums stay) and equalised, from the separated ones."""
        self._check_room()
        take = self.take(visitor)
        shift = number(semitones, "the pitch", -MOST_SEMITONES, MOST_SEMITONES)
        used = {name: equalizer for name, equalizer in equalizers.items() if equalizer.bands}
        for name in used:
            if name not in take.stems:
                raise SepnbError(f"there is no stem {name} to equalise: take one of {', '.join(take.stems)}")
        if shift or used:
            stems, changes = _changed(take, shift, used)
            peak = max(float(np.abs(stem).max()) for stem in stems.values()) * take.scale
            lower = min(1.0, 0.999 / peak) if peak else 1.0
            if lower < 1:
                changes.append(
                    f"All stems were lowered by {-20 * math.log10(lower):.1f} dB, or one would have clipped."
                )
            files = _written(_new_folder(visitor), take.song, stems, take.rate, take.scale * lower)
            made = replace(take, changed=files, semitones=shift, equalizers=used, changes=tuple(changes))
        else:
            made = replace(take, changed={}, semitones=0, equalizers={}, changes=())
        visitor.made = made
        _clear(visitor, made)
        return made

    @_light
    def fit(self, visitor: Visitor, stem: object, target: object) -> Any:
        """The match of a stem's long-term spectrum to a named curve, or to another stem of the take."""
        from sepnb.listening.equalizer_fit import match_spectrum

        take = self.take(visitor)
        if stem not in take.stems:
            raise SepnbError(f"choose the stem to equalise: one of {', '.join(take.stems)}")
        if target == stem:
            raise SepnbError(f"{stem} sounds like itself already: choose another target")
        sound = take.read({stem: take.stems[stem]})[stem]
        reference = take.read({target: take.stems[target]})[target] if target in take.stems else target
        if isinstance(reference, str) and reference not in curve_names():
            raise SepnbError(f"there is no target of that name: take {', '.join(curve_names())}, or another stem")
        return match_spectrum(sound, reference, take.rate)

    @_light
    def picture(self, visitor: Visitor) -> Path:
        """Spectrograms of the original and the stems as they are now, a PNG in the take's folder."""
        take = self.take(visitor)
        sounds = {ORIGINAL: audio.read(take.original)[0] / np.float32(take.scale), **take.read(take.heard)}
        path = _home(take) / "spectrograms.png"
        path.write_bytes(spectrograms_png(sounds, take.rate))
        return path

    @_light
    def bundle(self, visitor: Visitor, gains_db: Mapping[str, float]) -> Path:
        """A zip of the stems as they are now and their mix by the faders."""
        self._check_room()
        take = self.take(visitor)
        gains = {name: float(gain) for name, gain in gains_db.items() if name in take.stems}
        origin = Origin(take.song, take.model, take.settings, take.changes)
        return write_bundle(
            _home(take) / f"{take.song} - {take.model}.zip", take.read(take.heard), take.rate, origin, gains
        )


def _go_on(visitor: Visitor) -> None:
    """Raise Stopped where a visitor has pressed Stop, or closed the page."""
    if visitor.stop.is_set():
        raise Stopped("stopped")


def curve_names() -> list[str]:
    """Target curves that an equaliser can be fitted to."""
    from sepnb.listening.equalizer_fit import TARGET_CURVES

    return list(TARGET_CURVES)


def number(value: object, what: str, lowest: float, highest: float) -> float:
    """A number from a page. Raises SepnbError where it is none, or out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SepnbError(f"{what} must be a number from {lowest:g} to {highest:g}")
    if not lowest <= value <= highest:
        raise SepnbError(f"{what} must lie from {lowest:g} to {highest:g}, not at {value:g}")
    return float(value)


def faders(values: object) -> dict[str, float]:
    """Gains in dB by stem, as a page sends them: null is silence. Raises SepnbError for anything else."""
    if not isinstance(values, dict) or len(values) > 64:
        raise SepnbError("the faders' positions could not be read: reload the page")
    return {
        str(name): -math.inf if gain is None else number(gain, "a fader", LOWEST_FADER, HIGHEST_FADER)
        for name, gain in values.items()
    }


def _changed(
    take: Take, semitones: float, equalizers: Mapping[str, Equalizer]
) -> tuple[dict[str, np.ndarray], list[str]]:
    stems = take.read()
    changes = []
    if semitones:
        from sepnb.listening.pitch import shift_stems

        stems = shift_stems(stems, take.rate, semitones)
        kept = " (drums as they were)" if "drums" in stems else ""
        changes.append(f"Shifted by {semitones:+g} semitones{kept}.")
    for name, equalizer in equalizers.items():
        stems[name] = equalizer.filter(stems[name], take.rate)
        changes.append(f"{name} was equalised: {_bands_in_words(equalizer)}.")
    return stems, changes


def _bands_in_words(equalizer: Equalizer) -> str:
    return ", ".join(f"{band.gain:+.1f} dB at {band.frequency:.0f} Hz" for band in equalizer.bands)


def _new_folder(visitor: Visitor) -> Path:
    number = max([int(folder.name) for folder in visitor.folder.glob("[0-9]*")], default=0) + 1
    folder = visitor.folder / str(number)
    folder.mkdir()
    return folder


def _home(take: Take) -> Path:
    """The folder of the stems as they are now: another one after every change, so that no browser shows an old file."""
    return next(iter(take.heard.values())).parent


def _clear(visitor: Visitor, take: Take) -> None:
    """Remove the folders that a take no longer needs."""
    needed = {take.folder, *(path.parent for path in take.changed.values())}
    for folder in visitor.folder.iterdir():
        if folder not in needed:
            shutil.rmtree(folder, ignore_errors=True)


def _written(folder: Path, song: str, stems: Mapping[str, np.ndarray], rate: int, scale: float) -> dict[str, Path]:
    """Stems as FLAC files, under the names that a visitor gets them by."""
    names = distinct_names(stems)
    return {
        name: write_stem(folder / f"{song} - {names[name]}.flac", stem, rate, scale, title=f"{song} – {name}")
        for name, stem in stems.items()
    }
