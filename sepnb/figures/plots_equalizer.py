"""Plots of an equaliser: the spectra before, after and aimed at, and the curve between them. Arrays in, axes out."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from sepnb.figures.style import (
    INK,
    frequency_axis,
    in_print_style,
    legend_above,
    own_axes,
    stem_color,
    third_octave_axes,
)

TARGET = "#999999"


@in_print_style
def spectrum_match(
    centres: np.ndarray,
    source: np.ndarray,
    filtered: np.ndarray,
    target: np.ndarray,
    name: str,
    ax: Axes | None = None,
    counted: np.ndarray | None = None,
) -> Axes:
    """Long-term spectra of a stem before and after an equaliser, and what it was to be matched to.

    Levels (bands,) in dB over third-octave `centres` (bands,) in Hz; `filtered` and `target` are moved to the level of
    `source` over the `counted` bands (bool, all where it is None), since a match is one of colour, not of level. Bands
    that do not count are drawn thin.
    """
    ax = own_axes(ax, height=2.4)
    counted = np.isfinite(source + target) if counted is None else np.asarray(counted)
    lines = (
        ("target", target, {"color": TARGET, "linewidth": 2.4}),
        (f"{name} before", source, {"color": stem_color(name), "linestyle": (0, (2, 1.2))}),
        (f"{name} after", filtered, {"color": stem_color(name), "linewidth": 1.4}),
    )
    lowest, highest = np.inf, -np.inf
    for label, level, look in lines:
        level = level + np.mean(source[counted] - level[counted])
        ax.plot(centres, np.where(np.isfinite(level), level, np.nan), **{**look, "linewidth": 0.5})
        ax.plot(centres, np.where(counted, level, np.nan), label=label, **look)
        lowest, highest = min(lowest, level[counted].min()), max(highest, level[counted].max())
    third_octave_axes(ax, centres, lowest - 6, highest + 4)
    legend_above(ax)
    return ax


@in_print_style
def equalizer_response(
    frequencies: np.ndarray,
    response: np.ndarray,
    band_frequencies: Sequence[float] = (),
    ax: Axes | None = None,
    limit: float | None = None,
) -> Axes:
    """The curve of an equaliser: `response` (n,) in dB over `frequencies` (n,) in Hz, its bands as dots on it.

    `limit`: dB that the curve was not to pass, drawn as two lines.
    """
    ax = own_axes(ax, height=1.8)
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.plot(frequencies, response, color=INK)
    largest = max(6.0, float(np.abs(response).max()), limit or 0.0)
    if limit is not None:
        for edge in (-limit, limit):
            ax.axhline(edge, color=TARGET, linewidth=0.6, linestyle=(0, (3, 2)))
    heights = np.interp(np.log(np.asarray(band_frequencies, dtype=float)), np.log(frequencies), response)
    ax.plot(band_frequencies, heights, "o", color=INK, markersize=4)
    frequency_axis(ax, "x", frequencies[0], frequencies[-1])
    ax.set_ylim(-largest - 3, largest + 3)
    ax.grid(True, axis="y")
    ax.set_xlabel("frequency (Hz)")
    ax.set_ylabel("gain (dB)")
    return ax
