"""Estimates made elsewhere: a folder of stems a track, scored like any other system."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sepnb import audio
from sepnb.errors import AudioError, SepnbError
from sepnb.tracks import Track

SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
TOLERANCE = 0.1  # seconds: encoders pad, and separators that work in blocks lose the last one


@dataclass(frozen=True)
class Given:
    """The estimates of one track, read from files: a Separator for that track's mixture alone."""

    name: str
    sources: tuple[str, ...]
    rate: int
    stems: tuple[np.ndarray, ...]
    notes: tuple[str, ...]

    def __call__(self, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]:
        return dict(zip(self.sources, self.stems, strict=True))


@dataclass(frozen=True)
class EstimatesFolder:
    """Stems that some system made, as FOLDER/[SUBSET/]TRACK/STEM.wav (or .flac, .mp3, .m4a, .ogg): a Bindable.

    The system goes by the folder's name. Estimates are of whole songs, also where just the middle is scored. What is
    not as the track is, is made so with a note: another rate is resampled to the track's, a mono estimate of a track
    with more channels is laid on all of them, an end that is up to 0.1 s early or late is padded or cut.
    """

    folder: Path
    name: str

    @classmethod
    def open(cls, folder: Path | str) -> "EstimatesFolder":
        """Take a folder; SepnbError if it is none."""
        path = Path(folder).resolve()
        if not path.is_dir():
            raise SepnbError(f"{folder} is not a folder of estimates (FOLDER/TRACK/STEM.wav)")
        return cls(path, path.name)

    def files(self, track: Track) -> tuple[Path, ...]:
        """The estimates of a track, by name; none where there are none."""
        for place in (self.folder / track.subset / track.name, self.folder / track.name):
            if place.is_dir():
                found = (path for path in place.iterdir() if path.suffix.casefold() in SUFFIXES)
                return tuple(sorted(path for path in found if not path.name.startswith(".")))
        return ()

    def bind(self, track: Track) -> Given:
        """Read the estimates of a track, as long as the track and at its rate.

        Raises SepnbError where there are none, a file cannot be read, or one is of another length or channels.
        """
        paths = self.files(track)
        if not paths:
            raise SepnbError(f"no estimates of {track.name!r} in {self.folder} or {self.folder / track.subset}")
        sources = tuple(path.stem.casefold() for path in paths)
        if len(set(sources)) < len(sources):
            raise SepnbError(f"{paths[0].parent} has several files of one stem: {', '.join(p.name for p in paths)}")
        notes: list[str] = []
        stems = tuple(_read(path, track, notes) for path in paths)
        return Given(self.name, sources, track.rate, stems, tuple(notes))


def _read(path: Path, track: Track, notes: list[str]) -> np.ndarray:
    try:
        stem, rate = audio.read(path, rate=track.rate)
        stored = audio.info(path).rate
        whole = audio.info(track.files[0]).samples  # of a cut track, the song it was cut from
    except AudioError as error:
        raise SepnbError(str(error)) from error
    if stored != rate:
        notes.append(f"{path.name} was resampled from {stored} Hz")
    if len(stem) != track.channels:
        if len(stem) != 1:
            raise SepnbError(f"{path} has {len(stem)} channels; the track has {track.channels}")
        stem = np.repeat(stem, track.channels, axis=0)
        notes.append(f"{path.name} is mono and was laid on {track.channels} channels")
    off = stem.shape[1] - whole
    if abs(off) > TOLERANCE * rate:
        raise SepnbError(
            f"{path} lasts {stem.shape[1] / rate:.3f} s and the track {whole / rate:.3f} s: "
            f"an estimate must be as long as its track, to {TOLERANCE:g} s"
        )
    if off:
        notes.append(f"{path.name} was {'cut' if off > 0 else 'padded'} by {abs(off)} samples at its end")
    first = track.first
    stem = stem[:, first : first + track.samples]
    return np.pad(stem, ((0, 0), (0, track.samples - stem.shape[1])))
