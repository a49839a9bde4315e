"""Is one system better than another, or were the songs kind to it?"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.metrics.aggregate import track_medians


@dataclass(frozen=True)
class Difference:
    """What system `a` is ahead of system `b`, in dB, over the tracks that both were scored on.

    `median` and `mean` are those of the differences track by track; `low` to `high` is the 95 % interval of the median;
    `share` is the part of the tracks on which `a` is ahead (a draw counts half), `tracks` their number, `by_track` the
    difference on each.
    """

    a: str
    b: str
    metric: str
    median: float
    mean: float
    low: float
    high: float
    share: float
    tracks: int
    by_track: pd.Series = field(repr=False, compare=False)

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero: another choice of songs would hardly have turned the tables."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return (
            f"{self.a} − {self.b}: {self.median:+.2f} dB {self.metric} (95 %: {self.low:+.2f} to {self.high:+.2f}), "
            f"ahead on {self.share * self.tracks:g} of {self.tracks} tracks"
        )


def better(
    scores: pd.DataFrame,
    a: str,
    b: str,
    target: str | None = None,
    metric: str = "SDR",
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """By how much system `a` is better than `b`, with a paired bootstrap interval over tracks.

    `scores` as `medians` takes them. Each track's score is the median over its frames, and with no `target` the mean
    over the targets that both systems have there. The difference is taken track by track, since songs differ more
    than systems do; the tracks are then drawn anew, with replacement, `resamples` times, and the interval holds the
    middle 95 % of the medians so found. It speaks of songs like these, and with fewer than ten or so it is too narrow.

    Raises SepnbError for a system or target that is not in the table, and where the two share fewer than two tracks.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile interval).
    """
    systems = list(scores["system"].unique())
    for system in (a, b):
        if system not in systems:
            raise SepnbError(f"no scores of {system!r}; there are {', '.join(map(str, systems))}")
    targets = list(scores["target"].unique())
    if target is not None and target not in targets:
        raise SepnbError(f"no scores of the target {target!r}; there are {', '.join(map(str, targets))}")
    table = track_medians(scores[scores["system"].isin([a, b])], metric)
    if target is not None:
        table = table[table["target"] == target]
    by_system = table.set_index(["track", "target", "system"])[metric].unstack("system")
    if a == b or len(by_system.columns) < 2:
        raise SepnbError(f"{a!r} and {b!r} are to be two systems that were scored on the same targets")
    pairs = (by_system[a] - by_system[b]).dropna().groupby("track").mean()
    differences = pairs.to_numpy()
    if len(differences) < 2:
        raise SepnbError(f"{a} and {b} share {len(differences)} scored tracks: an interval takes two, and better ten")
    rng = np.random.default_rng(seed)
    drawn = differences[rng.integers(len(differences), size=(resamples, len(differences)))]
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Difference(
        a,
        b,
        metric,
        median=float(np.median(differences)),
        mean=float(differences.mean()),
        low=float(low),
        high=float(high),
        share=float((np.sign(differences) + 1).mean() / 2),
        tracks=len(differences),
        by_track=pairs,
    )
