"""What a chunk store says about itself: `manifest.json`, one readable file with a record a song.

The manifest is the only witness: a song that it does not list is not in the store, whatever lies in the folder. It is
replaced in one step after every song, so at any moment it lists only songs that are whole.
"""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from sepnb.errors import SepnbError, StoreError
from sepnb.files import checksum, read_json, write_json
from sepnb.track_folders import Part
from sepnb.tracks import LeftOut, Track

MANIFEST = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class Settings:
    """What all songs of a store have in common; a store is made with one such set and keeps it."""

    format: str  # "store" (one array a song) or "wav" (a plain copy in the layout of MUSDB18-HQ)
    dtype: str  # of the samples: "int16" or "float16"
    excerpt: float | None  # seconds kept of each song; None is whole songs
    at: str | float | None  # where the excerpt lies: "loudest", "centre", a start in seconds; None for whole songs
    rate: int  # Hz
    channels: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class OriginFile:
    """A file that a song was made from. Size and time tell cheaply that it is the same, the hash tells for certain."""

    name: str
    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Origin:
    """Where a song came from: its files, and which of them (and which stream of them) is which source."""

    rate: int
    sources: dict[str, list[str]]
    files: tuple[OriginFile, ...]

    def looks_like(self, track: Track) -> bool:
        """Whether the track's files have the names, sizes and times recorded here; reads no content."""
        return self._assignment() == _assignment(track) and [
            (file.name, file.bytes, file.mtime_ns) for file in self.files
        ] == [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in track.files]

    def same_content(self, other: "Origin") -> bool:
        """Whether two origins hold the same audio, whatever the times of their files."""
        return self._assignment() == other._assignment() and [(file.name, file.sha256) for file in self.files] == [
            (file.name, file.sha256) for file in other.files
        ]

    def _assignment(self) -> tuple[int, dict[str, list[str]]]:
        return self.rate, self.sources


def origin_of(track: Track) -> Origin:
    """Hash a track's files (reads all of them)."""
    files = []
    for path in track.files:
        stat = path.stat()  # before the hash: if the file changes meanwhile, the next run sees another time
        files.append(OriginFile(path.name, stat.st_size, stat.st_mtime_ns, checksum(path)))
    return Origin(*_assignment(track), tuple(files))


def _assignment(track: Track) -> tuple[int, dict[str, list[str]]]:
    """The rate, and which file or stream is which source: a caller who corrects a name wants the song made anew."""
    described = {source: [_part_name(part) for part in parts] for source, parts in track.parts.items()}
    return track.rate, described


def _part_name(part: Part) -> str:
    return part.path.name if part.stream is None else f"{part.path.name} stream {part.stream}"


@dataclass(frozen=True)
class StoredFile:
    """A file of the store: its path below the store, and what it must be to count as whole."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A song in a store. `samples` counts samples a channel at the store's rate."""

    name: str
    subset: str  # "train", "valid" or "test"
    samples: int
    start: float  # where in the song the excerpt begins, in seconds
    gains: tuple[float, ...]  # by source: a sample of 1.0 is stored as 32768 / gain (int16), or as 1 / gain (float16)
    clipped: int  # samples that did not fit into 16 bits; always 0 where gains make them fit
    folder: str  # below the store
    files: tuple[StoredFile, ...]
    origin: Origin = field(repr=False)

    def broken_file(self, root: Path) -> str | None:
        """What is wrong with the first of the song's files that is missing or not as long as it was; None if none."""
        for file in self.files:
            path = root / file.name
            if not path.is_file():
                return f"{path} is missing"
            if path.stat().st_size != file.bytes:
                return f"{path} has {path.stat().st_size} bytes where {file.bytes} were written: it is torn"
        return None


@dataclass
class Manifest:
    """The content of `manifest.json`: settings and songs, and whether the preparation that wrote it came to its end."""

    settings: Settings
    entries: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    complete: bool = False

    def find(self, folder: str) -> Entry | None:
        """The song that lies in this folder of the store, if it is listed."""
        return next((entry for entry in self.entries if entry.folder == folder), None)

    def put(self, entry: Entry) -> None:
        """List a song, in place of an earlier version of it; songs are kept in order of subset and name."""
        self.drop(entry.folder)
        self.entries = sorted([*self.entries, entry], key=lambda each: (each.subset, each.name))

    def drop(self, folder: str) -> None:
        """List a song no longer."""
        self.entries = [entry for entry in self.entries if entry.folder != folder]

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of what the store holds: settings, names, subsets and the content of every song."""
        songs = [[entry.subset, entry.name, *[file.sha256 for file in entry.files]] for entry in self.entries]
        return sha256(json.dumps([asdict(self.settings), songs]).encode()).hexdigest()[:16]

    def save(self, root: Path) -> None:
        """Write `manifest.json`, whole or not at all."""
        about = {"what": "made by sepnb prepare", "version": VERSION, "complete": self.complete}
        write_json(
            root / MANIFEST,
            {
                **about,
                "settings": asdict(self.settings),
                "songs": [asdict(entry) for entry in self.entries],
                "left_out": [asdict(left) for left in self.left_out],
            },
        )


def load_manifest(root: Path) -> Manifest:
    """Read a store's manifest; raises StoreError where there is none, or where it cannot be one."""
    path = root / MANIFEST
    if not path.is_file():
        raise StoreError(f"{root} is not a chunk store: it has no {MANIFEST}; make one with `sepnb prepare`")
    try:
        content = read_json(path)
        if content.get("version") != VERSION:
            raise StoreError(
                f"{path} is of version {content.get('version')}, and this is sepnb for version {VERSION}: prepare anew"
            )
        return Manifest(
            settings=Settings(**{**content["settings"], "sources": tuple(content["settings"]["sources"])}),
            entries=[_entry(song) for song in content["songs"]],
            left_out=[LeftOut(**left) for left in content["left_out"]],
            complete=content["complete"],
        )
    except StoreError:
        raise
    except (SepnbError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}): remove {root} and prepare anew") from error


def _entry(song: dict) -> Entry:
    origin = song["origin"]
    return Entry(
        **{
            **song,
            "gains": tuple(song["gains"]),
            "files": tuple(StoredFile(**file) for file in song["files"]),
            "origin": Origin(origin["rate"], origin["sources"], tuple(OriginFile(**file) for file in origin["files"])),
        }
    )
