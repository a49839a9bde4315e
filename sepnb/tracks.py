"""Multitrack songs, and the folders that they are found in.

A track is a song as separate sources ("stems") that add up to its mixture. `find_tracks` looks at a folder and returns
the tracks that can be used, and the others by name with the reason. It reads headers only: what takes decoding (is the
mixture the sum of its stems? is a stem silent?) is asked by `sepnb.track_checks`. What a data set looks like on disk is
known to `sepnb.track_folders`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from sepnb import audio, musdb18, track_folders
from sepnb.errors import AudioError, TrackError
from sepnb.track_folders import Part

SUBSETS = ("train", "valid", "test")
USUAL_ORDER = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Track:
    """A song as separate sources. Audio is read when asked for, float32, `start` and `duration` in seconds.

    `samples` counts samples a channel, `rate` is in Hz, `sources` are names in the order in which `stems` returns them.
    """

    name: str
    subset: str  # "train", "valid" or "test"
    rate: int
    channels: int
    samples: int
    sources: tuple[str, ...]
    _parts: tuple[tuple[Part, ...], ...] = field(repr=False)  # a source may be the sum of several files
    _mixture: Part | None = field(repr=False, default=None)
    _begin: int | None = field(repr=False, default=None)  # of a cut: its first sample in the files

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the track comes from, each once."""
        parts = [part for parts in self._parts for part in parts]
        if self._mixture is not None:
            parts.insert(0, self._mixture)
        return tuple(dict.fromkeys(part.path for part in parts))

    @property
    def parts(self) -> dict[str, tuple[Part, ...]]:
        """The files, or streams of files, that each source is made of."""
        return dict(zip(self.sources, self._parts, strict=True))

    @property
    def first(self) -> int:
        """Of a cut, its first sample in the song's files; 0 of a whole song."""
        return self._begin or 0

    @property
    def has_mixture(self) -> bool:
        """Whether the mixture is a recording of its own; otherwise it is the sum of the stems."""
        return self._mixture is not None

    def cut(self, start: float, duration: float) -> "Track":
        """The same song from `start` for `duration` seconds (less where it ends sooner), as a track of its own."""
        first = round(start * self.rate)
        samples = min(round(duration * self.rate), self.samples - first)
        if first < 0 or samples <= 0:
            raise TrackError(f"{self.name} is {self.duration:.1f} s long; there is no {duration:g} s from {start:g} s")
        return replace(self, samples=samples, _begin=self.first + first)

    def middle(self, seconds: float) -> "Track":
        """The middle `seconds` of the song, or all of it where it is shorter."""
        return self.cut(max(0.0, (self.duration - seconds) / 2), seconds)

    def mixture(self, start: float = 0.0, duration: float | None = None) -> np.ndarray:
        """The mixture as recorded, or the sum of the stems where there is none: (channels, samples)."""
        if self._mixture is None:
            return self.stems(start, duration).sum(axis=0)
        return audio.read(self._mixture.path, *self._span(start, duration))[0]  # stream 0 of a stem file is the mixture

    def stems(self, start: float = 0.0, duration: float | None = None) -> np.ndarray:
        """All sources, in the order of `sources`: (sources, channels, samples)."""
        return self._read(self._parts, start, duration)

    def stem(self, name: str, start: float = 0.0, duration: float | None = None) -> np.ndarray:
        """One source: (channels, samples)."""
        if name not in self.sources:
            raise TrackError(f"{self.name} has no source {name!r}; it has {', '.join(self.sources)}")
        return self._read((self._parts[self.sources.index(name)],), start, duration)[0]

    def _span(self, start: float, duration: float | None) -> tuple[float, float | None]:
        # Seconds in the files: those of a cut are counted from its beginning and stop at its end.
        if self._begin is None:
            return start, duration
        left = self.duration - start
        return self._begin / self.rate + start, left if duration is None else min(duration, left)

    def _read(self, wanted: tuple[tuple[Part, ...], ...], start: float, duration: float | None) -> np.ndarray:
        streams = {}  # a stem file is decoded once, whatever number of its streams is wanted
        start, duration = self._span(start, duration)

        def one(part: Part) -> np.ndarray:
            if part.stream is None:
                return audio.read(part.path, start, duration)[0]
            if part.path not in streams:
                streams[part.path] = audio.read_stems(part.path, start, duration)[0]
            return streams[part.path][part.stream]

        stems = []
        for parts in wanted:
            pieces = [one(part) for part in parts]
            _require_same_shape(self.name, parts, pieces)
            stems.append(pieces[0] if len(pieces) == 1 else np.sum(pieces, axis=0))
        _require_same_shape(self.name, [parts[0] for parts in wanted], stems)
        return np.stack(stems)


