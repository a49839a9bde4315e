"""Making a chunk store, or a WAV copy: what to make, side by side, and listing each song when it is whole."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from sepnb.errors import StoreError
from sepnb.processes import side_by_side
from sepnb.store.manifest import MANIFEST, Entry, Manifest, Origin, Settings, load_manifest
from sepnb.store.reading import Store
from sepnb.store.song import PARTIAL, Unchanged, Unreadable, cannot_write, folder_of, make_song, partial_folder
from sepnb.tracks import LeftOut, Track, Tracks, find_tracks

# Starting processes takes about a second; less music than this (seconds) is decoded sooner without them.
WORTH_PROCESSES = 300.0

# A worker holds a decoded song several times over: some 1.5 GB for four minutes of four stereo stems out of AAC.
MOST_WORKERS = 8


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did. `made`, `kept` and `others` name songs; `others` are in the store but were not asked for."""

    path: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    others: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    clipped: dict[str, int]  # of a WAV copy: samples beyond full scale, by song
    seconds: float  # of music, all songs together
    bytes: int

    @property
    def store(self) -> Store:
        """The store, opened."""
        return Store(self.path)

    def as_dict(self) -> dict[str, object]:
        """The same for JSON."""
        return {**asdict(self), "path": str(self.path)}

    def report(self) -> str:
        """A few lines for people."""
        songs = len(self.made) + len(self.kept) + len(self.others)
        lines = [
            f"{self.path}: {songs} songs, {self.seconds / 60:.1f} min, {self.bytes / 1e6:,.0f} MB; "
            f"{len(self.made)} made now, {len(self.kept)} kept as they were"
        ]
        if self.others:
            lines.append(f"also there, though not among these tracks: {', '.join(self.others)}")
        lines += [f"{name}: {count} samples were beyond full scale and clipped" for name, count in self.clipped.items()]
        if self.left_out:
            lines.append(f"left out ({len(self.left_out)}):")
            lines += [f"  {left.name}: {left.reason}" for left in self.left_out]
        return "\n".join(lines)


def prepare(
    tracks: Iterable[Track] | Path | str,
    out: Path | str,
    excerpt: float | None = None,
    at: str | float = "loudest",
    workers: int | None = None,
    format: str = "store",
    dtype: str = "int16",
    rate: int | None = None,
    channels: int | None = None,
    names: Mapping[str, str | None] | None = None,
    progress: bool = True,
) -> Prepared:
    """Decode tracks once, into a chunk store for training, or into a plain WAV copy.

    Parameters
    ----------
    tracks
        From `find_tracks`, or the folder to find them in (with `names` as there).
    out
        The store's folder. If the store is there already, songs that it has are kept, songs whose files have changed
        are made anew, others are added, and none is removed. One call at a time for a folder.
    excerpt, at
        Seconds to keep of each song; whole songs without it. `at` is "loudest" (highest RMS of the mixture, in steps of
        0.1 s), "centre", or the second to start at (sooner where the song would end before the excerpt does).
        Only for "loudest" is more than the excerpt decoded.
    workers
        Processes (default: one a core, at most eight). Little music is prepared without any.
    format, dtype
        "store", of "int16" (16-bit sources come back exactly; a stem beyond full scale is stored with a gain) or
        "float16"; or "wav": `train|test/NAME/{mixture,…}.wav` of 16 bits as in MUSDB18-HQ, which clips.
    rate, channels
        Of the store; by default those of most tracks. Other tracks are resampled; mono is doubled, and where the store
        is mono, channels are averaged. Tracks with other sources than most are left out.

    A call that is interrupted, however hard, goes on where it was; what was half-written is never taken for whole.
    Raises StoreError if the store was made with other settings, cannot be written, or would be empty. A track that
    cannot be read is left out and named; of one that the store already has, the earlier version stays.
    """
    out = Path(out)
    tracks = find_tracks(tracks, names=names) if isinstance(tracks, Path | str) else tracks
    left_out = list(tracks.left_out) if isinstance(tracks, Tracks) else []
    tracks = list(tracks)
    if not tracks:
        raise StoreError(f"there are no tracks to prepare for {out}")
    manifest = _manifest_for(out, tracks, format, dtype, excerpt, at, rate, channels)
    settings = manifest.settings
    wanted, refused = _choose(tracks, settings)
    left_out += refused
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.glob(f"{PARTIAL}*"):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()

    pending = {folder: track for folder, track in wanted.items() if not _is_current(manifest, out, folder, track)}
    jobs = [(track, _known_origin(manifest, out, folder)) for folder, track in pending.items()]
    long_enough = sum(min(track.duration, excerpt or track.duration) for track in pending.values()) > WORTH_PROCESSES
    workers = (workers or min(os.cpu_count() or 1, MOST_WORKERS)) if long_enough else 1
    results = side_by_side(partial(_make, root=out, settings=settings), jobs, min(workers, len(jobs)))
    made = []
    for (track, _), result in tqdm(
        results, total=len(jobs), desc="preparing", unit="song", disable=not progress or not jobs
    ):
        folder = folder_of(track, settings.format)
        if isinstance(result, Unreadable):
            left_out.append(LeftOut(f"{track.subset}/{track.name}", result.reason))
            if _known_origin(manifest, out, folder) is None:
                manifest.drop(folder)
        elif isinstance(result, Unchanged):
            manifest.put(replace(manifest.find(folder), origin=result.origin))
        else:
            _commit(manifest, out, result)
            made.append(folder)
    if not manifest.entries:
        reasons = "; ".join(f"{left.name}: {left.reason}" for left in left_out[:5])
        raise StoreError(f"none of the {len(tracks)} tracks for {out} can be used: {reasons}")
    _finish(manifest, out, left_out)
    return _prepared(manifest, out, made, wanted, left_out)


