"""The unit of work: one system on one track, from the mixture to the scores."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

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
METRICS_VERSION = 2

# Encoders that throw away what lies above some 16 kHz.
LOSSY = {".mp4", ".m4a", ".aac", ".mp3", ".ogg", ".opus"}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class UnusableTrackError(SepnbError):
    """A track cannot be scored, whatever the system."""


@dataclass(frozen=True)
class Pair:
    """A system and a track (cut already, where excerpts are scored); `number` is its place in the table."""

    number: int
    system: System
    track: Track


@dataclass(frozen=True)
class Failure:
    """Why something could not be done; `details` is the traceback of an error that was not foreseen."""

    reason: str
    details: str = ""
    blames_track: bool = False  # it fails with every system

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """An error that a user can mend in its own sentence, any other by its type and with its traceback."""
        if isinstance(error, SepnbError):
            return cls(str(error), blames_track=isinstance(error, UnusableTrackError))
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return cls(said, "".join(traceback.format_exception(error)))


def attempt(
    work: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result | Failure:
    """The result of `work`, or why there is none: one system or song that fails must not end the others' evaluation."""
    try:
        return work(*arguments, **options)
    except Exception as error:  # networks and decoders raise what they like; Ctrl-C is no Exception
        return Failure.of(error)


@dataclass(frozen=True)
class LeftOut:
    """What was not scored and why: a system on one track, on all (`track` is None), or a track with all systems."""

    system: str | None
    track: str | None
    reason: str
    details: str = field(default="", compare=False)

    @classmethod
    def because(cls, failure: Failure, pair: Pair) -> "LeftOut":
        """A pair that failed; where the track is to blame it fails with every system."""
        system = None if failure.blames_track else pair.system.name
        return cls(system, pair.track.name, failure.reason, failure.details)

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
        mixture, sources = track.mixture(), references_of(track)
    except (SepnbError, OSError) as error:
        raise UnusableTrackError(Failure.of(error).reason) from error
    bound = separator.bind(track) if isinstance(separator, Bindable) else separator
    mapping = map_sources(bound.name, bound.sources, track.name, track.sources)
    stems = separate(bound, mixture, track.rate)
    _check(bound, stems, mixture, track)
    notes = tuple(getattr(bound, "notes", ()))
    for target, summed in zip(mapping.targets, mapping.estimates, strict=True):
        if len(summed) > 1:
            notes += (f"{target} is the sum of {', '.join(summed)}",)
    if mapping.not_scored:
        notes += (f"not scored, the track has no such source: {', '.join(mapping.not_scored)}",)
    return Stems(
        mapping.targets,
        track.rate,
        sum_stems(sources, track.sources, mapping.references),
        sum_stems([stems[name] for name in bound.sources], bound.sources, mapping.estimates),
        notes,
    )


def references_of(track: Track) -> np.ndarray:
    """The true stems (sources, channels, samples) to score against; what was decoded from a lossy file, in 16 bits.

    Decoded to floats, such stems hold nothing above some 16 kHz but rounding errors, 150 dB down. BSSEval then fits
    filters that blow these errors up: SIR can fall by 20 dB, in museval as here. In 16 bits, as MUSDB18 was decoded for
    the published scores, the noise of rounding is loud enough to stop it. Files without loss are taken as they are.
    """
    stems = track.stems()
    if any(path.suffix.lower() in LOSSY for path in track.files):
        stems = np.rint(stems * np.float32(32768)) / np.float32(32768)
    return stems


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
