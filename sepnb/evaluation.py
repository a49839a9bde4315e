"""Separators × tracks → one tidy table of scores."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sepnb.errors import SepnbError
from sepnb.metrics import BSSScores, bss_eval
from sepnb.processes import side_by_side
from sepnb.separators import Bindable, Separator, load_separator, separate
from sepnb.tracks import Track

SCORES = ["SDR", "ISR", "SIR", "SAR"]


def evaluate(
    separators: Iterable[Separator | Bindable | str | Path],
    tracks: Sequence[Track],
    seconds: float | None = None,
    workers: int = 1,
) -> pd.DataFrame:
    """Score every separator on every track: a row per system, track, target and frame.

    Columns: system, track, target, frame (1-second windows, counted from 0), SDR, ISR, SIR, SAR in dB (see `bss_eval`).
    `seconds` scores the middle of each track only; with it, numbers are quick and rough. Scoring runs in `workers`
    processes; separating stays in this one. Raises SepnbError where a separator does not give a track's sources.
    """
    systems = [load_separator(item) if isinstance(item, str | Path) else item for item in separators]
    total = len(systems) * len(tracks)
    if not total:
        raise SepnbError("nothing to score: no separators or no tracks were given")
    tables = {}
    scored = side_by_side(_score, _jobs(systems, tracks, seconds), workers)
    for job, table in tqdm(scored, total=total, desc="scoring", unit="song"):
        tables[job.number] = table
    return pd.concat([tables[number] for number in sorted(tables)], ignore_index=True)


@dataclass(frozen=True)
class _Job:
    """One system's stems of one track, ready to score; everything in it travels to another process."""

    number: int
    system: str
    track: str
    sources: tuple[str, ...]
    rate: int
    references: np.ndarray
    estimates: np.ndarray


def _jobs(systems: list[Separator | Bindable], tracks: Sequence[Track], seconds: float | None) -> Iterator[_Job]:
    numbers = itertools.count()
    for track in tracks:
        if seconds is not None:
            track = track.middle(seconds)
        if track.duration < 1:
            raise SepnbError(f"{track.name}: {track.duration:g} s hold no window to score; a window is one second")
        mixture, references = track.mixture(), track.stems()
        for system in systems:
            separator = system.bind(track) if isinstance(system, Bindable) else system
            stems = separate(separator, mixture, track.rate)
            missing = [source for source in track.sources if source not in stems]
            if missing:
                raise SepnbError(
                    f"{separator.name} gives {', '.join(stems)}, not the {', '.join(missing)} that {track.name!r} has"
                )
            estimates = np.stack([stems[source] for source in track.sources])
            yield _Job(next(numbers), separator.name, track.name, track.sources, track.rate, references, estimates)


def _score(job: _Job) -> pd.DataFrame:
    scores = bss_eval(job.references, job.estimates, job.rate)
    return _table(job.system, job.track, job.sources, scores)


def _table(system: str, track: str, sources: tuple[str, ...], scores: BSSScores) -> pd.DataFrame:
    frames = scores.sdr.shape[1]
    columns = {
        "system": system,
        "track": track,
        "target": np.repeat(sources, frames),
        "frame": np.tile(np.arange(frames), len(sources)),
    }
    values = (scores.sdr, scores.isr, scores.sir, scores.sar)
    return pd.DataFrame({**columns, **{name: value.ravel() for name, value in zip(SCORES, values, strict=True)}})
