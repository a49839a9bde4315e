"""Plot of two systems song by song: is one better, or were the songs kind to it? Numbers in, axes out."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sepnb.figures.style import INK, in_print_style, own_axes, stem_color, stem_marker

FEW = 20  # songs that have room for their names
ENOUGH = 10  # songs below which a bootstrap interval is too narrow to decide anything


@in_print_style
def paired_differences(
    differences: pd.Series,
    low: float,
    high: float,
    ax: Axes | None = None,
    *,
    a: str = "A",
    b: str = "B",
    middle: float | None = None,
    metric: str = "SDR",
    target: str | None = None,
) -> Axes:
    """System `a` minus system `b`, a dot a song, sorted; the verdict stands above in a sentence.

    `differences`: in dB, indexed by track. `low` to `high` is the 95 % interval of their median (see
    `sepnb.metrics.better`), drawn as a band around `middle`, the median itself where that is None. Dots of songs on
    which `b` is ahead are hollow. Up to 20 songs have their names on the axis. `target` gives the dots the colour and
    marker of a stem and is named in the sentence. Songs without a difference (NaN) are left out.
    """
    differences = differences.dropna().sort_values(ascending=False, kind="stable")
    middle = float(differences.median()) if middle is None else middle
    few = len(differences) <= FEW
    ax = own_axes(ax, height=0.17 * len(differences) + 1.3 if few else 3.2)
    color, marker = (INK, "o") if target is None else (stem_color(target), stem_marker(target))
    known = bool(np.isfinite([low, high]).all())
    if known:
        ax.axvspan(low, high, color="#DDDDDD", linewidth=0, zorder=0)
    ax.axvline(middle, color="#777777", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for lane, value in enumerate(differences):
        face = "white" if value < 0 else color
        ax.plot(value, lane, marker, color=color, markerfacecolor=face, markersize=4 if few else 3, zorder=2)
    if few:
        ax.set_yticks(range(len(differences)), labels=[_shortened(str(name)) for name in differences.index])
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(differences)} songs, sorted")
    margin = max(0.6, 0.02 * len(differences))
    ax.set_ylim(len(differences) - 1 + margin, -margin)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    sentence = verdict(differences, low, high, a=a, b=b, middle=middle, metric=metric, target=target)
    explained = "dashed: median; band: its 95 % interval" if known else "dashed: median"
    page = ax.figure.canvas.figure
    page.draw_without_rendering()  # the words may run as far left as the songs' names
    left = ax.yaxis.get_tightbbox().x0
    letters = int(14.5 * (ax.bbox.x1 - left) / page.dpi)
    ax.set_xlabel(f"{textwrap.fill(f'{metric} of {a} minus {b} (dB)', letters)}\n{explained}", loc="right")
    # Not a title: one that begins left of its axes would push these to and fro.
    above = {"xycoords": ("figure fraction", "axes fraction"), "textcoords": "offset points", "va": "bottom"}
    ax.annotate(textwrap.fill(sentence, letters), (left / page.bbox.width, 1), (0, 5), annotation_clip=False, **above)
    return ax


def verdict(
    differences: pd.Series,
    low: float,
    high: float,
    *,
    a: str = "A",
    b: str = "B",
    middle: float | None = None,
    metric: str = "SDR",
    target: str | None = None,
) -> str:
    """Whether `a` is better than `b`, in a sentence with the figures it rests on; arguments as `paired_differences`.

    An interval on one side of zero decides, on ten songs or more; one that holds zero does not, and the sentence says
    that, not "equal".
    """
    differences = differences.dropna()
    middle = float(differences.median()) if middle is None else middle
    stem = f" on {target}" if target else ""
    songs = f"{len(differences)} song{'' if len(differences) == 1 else 's'}"
    if not np.isfinite([low, high]).all():
        return f"Undecided{stem}: {a} against {b} on {songs} gives no interval."
    first, second, sign = (a, b, 1) if middle >= 0 else (b, a, -1)
    ahead = int((sign * differences > 0).sum())
    interval = sorted((sign * low, sign * high))
    figures = (
        f"{_signed(sign * middle)} dB of {metric} (95 % interval {_signed(interval[0])} to {_signed(interval[1])})"
    )
    if interval[0] > 0 and len(differences) < ENOUGH:
        return f"{first} is ahead of {second}{stem}: {figures}, on {ahead} of {songs}, too few to tell."
    if interval[0] > 0:
        return f"{first} is better than {second}{stem}: {figures}, ahead on {ahead} of {songs}."
    return f"Undecided{stem}: {first} minus {second} is {figures}, ahead on {ahead} of {songs}."


def _signed(value: float) -> str:
    """A figure with its sign, as wide a minus as matplotlib's own; no minus before what rounds to zero."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")


def _shortened(name: str, letters: int = 28) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1].rstrip()}…"
