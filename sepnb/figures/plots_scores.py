"""Plots of scores: separation systems side by side, a dot a stem. Tables in, axes out."""

from collections.abc import Collection, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sepnb.figures.style import INK, in_print_style, legend_above, own_axes, stem_color, stem_marker
from sepnb.metrics.aggregate import common_targets, medians


@in_print_style
def scores_by_stem(
    scores: pd.DataFrame,
    ax: Axes | None = None,
    *,
    metric: str = "SDR",
    published: Collection[str] = (),
    order: Sequence[str] | None = None,
) -> Axes:
    """Scores of systems, one row a system and one dot a stem, in dB; the zero line marks "no better than silence".

    `scores`: columns system, target and the metric, and track, frame where there are several (see `medians`). The best
    mean stands on top unless `order` names the systems from top to bottom; `common_targets` says what it is taken over.
    Marks of systems in `published` are hollow: others measured them. A short tick marks the mean.
    """
    table = medians(scores, metric)
    common = common_targets(scores)
    mean = table[common].mean(axis=1, skipna=False)
    table = table.loc[list(order) if order is not None else mean.sort_values(ascending=False, kind="stable").index]
    ax = own_axes(ax, height=0.34 * len(table) + 1.0)
    ax.axvline(0, color=INK, linewidth=0.8)
    for lane, (system, row) in enumerate(table.iterrows()):
        if lane % 2:  # a band behind every other row keeps the eye on its line
            ax.axhspan(lane - 0.5, lane + 0.5, color="#F3F3F3", linewidth=0, zorder=0)
        if pd.notna(mean[system]):  # a mean over fewer stems would not compare
            ax.plot([mean[system]] * 2, [lane - 0.36, lane + 0.36], color="#999999", linewidth=1.0, zorder=1)
        for place, target in enumerate(table.columns):
            color = stem_color(target)
            face = "white" if system in published else color
            shift = 0.6 * ((place + 0.5) / len(table.columns) - 0.5)  # equal scores do not hide each other
            ax.plot(row[target], lane + shift, stem_marker(target), color=color, markerfacecolor=face)
    ax.set_yticks(range(len(table)), labels=table.index)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.set_xlabel(f"{metric} (dB)")
    _explain(ax, list(table.columns), any(system in published for system in table.index))
    return ax


def _explain(ax: Axes, targets: list[str], some_published: bool) -> None:
    marks = [
        Line2D([], [], linestyle="none", marker=stem_marker(target), color=stem_color(target), label=target)
        for target in targets
    ]
    marks.append(Line2D([], [], linestyle="none", marker="|", markersize=7, color="#999999", label="mean"))
    if some_published:
        marks.append(
            Line2D([], [], linestyle="none", marker="o", color=INK, markerfacecolor="white", label="hollow: published")
        )
    legend_above(ax, marks, handletextpad=0.2, handlelength=1.5)
