"""Plots with a dot a system, its name beside it: bleed against artifacts, quality against cost. Tables in, axes out."""

import textwrap
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from sepnb.figures.labels import name_points
from sepnb.figures.style import (
    INK,
    in_print_style,
    legend_above,
    log_axis,
    own_axes,
    panels,
    stem_color,
    stem_marker,
    subplots,
)
from sepnb.metrics.aggregate import medians

LONE = 12.0  # dB; ratios this far above all others, as the SAR of the mixture, would squeeze these into a corner
HOLLOW = {"linestyle": "none", "marker": "o", "color": INK, "markerfacecolor": "white"}


@in_print_style
def sir_against_sar(
    scores: pd.DataFrame,
    ax: Axes | None = None,
    *,
    published: Collection[str] = (),
    iso: bool = False,
) -> Axes:
    """SIR against SAR, medians in dB: a dot a system and stem; thin lines tie a system's stems to their mean, named.

    Up is less bleed of other stems, right is fewer artifacts. `scores`: columns system, target, SIR, SAR, and track and
    frame where there are several. Marks of systems in `published` are hollow: others measured them. Values far above
    all others, as the SAR of the mixture, stand at the edge with an arrow at the name; what has no values, as silence,
    is named below the axes. `iso` draws lines along which bleed and artifacts together stay the same.
    """
    points = _ratios(scores)
    ax = own_axes(ax, "text", 4.0)
    middles = points.groupby("system", sort=False)[["SAR", "SIR"]].transform("mean")
    for (_, row), (_, middle) in zip(points.iterrows(), middles.iterrows(), strict=True):
        ax.plot([row["SAR"], middle["SAR"]], [row["SIR"], middle["SIR"]], color="#C8C8C8", linewidth=0.6, zorder=1)
    _dots(ax, points, published)
    _ratio_axes([ax], points, scores, iso)
    targets = list(dict.fromkeys(scores["target"]))
    marks = [
        Line2D([], [], linestyle="none", marker=stem_marker(target), color=stem_color(target), label=target)
        for target in targets
    ]
    legend_above(ax, [*marks, *_explained(points, published, iso)], handletextpad=0.3, handlelength=1.5)
    _name_systems(ax, points.assign(**middles).drop_duplicates("system"), points)
    return ax


