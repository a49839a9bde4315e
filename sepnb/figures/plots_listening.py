"""Plots of what listeners said: ABX against guessing, ratings, differences, and ratings beside a metric.

Tables of results in (see `sepnb.listening.blind`), axes out. Where the answers, or some of them, come from simulated
listeners (column `simulated`), the title says so.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sepnb.figures.rating_scale import WORDS, asked_for
from sepnb.figures.style import INK, in_print_style, legend_above, own_axes, stem_color, stem_marker

DOTS, BAND, GREY = "#A8A8A8", "#DDDDDD", "#767676"


@in_print_style
def abx_against_chance(results: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How often X was recognised, a row a pair of systems, with its 95 % interval, against guessing at 50 %.

    `results` as `abx_results` gives them. A filled dot has p < 0.05 (of several pairs: after Holm), a hollow one does
    not; the tick stands where a pair alone would reach it. Beside each row stand right answers, trials and that p. Of
    an unfinished test there are no intervals and no p, and the axis says how many trials are answered.
    """
    several = (results["p_holm"].dropna() != results["p"][results["p_holm"].notna()]).any()
    ax = own_axes(ax, height=0.36 * len(results) + 0.95)
    ax.axvline(50, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    for lane, row in enumerate(results.itertuples()):
        p = row.p if np.isnan(row.p_holm) else row.p_holm
        if np.isfinite([row.low, row.high]).all():
            ax.plot([100 * row.low, 100 * row.high], [lane, lane], color=INK, linewidth=1.0, zorder=2)
        face = INK if p < 0.05 else "white"
        ax.plot(100 * row.share, lane, "o", color=INK, markerfacecolor=face, markersize=5, zorder=3)
        if np.isfinite(row.needed):
            ax.plot([100 * row.needed / row.n] * 2, [lane - 0.28, lane + 0.28], color=GREY, linewidth=1.2, zorder=1)
        said = f"{row.correct} of {row.n}" + (f"\n{_p_text(p)}" if np.isfinite(p) else "")
        ax.annotate(
            said, (1, lane), (3, 0), ("axes fraction", "data"), textcoords="offset points", va="center", fontsize=7
        )
    _lanes(ax, [_two_lines(name) for name in results["pair"]])
    ax.set_xlim(0, 102)
    ax.set_xticks(range(0, 101, 25))
    tick = "p < 0.05 of a pair alone" if several else "p < 0.05"
    ax.set_xlabel(
        f"X recognised (% of trials), 95 % interval\ndashed: guessing; tick: {tick}{_unfinished(results)}"
        if results["p"].notna().any()
        else f"X recognised (% of trials)\ndashed: guessing{_unfinished(results)}"
    )
    _title(ax, results, "ABX")
    return ax


@in_print_style
def ratings_by_system(
    summary: pd.DataFrame, answers: pd.DataFrame, ax: Axes | None = None, *, question: str = "quality"
) -> Axes:
    """Ratings of each system on one question: single ones as grey dots, their mean with its 95 % interval; best on top.

    `summary` as `rating_summary` gives it, `answers` what it was made of. The reference and the mixture are
    hollow: they are there to show how the scale was used. Of too few excerpts there is no interval, and the axis says
    so.
    """
    rows = _of(summary, question).reset_index(drop=True)
    ax = own_axes(ax, height=0.32 * len(rows) + 1.05)
    for edge in (20, 40, 60, 80):
        ax.axvline(edge, color="#DDDDDD", linewidth=0.5, zorder=0)
    jitter = np.random.default_rng(0)  # the same picture each time
    for lane, row in enumerate(rows.itertuples()):
        given = answers.loc[(answers["system"] == row.system) & (answers["question"] == question), "rating"]
        above = lane + jitter.uniform(-0.26, 0.26, len(given))
        ax.plot(given, above, ".", color=DOTS, markersize=2.5, markeredgewidth=0, clip_on=False, zorder=1)
        face = INK if row.role == "system" else "white"
        if np.isfinite([row.mean_low, row.mean_high]).all():
            ax.plot([row.mean_low, row.mean_high], [lane, lane], color=INK, linewidth=1.2, zorder=2)
        ax.plot(row.mean, lane, "o", color=INK, markerfacecolor=face, markersize=5, zorder=3, clip_on=False)
    _lanes(ax, [textwrap.fill(name, 20) for name in rows["system"]])
    ax.set_xlim(0, 100)
    ax.set_xticks(range(0, 101, 20))
    for place, word in enumerate(WORDS):
        ax.annotate(word, (0.1 + 0.2 * place, 1), (0, 2), "axes fraction", textcoords="offset points", ha="center")
    people = f"{rows['listeners'].iloc[0]} listener{'' if rows['listeners'].iloc[0] == 1 else 's'}"
    items = int(rows["items"].max())
    given = f"{people}, {items} excerpt{'' if items == 1 else 's'}"
    if rows["mean_low"].notna().any():
        ax.set_xlabel(f"rating; mean and its 95 % interval\n{given}")
    else:
        ax.set_xlabel(f"rating and mean\n{given}: too few for an interval")
    _title(ax, rows, asked_for(question), pad=14)
    return ax


@in_print_style
def rating_differences(differences: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How much higher one system is rated than another by the same listener on the same excerpt: a row a pair.

    `differences` as `rating_differences` of `sepnb.listening.blind` gives them. Filled where p < 0.05 after Holm. Of
    too few excerpts there is no interval, and the axis says so. It also says where all ratings are of one listener.
    """
    ax = own_axes(ax, height=0.36 * len(differences) + 0.95)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for lane, row in enumerate(differences.itertuples()):
        clear = row.p_holm < 0.05
        if np.isfinite([row.low, row.high]).all():
            ax.plot([row.low, row.high], [lane, lane], color=INK, linewidth=1.2, zorder=2)
        face = INK if clear else "white"
        ax.plot(row.difference, lane, "o", color=INK, markerfacecolor=face, markersize=5, zorder=3)
    _lanes(ax, [_two_lines(f"{row.a} against {row.b}") for row in differences.itertuples()])
    ax.margins(x=0.08)
    ax.grid(True, axis="x")
    some = differences["low"].notna().any()
    shown = "(mean, 95 % interval)" if some else "(mean)\ntoo few excerpts for an interval"
    whose = ", for this listener" if differences["listeners"].max() == 1 else ""
    ax.set_xlabel(f"rated higher by … points {shown}\nfilled: p < 0.05 after Holm{whose}")
    _title(ax, differences, asked_for(differences["question"].iloc[0]))
    return ax


@in_print_style
def rating_against_metric(
    points: pd.DataFrame,
    correlations: pd.DataFrame,
    metric: str = "SDR",
    ax: Axes | None = None,
    *,
    targets: Sequence[str] | None = None,
) -> Axes:
    """The mean rating of each system on each excerpt against a metric, a stem in its colour and with its marker.

    `points` as `rated_points`, `correlations` as `correlate` gives them: the legend says Pearson's r of each stem with
    its 95 % interval. `targets`: the stems to draw (None: all). Points without a finite value are left out.
    """
    ax = own_axes(ax, height=2.9)
    known = points[np.isfinite(points[metric])]
    handles = []
    for target in targets or dict.fromkeys(points["target"]):
        part, look = known[known["target"] == target], {"color": stem_color(target), "marker": stem_marker(target)}
        ax.plot(part[metric], part["rating"], linestyle="none", markersize=4, alpha=0.85, **look)
        found = correlations[(correlations["target"] == target) & (correlations["metric"] == metric)]
        label = f"{target}{_r_text(found.iloc[0]) if len(found) else ''}"
        handles.append(Line2D([], [], linestyle="none", markersize=4, label=label, **look))
    ax.set_ylim(-2, 102)
    ax.set_yticks(range(0, 101, 20))
    ax.grid(True)
    ax.margins(x=0.06)
    question = correlations["question"].iloc[0] if len(correlations) else "quality"
    ax.set_ylabel(f"mean rating, {question}")
    ax.set_xlabel(f"{metric} (dB)")
    if handles:
        legend_above(ax, handles, handletextpad=0.3, handlelength=1.2)
    if len(correlations):
        page = ax.figure.canvas.figure
        page.draw_without_rendering()  # how high the legend is, which the title stands above
        legend = ax.get_legend()
        _title(ax, correlations, "", pad=8 + (legend.get_window_extent().height * 72 / page.dpi if legend else 0))
    return ax


def _of(table: pd.DataFrame, question: str) -> pd.DataFrame:
    rows = table[table["question"] == question]
    if rows.empty:
        raise KeyError(f"no ratings of {question!r}; there are {', '.join(dict.fromkeys(table['question']))}")
    return rows


def _lanes(ax: Axes, names: Sequence[str]) -> None:
    """Names of rows, the first on top, with a band behind every other one."""
    for lane in range(1, len(names), 2):
        ax.axhspan(lane - 0.5, lane + 0.5, color="#F6F6F6", linewidth=0, zorder=0)
    ax.set_yticks(range(len(names)), labels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def _title(ax: Axes, table: pd.DataFrame, title: str, pad: float = 5) -> None:
    """The title, and in it that listeners, or some of them, are simulated."""
    share = table["simulated"].max()
    who = "" if share == 0 else "simulated listeners" if share == 1 else "some listeners simulated"
    if title or who:
        ax.set_title(f"{title} ({who})" if title and who else _capital(title or who), pad=pad)


def _unfinished(results: pd.DataFrame) -> str:
    """That answers are still to come, and how many: until then there is no p."""
    waiting = results[results["unfinished"] > 0]
    if waiting.empty:
        return ""
    row = waiting.loc[waiting["trials"].idxmax()]
    return f"\nunfinished: {row.trials - row.unfinished:.0f} of {row.trials:.0f} answered,\np and interval at the end"


def _two_lines(name: str, letters: int = 20) -> str:
    """A pair of names, each on a line of its own where both do not fit on one."""
    if len(name) <= letters or " against " not in name:
        return textwrap.fill(name, letters)
    a, b = name.split(" against ", 1)
    return f"{_shortened(a, letters)}\nagainst {_shortened(b, letters - 8)}"


def _shortened(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1].rstrip()}…"


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2f}" if p >= 0.0995 else f"p = {p:.3f}"


def _r_text(row: pd.Series) -> str:
    if not np.isfinite(row["pearson"]):
        return f" ({row['points']} points)"
    if not np.isfinite(row["pearson_low"]):
        return f": r = {_signed(row['pearson'])}"
    return f": r = {_signed(row['pearson'])} ({_signed(row['pearson_low'])} to {_signed(row['pearson_high'])})"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
