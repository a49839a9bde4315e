"""Plots of how long training takes, and how far predictions are off. Tables in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sepnb.errors import SepnbError
from sepnb.figures.labels import name_points
from sepnb.figures.rows import (
    DASHES,
    GIB,
    check_columns,
    name_limit,
    name_rows,
    plain_log_axis,
    plain_number,
    side_column,
)
from sepnb.figures.style import INK, WARNING, in_print_style, legend_above, own_axes, series_colors, subplots


@in_print_style
def work_against_time(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    peaks: Mapping[str, float] | None = None,
    label: str = "time of a step (s)",
) -> Axes:
    """Work against time on logarithmic axes, a named dot a model; thin lines join what runs at the same FLOP/s.

    `table`: columns model, flops (of a step), seconds (of a step, measured unless `label` says otherwise) and, where
    there are several, precision: other than fp32 is hollow. `peaks`: {name: FLOP/s} of a card, dashed lines. Rows with
    NaN or 0 are left out; where none is left, SepnbError says so.
    """
    check_columns(table, ["model", "flops", "seconds"], "work and time")
    table = table[(table["flops"] > 0) & (table["seconds"] > 0) & np.isfinite(table["flops"] * table["seconds"])]
    check_columns(table, [], "work and time")
    ax = own_axes(ax, height=3.0)
    work, seconds = table["flops"].to_numpy(dtype=float) / 1e12, table["seconds"].to_numpy(dtype=float)
    precision = table["precision"].to_numpy() if "precision" in table else np.full(len(table), "fp32")
    for place, height, kind in zip(work, seconds, precision, strict=True):
        ax.plot(place, height, "o", color=INK, markerfacecolor=INK if kind == "fp32" else "white", zorder=2)
    (left, right), (low, high) = _room(work), _room(seconds)
    plain_log_axis(ax, "x", left, right)
    plain_log_axis(ax, "y", low, high)
    ax.set_xlabel("work of a step (TFLOP)")
    ax.set_ylabel(label)
    rates = work / seconds
    for power in range(int(np.floor(np.log10(rates.min()))), int(np.ceil(np.log10(rates.max()))) + 1):
        _rate_line(ax, 10.0**power)
    handles = []
    colors = series_colors(len(peaks or {}))
    for color, (name, rate) in zip(colors, (peaks or {}).items(), strict=True):
        look = {"color": WARNING if len(colors) == 1 else color, "linewidth": 0.9, "linestyle": DASHES}
        ax.plot([left, right], [left / (rate / 1e12), right / (rate / 1e12)], zorder=1, **look)
        handles.append(Line2D([], [], label=f"{name}: {_rate(rate / 1e12)}", **look))
    for kind in dict.fromkeys(precision) if len(set(precision)) > 1 else ():
        face = INK if kind == "fp32" else "white"
        handles.append(Line2D([], [], linestyle="none", marker="o", color=INK, markerfacecolor=face, label=kind))
    if handles:
        legend_above(ax, handles, borderaxespad=1.8)
    name_points(ax, work, seconds, list(table["model"]))
    return ax


def _room(values: np.ndarray) -> tuple[float, float]:
    """Ends of a logarithmic axis around values, with room for names, at least a decade."""
    low, high = float(values.min()), float(values.max())
    margin = max(1.6, (10 / (high / low)) ** 0.5)
    return low / margin, high * margin


def _rate(tera: float) -> str:
    return f"{plain_number(tera)} TFLOP/s" if tera >= 1 else f"{plain_number(1000 * tera)} GFLOP/s"


def _rate_line(ax: Axes, rate: float) -> None:
    """A line of constant TFLOP/s, named outside the axes where it leaves them: above or on the right."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    if not (left / rate < high and right / rate > low):
        return
    ax.plot([left, right], [left / rate, right / rate], color="#BBBBBB", linewidth=0.6, zorder=0.5)
    look = {"textcoords": "offset points", "fontsize": 7, "color": "#6E6E6E"}
    if right / rate <= high:
        ax.annotate(_rate(rate), (right, right / rate), (3, 0), ha="left", va="center", **look)
    else:
        ax.annotate(_rate(rate), (high * rate, high), (0, 2), ha="center", va="bottom", **look)


