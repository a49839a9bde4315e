"""What is wrong with a track's audio: a mixture that is not its stems' sum, silence, clipping, a dead channel, DC.

These checks decode the whole track; `find_tracks` has checked the headers before. They report, and leave nothing out:
MUSDB18 itself has songs with a silent stem or a flawed mixture, and whether that matters depends on what is done with
them.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from sepnb.errors import AudioError, TrackError
from sepnb.tracks import Track

if TYPE_CHECKING:
    import pandas as pd

# Where the mixture is the exact sum, 16-bit rounding leaves a residual of some -80 dB. AAC codes the mixture and each
# stem on their own, and their noise does not cancel: two MUSDB18 songs measured -31.6 and -32.8 dB, single seconds of
# them up to -30.7 dB. Above -25 dB something other than a codec is at work: a missing stem, a gain, an effect, a shift.
RESIDUAL_LIMIT_DB = -25.0

SILENCE_DB = -80.0  # RMS below this, relative to full scale, is nothing that anybody hears
FULL_SCALE = 0.9999  # the largest 16-bit sample is 0.99997
CLIPPED_RUN = 3  # one or two samples at full scale are a peak that was normalised to it, three are a flat top
DC_LIMIT = 0.01  # -40 dB below full scale; costs headroom and puts a step at every cut


@dataclass(frozen=True)
class TrackCheck:
    """Figures of one track, and what they say is wrong; levels in dB.

    `residual_db` is the power of mixture minus sum of stems relative to the power of the mixture, -inf for an exact
    sum, NaN where there is no mixture of its own (or it is silent); `residual_db_per_channel` is the same by channel.
    `clipped` counts runs of at least three samples at full scale. "mixture" may be among the names of `silent`,
    `clipped` and `dead_channels` (which counts channels from 0).
    """

    name: str
    subset: str
    duration: float = float("nan")  # s
    residual_db: float = float("nan")
    residual_db_per_channel: tuple[float, ...] = ()
    peak: float = float("nan")  # of the mixture, 1 is full scale
    silent: tuple[str, ...] = ()
    clipped: tuple[tuple[str, int], ...] = ()
    dead_channels: tuple[tuple[str, int], ...] = ()
    dc_offset: float = float("nan")  # of the mixture, the channel where it is largest
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


def check_track(track: Track) -> TrackCheck:
    """Decode a track and report what is wrong with it; one that cannot be decoded is reported too, never raised."""
    try:
        stems = track.stems()
        mixture = track.mixture() if track.has_mixture else stems.sum(axis=0)
    except (AudioError, TrackError) as error:
        return TrackCheck(track.name, track.subset, problems=(f"it cannot be decoded: {error}",))
    samples = min(stems.shape[-1], mixture.shape[-1])  # streams of a stem file may end some codec frames apart
    stems, mixture = stems[..., :samples], mixture[..., :samples]
    signals = {"mixture": mixture, **dict(zip(track.sources, stems, strict=True))}
    powers = {name: _power(signal) for name, signal in signals.items()}

    silent = tuple(name for name, power in powers.items() if _db(power.mean()) < SILENCE_DB)
    dead = tuple(
        (name, channel)
        for name, power in powers.items()
        for channel in np.flatnonzero(_db(power) < SILENCE_DB).tolist()
        if name not in silent
    )
    clipped = tuple((name, runs) for name, runs in ((name, _flat_tops(signals[name])) for name in signals) if runs)
    offset = float(np.abs(mixture.mean(axis=1, dtype=np.float64)).max())

    residual, by_channel = float("nan"), ()
    if track.has_mixture and "mixture" not in silent:
        left = _power(mixture - stems.sum(axis=0))
        residual = float(_db(left.sum()) - _db(powers["mixture"].sum()))
        # A dead channel is told as such; relative to it any residual would be infinite.
        living = powers["mixture"] > 0
        by_channel = tuple(np.where(living, _db(left) - _db(np.where(living, powers["mixture"], 1)), np.nan).tolist())

    return TrackCheck(
        name=track.name,
        subset=track.subset,
        duration=samples / track.rate,
        residual_db=residual,
        residual_db_per_channel=by_channel,
        peak=float(np.abs(mixture).max()),
        silent=silent,
        clipped=clipped,
        dead_channels=dead,
        dc_offset=offset,
        problems=(
            *_residual_problems(residual, by_channel),
            *(f"{name} is silent" for name in silent),
            *(f"channel {channel} of {name} is silent" for name, channel in dead),
            *(f"{name} clips in {runs} place{'s' * (runs > 1)}" for name, runs in clipped),
            *([f"the mixture has a DC offset of {offset:.3f} of full scale"] if offset > DC_LIMIT else []),
        ),
    )


def check_tracks(tracks: Iterable[Track], workers: int | None = None) -> "pd.DataFrame":
    """Check tracks side by side, with a progress bar; one row a track, its sentences joined in `problems`.

    workers: tracks at a time (default: one a core, at most four). A worker holds a decoded song: for four minutes of
    four stereo stems up to 1 GB.
    """
    import pandas as pd

    tracks = list(tracks)
    workers = workers or min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:  # threads do: decoding and numpy let go of the interpreter
        checks = list(tqdm(pool.map(check_track, tracks), total=len(tracks), desc="Checking tracks", unit="track"))
    return pd.DataFrame([_row(check) for check in checks], columns=list(_row(TrackCheck("", ""))))


def _row(check: TrackCheck) -> dict[str, object]:
    return {
        "track": check.name,
        "subset": check.subset,
        "duration": check.duration,
        "residual_db": check.residual_db,
        "residual_db_worst_channel": max(
            (db for db in check.residual_db_per_channel if not np.isnan(db)), default=float("nan")
        ),
        "peak": check.peak,
        "silent": ", ".join(check.silent),
        "clipped": sum(runs for _, runs in check.clipped),
        "dead_channels": ", ".join(f"{name} {channel}" for name, channel in check.dead_channels),
        "dc_offset": check.dc_offset,
        "problems": "; ".join(check.problems),
    }


def _residual_problems(residual: float, by_channel: tuple[float, ...]) -> list[str]:
    off = [channel for channel, db in enumerate(by_channel) if db > RESIDUAL_LIMIT_DB]
    if not off and not residual > RESIDUAL_LIMIT_DB:
        return []
    where = ""
    if len(off) < len(by_channel):
        names = ("left", "right") if len(by_channel) == 2 else tuple(map(str, range(len(by_channel))))
        where = f" (only the {', '.join(names[channel] for channel in off)} channel is off)"
    # Rounded first, then 0 added: a minus before a zero would be read as a figure.
    figures = ", ".join("exact" if db == -np.inf else f"{round(db, 1) + 0.0:.1f}" for db in by_channel)
    return [f"the mixture is not the sum of its stems: residual {residual:.1f} dB, by channel {figures} dB{where}"]


def _power(signal: np.ndarray) -> np.ndarray:
    """Mean square by channel; (channels, samples) -> (channels,)."""
    return np.einsum("cs,cs->c", signal, signal, dtype=np.float64) / signal.shape[1]


def _db(power: np.ndarray | float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(power)


def _flat_tops(signal: np.ndarray) -> int:
    """Number of runs of at least CLIPPED_RUN samples at or beyond full scale, over all channels."""
    high = np.abs(signal) >= FULL_SCALE
    if not high.any():
        return 0
    edges = np.diff(high.astype(np.int8), axis=1, prepend=0, append=0)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    return int((lengths >= CLIPPED_RUN).sum())
