"""How data sets are laid out: which files and folders are a track, and which file holds which source."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sepnb import audio, musdb18
from sepnb.errors import TrackError

SUBSET_FOLDERS = {"train": "train", "valid": "valid", "validation": "valid", "test": "test"}
MIXTURE = "mixture"
STEM_FILE = ".stem.mp4"
STEM_SUFFIXES = (".wav", ".flac", ".m4a", ".mp3")

LAYOUTS = """The layouts understood are, each with or without a level of train/, valid/ and test/ folders:
  NAME.stem.mp4                                  stem files, as in MUSDB18 and its 7-second excerpts
  NAME/{mixture,drums,bass,other,vocals}.wav     a folder a song, as in MUSDB18-HQ
  NAME/{any names}.wav, .flac, .m4a or .mp3      the same with other stems, with or without a mixture
or one such stem file or song folder itself."""


@dataclass(frozen=True)
class Candidate:
    """What looks like a track: a stem file or a folder of stems."""

    where: str  # as found: "train/NAME" or "train/NAME.stem.mp4"
    subset: str
    path: Path

    @property
    def name(self) -> str:
        """The song's name."""
        return self.path.name[: -len(STEM_FILE)] if _is_stem_file(self.path) else self.path.resolve().name


@dataclass(frozen=True)
class Part:
    """Where one stem, or a piece of it, lies: a file, or one audio stream of a stem file."""

    path: Path
    stream: int | None = None


@dataclass(frozen=True)
class Contents:
    """What the headers of a track say. A source may be the sum of several parts."""

    info: audio.AudioInfo
    mixture: Part | None
    sources: dict[str, tuple[Part, ...]]


def candidates(root: Path) -> list[Candidate]:
    """Everything below `root` that looks like a track; TrackError if there is nothing."""
    if not root.exists():
        raise TrackError(f"{root} is not there: check the path (is Drive mounted, is the data set unpacked?)")
    if root.is_file() and not _is_stem_file(root):
        raise TrackError(f"{root} is a file, not a folder of tracks.\n{LAYOUTS}")
    found = _candidates(root)
    if not found:
        deeper = [folder for folder in _folders(root) if _candidates(folder)]
        hint = f" There are some in {deeper[0]}: did you mean that?" if deeper else ""
        raise TrackError(f"no tracks in {root}.{hint}\n{LAYOUTS}")
    return found


def _candidates(root: Path) -> list[Candidate]:
    if _is_stem_file(root):
        return [_candidate(root, root.resolve().parent)]
    levels = [folder for folder in _folders(root) if folder.name.casefold() in SUBSET_FOLDERS]
    own_split = any(_level(folder) == "valid" for folder in levels)
    found = [
        _candidate(path, level, root, own_split)
        for level in levels or [root]
        for path in sorted(level.iterdir())
        if not path.name.startswith(".") and (_is_stem_file(path) or _stem_paths(path))
    ]
    if not found and _stem_paths(root):  # one song's own folder
        return [_candidate(root, root.resolve().parent)]
    return found


def _candidate(path: Path, level: Path, root: Path | None = None, own_split: bool = False) -> Candidate:
    where = path.relative_to(root).as_posix() if root else path.resolve().name
    found = Candidate(where, _level(level), path)
    # musdb takes its validation songs out of the training folder; a data set with a valid/ folder has its own.
    if found.subset == "train" and not own_split and found.name in musdb18.validation_tracks():
        return Candidate(found.where, "valid", path)
    return found


def _level(folder: Path) -> str:
    return SUBSET_FOLDERS.get(folder.resolve().name.casefold(), "train")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _is_stem_file(path: Path) -> bool:
    return path.name.casefold().endswith(STEM_FILE) and path.is_file()


def _stem_paths(folder: Path) -> list[Path]:
    """Audio files of a folder; hidden ones (macOS writes ._vocals.wav on foreign disks) do not count."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.casefold() in STEM_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def contents(path: Path, names: Mapping[str, str | None]) -> Contents:
    """Read the headers of a stem file or a folder of stems.

    `names` maps what a stem is called (lower case) to its source, or to None if it does not count. TrackError or
    AudioError says why the track cannot be used.
    """
    if _is_stem_file(path):
        info = audio.info(path)
        audio.read_stems(path, 0.0, 0.1)  # fails if the streams differ in rate or channels, which a header read misses
        usual = musdb18.stream_names()
        called = usual if info.streams == len(usual) else (MIXTURE, *map(str, range(1, info.streams)))
        parts = [(name, Part(path, stream)) for stream, name in enumerate(called)]
    else:
        parts = [(file.stem.casefold(), Part(file)) for file in _stem_paths(path)]
        info = _common_form([part.path for name, part in parts if names.get(name, name) is not None])
    mixture, sources = _by_source(parts, names)
    if not sources:
        raise TrackError("it has no stems, at most a mixture")
    return Contents(info, mixture, {source: tuple(parts) for source, parts in sources.items()})


def _common_form(paths: list[Path]) -> audio.AudioInfo:
    """The rate, channels and samples that all these files have."""
    if not paths:
        raise TrackError("none of its files counts: all are mapped to None")
    infos = {path: audio.info(path) for path in paths}
    for what, unit in (("rate", "Hz"), ("channels", "channels"), ("samples", "samples")):
        files = {}
        for path, info in infos.items():
            files.setdefault(getattr(info, what), []).append(path.name)
        if len(files) > 1:
            values = "; ".join(f"{value} {unit} in {', '.join(files[value])}" for value in sorted(files))
            raise TrackError(f"its files differ: {values}. Export them again with equal settings")
    return infos[paths[0]]


def _by_source(
    parts: list[tuple[str, Part]], names: Mapping[str, str | None]
) -> tuple[Part | None, dict[str, list[Part]]]:
    """Sort a track's files or streams by source, the mixture apart."""
    here = Counter(name for name, _ in parts)
    twice = [name for name in here if here[name] > 1]
    if twice:
        raise TrackError(f"there are several files named {twice[0]}: keep one of them")
    # A sum of stems that lies beside them (accompaniment.wav) must not be added a second time.
    sums = {name for name, summed in musdb18.composites().items() if summed <= here.keys() and name not in names}
    mixture, sources = None, {}
    for name, part in parts:
        source = names.get(name, MIXTURE if name == "mix" else name)
        if source is None or name in sums:
            continue
        if source == MIXTURE:
            if mixture is not None:
                raise TrackError(f"both {mixture.path.name} and {part.path.name} are the mixture: keep one of them")
            mixture = part
        elif part.stream is not None and source.isdigit():
            raise TrackError(
                f"it has {len(parts)} audio streams, not the five of MUSDB18 ({', '.join(musdb18.stream_names())}): "
                'say what they hold, as in names={"1": "vocals", "2": "accompaniment"}'
            )
        else:
            sources.setdefault(source, []).append(part)
    return mixture, sources