@in_print_style
def hours_an_epoch(table: pd.DataFrame, session: float = 12.0, ax: Axes | None = None) -> Axes:
    """Hours that an epoch takes, with the range of each prediction, and how many sessions the published training needs.

    `table`: a row a model, columns model, hours (an epoch), low and high (the range; may be missing) and epochs (as
    published). The dashed line is a session of `session` hours. An epoch that takes longer is hollow. Beside each row:
    the time of an epoch, epochs, and sessions rounded up; NaN is a dash.
    """
    check_columns(table, ["model", "hours", "epochs"], "hours an epoch")
    hours = table["hours"].to_numpy(dtype=float)
    if not (hours > 0).any():
        raise SepnbError("no model has hours an epoch: there is nothing to draw")
    low, high = (table[end].to_numpy(dtype=float) if end in table else hours for end in ("low", "high"))
    ax = own_axes(ax, height=0.3 * len(table) + 0.8)
    lanes = name_rows(ax, table["model"])
    ends = np.concatenate([hours, low, high, [session]])
    ends = ends[ends > 0]
    narrow = ax.figure.get_size_inches()[0] < 5
    plain_log_axis(ax, "x", ends.min() / 1.5, ends.max() * 1.5, few=narrow)
    ax.hlines(lanes, low, high, color=INK, linewidth=1.0)
    for ends_of in (low, high):
        ax.plot(ends_of, lanes, "|", color=INK, markersize=5, markeredgewidth=1.0)
    for lane, value in zip(lanes, hours, strict=True):
        face = "white" if value > session else INK
        ax.plot(value, lane, "o", color=INK, markerfacecolor=face, markersize=4.5)
    name_limit(ax, session, f"session: {plain_number(session)} h")
    ax.set_xlabel("hours an epoch")
    epochs = table["epochs"].to_numpy(dtype=float)
    side_column(ax, "an epoch", [_duration(value) for value in hours], 36)
    side_column(ax, "epochs", [plain_number(number) for number in epochs], 68)
    side_column(ax, "sessions", [plain_number(np.ceil(number)) for number in hours * epochs / session], 106)
    return ax


def _duration(hours: float) -> str:
    if not np.isfinite(hours):
        return "–"
    return f"{plain_number(hours, 2)} h" if hours >= 1 else f"{plain_number(60 * hours, 2)} min"


ROUNDED = 1e-9  # a prediction that is off by just the tolerance is within it

COMPARED = {
    "memory": ("bytes", "memory (GiB)", 1 / GIB, 0.01),
    "time": ("seconds", "time of a step (s)", 1.0, 0.30),
}


@in_print_style
def predicted_against_measured(
    table: pd.DataFrame, axes: Axes | Sequence[Axes] | None = None, *, tolerance: Mapping[str, float] | None = None
) -> np.ndarray:
    """Predicted against measured, a panel for memory and one for time, with the identity and the band of tolerance.

    `table`: columns model and predicted_bytes with measured_bytes, predicted_seconds with measured_seconds, or both
    pairs: a panel for each pair that is there. `tolerance`: {"memory": share, "time": share}, 1 % and 30 % unless
    given. At each dot stand the model and how far the prediction is off; dots outside the band are hollow. Rows with
    NaN or 0 are left out. Returns the axes as a flat array; `axes`, or the one for a single pair, are drawn into.
    """
    shown = [name for name, (unit, *_) in COMPARED.items() if {f"predicted_{unit}", f"measured_{unit}"} <= {*table}]
    if not shown:
        raise SepnbError(
            "the table has neither predicted_bytes and measured_bytes, nor predicted_ and measured_seconds"
        )
    check_columns(table, ["model"], "predictions")
    if axes is None:
        _, axes = subplots(1, len(shown), "text" if len(shown) > 1 else "column", 3.1, squeeze=False)
    axes = np.asarray(axes, dtype=object).ravel()
    for ax, name in zip(axes, shown, strict=True):
        unit, words, scale, band = COMPARED[name]
        band = (tolerance or {}).get(name, band)
        pairs = table[["model", f"predicted_{unit}", f"measured_{unit}"]].set_axis(["model", "said", "was"], axis=1)
        pairs = pairs[(pairs["said"] > 0) & (pairs["was"] > 0)]
        check_columns(pairs, [], f"predicted and measured {name}")
        said, was = pairs["said"].to_numpy(dtype=float) * scale, pairs["was"].to_numpy(dtype=float) * scale
        low, high = _room(np.concatenate([said, was]))
        edge = np.array([low, high])
        ax.fill_between(edge, edge * (1 - band), edge * (1 + band), color="#DDDDDD", linewidth=0.8, zorder=0)
        ax.plot(edge, edge, color=INK, linewidth=0.6, zorder=1)
        off = said / was - 1
        for place, height, wrong in zip(was, said, np.abs(off) > band + ROUNDED, strict=True):
            ax.plot(place, height, "o", color=INK, markerfacecolor="white" if wrong else INK, zorder=2)
        for which in ("x", "y"):
            plain_log_axis(ax, which, low, high)
        ax.set_xlabel(f"measured {words}")
        ax.set_ylabel(f"predicted {words}")
        ax.set_title(
            f"{name}: {np.sum(np.abs(off) <= band + ROUNDED)} of {len(off)} within {100 * band:g} %",
            fontweight="normal",
        )
        pairs = pairs.assign(label=[f"{m} {_off(o)}" for m, o in zip(pairs["model"], off, strict=True)], x=was, y=said)
        line = np.column_stack([np.geomspace(low, high, 40)] * 2)
        name_points(ax, was, said, list(pairs["label"]), np.concatenate([np.column_stack([was, said]), line]))
    return axes


def _off(share: float) -> str:
    """How far off: +0.3 %, −12 %."""
    percent = 100 * share
    words = f"{abs(percent):.1f}" if abs(percent) < 9.95 else f"{abs(percent):.0f}"
    sign = "" if float(words) == 0 else "−" if percent < 0 else "+"
    return f"{sign}{words} %"
