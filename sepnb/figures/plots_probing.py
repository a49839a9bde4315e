"""Plots of the memory of a training step: what it consists of, when it is held, what makes it fit.

Tables in, axes out.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.path import Path

from sepnb.errors import SepnbError
from sepnb.figures.rows import (
    DASHES,
    GIB,
    check_columns,
    name_limit,
    name_rows,
    plain_number,
    side_column,
)
from sepnb.figures.style import INK, WARNING, in_print_style, legend_above, own_axes

# What memory is held for, in the order in which it is stacked: column, name, colour, hatch. Blue goes with the
# parameters, orange with the batch, grey with CUDA; neighbours differ in lightness, also for readers who see no colour.
PARTS = (
    ("parameters", "parameters", "#12355B", None),
    ("optimizer", "optimizer", "#2F78B7", None),
    ("gradients", "gradients", "#A3CDEE", None),
    ("data", "data", "#1E7F62", None),
    ("activations", "activations", "#E8770C", None),
    ("temporaries", "temporaries", "#FBCB92", None),
    ("rounding", "rounding", "white", "////"),
    ("workspaces", "workspaces", "#BDBDBD", None),
    ("context", "CUDA context", "#7A7A7A", None),
)
CUT_FROM = 3.0  # times the limit: longer bars would squeeze the others against the axis, so they are broken …
CUT_TO = 2.0  # … and drawn this long
BROKEN = "\nbroken bars are longer than drawn"
MOST_POINTS = 1500  # of a curve: more than a page's width has dots


@in_print_style
def memory_bars(table: pd.DataFrame, limit: float, ax: Axes | None = None, *, limit_name: str = "T4") -> Axes:
    """What the memory of a training step consists of: a stacked bar a model, and what the card has as a dashed line.

    `table`: a row a model, columns model and, in bytes, those of parameters, optimizer, gradients, data, activations,
    temporaries, rounding (of the allocator), workspaces (of kernels), context (of CUDA) that are known; and, where
    known, low and high, between which the total lies (bytes; a thin line at the bar's end). What is NaN adds nothing;
    a row of nothing but NaN is a dash. `limit` (bytes) is called `limit_name`. Totals stand beside the bars, in red
    where they are over the limit. A bar over three times the limit is broken: its longest parts are shortened, with a
    mark in each, the others keep their scale. Raises SepnbError where no column of memory is there.
    """
    known = [part for part in PARTS if part[0] in table]
    check_columns(table, ["model", *([] if known else [column for column, *_ in PARTS])], "memory")
    whole = table[[column for column, *_ in known]].astype(float) / GIB
    totals, limit = whole.sum(axis=1, min_count=1).to_numpy(), limit / GIB
    ax = own_axes(ax, height=0.3 * len(table) + 1.35)
    lanes = name_rows(ax, table["model"])
    over = totals > CUT_FROM * limit
    held = whole.fillna(0.0).to_numpy()
    drawn = np.array([_cut(row, CUT_TO * limit) if far else row for row, far in zip(held, over, strict=True)])
    ends = drawn.sum(axis=1)
    longest = max(ends.max(), limit)
    begin = np.zeros(len(table))
    for (_, name, color, hatch), widths, full in zip(known, drawn.T, held.T, strict=True):
        ax.barh(lanes, widths, left=begin, height=0.66, label=name, **_look(color, hatch))
        begin = begin + widths
        for lane in np.flatnonzero(full > widths + 1e-9):
            _break_mark(ax, begin[lane] - 0.12 * widths[lane], lane)
    if {"low", "high"} <= {*table}:
        low, high = (np.where(over, ends, table[end] / GIB) for end in ("low", "high"))
        ax.hlines(lanes, low, high, color=INK, linewidth=0.8)
        longest = np.nanmax([*high, longest])
    ax.set_xlim(0, 1.05 * longest)
    name_limit(ax, limit, f"{limit_name}: {plain_number(limit)} GiB")
    ax.set_xlabel("memory of a training step (GiB)" + (BROKEN if over.any() else ""))
    side_column(ax, "GiB", [plain_number(total) for total in totals], 26, [_color(total, limit) for total in totals])
    legend_above(ax, [Patch(label=name, **_look(color, hatch)) for _, name, color, hatch in known], handlelength=1.2)
    return ax


def _color(held: float, limit: float) -> str:
    return WARNING if held > limit else INK


def _look(color: str, hatch: str | None) -> dict:
    edge = "#8C8C8C" if hatch else "white"  # a thin white edge parts neighbours
    return {"facecolor": color, "edgecolor": edge, "hatch": hatch, "linewidth": 0.4}


def _cut(parts: np.ndarray, length: float) -> np.ndarray:
    """The parts with the longest of them shortened to one level, so that they add up to `length`."""
    ordered = np.sort(parts)
    for shorter in range(len(parts)):
        level = (length - ordered[:shorter].sum()) / (len(parts) - shorter)
        if level <= ordered[shorter]:
            return np.minimum(parts, level)
    return parts


def _break_mark(ax: Axes, x: float, lane: int) -> None:
    """A slanted white gap across a bar, with an edge on either side."""
    slant = Path([(-0.35, -1.0), (0.35, 1.0)])
    for width, color in ((3.6, INK), (2.2, "white")):
        ax.plot([x], [lane], marker=slant, markersize=15, markeredgewidth=width, color=color, zorder=2.5)


@in_print_style
def memory_curve(
    curve: pd.DataFrame,
    phases: Sequence[tuple[str, int, int]],
    limit: float | None = None,
    ax: Axes | None = None,
    *,
    limit_name: str = "T4",
) -> Axes:
    """What memory is held for along a training step: stacked areas, the phases named, the worst moment marked.

    `curve`: a row an operator, in order; columns those of the parts of `memory_bars` that are there, in bytes.
    `phases`: (name, first operator, operator after the last), as ("forward", 0, 900). `limit` (bytes): a dashed line;
    one far above the curve is named with an arrow instead. Of long curves the highest row of each stretch is drawn, so
    that the peak is right. Raises SepnbError for a column that is no part, or no rows.
    """
    unknown = [str(column) for column in curve if column not in {column for column, *_ in PARTS}]
    if unknown:
        raise SepnbError(f"memory is not held for {', '.join(unknown)}; there are {', '.join(p[0] for p in PARTS)}")
    check_columns(curve, [] if len(curve.columns) else [column for column, *_ in PARTS], "memory along a step")
    parts = [part for part in PARTS if part[0] in curve]
    held = curve[[column for column, *_ in parts]].fillna(0.0).to_numpy(dtype=float) / GIB
    total = held.sum(axis=1)
    shown = _highest_rows(total)
    ax = own_axes(ax, height=2.6)
    handles = []
    base = np.zeros(len(shown))
    for (_, name, color, hatch), part in zip(parts, held[shown].T, strict=True):
        look = {"facecolor": color, "edgecolor": "#8C8C8C" if hatch else "none", "hatch": hatch, "linewidth": 0.0}
        ax.fill_between(shown, base, base + part, step="post", **look)
        handles.append(Patch(label=name, **_look(color, hatch)))
        base = base + part
    worst = int(total.argmax())
    limit = None if limit is None else limit / GIB
    near = limit is not None and limit < 2.5 * total[worst]
    top = max(total[worst], limit if near else 0.0, 1e-9)
    ax.set_xlim(0, max(len(curve) - 1, 1))
    ax.set_ylim(0, 1.42 * top)  # room for the names of the phases, the peak and the limit
    if near:
        ax.axhline(limit, color=WARNING, linewidth=0.9, linestyle=DASHES)
    legend_above(ax, handles, handlelength=1.2)
    ax.set_xlabel("operator of the training step")
    ax.set_ylabel("memory held (GiB)")
    for _, start, _ in phases:
        if start > 0:
            ax.axvline(start, color=INK, linewidth=0.6, linestyle=(0, (1, 1.5)))
    ax.plot(worst, total[worst], "v", color=INK, markeredgecolor="white", markeredgewidth=0.5, clip_on=False)
    ax.figure.canvas.figure.draw_without_rendering()  # the places of words depend on the layout
    _name_phases(ax, phases)
    _inside(ax, worst, total[worst], f"peak {plain_number(total[worst])} GiB")
    if limit is not None:
        words = f"{limit_name}: {plain_number(limit)} GiB" + ("" if near else " ↑")
        right = worst < len(curve) / 2  # the limit's name keeps away from the peak's
        look = {"textcoords": "offset points", "xycoords": ax.get_yaxis_transform(), "fontsize": 7, "color": WARNING}
        place = {"ha": "right" if right else "left", "va": "bottom"}
        ax.annotate(words, (right, limit if near else 1.05 * top), (-3 if right else 3, 1.5), **place, **look)
    return ax


def _highest_rows(total: np.ndarray) -> np.ndarray:
    """The numbers of the rows to draw: all of a short curve, the highest of each stretch of a long one, both ends."""
    stretches = np.array_split(np.arange(len(total)), min(len(total), MOST_POINTS))
    rows = {int(stretch[total[stretch].argmax()]) for stretch in stretches}
    return np.array(sorted(rows | {0, len(total) - 1}))


def _name_phases(ax: Axes, phases: Sequence[tuple[str, int, int]]) -> None:
    """Names at the top of the axes, in the middle of their phases; of one that is too short, before it with a ›."""
    free = ax.bbox.x1  # pixels; what is right of it belongs to the later phases
    for name, start, end in reversed(phases):
        look = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 7, "color": INK}
        note = ax.annotate(name, ((start + end) / 2, 1), (0, -2), ha="center", va="top", **look)
        note.set_in_layout(False)
        box, left = note.get_window_extent(), ax.transData.transform((start, 0))[0]
        if box.x0 < left or box.x1 > free:
            note.remove()
            note = ax.annotate(f"{name} ›", (start, 1), (-2, -2), ha="right", va="top", **look)
        free = min(note.get_window_extent().x0, left)


def _inside(ax: Axes, x: float, y: float, words: str) -> None:
    """Words above a point, moved sideways where they would leave the axes."""
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    look = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 7, "bbox": paper}
    note = ax.annotate(words, (x, y), (0, 5), **look)
    box = note.get_window_extent()
    shift = max(ax.bbox.x0 - box.x0, 0) - max(box.x1 - ax.bbox.x1, 0)
    note.set_position((shift * 72 / ax.figure.canvas.figure.dpi, 5))
    note.set_in_layout(False)


@in_print_style
def ways_out(table: pd.DataFrame, limit: float, ax: Axes | None = None, *, limit_name: str = "T4") -> Axes:
    """What would make one model fit: memory of each way out against the card's, with the hours of training beside it.

    `table`: a row a way, from top to bottom, columns way (as "fp16", "batch 1, four times"), memory (bytes) and hours
    (of training, to the published number of epochs); the first row is usually the published setting. `limit` (bytes)
    is called `limit_name`. Bars that fit are filled, others hatched and their memory in red, both written beside the
    row; NaN is a dash. Bars over three times the limit are broken.
    """
    check_columns(table, ["way", "memory", "hours"], "ways out")
    memory, limit = table["memory"].to_numpy(dtype=float) / GIB, limit / GIB
    ax = own_axes(ax, height=0.3 * len(table) + 0.8)
    lanes = name_rows(ax, table["way"])
    ends = np.where(memory > CUT_FROM * limit, CUT_TO * limit, memory)
    ax.set_xlim(0, 1.08 * np.nanmax([*ends, limit]))
    for lane, end, held in zip(lanes, ends, memory, strict=True):
        fits = held <= limit
        look = {"facecolor": "#2F78B7"} if fits else {"facecolor": "white", "edgecolor": "#8C8C8C", "hatch": "////"}
        if np.isfinite(held):
            ax.barh(lane, end, height=0.6, linewidth=0.6, **look)
        if held > end:
            _break_mark(ax, 0.88 * end, lane)
    name_limit(ax, limit, f"{limit_name}: {plain_number(limit)} GiB")
    ax.set_xlabel("memory of a training step (GiB)" + (BROKEN if (ends < memory).any() else ""))
    side_column(ax, "GiB", [plain_number(held) for held in memory], 26, [_color(held, limit) for held in memory])
    side_column(ax, "hours of\ntraining", [plain_number(hours) for hours in table["hours"]], 62)
    return ax
