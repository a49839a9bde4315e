"""Whether a metric hears what listeners hear: ratings beside scores.

With about 30 ratings a track, SDR followed listeners best on vocals and SI-SAR on drums and bass (arXiv 2507.06917). A
few excerpts and friends may show something else: look at the intervals.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.listening.blind import bootstrap
from sepnb.listening.blind.ratings import rating_grids
from sepnb.listening.blind.simulated import who
from sepnb.metrics.aggregate import track_medians

KEYS = ["system", "track", "target"]
ALL = "all"  # stems together
FEWEST = 3  # points, of which a correlation can be anything but 1 or -1
_AT_ONCE = 4_000_000  # comparisons in memory, of eight bytes each


def rated_points(
    answers: pd.DataFrame,
    scores: pd.DataFrame,
    question: str = "quality",
    *,
    metrics: Sequence[str] | None = None,
    anchor: bool = False,
) -> pd.DataFrame:
    """The mean rating of each system on each item beside its scores: columns system, track, target, rating, metrics.

    `answers` as `read_answers` gives them. `scores`: as `sepnb.evaluate` or `item_scores` give them; of frames the
    median counts. `metrics`: columns of `scores` (None: all). Only points that have all of them, so that metrics can be
    set side by side; a metric that has no finite value at all costs no points.

    Only systems, unless `anchor` asks for the mixture too: it is far off in ratings and in most scores, so that with it
    almost any metric seems to follow the ratings. (It has no SAR and no SI-SAR: with it, name other metrics.) Raises
    SepnbError where nothing was both rated and scored, as where the names differ, and for a metric that is not there.
    """
    return _points(answers, scores, question, metrics, anchor)[0]


def correlate(
    answers: pd.DataFrame,
    scores: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    question: str = "quality",
    resamples: int = 1000,
    seed: int = 0,
    *,
    anchor: bool = False,
) -> pd.DataFrame:
    """How closely ratings follow each metric, for each stem and for all together: a row each.

    Arguments as for `rated_points`, and over the same points: those that have all metrics. So the coefficients of one
    stem are of the same systems on the same items, and can be set side by side. Columns: target, metric, question,
    points (a system on an item), pearson with pearson_low and pearson_high, spearman (of ranks) with spearman_low and
    spearman_high (95 % intervals: listeners and items drawn anew, see `bootstrap`); listeners and simulated.

    A correlation of fewer than three points, or where one side does not vary, is NaN, and so is the interval of fewer
    than three items. "all" mixes stems, which have scores of their own height: look at the stems.
    """
    points, ratings, items = _points(answers, scores, question, metrics, anchor)
    draws = bootstrap.draw(ratings.shape[1], int(items.max()) + 1, resamples, seed)
    targets = list(dict.fromkeys(points["target"]))
    parts = [ALL, *targets] if len(targets) > 1 else targets
    rows, counts = [], who(answers)
    for target in parts:
        for metric in points.columns[4:]:
            chosen = np.isfinite(points[metric].to_numpy(dtype=float))
            if target != ALL:
                chosen &= (points["target"] == target).to_numpy()
            row = {"target": target, "metric": metric, "question": question, "points": int(chosen.sum())}
            values = points[metric].to_numpy(dtype=float)[chosen]
            rows.append({**row, **_correlations(values, ratings[chosen], items[chosen], draws), **counts})
    return pd.DataFrame(rows)


def _points(
    answers: pd.DataFrame, scores: pd.DataFrame, question: str, metrics: Sequence[str] | None, anchor: bool
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """`rated_points`, the ratings behind each point (points, listeners), and the number of each point's item."""
    grids, _ = rating_grids(answers)
    roles, wanted = dict(zip(answers["system"], answers["role"], strict=True)), {"system", "anchor" if anchor else ""}
    if question not in (questions := list(dict.fromkeys(asked for asked, _ in grids))):
        raise SepnbError(f"nobody was asked for {question!r}; the questions were {', '.join(questions)}")
    of_systems = {
        system: grid for (asked, system), grid in grids.items() if asked == question and roles[system] in wanted
    }
    table = _medians(scores, [metrics] if isinstance(metrics, str) else metrics)
    names = answers.drop_duplicates(["track", "target"])[["track", "target"]].reset_index(drop=True)
    rows, ratings, items = [], [], []
    for system, grid in of_systems.items():
        for item, (track, target) in enumerate(names.itertuples(index=False)):
            if (system, track, target) in table.index and np.isfinite(grid[:, item]).any():
                rows.append((system, track, target, np.nanmean(grid[:, item]), *table.loc[(system, track, target)]))
                ratings.append(grid[:, item])
                items.append(item)
    if not rows:
        raise SepnbError(
            "nothing was both rated and scored: system, track and target have to be the same; "
            f"ratings are of {_first_names(answers)}, scores of {_first_names(scores)}"
        )
    points = pd.DataFrame(rows, columns=[*KEYS, "rating", *table.columns])
    finite = np.isfinite(points[table.columns].to_numpy(dtype=float))
    whole = finite[:, finite.any(axis=0)].all(axis=1)
    if not whole.any():
        raise SepnbError(f"no system has all of the scores {', '.join(table.columns)} on any item: name fewer of them")
    return points[whole].reset_index(drop=True), np.array(ratings)[whole], np.array(items)[whole]