@in_print_style
def sir_against_sar_by_stem(
    scores: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    published: Collection[str] = (),
    iso: bool = False,
) -> np.ndarray:
    """SIR against SAR in a panel for each stem, each dot with its system's name; the rest as for `sir_against_sar`.

    For many systems, whose dots would lie on each other in one panel. Returns the axes as a flat array, in the order of
    the stems; with `axes` given, those are drawn into (one a stem).
    """
    points = _ratios(scores)
    targets = list(dict.fromkeys(scores["target"]))
    if axes is None:
        columns = min(2, len(targets))
        rows = -(-len(targets) // columns)
        axes = panels(len(targets), columns, "text", 2.4 * rows + 0.3)
    axes = np.asarray(axes, dtype=object).ravel()
    parts = [points[points["target"] == target] for target in targets]
    for ax, target, part in zip(axes, targets, parts, strict=True):
        _dots(ax, part, published)
        ax.set_title(target)
    _ratio_axes(list(axes), points, scores, iso)
    if handles := _explained(points, published, iso):
        axes[0].figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    for ax, part in zip(axes, parts, strict=True):
        _name_systems(ax, part, part)
    return axes


def _ratios(scores: pd.DataFrame) -> pd.DataFrame:
    """Medians as columns system, target, SAR, SIR, cut to what an axis can show, and `cut`: arrows where they were."""
    both = pd.concat({ratio: medians(scores, ratio).stack() for ratio in ("SAR", "SIR")}, axis=1)
    both = both.reindex(list(dict.fromkeys(zip(scores["system"], scores["target"], strict=True)))).dropna()
    both.index.names = ["system", "target"]
    highest = {ratio: _highest(both[ratio].to_numpy()) for ratio in both}
    arrows = {"SAR": "→", "SIR": "↑"}
    cut = ["".join(arrows[ratio] for ratio in highest if row[ratio] > highest[ratio]) for _, row in both.iterrows()]
    return both.clip(upper=pd.Series(highest), axis=1).assign(cut=cut).reset_index()


def _highest(values: np.ndarray) -> float:
    """What an axis should show at most: a little above all values but a few (up to half) far above them."""
    values = np.sort(values[np.isfinite(values)])
    for count in range(max(1, len(values) // 2), len(values)):
        spread = max(values[count - 1] - values[0], LONE)
        if values[count] - values[count - 1] > spread:
            return float(values[count - 1] + 0.15 * spread)
    return np.inf if not len(values) else float(values[-1])


def _dots(ax: Axes, points: pd.DataFrame, published: Collection[str]) -> None:
    for _, row in points.iterrows():
        color = stem_color(row["target"])
        face = "white" if row["system"] in published else color
        look = {"color": color, "markerfacecolor": face, "markersize": 4.5, "zorder": 2}
        ax.plot(row["SAR"], row["SIR"], stem_marker(row["target"]), **look)


def _ratio_axes(axes: list[Axes], points: pd.DataFrame, scores: pd.DataFrame, iso: bool) -> None:
    """Limits with room for names, units, zero lines, and a word on what could not be drawn."""
    for ratio, which in (("SAR", "x"), ("SIR", "y")):
        low, high = (points[ratio].min(), points[ratio].max()) if len(points) else (0.0, 10.0)
        margin = max(0.06 * (high - low), 1.0)
        for ax in axes:
            ax.set(**{f"{which}lim": (low - margin, high + margin)})
    lost = [system for system in dict.fromkeys(scores["system"]) if system not in set(points["system"])]
    note = textwrap.fill(f"not drawn, no values: {', '.join(lost)}", 70) if lost else ""
    for ax in axes:
        for line in (ax.axvline, ax.axhline):
            line(0, color=INK, linewidth=0.8, zorder=0.5)
        ax.grid(True)
        if iso:
            _iso_lines(ax)
        grid = ax.get_subplotspec() if len(axes) > 1 else None
        if grid is None or grid.is_first_col():
            ax.set_ylabel("SIR (dB): up, less bleed")
        if grid is None or grid.rowspan.stop == grid.get_gridspec().nrows:
            ax.set_xlabel("SAR (dB): right, fewer artifacts" + (f"\n{note}" if note and ax is axes[-1] else ""))


def _iso_lines(ax: Axes) -> None:
    """Lines of equal 10 log10 of the stem's energy over bleed and artifacts together."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    sar, sir = np.meshgrid(np.linspace(left, right, 200), np.linspace(bottom, top, 200))
    both = -10 * np.log10(10 ** (-sar / 10) + 10 ** (-sir / 10))
    levels = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(both.min(), both.max())
    look = {"colors": "#AAAAAA", "linestyles": "-", "linewidths": 0.5, "zorder": 0.6}
    lines = ax.contour(sar, sir, both, levels=levels, **look)
    ax.clabel(lines, fmt="%g", fontsize=7, colors="#777777", inline_spacing=2)


def _explained(points: pd.DataFrame, published: Collection[str], iso: bool) -> list[Line2D]:
    """Handles of a legend for hollow marks, arrows and lines, where there are any."""
    handles = []
    if set(points["system"]) & set(published):
        handles.append(Line2D([], [], label="hollow: published", **HOLLOW))
    if points["cut"].any():
        handles.append(Line2D([], [], linestyle="none", label="→ ↑ beyond the axis"))
    if iso:
        handles.append(Line2D([], [], color="#AAAAAA", linewidth=0.5, label="bleed and artifacts together (dB)"))
    return handles


def _name_systems(ax: Axes, named: pd.DataFrame, points: pd.DataFrame) -> None:
    names = [f"{row['system']} {row['cut']}".rstrip() for _, row in named.iterrows()]
    name_points(ax, named["SAR"], named["SIR"], names, points[["SAR", "SIR"]].to_numpy())


COSTS = {
    "seconds_per_second": ("computing (s per second of music)", 1.0),
    "memory_bytes": ("memory (GiB)", 1 / 2**30),
}


@in_print_style
def cost_against_quality(
    costs: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    quality: str = "SDR",
    leaking: Collection[str] = (),
    memory_limit: float | None = None,
) -> np.ndarray:
    """What quality costs: a panel for computing time and one for memory, on logarithmic axes, a dot a system.

    `costs`: columns system, `quality` (mean over stems, dB), and of seconds_per_second (of computing per second of
    music) and memory_bytes those that were measured; NaN or 0 leaves a system out of a panel. A dashed line marks what
    is as fast as the music, and `memory_limit` (bytes) what a machine has. Systems in `leaking`, which have seen the
    test songs, are hollow. Returns the array of axes.
    """
    shown = [cost for cost in COSTS if cost in costs and (costs[cost] > 0).any()]
    if axes is None:
        _, axes = subplots(1, len(shown), "text" if len(shown) > 1 else "column", 2.7, sharey=True, squeeze=False)
    axes = np.asarray(axes, dtype=object).ravel()
    limits = {"seconds_per_second": 1.0, "memory_bytes": memory_limit}
    parts = []
    for ax, cost in zip(axes, shown, strict=True):
        label, unit = COSTS[cost]
        part = costs.assign(cost=costs[cost] * unit)[["system", "cost", quality]].dropna().query("cost > 0")
        for _, row in part.iterrows():
            face = "white" if row["system"] in leaking else INK
            ax.plot(row["cost"], row[quality], "o", color=INK, markerfacecolor=face, markersize=4.5)
        log_axis(ax, "x")
        ends = [*part["cost"]]
        if limits[cost] is not None:
            ends.append(limits[cost] * unit)
            ax.axvline(ends[-1], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0.5)
            words = "as fast as the music" if cost == "seconds_per_second" else f"{ends[-1]:.3g} GiB"
            label = f"{label}\ndashed: {words}"
        spread = max(max(ends) / min(ends), 10.0)
        ax.set_xlim(min(ends) / spread**0.12, max(ends) * spread**0.25)  # room for names
        if spread < 50:  # the powers of ten alone would be one or two numbers
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.grid(True)
        ax.set_xlabel(label)
        parts.append(part)
    axes[0].set_ylabel(f"{quality}, mean over stems (dB)")
    axes[0].margins(y=0.12)
    if set(costs["system"]) & set(leaking):
        hollow = Line2D([], [], label="hollow: trained on the test songs too", **HOLLOW)
        axes[0].figure.legend(handles=[hollow], loc="outside upper center")
    for ax, part in zip(axes, parts, strict=True):
        name_points(ax, part["cost"], part[quality], part["system"])
    return axes