def _require_same_shape(name: str, parts: Sequence[Part], pieces: Sequence[np.ndarray]) -> None:
    """A header may promise what the file does not hold (cut short, or an MP3 whose length is a guess)."""
    for part, piece in zip(parts, pieces, strict=True):
        if piece.shape != pieces[0].shape:
            raise TrackError(
                f"{name}: {part.path} decodes to {piece.shape[1]} samples in {piece.shape[0]} channels where "
                f"{parts[0].path.name} has {pieces[0].shape[1]} in {pieces[0].shape[0]}; export the stems again"
            )


@dataclass(frozen=True)
class LeftOut:
    """A track that was found and cannot be used, and why."""

    name: str  # as found: "train/NAME" or "train/NAME.stem.mp4"
    reason: str


class Tracks(Sequence[Track]):
    """Tracks in the order train, valid, test, then by name; `tracks[0]` and `tracks["NAME"]` both work."""

    def __init__(self, tracks: Iterable[Track], left_out: Iterable[LeftOut] = (), root: Path | str = "") -> None:
        self._tracks = tuple(sorted(tracks, key=lambda track: (SUBSETS.index(track.subset), track.name)))
        self.left_out = tuple(left_out)
        self.root = Path(root)

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self._tracks)

    def __getitem__(self, which: int | str | slice) -> "Track | Tracks":
        if isinstance(which, slice):
            return Tracks(self._tracks[which], self.left_out, self.root)
        if isinstance(which, str):
            for track in self._tracks:
                if track.name == which:
                    return track
            gone = [
                left for left in self.left_out if Path(left.name).name.removesuffix(track_folders.STEM_FILE) == which
            ]
            why = f"it was left out: {gone[0].reason}" if gone else f"there are {len(self)} others"
            raise TrackError(f"no track named {which!r} in {self.root}; {why}")
        return self._tracks[which]

    def __repr__(self) -> str:
        return f"<{self.report().splitlines()[0]}>"

    def subset(self, name: str) -> "Tracks":
        """The tracks of "train", "valid" or "test" (there may be none)."""
        _require_subset(name)
        return Tracks((track for track in self if track.subset == name), self.left_out, self.root)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that every track here has."""
        return self[0].sources if len(self) else ()

    def report(self) -> str:
        """What was found, in a line, and below it what was left out and why."""
        counts = Counter(track.subset for track in self)
        parts = [f"{counts[name]} {name}" for name in SUBSETS if counts[name]]
        parts.append(_readable_time(sum(track.duration for track in self)))
        parts += [f"{rate} Hz" for rate in sorted({track.rate for track in self})]
        parts += [f"{channels} ch" for channels in sorted({track.channels for track in self})]
        lines = [f"{_count(len(self), 'track')} in {self.root}: {', '.join(parts)}; {', '.join(self.sources)}"]
        if self.left_out:
            lines.append(f"left out ({len(self.left_out)}):")
            lines += [f"  {left.name}: {left.reason}" for left in self.left_out]
        return "\n".join(lines)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _readable_time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _require_subset(name: str) -> None:
    if name not in SUBSETS:
        raise TrackError(f"no subset is called {name!r}: the subsets are {', '.join(SUBSETS)}")


def find_tracks(root: Path | str, subset: str | None = None, names: Mapping[str, str | None] | None = None) -> Tracks:
    """Find the tracks in a folder, and say which were left out and why.

    Parameters
    ----------
    root
        A folder in the layout of MUSDB18 or MUSDB18-HQ, or with a folder of stems a song (`track_folders.LAYOUTS`); or
        one such song folder, or one stem file. Without train/valid/test folders, tracks count as "train". Songs that
        musdb names for validation are "valid", unless there is a valid/ folder or they are in test/.
    subset
        Only "train" (which is without the validation songs), "valid" or "test".
    names
        Which source a stem is: `{"vox": "vocals"}` for vox.wav. Several files that are given one name are summed
        (`{"guitar": "other", "keys": "other"}`), a file that is given None does not count. Streams of a stem file go
        by their usual names, or by number ("1", "2", …; 0 is the mixture) where there are not five. Upper and lower
        case are the same.

    All tracks that are returned have the same sources: those that most of them have. A track with others, with an
    unreadable file, or with stems that differ in length, rate or channels is in `.left_out`. Headers are read, audio
    is not: see `track_checks.check_tracks`.

    Raises TrackError if there is nothing to use.
    """
    if subset is not None:
        _require_subset(subset)
    root = Path(root)
    names = {key.casefold(): source for key, source in (names or {}).items()}
    candidates = track_folders.candidates(root)
    tracks, left_out = {}, []
    for candidate in tqdm(candidates, desc="Reading headers", unit="track", delay=2, leave=False):
        try:
            tracks[candidate.where] = _open(candidate, names)
        except (AudioError, TrackError) as error:
            left_out.append(LeftOut(candidate.where, str(error)))
    left_out += _odd_sources(tracks)
    left_out += _doubles({where: tracks[where] for where in tracks.keys() - {left.name for left in left_out}})
    left_out.sort(key=lambda left: left.name)
    gone = {left.name for left in left_out}
    found = Tracks((track for where, track in tracks.items() if where not in gone), left_out, root)
    if not found:
        reasons = "\n".join(f"  {left.name}: {left.reason}" for left in found.left_out[:5])
        raise TrackError(f"none of the {_count(len(candidates), 'track')} in {root} can be used:\n{reasons}")
    if subset is not None and not found.subset(subset):
        raise TrackError(f"no track of {root} is in the subset {subset!r}; there are {found.report()}")
    return found if subset is None else found.subset(subset)


def _open(candidate: track_folders.Candidate, names: Mapping[str, str | None]) -> Track:
    contents = track_folders.contents(candidate.path, names)
    order = [name for name in USUAL_ORDER if name in contents.sources]
    order += sorted(contents.sources.keys() - set(order))
    return Track(
        name=candidate.name,
        subset=candidate.subset,
        rate=contents.info.rate,
        channels=contents.info.channels,
        samples=contents.info.samples,
        sources=tuple(order),
        _parts=tuple(contents.sources[name] for name in order),
        _mixture=contents.mixture,
    )


def _odd_sources(tracks: Mapping[str, Track]) -> list[LeftOut]:
    """Tracks whose sources are not those that most have; of equally common sets musdb's four win, then the larger."""
    sets = Counter(frozenset(track.sources) for track in tracks.values())
    usual = max(sets, key=lambda names: (sets[names], names == musdb18.sources(), len(names)), default=frozenset())
    odd = []
    for where, track in tracks.items():
        missing, extra = sorted(usual - set(track.sources)), sorted(set(track.sources) - usual)
        wrong = [f"{verb} {', '.join(names)}" for verb, names in (("has no", missing), ("also has", extra)) if names]
        if wrong:
            odd.append(LeftOut(where, f"it {' and '.join(wrong)}; most tracks here have {', '.join(sorted(usual))}"))
    return odd


def _doubles(tracks: Mapping[str, Track]) -> list[LeftOut]:
    """One song twice is a mistake, and in two subsets a leak. The one in test/ (which sorts first) stays."""
    first, doubles = {}, []
    for where in sorted(tracks):
        name = tracks[where].name
        if name in first:
            doubles.append(LeftOut(where, f"a track of this name is already there: {first[name]}"))
        first.setdefault(name, where)
    return doubles
