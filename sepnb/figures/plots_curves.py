"""Learning curves: loss and validation SDR against epochs, minutes or music heard. Tables in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from sepnb.errors import SepnbError
from sepnb.figures.style import (
    INK,
    in_print_style,
    legend_above,
    log_axis,
    own_axes,
    panels,
    series_colors,
    stem_color,
    stem_line,
    stem_marker,
)

DASHED = (0, (3, 1.5))
DOTTED = (0, (1, 2))
RUN_LINES = ("-", DASHED, (0, (1.2, 1)), (0, (5, 1, 1, 1)))  # for runs where the colours are the stems'
REFERENCE = "#777777"  # silence, the mixture: what a model is compared with
SDR = "valid_sdr_"
UNEQUAL = 8.0  # runs whose lengths differ more than so many times get a logarithmic axis

# What an axis of training shows: the column it comes from, the size of its unit in that column, and its label.
AXES = {
    "epoch": ("epoch", 1.0, "epoch"),
    "minutes": ("seconds", 60.0, "training time (min)"),
    "music": ("music_seconds", 3600.0, "music heard (hours)"),
}


@in_print_style
def loss_curve(
    history: pd.DataFrame,
    ax: Axes | None = None,
    *,
    x: str = "epoch",
    log: bool = False,
    log_x: bool | None = None,
    quantity: str = "loss",
    silence: bool = False,
    baseline: Mapping[str, float] | None = None,
) -> Axes:
    """Training and validation loss over epochs; columns epoch, train_loss, valid_loss, and run where there are several.

    Validation is solid with a ring at its best epoch, training is dashed; one colour a run, dark to light in the order
    in which they appear. What is not finite is left out of the line; a line whose last values are missing ends with a
    cross: the run diverged. (A loss that grew very large before that asks for `log`.)

    `x`: "epoch"; "minutes", the sum of the column `seconds`; or "music", hours of music heard, the sum of the column
    `music_seconds` (both an epoch's own). `log_x` makes that axis logarithmic; None: where the longest run is more than
    eight times as long as the shortest, which would be a few pixels otherwise. `silence` draws a line at 1, which is
    what silence scores where the loss is relative to the stems; `baseline` others: {"mixture ÷ 4": 0.8}.

    Raises SepnbError where a column is missing or no loss is finite.
    """
    runs = _runs(history, x, "train_loss")
    ax = own_axes(ax, height=2.2)
    colors = series_colors(len(runs)) if len(runs) > 1 else [INK]
    crosses = False
    for color, (_, rows) in zip(colors, runs, strict=True):
        crosses |= _draw_line(ax, rows, "train_loss", color=color, linestyle=DASHED, linewidth=0.9)
        if "valid_loss" in rows and rows["valid_loss"].notna().any():
            crosses |= _draw_line(ax, rows, "valid_loss", color=color)
            best = rows.loc[rows["valid_loss"].idxmin()]
            ax.plot(best["x"], best["valid_loss"], "o", color=color, markersize=6, markerfacecolor="none")
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
    _reference_lines(ax, ({"silence": 1.0} if silence else {}) | dict(baseline or {}))
    _finish(ax, x, quantity, runs, log_x)
    handles = [Line2D([], [], color=color, label=run) for color, (run, _) in zip(colors, runs, strict=True) if run]
    handles.append(Line2D([], [], color=INK, linestyle=DASHED, label="training"))
    handles.append(Line2D([], [], color=INK, label="validation"))
    if crosses:
        handles.append(Line2D([], [], color=INK, linestyle="none", marker="X", markersize=6, label="diverged"))
    legend_above(ax, handles)
    return ax


@in_print_style
def sdr_curve(
    history: pd.DataFrame,
    ax: Axes | None = None,
    *,
    x: str = "epoch",
    log_x: bool | None = None,
    baseline: Mapping[str, float] | None = None,
    baseline_name: str = "mixture ÷ 4",
) -> Axes:
    """Validation SDR of each stem over epochs; columns epoch, valid_sdr_<source> in dB, and run if several.

    One colour a stem. Of one run each stem has its own line style, and the mean (column valid_sdr) is drawn with a ring
    at its best epoch; of several, up to four, the line style is the run's, and each line ends with its stem's marker.
    `baseline`: {source: dB}, drawn as thin dotted lines. `x`, `log_x` and errors as for `loss_curve`.
    """
    sources = _sources_of(history)
    runs = _runs(history, x, *(SDR + source for source in sources))
    _check_lines(runs)
    ax = own_axes(ax, height=2.4)
    crosses = False
    for line, (_, rows) in zip(RUN_LINES, runs, strict=False):
        for source in sources:
            style = line if len(runs) > 1 else stem_line(source)
            crosses |= _draw_sdr(ax, rows, source, style)
    handles = [
        Line2D(
            [],
            [],
            color=stem_color(source),
            linestyle="-" if len(runs) > 1 else stem_line(source),
            marker=stem_marker(source),
            label=source,
        )
        for source in sources
    ]
    if len(runs) == 1 and "valid_sdr" in history and len(sources) > 1:
        rows = runs[0][1]
        _draw_line(ax, rows, "valid_sdr", color=INK, linewidth=0.8)
        if rows["valid_sdr"].notna().any():
            best = rows.loc[rows["valid_sdr"].idxmax()]
            ax.plot(best["x"], best["valid_sdr"], "o", color=INK, markersize=6, markerfacecolor="none")
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label="mean"))
    handles += _run_handles(runs)
    handles += _draw_baselines(ax, sources, baseline, baseline_name)
    if crosses:
        handles.append(Line2D([], [], color=INK, linestyle="none", marker="X", markersize=6, label="diverged"))
    _finish(ax, x, "validation SDR (dB)", runs, log_x)
    legend_above(ax, handles)
    return ax


@in_print_style
def sdr_curves_by_stem(
    history: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    x: str = "epoch",
    log_x: bool | None = None,
    baseline: Mapping[str, float] | None = None,
    baseline_name: str = "mixture ÷ 4",
) -> np.ndarray:
    """Validation SDR of several runs, a panel a stem on one scale; columns and settings as for `sdr_curve`.

    One colour and one line style a run, the colours as in `loss_curve` of the same runs; the titles have the stems'.
    Returns the axes as a flat array, in the order of the sources; `axes` of that number are drawn into where given.
    """
    sources = _sources_of(history)
    runs = _runs(history, x, *(SDR + source for source in sources))
    colors = series_colors(len(runs)) if len(runs) > 1 else [INK]
    lines = [RUN_LINES[place % len(RUN_LINES)] for place in range(len(runs))]
    own = axes is None
    if own:
        columns = min(2, len(sources))
        rows = -(-len(sources) // columns)
        axes = panels(len(sources), columns, "column", 1.25 * rows + 0.7)
    axes = np.asarray(axes, dtype=object).ravel()
    named = [(run, color, line) for (run, _), color, line in zip(runs, colors, lines, strict=True) if run]
    handles = [Line2D([], [], color=color, linestyle=line, label=run) for run, color, line in named]
    crosses, dotted = False, []
    for place, (ax, source) in enumerate(zip(axes, sources, strict=True)):
        for (_, rows), color, line in zip(runs, colors, lines, strict=True):
            crosses |= _draw_line(ax, rows, SDR + source, color=color, linestyle=line, linewidth=1.0)
        dotted = _draw_baselines(ax, (source,), baseline, baseline_name) or dotted
        _finish(ax, x, "validation SDR (dB)", runs, log_x)
        ax.set_title(source, color=stem_color(source))
        if own:  # words on the outer panels only
            lowest = place + columns >= len(sources)
            ax.tick_params(labelbottom=lowest)
            ax.set_xlabel(AXES[x][2] if lowest else "")
            ax.set_ylabel("validation SDR (dB)" if place % columns == 0 else "")
    handles += dotted
    if crosses:
        handles.append(Line2D([], [], color=INK, linestyle="none", marker="X", markersize=6, label="diverged"))
    if handles and own:
        axes[0].figure.legend(handles=handles, loc="outside upper center", ncols=2 if len(handles) > 1 else 1)
    elif handles:
        axes[0].legend(handles=handles)
    return axes


# ------------------------------------------------------------------------------------------------- what they share


def _runs(history: pd.DataFrame, x: str, *columns: str) -> list[tuple[str, pd.DataFrame]]:
    """Name and rows of each run in the order of its epochs, with their place on the axis as column `x`."""
    if x not in AXES:
        raise SepnbError(f"x is {x!r}: it must be one of {', '.join(AXES)}")
    column, unit, label = AXES[x]
    missing = [name for name in ("epoch", column, *columns) if name not in history]
    if missing:
        raise SepnbError(f"the history has no column {', '.join(dict.fromkeys(missing))}, needed to draw {label}")
    history = history.replace([np.inf, -np.inf], np.nan)
    if not history[list(columns)].notna().any(axis=None):
        raise SepnbError(f"the history has no finite value of {', '.join(columns)} to draw")
    runs = (
        [("", history)]
        if "run" not in history
        else [(str(run), rows) for run, rows in history.groupby("run", sort=False)]
    )
    placed = []
    for run, rows in runs:
        rows = rows.sort_values("epoch")
        place = rows[column] if x == "epoch" else rows[column].cumsum()
        placed.append((run, rows.assign(x=place / unit)))
    return placed


def _draw_line(ax: Axes, rows: pd.DataFrame, column: str, **look: object) -> bool:
    """Draw a column against `x`; says whether the line broke off, which is marked with a cross."""
    values = rows[column]
    last = values.last_valid_index()
    if last is None:
        return False  # never there, as the score of a stem that is silent
    dot = "." if values.notna().sum() == 1 else None  # one epoch makes no line
    ax.plot(rows["x"], values, marker=dot, **look)
    broke_off = last != rows.index[-1]
    if broke_off:
        ax.scatter(rows["x"][last], values[last], marker="X", s=36, color=look["color"], linewidths=0, zorder=3)
    return broke_off


def _draw_sdr(ax: Axes, rows: pd.DataFrame, source: str, line: object) -> bool:
    color, values = stem_color(source), rows[SDR + source]
    broke_off = _draw_line(ax, rows, SDR + source, color=color, linestyle=line)
    last = values.last_valid_index()
    if last is not None and not broke_off:
        ax.plot(rows["x"][last], values[last], stem_marker(source), color=color, clip_on=False)
    return broke_off


def _sources_of(history: pd.DataFrame) -> list[str]:
    sources = [column.removeprefix(SDR) for column in history if str(column).startswith(SDR)]
    if not sources:
        raise SepnbError(f"the history has no columns {SDR}<source>: it was not written with a validation SDR")
    return sources


def _check_lines(runs: list[tuple[str, pd.DataFrame]]) -> None:
    if len(runs) > len(RUN_LINES):
        raise SepnbError(
            f"{len(runs)} runs are more than the {len(RUN_LINES)} that line styles can tell apart: choose some"
        )


def _run_handles(runs: list[tuple[str, pd.DataFrame]]) -> list[Line2D]:
    named = [(run, line) for line, (run, _) in zip(RUN_LINES, runs, strict=False) if run]
    return [Line2D([], [], color=INK, linestyle=line, label=run) for run, line in named]


def _draw_baselines(ax: Axes, sources: Sequence[str], baseline: Mapping[str, float] | None, name: str) -> list[Line2D]:
    drawn = [source for source in sources if source in (baseline or {})]
    for source in drawn:
        ax.axhline(baseline[source], color=stem_color(source), linestyle=DOTTED, linewidth=0.9, zorder=1)
    return [Line2D([], [], color=REFERENCE, linestyle=DOTTED, linewidth=0.9, label=name)] if drawn else []


def _reference_lines(ax: Axes, lines: Mapping[str, float]) -> None:
    """Thin lines across, their names at the right end, above them."""
    for name, value in lines.items():
        ax.axhline(value, color=REFERENCE, linewidth=0.7, zorder=1)
        beside = {"xytext": (0, 1), "textcoords": "offset points", "ha": "right", "va": "bottom", "fontsize": 7}
        ax.annotate(name, (1.0, value), xycoords=ax.get_yaxis_transform(), color=REFERENCE, **beside)


def _finish(ax: Axes, x: str, quantity: str, runs: list[tuple[str, pd.DataFrame]], log_x: bool | None) -> None:
    ends = [rows["x"].max() for _, rows in runs]
    log_x = max(ends) > UNEQUAL * min(ends) > 0 if log_x is None else log_x
    if log_x:
        log_axis(ax, "x")
    elif x == "epoch":
        ax.xaxis.get_major_locator().set_params(integer=True)
    else:
        ax.set_xlim(left=0)
    ax.grid(True, axis="y")
    ax.set_xlabel(AXES[x][2])
    ax.set_ylabel(quantity)
