"""What ratings tell: how good each system is, which is better, and which listeners could not hear the difference."""

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.listening.blind import bootstrap
from sepnb.listening.blind.significance import holm, p_of_difference
from sepnb.listening.blind.simulated import who

BELOW, TOO_OFTEN = 90, 0.15  # of the hidden reference's ratings, in more than this part of the trials: BS.1534-3


def rating_summary(answers: pd.DataFrame, resamples: int = bootstrap.RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Each system, the hidden reference and the mixture on each question: a row each, best first.

    `answers` as `read_answers` gives them. Columns: question, system, role, ratings, items; mean with mean_low and
    mean_high, median with median_low and median_high (95 % intervals over listeners and items, see `bootstrap`; NaN
    below three items); listeners and simulated as in `abx_results`. Of an item that a listener rated more than once the
    mean counts.
    """
    grids, (listeners, items) = rating_grids(answers)
    draws = bootstrap.draw(listeners, items, resamples, seed)
    roles, counts = dict(zip(answers["system"], answers["role"], strict=True)), who(answers)
    rows = []
    for (question, system), grid in grids.items():
        row = {"question": question, "system": system, "role": roles[system]}
        row |= {"ratings": int(np.isfinite(grid).sum()), "items": _items_in(grid)}
        for name, statistic in (("mean", bootstrap.means), ("median", bootstrap.medians)):
            low, high = _interval(statistic, grid, draws)
            row |= {name: float(getattr(np, f"nan{name}")(grid)), f"{name}_low": low, f"{name}_high": high}
        rows.append({**row, **counts})
    table = pd.DataFrame(rows)
    asked = {question: place for place, question in enumerate(dict.fromkeys(table["question"]))}
    keys = pd.DataFrame({"asked": table["question"].map(asked), "mean": -table["mean"]})
    return table.loc[keys.sort_values(["asked", "mean"], kind="stable").index].reset_index(drop=True)


def rating_differences(
    answers: pd.DataFrame,
    question: str = "quality",
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    everything: bool = False,
) -> pd.DataFrame:
    """Every two systems, by what a listener gave the one more than the other on the same item: a row a pair.

    Columns: question, a, b (a has the higher mean), difference (mean, in points), low and high (95 % interval over
    listeners and items, NaN below three items), p (two-sided, see `significance`) and p_holm, for being one of so many
    pairs; pairs (of ratings); listeners and simulated. With `everything`, the hidden reference and the mixture count as
    systems. Raises SepnbError for a question that was not asked, and for fewer than two systems.

    p is the stricter of the two: it cannot be below 0.05 with fewer than six items (of three pairs, p_holm with fewer
    than seven), however large the difference. Of a single listener, p and interval speak of that listener alone.
    """
    grids, (listeners, items) = rating_grids(answers)
    asked = list(dict.fromkeys(name for name, _ in grids))
    if question not in asked:
        raise SepnbError(f"nobody was asked for {question!r}; the questions were {', '.join(asked)}")
    roles = dict(zip(answers["system"], answers["role"], strict=True))
    of_systems = {
        system: grid
        for (name, system), grid in grids.items()
        if name == question and (everything or roles[system] == "system")
    }
    if len(of_systems) < 2:
        raise SepnbError("a difference is one between two systems, and fewer were rated")
    draws, counts = bootstrap.draw(listeners, items, resamples, seed), who(answers)
    rows = []
    for a, b in itertools.combinations(of_systems, 2):
        between = of_systems[a] - of_systems[b]
        if not np.isfinite(between).any():
            continue
        if np.nanmean(between) < 0:
            a, b, between = b, a, -between
        low, high = _interval(bootstrap.means, between, draws)
        row = {"question": question, "a": a, "b": b, "difference": float(np.nanmean(between)), "low": low, "high": high}
        row |= {"p": p_of_difference(between, resamples, seed), "pairs": int(np.isfinite(between).sum())}
        rows.append({**row, **counts})
    table = pd.DataFrame(rows)
    table.insert(7, "p_holm", holm(table["p"].to_numpy()))
    return table.sort_values("difference", ascending=False, kind="stable").reset_index(drop=True)


def post_screening(answers: pd.DataFrame) -> pd.DataFrame:
    """Listeners by how often they rated the hidden reference below 90 for its overall quality: a row each.

    Columns: listener, trials, below, share, and failed: in more than 15 % of the trials, for which BS.1534-3
    leaves a listener out. `without_failed` does so; who does, reports it.
    """
    _require_ratings(answers)
    hidden = answers[(answers["role"] == "reference") & (answers["question"] == "quality")]
    table = (
        hidden.assign(below=hidden["rating"] < BELOW)
        .groupby("listener", sort=False)["below"]
        .agg(trials="size", below="sum", share="mean")
        .reset_index()
    )
    return table.assign(failed=table["share"] > TOO_OFTEN)


def without_failed(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers of the listeners who passed `post_screening`. Raises SepnbError where nobody did."""
    screened = post_screening(answers)
    kept = answers[~answers["listener"].isin(screened.loc[screened["failed"], "listener"])]
    if kept.empty:
        raise SepnbError("no listener heard the hidden reference often enough: there would be no answers left")
    return kept.reset_index(drop=True)


def rating_grids(answers: pd.DataFrame) -> tuple[dict[tuple[str, str], np.ndarray], tuple[int, int]]:
    """Ratings (listeners, items) by (question, system), NaN where one is missing; and how many of both there are.

    Rows and columns stand for the same listeners and items in all of them. An item is a stem of a track.
    """
    _require_ratings(answers)
    listener, _ = pd.factorize(answers["listener"])
    item = answers.groupby(["track", "target"], sort=False).ngroup().to_numpy()
    shape = (int(listener.max()) + 1, int(item.max()) + 1)
    grids = {}
    table = answers.assign(_listener=listener, _item=item)
    for key, part in table.groupby(["question", "system"], sort=False):
        grid = np.full(shape, np.nan)
        cells = part.groupby(["_listener", "_item"])["rating"].mean()
        grid[cells.index.get_level_values(0), cells.index.get_level_values(1)] = cells
        grids[key] = grid
    return grids, shape


def _interval(
    statistic: Callable[[np.ndarray, bootstrap.Draws], np.ndarray], grid: np.ndarray, draws: bootstrap.Draws
) -> tuple[float, float]:
    """95 % interval of a statistic of ratings (listeners, items); NaN of too few items."""
    if _items_in(grid) < bootstrap.FEWEST_ITEMS:
        return np.nan, np.nan
    return bootstrap.interval(statistic(grid, draws))


def _items_in(grid: np.ndarray) -> int:
    return int(np.isfinite(grid).any(axis=0).sum())


def _require_ratings(answers: pd.DataFrame) -> None:
    if not isinstance(answers, pd.DataFrame) or "rating" not in answers or answers.empty:
        raise SepnbError("these are not the answers of a rating test: read_answers gives them")
