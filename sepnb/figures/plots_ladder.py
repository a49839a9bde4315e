"""What more songs buy: SDR against the number of training songs, and the time each rung took. A table in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from sepnb.errors import SepnbError
from sepnb.figures.plots_curves import DOTTED, REFERENCE
from sepnb.figures.style import INK, in_print_style, legend_above, short_number, stem_color, stem_line, stem_marker
from sepnb.figures.style import subplots as new_figure

SDR = "sdr_"


@in_print_style
def ladder_plot(
    table: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    baseline: Mapping[str, float] | None = None,
    baseline_name: str = "mixture ÷ 4",
    quantity: str = "SDR (dB)",
) -> np.ndarray:
    """SDR of each stem against the number of training songs, and below it the minutes that each rung took.

    `table`: a row a rung, columns songs, minutes and sdr_<source> (or valid_sdr_<source>) in dB. The songs' axis is
    logarithmic, since the rungs double, with ticks at the rungs themselves. `baseline`: {source: dB}, thin dotted lines
    at what needs no training. Returns the two axes; `axes` of that number are drawn into where they are given.

    Raises SepnbError where a column is missing, there are no rungs, or a number of songs is there twice or below 1.
    """
    sources = _columns_by_source(table)
    if table["songs"].duplicated().any() or (table["songs"] < 1).any():
        raise SepnbError(f"each rung has its own number of songs, 1 or more; the table has {list(table['songs'])}")
    table = table.sort_values("songs")
    if axes is None:
        _, axes = new_figure(2, 1, "column", 3.2, sharex=True, height_ratios=(2.2, 1))
    axes = np.asarray(axes, dtype=object).ravel()
    quality, time = axes
    for source, column in sources.items():
        look = {"color": stem_color(source), "linestyle": stem_line(source), "marker": stem_marker(source)}
        quality.plot(table["songs"], table[column], label=source, **look)
    handles = quality.get_legend_handles_labels()[0]
    drawn = [source for source in sources if source in (baseline or {})]
    for source in drawn:
        quality.axhline(baseline[source], color=stem_color(source), linestyle=DOTTED, linewidth=0.9, zorder=1)
    if drawn:
        handles.append(Line2D([], [], color=REFERENCE, linestyle=DOTTED, linewidth=0.9, label=baseline_name))
    quality.set_ylabel(quantity)
    legend_above(quality, handles)

    time.vlines(table["songs"], 0, table["minutes"], color=INK, linewidth=1.2)
    time.plot(table["songs"], table["minutes"], "o", color=INK, clip_on=False)
    for songs, minutes in zip(table["songs"], table["minutes"], strict=True):
        above = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "fontsize": 7}
        time.annotate(short_number(minutes, 2) if np.isfinite(minutes) else "", (songs, minutes), **above)
    time.set_ylim(0, 1.35 * max(float(table["minutes"].max()), 1e-9))  # room for the numbers
    time.set_ylabel("time (min)")
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_xticks(table["songs"], labels=[f"{songs:g}" for songs in table["songs"]])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.margins(x=0.08)
        ax.grid(True, axis="y")
    time.set_xlabel("training songs")
    return axes


def _columns_by_source(table: pd.DataFrame) -> dict[str, str]:
    missing = [column for column in ("songs", "minutes") if column not in table]
    columns = [str(column) for column in table if str(column).removeprefix("valid_").startswith(SDR)]
    if missing or not columns or not len(table):
        wanted = ", ".join([*missing, *([] if columns else [f"{SDR}<source>"])]) or "rows: there is no rung"
        raise SepnbError(f"the ladder's table has no {wanted}")
    return {column.removeprefix("valid_").removeprefix(SDR): column for column in columns}
