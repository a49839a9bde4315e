"""A plot of what fits: memory of a training step against the batch or the segment. A table in, axes out."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from sepnb.errors import SepnbError
from sepnb.figures.labels import name_points
from sepnb.figures.rows import DASHES, GIB, check_columns, plain_log_axis, plain_number
from sepnb.figures.style import INK, WARNING, in_print_style, legend_above, own_axes, series_colors

MARKERS = "osD^v<>pXP"
PRECISIONS = {"fp32": "-", "fp16": (0, (4, 1.5)), "bf16": (0, (1.2, 1.2))}
SWEPT = {"batch": "batch (examples)", "segment": "segment (s)"}
RING = {"marker": "o", "markerfacecolor": "none", "markersize": 6.5, "linestyle": "none", "zorder": 3}
MOST_TICKS = 8
FAR_ABOVE = 6.0  # times the limit: the axis ends there, since how badly something does not fit helps nobody


@in_print_style
def sweep(
    table: pd.DataFrame, x: str = "batch", limit: float | None = None, ax: Axes | None = None, *, limit_name: str = "T4"
) -> Axes:
    """Memory of a training step against the batch or the segment: a curve a model and precision, on logarithmic axes.

    `table`: columns model, memory (bytes), `x` ("batch" in examples or "segment" in seconds) and, where there are
    several, precision (fp32, fp16, bf16: another dash each). Between its rows memory is taken as a straight line, which
    it is in the batch. `limit` (bytes), called `limit_name`, is a dashed line; where a curve crosses it, a ring marks
    the largest batch or segment that fits. A curve that ends below it has no ring; a model of which nothing fits says
    so in the legend. Rows with NaN are left out; where none is left, SepnbError says so.
    """
    if x not in SWEPT:
        raise SepnbError(f"x is {x!r}: it must be one of {', '.join(SWEPT)}")
    check_columns(table, ["model", x, "memory"], f"the {x}'s sweep")
    table = table.assign(precision=table.get("precision", "fp32"), held=table["memory"] / GIB)
    table = table[(table[x] > 0) & (table["held"] > 0)]
    check_columns(table, [], f"the {x}'s sweep")
    ax = own_axes(ax, height=2.9)
    models = list(dict.fromkeys(table["model"]))
    looks = {
        model: {"color": color, "marker": MARKERS[number % len(MARKERS)], "markersize": 3.2}
        for number, (model, color) in enumerate(zip(models, series_colors(len(models)), strict=True))
    }
    limit = np.inf if limit is None else limit / GIB
    rings, curves = [], []
    for (model, precision), part in table.groupby(["model", "precision"], sort=False):
        part = part.sort_values(x)
        places, held = part[x].to_numpy(dtype=float), part["held"].to_numpy(dtype=float)
        between = np.geomspace(places[0], places[-1], 120)
        memory = np.interp(between, places, held)
        ax.plot(between, memory, color=looks[model]["color"], linestyle=PRECISIONS.get(precision, ":"))
        ax.plot(places, held, linestyle="none", **looks[model])
        curves.append(np.column_stack([between, memory])[::8])
        largest = _largest(places, held, limit, whole=x == "batch")
        if largest is not None:
            ring = (largest, np.interp(largest, places, held))
            ax.plot(*ring, markeredgecolor=looks[model]["color"], **RING)
            rings.append((*ring, f"{plain_number(largest)}{' s' if x == 'segment' else ''}"))
    _axes(ax, table, x, limit)
    legend_above(ax, _legend(table, looks, limit, limit_name, bool(rings)))
    if rings:
        line = np.column_stack([np.geomspace(*ax.get_xlim(), 40), np.full(40, limit)])
        name_points(ax, *zip(*rings, strict=True), np.concatenate([*curves, line]))
    return ax


def _largest(places: np.ndarray, held: np.ndarray, limit: float, whole: bool) -> float | None:
    """Where the curve last crosses the limit, rounded down to a whole number or a tenth; None where it does not."""
    fits = np.flatnonzero(held <= limit)
    if not len(fits) or fits[-1] == len(places) - 1:
        return None
    here, there = fits[-1], fits[-1] + 1
    exact = np.interp(limit, held[[here, there]], places[[here, there]])
    digits = 1 if whole else 10
    return max(np.floor(digits * exact + 1e-9) / digits, places[here])


def _axes(ax: Axes, table: pd.DataFrame, x: str, limit: float) -> None:
    ends = [table["held"].min(), table["held"].max(), *([limit] if np.isfinite(limit) else [])]
    plain_log_axis(ax, "y", min(ends) / 1.4, min(max(ends) * 1.4, FAR_ABOVE * limit))
    plain_log_axis(ax, "x", table[x].min() / 1.15, table[x].max() * 1.15)
    rows = np.unique(table[x])
    if 1 < len(rows) <= MOST_TICKS and (rows[1:] / rows[:-1]).min() >= 1.25:  # far enough apart to be written
        ax.set_xticks(rows, labels=[plain_number(row) for row in rows])
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(SWEPT[x])
    ax.set_ylabel("memory of a training step (GiB)")
    ax.grid(True)
    if np.isfinite(limit):
        ax.axhline(limit, color=WARNING, linewidth=0.9, linestyle=DASHES, zorder=1.5)


def _legend(table: pd.DataFrame, looks: dict[str, dict], limit: float, limit_name: str, ringed: bool) -> list[Line2D]:
    least = table.groupby("model")["held"].min()
    handles = [
        Line2D([], [], label=model if least[model] <= limit else f"{model} (none fits)", **look)
        for model, look in looks.items()
    ]
    precisions = list(dict.fromkeys(table["precision"]))
    if len(precisions) > 1:
        handles += [Line2D([], [], color=INK, linestyle=PRECISIONS.get(p, ":"), label=p) for p in precisions]
    if np.isfinite(limit):
        name = f"{limit_name}: {plain_number(limit)} GiB"
        handles.append(Line2D([], [], color=WARNING, linewidth=0.9, linestyle=DASHES, label=name))
    if ringed:
        handles.append(Line2D([], [], markeredgecolor=INK, label="largest that fits", **RING))
    return handles
