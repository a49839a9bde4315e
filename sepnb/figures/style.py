"""One print style for all figures: sizes, fonts, and one colour, line and marker a stem.

Nothing changes on import. `print_style()` is a context, `use_style()` sets it for a whole notebook, and every plot of
this package draws inside it anyway.
"""

import functools
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

COLUMN = 3.5  # inches: one column of a two-column paper
TEXT = 7.1  # inches: the whole text width
WIDTHS = {"column": COLUMN, "text": TEXT}

STYLE: dict[str, Any] = {
    "figure.dpi": 150,  # on screen; the gallery saves at 300
    "savefig.dpi": 300,
    "savefig.bbox": "standard",  # the page size is the figure size: "tight" would change the type size in a column
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that figures look the same on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "image.cmap": "magma",  # perceptually uniform
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType, embedded: text stays text, and journals accept it
}

INK = "#333333"  # for what is not a stem: lines, text, neutral bars
WARNING = "#A60905"  # limits, and what is wrong

# Chosen by a search over hues that keep drums orange, bass blue, other green and vocals red: any two are at least 24
# apart in CIELAB (a clear difference; 2.3 is just noticeable) also for readers without red or green cones (Machado
# 2009), and the first five differ in lightness, so that they survive a black-and-white printer.
_COLORS = {
    "mixture": "#333333",
    "drums": "#EB7000",
    "bass": "#0D6DCC",
    "other": "#10BFA8",
    "vocals": "#A60905",
    "guitar": "#265270",
    "piano": "#998B53",
    "accompaniment": "#7003ED",
}
_LINES = {
    "mixture": ("-", "D"),
    "drums": ("-", "s"),
    "bass": ((0, (4, 1.2)), "o"),
    "other": ((0, (1.2, 1)), "^"),
    "vocals": ((0, (5, 1, 1, 1)), "v"),
    "guitar": ((0, (7, 2)), "<"),
    "piano": ((0, (3, 1, 1, 1, 1, 1)), ">"),
    "accompaniment": ((0, (2, 2)), "P"),
}
_ALIASES = {"guitars": "guitar", "mix": "mixture", "voice": "vocals", "keys": "piano"}
_SPARE_COLORS = ("#8FA8D0", "#9AD14B", "#C77CFF", "#7F7F7F")
_SPARE_LINES = (((0, (1, 2)), "X"), ((0, (6, 1, 2, 1)), "*"), ((0, (2, 1)), "p"))


def stem_color(name: str) -> str:
    """The colour of a stem, the same in every figure and every run; unknown names get a stable one of four spares."""
    name = _known(name)
    return _COLORS.get(name) or _SPARE_COLORS[_number_of(name) % len(_SPARE_COLORS)]


def stem_line(name: str) -> Any:
    """The line style of a stem, which tells it apart without colour."""
    return _line_and_marker(name)[0]


def stem_marker(name: str) -> str:
    """The marker of a stem, which tells it apart without colour."""
    return _line_and_marker(name)[1]


def _line_and_marker(name: str) -> tuple[Any, str]:
    name = _known(name)
    return _LINES.get(name) or _SPARE_LINES[_number_of(name) // len(_SPARE_COLORS) % len(_SPARE_LINES)]


def _known(name: str) -> str:
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def _number_of(name: str) -> int:
    return zlib.crc32(name.encode())  # unlike hash(), the same in every process


def series_colors(count: int) -> list[Any]:
    """Colours for an ordered series that is not stems (runs, systems): dark to light along a perceptual map."""
    return [plt.get_cmap("viridis")(place) for place in np.linspace(0.0, 0.8, count)]


@contextmanager
def print_style() -> Iterator[None]:
    """The print style inside a `with` block; what was set before comes back after it."""
    with mpl.rc_context(STYLE):
        yield


def use_style() -> None:
    """Set the print style from here on, as a notebook does once."""
    mpl.rcParams.update(STYLE)


def in_print_style(plot: Callable) -> Callable:
    """Decorator: the plot draws in the print style whether or not the caller has set it."""

    @functools.wraps(plot)
    def styled(*args: Any, **kwargs: Any) -> Any:
        with print_style():
            return plot(*args, **kwargs)

    return styled


@in_print_style
def subplots(
    rows: int = 1, columns: int = 1, width: str = "column", height: float = 2.2, **options: Any
) -> tuple[Figure, Any]:
    """A figure at its final width ("column", 3.5 in, or "text", 7.1 in) and `height` in inches, and its axes.

    `options` go to matplotlib's `subplots`. Returns (figure, axes) as that does.
    """
    return plt.subplots(rows, columns, figsize=(WIDTHS[width], height), **options)


def panels(count: int, columns: int, width: str, height: float) -> np.ndarray:
    """Axes of `count` panels with common scales, in rows of `columns`, as a flat array; what is left over is blank."""
    rows = -(-count // columns)
    _, grid = subplots(rows, columns, width, height, sharex=True, sharey=True, squeeze=False)
    for empty in grid.flat[count:]:
        empty.axis("off")
    return grid.ravel()[:count]


def own_axes(ax: Axes | None, width: str = "column", height: float = 2.2) -> Axes:
    """`ax` itself, or the axes of a new figure where it is None."""
    return subplots(width=width, height=height)[1] if ax is None else ax


def frequency_axis(ax: Axes, which: str, fmin: float, fmax: float, few: bool = False) -> None:
    """A logarithmic frequency axis with ticks as a sound engineer writes them: 50, 100, 200 … 1k, 2k, 5k.

    `few` ticks suit an axis of less than about 1.2 inches.
    """
    axis = ax.yaxis if which == "y" else ax.xaxis
    (ax.set_yscale if which == "y" else ax.set_xscale)("log")
    (ax.set_ylim if which == "y" else ax.set_xlim)(fmin, fmax)
    round_ones = (50, 200, 1000, 5000, 20000) if few else (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
    axis.set_ticks([tick for tick in round_ones if fmin <= tick <= fmax])
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda hertz, _: f"{hertz / 1000:g}k" if hertz >= 1000 else f"{hertz:g}"))


def third_octave_axes(ax: Axes, centres: np.ndarray, lowest: float, highest: float) -> None:
    """Axes of long-term spectra over third-octave `centres` (bands,) in Hz, from `lowest` to `highest` dBFS."""
    frequency_axis(ax, "x", centres[0], centres[-1])
    ax.set_ylim(lowest, highest)
    ax.grid(True, axis="y")
    ax.set_xlabel("frequency (Hz)")
    ax.set_ylabel("level per third octave (dBFS)")


def log_axis(ax: Axes, which: str) -> None:
    """A logarithmic axis with plain numbers at its ticks: the exponents of 10⁶ would be too small to read in print."""
    (ax.set_yscale if which == "y" else ax.set_xscale)("log")
    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axis.set_minor_formatter(NullFormatter())


def short_number(value: float, digits: int = 3) -> str:
    """A number in about three digits and a letter: 0.19, 8.9, 58k, 1.2M, 27G, 1T."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{digits}g}{letter}"
    return f"{value:.{digits}g}"


def legend_above(ax: Axes, handles: list[Any] | None = None, **options: Any) -> None:
    """A legend above the axes, where it hides no data, in as many even columns as the figure is wide enough for."""
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    longest = max(len(handle.get_label()) for handle in handles)
    fits = max(1, int(ax.figure.get_size_inches()[0] / (0.4 + 0.06 * longest)))  # inches: line and gap, then letters
    rows = -(-len(handles) // fits)
    columns = -(-len(handles) // rows)
    options = {"columnspacing": 1.2, **options}
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, **options)