def _make(job: tuple[Track, Origin | None], root: Path, settings: Settings) -> Entry | Unchanged | Unreadable:
    track, known = job
    return make_song(track, root, settings, known)


def _manifest_for(
    out: Path,
    tracks: list[Track],
    format: str,
    dtype: str,
    excerpt: float | None,
    at: str | float,
    rate: int | None,
    channels: int | None,
) -> Manifest:
    """The manifest to go on with, or a new one; StoreError where the folder or the settings do not allow it."""
    _check_asked(format, dtype, excerpt, at)
    found = load_manifest(out) if (out / MANIFEST).exists() else None
    if found is None and out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise StoreError(f"{out} holds other files and no {MANIFEST}: give an empty or a new folder")
    # What is not asked for is as in the store that is there, or as in most tracks.
    usual = found.settings if found else _most_common(tracks)
    asked = Settings(
        format=format,
        dtype=dtype,
        excerpt=None if excerpt is None else float(excerpt),
        at=None if excerpt is None else at if isinstance(at, str) else float(at),
        rate=rate or usual.rate,
        channels=channels or usual.channels,
        sources=tuple(usual.sources),
    )
    if found is None:
        return Manifest(asked)
    was, now = asdict(found.settings), asdict(asked)
    differing = [f"{key}={was[key]!r} (asked now: {now[key]!r})" for key in was if was[key] != now[key]]
    if differing:
        raise StoreError(f"{out} was made with {', '.join(differing)}: ask for the same, or give another folder")
    return found


def _check_asked(format: str, dtype: str, excerpt: float | None, at: str | float) -> None:
    if format not in ("store", "wav"):
        raise StoreError(f"no format {format!r}: there are 'store' and 'wav'")
    if dtype not in ("int16", "float16") or (format == "wav" and dtype != "int16"):
        raise StoreError(f"no dtype {dtype!r} for {format}: a store has 'int16' or 'float16', a WAV copy 'int16'")
    if excerpt is not None and not excerpt > 0:
        raise StoreError(f"an excerpt cannot last {excerpt} s")
    if isinstance(at, str):
        if at not in ("loudest", "centre"):
            raise StoreError(f"an excerpt cannot lie at {at!r}: say 'loudest', 'centre' or the second to start at")
    elif not at >= 0:
        raise StoreError(f"an excerpt cannot start at {at} s")


def _most_common(tracks: list[Track]) -> Track:
    """A track with the rate, channels and sources that most have (together); the first of them where it is a draw."""
    counts = Counter((track.rate, track.channels, frozenset(track.sources)) for track in tracks)
    usual = counts.most_common(1)[0][0]
    return next(track for track in tracks if (track.rate, track.channels, frozenset(track.sources)) == usual)


def _choose(tracks: list[Track], settings: Settings) -> tuple[dict[str, Track], list[LeftOut]]:
    """The tracks that fit the store by the folder they go to, and those that do not."""
    chosen, refused = {}, []
    for track in tracks:
        folder = folder_of(track, settings.format)
        if set(track.sources) != set(settings.sources):
            reason = f"it has {', '.join(track.sources)} where the store has {', '.join(settings.sources)}"
            refused.append(LeftOut(f"{track.subset}/{track.name}", reason))
        elif folder in chosen:
            refused.append(LeftOut(f"{track.subset}/{track.name}", f"another track also goes to {folder}"))
        else:
            chosen[folder] = track
    return chosen, refused


def _is_current(manifest: Manifest, out: Path, folder: str, track: Track) -> bool:
    """Whether the store has the song whole, from files that look as they did."""
    entry = manifest.find(folder)
    if entry is None or entry.broken_file(out) is not None:
        return False
    try:
        return entry.origin.looks_like(track)
    except OSError:  # a file is gone: making the song will say which
        return False


def _known_origin(manifest: Manifest, out: Path, folder: str) -> Origin | None:
    """The origin of the song that the store has, if it has it whole."""
    entry = manifest.find(folder)
    return None if entry is None or entry.broken_file(out) is not None else entry.origin


def _commit(manifest: Manifest, out: Path, entry: Entry) -> None:
    """Move a song that is whole to its place, then list it. An earlier version is struck off before it is touched."""
    with _writing(out):
        if manifest.complete or manifest.find(entry.folder) is not None or not (out / MANIFEST).exists():
            manifest.complete = False
            manifest.drop(entry.folder)
            manifest.save(out)
        place = out / entry.folder
        if place.exists():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial_folder(out, entry.folder).rename(place)
        manifest.put(entry)
        manifest.save(out)


def _finish(manifest: Manifest, out: Path, left_out: list[LeftOut]) -> None:
    """Write the manifest of a preparation that came to its end, unless it says the same already."""
    manifest.complete, manifest.left_out = True, left_out
    if load_manifest(out) != manifest:
        with _writing(out):
            manifest.save(out)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(out, MANIFEST, error) from error


def _prepared(
    manifest: Manifest, out: Path, made: list[str], wanted: dict[str, Track], left_out: list[LeftOut]
) -> Prepared:
    def names(those: Iterable[Entry]) -> tuple[str, ...]:
        return tuple(entry.name for entry in those)

    entries = manifest.entries
    return Prepared(
        path=out,
        made=names(entry for entry in entries if entry.folder in made),
        kept=names(entry for entry in entries if entry.folder in wanted and entry.folder not in made),
        others=names(entry for entry in entries if entry.folder not in wanted),
        left_out=tuple(left_out),
        clipped={entry.name: entry.clipped for entry in entries if entry.clipped},
        seconds=sum(entry.samples for entry in entries) / manifest.settings.rate,
        bytes=sum(file.bytes for entry in entries for file in entry.files),
    )
