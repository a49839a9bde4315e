"""Plots of how scores spread over songs: boxes, a system a row, published ones in grey behind. Tables in, axes out."""

import functools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sepnb.figures.style import INK, in_print_style, legend_above, own_axes, panels, stem_color, stem_marker
from sepnb.metrics.aggregate import common_targets

GREY, GREY_EDGE, GREY_TEXT = "#DCDCDC", "#8C8C8C", "#6E6E6E"  # what others published
FEW = 5  # values; below that, quartiles would pretend to know a distribution


@in_print_style
def score_boxes(
    scores: pd.DataFrame,
    ax: Axes | None = None,
    *,
    metric: str = "SDR",
    published: pd.DataFrame | None = None,
    order: Sequence[str] | None = None,
) -> Axes:
    """How scores spread over songs: a row a system, in it a box a stem, in its colour, with its marker at the median.

    `scores`: columns system, target, the metric, and track and frame where there are several. A box holds the medians
    of songs over their frames, or the frames themselves where there is one song. It reaches from quartile to quartile,
    its whiskers to the last value within 1.5 times the box; values beyond the axis are triangles at its edge. Fewer
    than five values are drawn as dots; no value at all is a dash. The best mean of medians stands on top unless `order`
    names the systems from top to bottom.
    `published`: a table of the same columns by others (see `sepnb.published.published_tracks`), drawn in grey: behind
    the boxes of a measured system of the same name, else in rows of their own. Targets that were not measured are left
    out of it.
    """
    spread = _spread(scores, metric, published, order)
    ax = own_axes(ax, height=(0.11 * len(spread.targets) + 0.07) * len(spread.order) + 0.9)
    for lane in range(1, len(spread.order), 2):  # a band behind every other row keeps the eye on its line
        ax.axhspan(lane - 0.5, lane + 0.5, color="#F6F6F6", linewidth=0, zorder=0)
    slot = 0.84 / len(spread.targets)
    for place, target in enumerate(spread.targets):
        shift = 0.84 * ((place + 0.5) / len(spread.targets) - 0.5)
        for lane, system in enumerate(spread.order):
            _draw(ax, spread, system, target, lane + shift, slot, stem_marker(target))
    _frame(ax, spread, letters=24, ticks=8)
    marks = [
        Line2D([], [], linestyle="none", marker=stem_marker(target), color=stem_color(target), label=target)
        for target in spread.targets
    ]
    legend_above(ax, [*marks, *_explained(spread)], handletextpad=0.3, handlelength=1.5)
    return ax


