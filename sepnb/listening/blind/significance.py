"""Whether a mean difference could be chance: listeners and items are both a sample, and there are few of them.

Ratings of one item by several listeners are not independent, nor are those of one listener. So p is the larger one of
two tests, and small only if both are:

* Signs of the items. Without a difference, the mean of an item could as well have had the other sign. Of n items all
  combinations of signs are tried (Fisher 1935; beyond `EXACT` items, many at random): p is never below 2 / 2ⁿ, with two
  items 0.5, and six are the least for 0.05.
* Listeners and items together: t = mean / sqrt(s_l² / L + s_i² / I), s² being the variances of the listeners' and of
  the items' means: min F' of Clark, "The language-as-fixed-effect fallacy", 1973, a little on the safe side.

Where there is one listener, or one item, the signs of the many are all there is, and p speaks of that one alone.
"""

import numpy as np
from scipy.stats import t as student

EXACT = 12  # items: 4096 combinations


def p_of_difference(differences: np.ndarray, resamples: int, seed: int = 0) -> float:
    """Two-sided p of "the mean is 0" for differences (listeners, items), NaN where one is missing: see above.

    `resamples`: combinations of signs where they are too many to try all. NaN for a single difference.
    """
    known = np.isfinite(differences)
    differences = differences[known.any(axis=1)][:, known.any(axis=0)]
    listeners, items = differences.shape
    if max(listeners, items) < 2:
        return np.nan
    of_listeners, of_items = np.nanmean(differences, axis=1), np.nanmean(differences, axis=0)
    if listeners < 2 or items < 2:
        return sign_flip(of_items if listeners < 2 else of_listeners, resamples, seed)
    both = _quasi_f(float(np.nanmean(differences)), of_listeners, of_items)
    return max(sign_flip(of_items, resamples, seed), both)


def sign_flip(values: np.ndarray, resamples: int, seed: int = 0) -> float:
    """How often the sum of `values` with other signs is as far from 0 as theirs; exact up to `EXACT` values."""
    if len(values) <= EXACT:
        signs = 2.0 * (np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1) - 1
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), size=(resamples, len(values)))
        signs[0] = 1  # what was seen is one of them: p is never 0
    sums = np.abs(signs @ values)
    return float((sums >= np.abs(values.sum()) - 1e-9 * np.abs(values).sum()).mean())


def holm(p: np.ndarray) -> np.ndarray:
    """p-values adjusted for being several (Holm 1979): below 0.05, none of those is likely to be chance; NaN stays."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p[index]))
        adjusted[index] = highest
    return adjusted


def _quasi_f(mean: float, of_listeners: np.ndarray, of_items: np.ndarray) -> float:
    """p of the mean, with what listeners and what items contribute to its variance (degrees: Satterthwaite 1946)."""
    counts = np.array([len(of_listeners), len(of_items)])
    parts = np.array([of_listeners.var(ddof=1), of_items.var(ddof=1)]) / counts
    if parts.sum() <= 1e-18 * mean**2:  # all differences are the same
        return 0.0 if mean else 1.0
    # A variance of two values is too uncertain for Satterthwaite's degrees: 11 % were found where 5 % should be.
    degrees = parts.sum() ** 2 / (parts**2 / (counts - 1)).sum() if counts.min() > 2 else 1.0
    return float(2 * student.sf(abs(mean) / np.sqrt(parts.sum()), degrees))
