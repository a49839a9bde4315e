"""Plots about training: the loss over epochs, and what a model costs. Tables in, axes out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from sepnb.figures.style import (
    INK,
    WARNING,
    in_print_style,
    legend_above,
    log_axis,
    own_axes,
    series_colors,
    short_number,
    subplots,
)

DASHED = (0, (3, 1.5))


@in_print_style
def loss_curve(history: pd.DataFrame, ax: Axes | None = None, *, log: bool = False, quantity: str = "loss") -> Axes:
    """Training and validation loss over epochs; columns epoch, train_loss, valid_loss, and run where there are several.

    Validation is solid with a ring at its best epoch, training is dashed; one colour a run, dark to light in the order
    in which they appear. What is not finite is left out of the line.
    """
    ax = own_axes(ax, height=2.2)
    runs = list(history.groupby("run", sort=False)) if "run" in history else [("", history)]
    colors = series_colors(len(runs)) if len(runs) > 1 else [INK]
    for color, (_, rows) in zip(colors, runs, strict=True):
        rows = rows.sort_values("epoch").replace([np.inf, -np.inf], np.nan)
        ax.plot(rows["epoch"], rows["train_loss"], color=color, linestyle=DASHED)
        if "valid_loss" in rows and rows["valid_loss"].notna().any():
            ax.plot(rows["epoch"], rows["valid_loss"], color=color)
            best = rows.loc[rows["valid_loss"].idxmin()]
            ax.plot(best["epoch"], best["valid_loss"], "o", color=color, markersize=6, markerfacecolor="none")
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(True, axis="y")
    ax.set_xlabel("epoch")
    ax.set_ylabel(quantity)
    handles = [Line2D([], [], color=color, label=run) for color, (run, _) in zip(colors, runs, strict=True) if run]
    handles.append(Line2D([], [], color=INK, linestyle=DASHED, label="training"))
    handles.append(Line2D([], [], color=INK, label="validation"))
    legend_above(ax, handles)
    return ax


COSTS = {
    "parameters": ("parameters\n", 1.0),
    "multiply_adds": ("multiply-adds\nper second of audio", 1.0),
    "activation_bytes": ("activation memory\n(GiB)", 1 / 2**30),
}


@in_print_style
def model_sizes(
    sizes: pd.DataFrame, axes: Sequence[Axes] | None = None, *, memory_limit: float | None = None
) -> np.ndarray:
    """What models cost: dots on logarithmic axes, one panel a column of `sizes` that is there.

    Columns: model; and of parameters, multiply_adds (per second of audio), activation_bytes those that are known; NaN
    leaves a gap. `memory_limit` (bytes) draws a line in the memory panel. Returns the array of axes.
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
        if cost == "activation_bytes" and memory_limit is not None:
            ax.axvline(memory_limit * unit, color=WARNING, linewidth=0.8, linestyle=(0, (4, 2)))
            ax.set_xlabel(f"activation memory (GiB)\ndashed: {memory_limit * unit:.1f} GiB")
    return axes