@in_print_style
def score_boxes_by_stem(
    scores: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    metric: str = "SDR",
    published: pd.DataFrame | None = None,
    order: Sequence[str] | None = None,
    width: str = "text",
) -> np.ndarray:
    """How scores spread over songs: a panel a stem, a row a system, in one order and on one scale in all panels.

    Arguments as for `score_boxes`. `width`: "text" has up to four panels side by side, "column" two. Returns the axes
    as a flat array, in the order of the stems; with `axes` given, those are drawn into (one a stem).
    """
    spread = _spread(scores, metric, published, order)
    own = axes is None
    if own:
        most = 4 if width == "text" else 2
        rows = -(-len(spread.targets) // most)
        columns = -(-len(spread.targets) // rows)
        height = rows * (0.21 * len(spread.order) + 0.55) + 0.25
        axes = panels(len(spread.targets), columns, width, height)
    axes = np.asarray(axes, dtype=object).ravel()
    for ax, target in zip(axes, spread.targets, strict=True):
        ax.set_title(target)
        for lane, system in enumerate(spread.order):
            _draw(ax, spread, system, target, lane, 0.84)
        _frame(ax, spread, letters=30 if width == "text" else 19, ticks=6 if width == "text" else 5)
    if own:  # units on the lowest panel of each column only; it may have an empty place below it
        for ax in axes[:-columns]:
            ax.set_xlabel("")
        for ax in axes[-columns:]:
            ax.tick_params(labelbottom=True)
    if handles := _explained(spread):
        axes[0].figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return axes


@dataclass(frozen=True)
class _Spread:
    """The values behind the boxes of a figure: finite ones of each (system, target)."""

    unit: str  # what the axis shows, as "SDR of songs (dB)"
    targets: list[str]
    order: list[str]  # systems, top to bottom
    measured: dict[tuple[str, str], np.ndarray]
    published: dict[tuple[str, str], np.ndarray]

    @functools.cached_property
    def limits(self) -> tuple[float, float]:
        """Limits of the axis: every box with its whiskers, and outliers that lie near; far ones would squeeze it."""
        every = [values for values in [*self.measured.values(), *self.published.values()] if len(values)]
        if not every:
            return -1.0, 1.0
        ends = np.array([_whiskers(values) for values in every])
        low, high = ends[:, 0].min(), ends[:, 1].max()
        near = np.concatenate(every)
        near = near[(near > low - 0.2 * (high - low)) & (near < high + 0.2 * (high - low))]
        low, high = min(low, near.min(initial=low)), max(high, near.max(initial=high))
        margin = 0.03 * (high - low) or 1.0
        return float(low - margin), float(high + margin)


def _spread(scores: pd.DataFrame, metric: str, published: pd.DataFrame | None, order: Sequence[str] | None) -> _Spread:
    targets = list(dict.fromkeys(scores["target"]))
    one_song = "track" not in scores or scores["track"].nunique() == 1
    measured = _values(scores, metric, frames=one_song)
    known = {} if published is None else _values(published[published["target"].isin(targets)], metric, frames=False)
    systems = list(dict.fromkeys(system for system, _ in [*measured, *known]))
    if order is None:
        common = common_targets(scores)
        middle = {}
        for system in systems:
            values = [measured.get((system, target), known.get((system, target), ())) for target in common]
            # What has no value for a stem has no mean to compare, and goes to the end.
            middle[system] = np.mean([np.median(v) for v in values]) if all(len(v) for v in values) else -np.inf
        order = sorted(systems, key=lambda system: -middle[system])
    elif unknown := [system for system in order if system not in systems]:
        raise KeyError(f"no scores of {', '.join(unknown)}")
    measured, known = ({key: v for key, v in some.items() if key[0] in order} for some in (measured, known))
    what = " of songs" if not one_song else " of frames" if "frame" in scores else ""
    return _Spread(f"{metric}{what} (dB)", targets, list(order), measured, known)


def _values(scores: pd.DataFrame, metric: str, frames: bool) -> dict[tuple[str, str], np.ndarray]:
    """Finite values of each (system, target): frames as they are, or the median of each song's."""
    if not frames and "track" in scores:
        scores = scores.groupby(["system", "target", "track"], sort=False)[metric].median().reset_index()
    found = {}
    for key, rows in scores.groupby(["system", "target"], sort=False):
        values = rows[metric].to_numpy(dtype=float)
        found[key] = values[np.isfinite(values)]
    return found


def _whiskers(values: np.ndarray) -> tuple[float, float]:
    """The last values within 1.5 times the box below and above it (Tukey); with few values, the outer ones."""
    if len(values) < FEW:
        return values.min(), values.max()
    low, high = np.percentile(values, [25, 75])
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    return inside.min(), inside.max()


def _draw(ax: Axes, spread: _Spread, system: str, target: str, lane: float, slot: float, marker: str = "") -> None:
    """What is known of one system and stem, in a lane `slot` wide: measured in colour, published in grey behind."""
    behind, values = spread.published.get((system, target)), spread.measured.get((system, target))
    limits = spread.limits
    if behind is not None and len(behind):
        _box(ax, behind, limits, lane, slot, (GREY, GREY_EDGE), marker, zorder=1)
    if values is not None and len(values):
        height = slot * (0.66 if behind is None else 0.5)
        _box(ax, values, limits, lane, height, (_tint(stem_color(target)), stem_color(target)), marker, zorder=2)
    elif behind is None:
        ax.text(0.5, lane, "–", color=INK, ha="center", va="center_baseline", transform=ax.get_yaxis_transform())


def _box(
    ax: Axes,
    values: np.ndarray,
    limits: tuple[float, float],
    lane: float,
    height: float,
    colors: tuple[str, str],
    marker: str,
    zorder: int,
) -> None:
    face, edge = colors
    look = {"color": edge, "zorder": zorder}
    if len(values) < FEW:
        ax.plot(values, np.full(len(values), lane), "o", markersize=2.2, **look)
    else:
        quarter, three_quarters = np.percentile(values, [25, 75])
        begin, end = _whiskers(values)
        ax.plot([begin, end], [lane, lane], linewidth=0.7, **look)
        box = {"facecolor": face, "edgecolor": edge, "linewidth": 0.7, "zorder": zorder}
        ax.barh(lane, three_quarters - quarter, height, quarter, **box)
        for value in values[(values < begin) | (values > end)]:
            shape = "<" if value < limits[0] else ">" if value > limits[1] else "o"
            size = {"markersize": 1.5} if shape == "o" else {"markersize": 2.5, "clip_on": False}
            ax.plot(np.clip(value, *limits), lane, shape, markeredgewidth=0, **size, **look)
    middle = float(np.median(values))
    ax.plot([middle] * 2, [lane - height / 2, lane + height / 2], linewidth=1.4, solid_capstyle="butt", **look)
    if marker:
        ax.plot(middle, lane, marker, markersize=3, markerfacecolor="white", markeredgewidth=0.8, **look)


def _frame(ax: Axes, spread: _Spread, letters: int, ticks: int) -> None:
    """Names, limits and units; long names take two lines."""
    names = [textwrap.fill(system, letters) for system in spread.order]
    measured = {system for system, _ in spread.measured}
    ax.axvline(0, color=INK, linewidth=0.8, zorder=0.5)
    ax.set_xlim(*spread.limits)
    ax.set_yticks(range(len(names)), labels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    for tick, system in zip(ax.yaxis.get_major_ticks(len(names)), spread.order, strict=True):
        tick.label1.set_color("black" if system in measured else GREY_TEXT)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    ax.set_xlabel(spread.unit)


def _explained(spread: _Spread) -> list[Line2D | Patch]:
    """Handles of a legend for what names and titles do not say."""
    handles: list[Line2D | Patch] = []
    if spread.published:
        handles.append(Patch(facecolor=GREY, edgecolor=GREY_EDGE, linewidth=0.7, label="grey: published"))
    low, high = spread.limits
    if any(((v < low) | (v > high)).any() for v in [*spread.measured.values(), *spread.published.values()]):
        handles.append(Line2D([], [], linestyle="none", marker="<", markersize=3, color=INK, label="outside the axis"))
    return handles


def _tint(color: str) -> str:
    """A colour at a third of its strength on white: the median must be seen on it."""
    channels = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - channel) * 0.35):02X}" for channel in channels)
