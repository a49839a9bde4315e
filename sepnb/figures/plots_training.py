"""Plots about what training costs: where an epoch's time goes, and how big models are. Tables in, axes out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sepnb.errors import SepnbError
from sepnb.figures.style import (
    INK,
    WARNING,
    in_print_style,
    legend_above,
    log_axis,
    own_axes,
    short_number,
    subplots,
)

# Where an epoch's time goes: column, name, colour and hatch of each part, in the order in which they are stacked.
PARTS = (
    ("computing_seconds", "computing", "#5A5A5A", None),
    ("validating_seconds", "validating", "#B9B9B9", None),
    ("waiting_seconds", "waiting for data", WARNING, None),
    ("other_seconds", "other (saving, …)", "white", "////"),
)
SHOWN_FROM = 0.01  # a rest smaller than this share of an epoch is not worth a bar


@in_print_style
def epoch_time(history: pd.DataFrame, ax: Axes | None = None, *, by: str = "run") -> Axes:
    """Where an epoch's time goes: computing, validating and waiting for data, as one stacked bar for each of `by`.

    `history`: columns waiting_seconds, computing_seconds and, where known, validating_seconds and seconds (the whole
    epoch: what is left over becomes a part of its own); and `by`, such as run or pipeline, where there are several.
    Epochs are averaged. Beside each bar stand its length and the share of waiting. Raises SepnbError where a column is
    missing or a time is negative or not finite.
    """
    known = [column for column, *_ in PARTS if column in history] + ["seconds"] * ("seconds" in history)
    missing = {"waiting_seconds", "computing_seconds"} - set(known)
    if missing:
        raise SepnbError(f"the history has no column {', '.join(sorted(missing))}: its times cannot be taken apart")
    if not len(history) or not (np.isfinite(history[known]) & (history[known] >= 0)).all(axis=None):
        raise SepnbError("times of epochs must be there, finite and not negative")
    labels = history[by].astype(str) if by in history else pd.Series("", index=history.index)
    table = history[known].groupby(labels, sort=False).mean()
    parts = [part for part in PARTS if part[0] in table]
    if "seconds" in table:
        rest = (table["seconds"] - table[[column for column, *_ in parts]].sum(axis=1)).clip(lower=0)
        if (rest > SHOWN_FROM * table["seconds"]).any():
            table["other_seconds"] = rest
            parts = [part for part in PARTS if part[0] in table]
    whole = table[[column for column, *_ in parts]].sum(axis=1)
    ax = own_axes(ax, height=0.3 * len(table) + 0.95)
    lanes, begin = np.arange(len(table)), np.zeros(len(table))
    for column, name, color, hatch in parts:
        edge = "#8C8C8C" if hatch else color
        bar = {"facecolor": color, "edgecolor": edge, "hatch": hatch, "linewidth": 0.0 if hatch is None else 0.6}
        ax.barh(lanes, table[column], left=begin, height=0.62, label=name, **bar)
        begin = begin + table[column].to_numpy()
    for lane, (seconds, waited) in enumerate(zip(whole, table["waiting_seconds"], strict=True)):
        words = f"{short_number(seconds)} s, {_percent(waited / seconds if seconds else 0.0)} waiting"
        beside = {"xytext": (5, 0), "textcoords": "offset points", "va": "center_baseline", "fontsize": 7}
        ax.annotate(words, (seconds, lane), **beside)
    ax.set_xlim(0, 1.75 * max(float(whole.max()), 1e-9))  # room for the words
    ax.set_yticks(lanes, labels=table.index)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time per epoch (s)")
    legend_above(ax, columnspacing=1.0, handlelength=1.2)
    return ax


def _percent(share: float) -> str:
    """A share in per cent, to a digit below ten: 0.4 %, 3.2 %, 38 %."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"


COSTS = {
    "parameters": ("parameters\n", 1.0),
    "multiply_adds": ("multiply-adds\nper second of audio", 1.0),
    "activation_bytes": ("activation memory\n(GiB)", 1 / 2**30),
}


@in_print_style
def model_sizes(sizes: pd.DataFrame, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """What models cost: dots on logarithmic axes, one panel a column of `sizes` that is there.

    Columns: model; and of parameters, multiply_adds (per second of audio), activation_bytes those that are known; NaN
    leaves a gap. Returns the array of axes.
    """
    costs = [cost for cost in COSTS if cost in sizes]
    if axes is None:
        _, axes = subplots(1, len(costs), "text", 0.24 * len(sizes) + 0.8, sharey=True, squeeze=False)
    axes = np.asarray(axes, dtype=object).ravel()
    lanes = np.arange(len(sizes))
    for ax, cost in zip(axes, costs, strict=True):
        label, unit = COSTS[cost]
        values = sizes[cost].to_numpy(dtype=float) * unit
        ax.hlines(lanes, 0, 1, color="#EEEEEE", linewidth=0.6, transform=ax.get_yaxis_transform(), zorder=0)
        ax.plot(values, lanes, "o", color=INK)
        for lane, value in zip(lanes, values, strict=True):
            if np.isfinite(value):
                place = {"xytext": (5, 0), "textcoords": "offset points", "va": "center_baseline", "fontsize": 7}
                ax.annotate(short_number(value), (value, lane), **place)
        log_axis(ax, "x")
        ax.set_xlim(np.nanmin(values) / 2, np.nanmax(values) * 12)  # room for the numbers
        ax.set_xlabel(label)
        ax.set_yticks(lanes, labels=sizes["model"])
        ax.set_ylim(len(sizes) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
    return axes
