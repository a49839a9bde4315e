"""What plots of a table's rows share: names on the left, words on the right, a limit to compare with, plain numbers."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sepnb.errors import SepnbError
from sepnb.figures.style import INK, WARNING

GIB = 2**30
DASHES = (0, (4, 2))
STRIP = 0.6  # rows kept free above the first one, where the limit is named


def check_columns(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raises SepnbError where the table of `what` has no rows or lacks one of `columns`."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise SepnbError(f"the table of {what} has no column {', '.join(missing)}")
    if not len(table):
        raise SepnbError(f"the table of {what} has no rows: there is nothing to draw")


def name_rows(ax: Axes, names: Sequence[str]) -> np.ndarray:
    """Name the rows from top to bottom, long names in two lines. Returns the height of each row's middle."""
    lanes = np.arange(len(names))
    letters = 17 if ax.figure.get_size_inches()[0] < 5 else 34
    ax.set_yticks(lanes, labels=[_folded(str(name), letters) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5 - STRIP)
    ax.tick_params(axis="y", length=0)
    return lanes


def _folded(name: str, letters: int) -> str:
    """A long name in lines of about so many letters, broken after a comma where that is enough."""
    parts = name.split(", ")
    if len(name) > letters and len(parts) == 2 and max(map(len, parts)) <= letters + 4:
        return ",\n".join(parts)
    return textwrap.fill(name, letters)


def name_limit(ax: Axes, value: float, words: str, color: str = WARNING) -> None:
    """A dashed line across the rows at `value`, with its name in the free strip above the first of them."""
    ax.axvline(value, color=color, linewidth=0.9, linestyle=DASHES, zorder=3)
    low, high = ax.get_xlim()
    place = (np.log(value / low) / np.log(high / low)) if ax.get_xscale() == "log" else (value - low) / (high - low)
    left = place > 0.6  # the words stand where there is room for them
    look = {"textcoords": "offset points", "va": "center", "color": color, "fontsize": 7}
    shift = {"xytext": (-4 if left else 4, 0), "ha": "right" if left else "left"}
    ax.annotate(words, (value, -0.5 - STRIP / 2), **shift, **look)


def side_column(ax: Axes, header: str, words: Sequence[str], right: float, colors: Sequence[str] | None = None) -> None:
    """A column of words beside the rows, its right edge `right` points from the axes, with a header in the strip."""
    look = {"textcoords": "offset points", "xycoords": ax.get_yaxis_transform(), "fontsize": 7, "ha": "right"}
    for lane, (word, color) in enumerate(zip(words, colors or [INK] * len(words), strict=True)):
        ax.annotate(word, (1, lane), (right, 0), va="center_baseline", color=color, **look)
    ax.annotate(header, (1, -0.5), (right, 0), va="bottom", color=INK, **look)


def plain_number(value: float, digits: int = 3) -> str:
    """A number in about `digits` digits, without exponents: 0.19, 8.9, 12, 1,230; a dash where it is not known."""
    if not np.isfinite(value):
        return "–"
    return f"{float(f'{value:.{digits}g}'):,.10g}"


def plain_log_axis(ax: Axes, which: str, low: float, high: float, few: bool = False) -> None:
    """A logarithmic axis from `low` to `high` with plain numbers, as many as its span asks for.

    `few` of them suit an axis of less than about 1.5 inches.
    """
    (ax.set_yscale if which == "y" else ax.set_xscale)("log")
    (ax.set_ylim if which == "y" else ax.set_xlim)(low, high)
    axis = ax.yaxis if which == "y" else ax.xaxis
    decades = np.log10(high / low) * (2 if few else 1)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    axis.set_minor_formatter(NullFormatter())
