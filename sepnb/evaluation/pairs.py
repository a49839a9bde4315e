"""The unit of work: one system on one track, from the mixture to the scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.evaluation.mapping import map_sources, sum_stems
from sepnb.evaluation.systems import System
from sepnb.metrics import bss_eval, frame_si_sdr, si_sar, usdr
from sepnb.separators import Bindable, Separator, separate
from sepnb.tracks import Track

SCORES = ("SDR", "ISR", "SIR", "SAR", "SI-SDR")
SONG_SCORES = ("uSDR", "SI-SAR")

# Counts up when a metric, or what is done to a pair before it, changes values: pairs scored before are scored again.
METRICS_VERSION = 1


class UnusableTrackError(SepnbError):
    """A track cannot be scored, whatever the system."""


@dataclass(frozen=True)
class Pair:
    """A system and a track (cut already, where excerpts are scored); `number` is its place in the table."""

    number: int
    system: System
    track: Track


@dataclass(frozen=True)
class LeftOut:
    """What was not scored and why: a system on one track, on all (`track` is None), or a track with all systems."""

    system: str | None
    track: str | None
    reason: str

    @classmethod
    def because(cls, error: SepnbError, pair: Pair) -> "LeftOut":
        """A pair that failed; where the track is to blame it fails with every system."""
        return cls(None if isinstance(error, UnusableTrackError) else pair.system.name, pair.track.name, str(error))

    def __str__(self) -> str:
        what = " on ".join(name for name in (self.system, self.track) if name)
        return f"{what} is left out: {self.reason}"


@dataclass(frozen=True)
class Stems:
    """References and estimates (targets, channels, samples), ready to be scored, here or in another process."""

    targets: tuple[str, ...]
    rate: int
    references: np.ndarray
    estimates: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairScores:
    """Scores of one pair in dB by metric: `frames` (targets, frames), `songs` (targets,); notes on what was done."""

    targets: tuple[str, ...]
    frames: Mapping[str, np.ndarray]
    songs: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()

    def table(self, system: str, track: str) -> pd.DataFrame:
        """A row a target and frame: system, track, target, frame and the metrics of frames."""
        count = self.frames["SDR"].shape[1]
        columns = {
            "system": system,
            "track": track,
            "target": np.repeat(np.array(self.targets, dtype=object), count),
            "frame": np.tile(np.arange(count), len(self.targets)),
        }
        return pd.DataFrame({**columns, **{name: self.frames[name].ravel() for name in SCORES}})

    def song_table(self, system: str, track: str) -> pd.DataFrame:
        """A row a target: system, track, target, the medians of the frames, and the metrics over the whole song."""
        rows = self.table(system, track)
        of_frames = rows.groupby(["system", "track", "target"], sort=False)[list(SCORES)].median().reset_index()
        return of_frames.assign(**{name: self.songs[name] for name in SONG_SCORES})


def separate_pair(separator: Separator | Bindable, track: Track) -> Stems:
    """Separate a track and lay estimates beside references, matched by name (`map_sources`).

    Raises UnusableTrackError where the track cannot be read or holds no window, SepnbError where the system cannot
    separate it, or does not give what the track has.
    """
    if track.duration < 1:
        raise UnusableTrackError(f"{track.name}: {track.duration:g} s hold no window to score; a window is one second")
    try:
        mixture, sources = track.mixture(), track.stems()
    except SepnbError as error:
        raise UnusableTrackError(str(error)) from error
    bound = separator.bind(track) if isinstance(separator, Bindable) else separator
    mapping = map_sources(bound.name, bound.sources, track.name, track.sources)
    stems = separate(bound, mixture, track.rate)
    _check(bound, stems, mixture, track)
    notes = tuple(getattr(bound, "notes", ()))
    if mapping.not_scored:
        notes += (f"not scored, the track has no such source: {', '.join(mapping.not_scored)}",)
    return Stems(
        mapping.targets,
        track.rate,
        sum_stems(sources, track.sources, mapping.references),
        sum_stems([stems[name] for name in bound.sources], bound.sources, mapping.estimates),
        notes,
    )


def score_stems(stems: Stems) -> PairScores:
    """All scores of one pair; SI-SDR is NaN in the frames where BSSEval is."""
    references, estimates = stems.references, stems.estimates
    bss = bss_eval(references, estimates, stems.rate)
    si_sdr = np.where(np.isnan(bss.sdr), np.nan, frame_si_sdr(references, estimates, stems.rate))
    return PairScores(
        stems.targets,
        dict(zip(SCORES, (bss.sdr, bss.isr, bss.sir, bss.sar, si_sdr), strict=True)),
        dict(zip(SONG_SCORES, (usdr(references, estimates), si_sar(references, estimates)), strict=True)),
        stems.notes,
    )


def _check(separator: Separator, stems: Mapping[str, np.ndarray], mixture: np.ndarray, track: Track) -> None:
    if set(stems) != set(separator.sources):
        raise SepnbError(
            f"{separator.name} says that it gives {', '.join(separator.sources)}, and gave {', '.join(stems)}"
        )
    for name, stem in stems.items():
        if stem.shape != mixture.shape:
            raise SepnbError(
                f"{separator.name} gave {name} of {track.name!r} in shape {stem.shape}; the mixture has {mixture.shape}"
            )
        if not np.isfinite(stem).all():
            raise SepnbError(
                f"{separator.name} gave values for {name} of {track.name!r} that are not numbers: in half precision? "
                "Then try single precision"
            )
