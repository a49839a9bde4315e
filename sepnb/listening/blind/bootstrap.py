"""How far a result hangs on who listened and what was played: listeners and items drawn anew.

Every listener hears every item, so both are drawn, each with replacement, and a rating counts as often as its listener
times its item was drawn: the "pigeonhole bootstrap" of Owen, "The pigeonhole bootstrap", Annals of Applied Statistics
2007. It is a little on the safe side (noise of single ratings counts more than once). With fewer than some six of each
it is too narrow, and with fewer than `FEWEST_ITEMS` items there is none: two items drawn anew say nothing of a third.
A listener alone is not drawn: the interval then speaks of that listener only.
"""

from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 4000
FEWEST_ITEMS = 3  # below which there are no intervals


@dataclass(frozen=True)
class Draws:
    """How often each listener and each item was drawn: (resamples, listeners) and (resamples, items)."""

    listeners: np.ndarray
    items: np.ndarray

    def cells(self, ratings: np.ndarray) -> np.ndarray:
        """Weights (resamples, cells) of the ratings that are there of `ratings` (listeners, items), row by row."""
        who, what = np.nonzero(np.isfinite(ratings))
        return self.listeners[:, who] * self.items[:, what]


def draw(listeners: int, items: int, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draw as many listeners and items as there are, `resamples` times."""
    rng = np.random.default_rng(seed)
    return Draws(_counts(rng, listeners, resamples), _counts(rng, items, resamples))


def means(ratings: np.ndarray, draws: Draws) -> np.ndarray:
    """The mean of ratings (listeners, items; NaN where one is missing) in each resample; NaN where none was drawn."""
    weights, values = draws.cells(ratings), ratings[np.isfinite(ratings)]
    with np.errstate(invalid="ignore"):
        return weights @ values / weights.sum(axis=1)


def medians(ratings: np.ndarray, draws: Draws) -> np.ndarray:
    """The median of ratings (listeners, items) in each resample, as `means`."""
    weights, values = draws.cells(ratings), ratings[np.isfinite(ratings)]
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[:, order], axis=1)
    total = reached[:, -1:]
    # The two middle ones of so many: half of them lie below the first, half above the second.
    lower, upper = (2 * reached < total).sum(axis=1), (2 * reached <= total).sum(axis=1)
    middle = (values[np.minimum(lower, len(values) - 1)] + values[np.minimum(upper, len(values) - 1)]) / 2
    return np.where(total[:, 0] > 0, middle, np.nan)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values (percentile interval), NaN where nothing could be drawn anew."""
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return np.nan, np.nan
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def _counts(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    if count < 2:
        return np.ones((resamples, count))
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)