def _first_names(table: pd.DataFrame, most: int = 6) -> str:
    """Which systems, tracks and targets a table is of, for a message: not more than so many of each."""
    return "; ".join(", ".join(map(str, table[key].unique()[:most])) for key in KEYS)


def _medians(scores: pd.DataFrame, metrics: Sequence[str] | None) -> pd.DataFrame:
    """Scores, medians of frames, by system, track and target."""
    if not isinstance(scores, pd.DataFrame) or not set(KEYS) <= set(scores.columns):
        raise SepnbError("scores come as a table with the columns system, track and target: item_scores gives one")
    known = [
        column
        for column in scores.columns
        if column not in (*KEYS, "frame") and pd.api.types.is_numeric_dtype(scores[column])
    ]
    if not known:
        raise SepnbError("the table of scores holds no score")
    if missing := [metric for metric in metrics or () if metric not in known]:
        raise SepnbError(f"there are no scores called {', '.join(missing)}; there are {', '.join(known)}")
    columns = [track_medians(scores, metric).set_index(KEYS)[metric] for metric in metrics or known]
    return pd.concat(columns, axis=1)


def _correlations(values: np.ndarray, ratings: np.ndarray, items: np.ndarray, draws: bootstrap.Draws) -> dict:
    """Pearson's and Spearman's coefficients of `values` (points,) and the mean `ratings` (points, listeners)."""
    found = dict.fromkeys((f"{name}{end}" for name in ("pearson", "spearman") for end in ("", "_low", "_high")), np.nan)
    if len(values) < FEWEST:
        return found
    plain = np.nanmean(ratings, axis=1)[None]
    once = np.ones_like(plain)
    found["pearson"] = _pearson(values[None], plain, once)[0]
    found["spearman"] = _pearson(_ranks(values[None], once), _ranks(plain, once), once)[0]
    if len(set(items)) < bootstrap.FEWEST_ITEMS:
        return found
    known = np.isfinite(ratings)
    heard, given = draws.listeners @ known.T, draws.listeners @ np.where(known, ratings, 0.0).T  # (resamples, points)
    drawn = given / np.maximum(heard, 1)
    weights = np.where(heard > 0, draws.items[:, items], 0.0)
    found["pearson_low"], found["pearson_high"] = bootstrap.interval(_pearson(values[None], drawn, weights))
    step = max(1, _AT_ONCE // len(values) ** 2)
    parts = [slice(begin, begin + step) for begin in range(0, len(drawn), step)]
    ranked = np.concatenate(
        [
            _pearson(_ranks(values[None], weights[part]), _ranks(drawn[part], weights[part]), weights[part])
            for part in parts
        ]
    )
    found["spearman_low"], found["spearman_high"] = bootstrap.interval(ranked)
    return found


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks (resamples, points) of values that count as often as their weights say; those that tie share one."""
    below = (values[:, None, :] < values[:, :, None]) + 0.5 * (values[:, None, :] == values[:, :, None])
    return (below * weights[:, None, :]).sum(axis=-1)


def _pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted correlation along the last axis; NaN where one side does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weights / weights.sum(axis=-1, keepdims=True)
        x = x - (share * x).sum(axis=-1, keepdims=True)
        y = y - (share * y).sum(axis=-1, keepdims=True)
        spread = np.sqrt((share * x**2).sum(axis=-1) * (share * y**2).sum(axis=-1))
        return np.where(spread > 1e-9, (share * x * y).sum(axis=-1) / spread, np.nan)
