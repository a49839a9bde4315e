"""Bands on disk: songs rendered from a seed into a folder in MUSDB18's layouts."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from sepnb import audio
from sepnb.band.names import song_name
from sepnb.band.render import BandSong, check_request, render_song
from sepnb.errors import SepnbError
from sepnb.files import write_json
from sepnb.processes import side_by_side

SUBSETS = ("train", "valid", "test")
FORMATS = ("wav", "stem.mp4")
MANIFEST = "band.json"
SEEDS_APART = 10_000  # songs that bands with neighbouring seeds may have before they would share one


@dataclass(frozen=True)
class Settings:
    """All that decides what is in a band's folder; written to band.json there."""

    subsets: dict[str, int]
    seconds: float
    seed: int
    rate: int
    format: str
    version: int = 1  # raised when the band's sound changes, so that older folders are not mistaken for the same


@dataclass(frozen=True)
class Plan:
    """One song to be made."""

    subset: str
    name: str
    seed: int


def make_band(
    out: Path | str,
    songs: int = 4,
    seconds: float = 30.0,
    seed: int = 0,
    rate: int = 44100,
    format: str = "wav",
    subsets: dict[str, int] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Make licence-free multitrack songs in a folder and return its path.

    `songs` of `seconds` each at `rate` Hz; about two in three are for training and the rest for testing, unless
    `subsets` counts them, as in {"train": 8, "valid": 2, "test": 3} (`songs` is then ignored). `format` "wav" writes
    MUSDB18-HQ's layout, SUBSET/SONG/{mixture,drums,bass,other,vocals}.wav in 16 bits, where the mixture is exactly the
    sum of the stems; "stem.mp4" writes MUSDB18's, SUBSET/SONG.stem.mp4, whose AAC is lossy. Song number k of a band is
    `render_song(seed * 10000 + k, seconds, rate)`. Songs already there are kept; more than one worker renders in
    processes of their own. Raises SepnbError on bad settings, or when the folder holds something else.
    """
    counts = _counts(songs, subsets)
    settings = Settings(counts, float(seconds), seed, rate, format)
    _check(settings, workers)
    out = Path(out)
    plans = _plans(settings)
    _claim(out, settings, plans)
    missing = [plan for plan in plans if not _target(out, plan, settings).exists()]
    make = partial(_make_song, out, settings)
    with tqdm(total=len(missing), desc="band", unit="song", disable=not (progress and missing)) as bar:
        for _ in side_by_side(make, missing, min(workers, len(missing))):
            bar.update()
    return out


def _counts(songs: int, subsets: dict[str, int] | None) -> dict[str, int]:
    """How many songs each subset gets, in the order train, valid, test."""
    if subsets is not None:
        unknown = sorted(set(subsets) - set(SUBSETS))
        if unknown:
            raise SepnbError(f"band: there is no subset {unknown[0]!r}; take from {', '.join(SUBSETS)}")
        return {name: subsets[name] for name in SUBSETS if subsets.get(name)}
    test = max(round(songs / 3), 1) if songs > 1 else 0
    return {name: count for name, count in (("train", songs - test), ("test", test)) if count}


def _check(settings: Settings, workers: int) -> None:
    total = sum(settings.subsets.values())
    if total < 1 or total > SEEDS_APART or min(settings.subsets.values()) < 0:
        raise SepnbError(f"band: {total} songs cannot be made; ask for 1 to {SEEDS_APART}")
    if settings.format not in FORMATS:
        raise SepnbError(f"band: there is no format {settings.format!r}; take one of {', '.join(FORMATS)}")
    check_request(settings.seed, settings.seconds, settings.rate)
    if workers < 1:
        raise SepnbError(f"band: {workers} workers can make nothing; take 1 or more")


def _plans(settings: Settings) -> list[Plan]:
    """Every song of the band; where two would have the same name, the later one is numbered."""
    subsets = [name for name, count in settings.subsets.items() for _ in range(count)]
    plans, taken = [], set()
    for index, subset in enumerate(subsets):
        seed = settings.seed * SEEDS_APART + index
        name = first = song_name(seed)
        number = 2
        while name in taken:
            name = f"{first} {number}"
            number += 1
        taken.add(name)
        plans.append(Plan(subset, name, seed))
    return plans


def _claim(out: Path, settings: Settings, plans: list[Plan]) -> None:
    """Write band.json into a new folder, or make sure that the one there says the same."""
    manifest = out / MANIFEST
    wanted = asdict(settings)
    if manifest.exists():
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise SepnbError(f"{manifest}: not a band's manifest; remove the folder or take another one") from error
        if found != wanted:
            differing = sorted(key for key in wanted if found.get(key) != wanted[key])
            raise SepnbError(
                f"{out}: holds a band with other settings ({', '.join(differing)}); "
                "remove the folder, take another one, or ask for the same settings"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SepnbError(f"{out}: is not empty and holds no band; take a new folder, or empty this one")
    write_json(manifest, {"settings": wanted, "songs": [asdict(plan) for plan in plans]})


def _target(out: Path, plan: Plan, settings: Settings) -> Path:
    name = plan.name if settings.format == "wav" else f"{plan.name}.stem.mp4"
    return out / plan.subset / name


def _make_song(out: Path, settings: Settings, plan: Plan) -> None:
    song = render_song(plan.seed, settings.seconds, settings.rate)
    target = _target(out, plan, settings)
    if settings.format == "stem.mp4":
        target.parent.mkdir(parents=True, exist_ok=True)
        audio.write_stems(target, song.with_mixture(), settings.rate)
        return
    with _folder_written_whole(target) as folder:
        _write_wavs(folder, song)


def _write_wavs(folder: Path, song: BandSong) -> None:
    audio.write(folder / "mixture.wav", song.mixture, song.rate)
    for name, stem in zip(song.sources, song.stems, strict=True):
        audio.write(folder / f"{name}.wav", stem, song.rate)


@contextmanager
def _folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a folder to fill that takes its place only when all of it is written; its name begins with a dot."""
    partial_folder = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial_folder, ignore_errors=True)  # left by a run that was stopped
    partial_folder.mkdir(parents=True)
    try:
        yield partial_folder
        partial_folder.rename(path)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)
