"""Plots about the data: levels, spectra, overlap of stems, times measured, quality checks. Arrays in, axes out."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sepnb.figures.style import (
    INK,
    WARNING,
    in_print_style,
    legend_above,
    log_axis,
    own_axes,
    stem_color,
    stem_line,
    third_octave_axes,
)


@in_print_style
def level_bars(rms: np.ndarray, peak: np.ndarray, names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Levels of stems in dBFS: a dot at the RMS level, a tick at the peak, the crest factor between them written out.

    `rms`, `peak`: (sources,) as `sepnb.spectral.levels` gives them; a silent stem (-inf) is said to be silent.
    """
    ax = own_axes(ax, height=0.3 * len(names) + 0.7)
    heard = np.isfinite(rms)
    lowest = min(rms[heard], default=-60.0)
    for lane, name in enumerate(names):
        if not heard[lane]:
            ax.text(lowest, lane, "silent", va="center", color=INK)
            continue
        color = stem_color(name)
        ax.plot([rms[lane], peak[lane]], [lane, lane], color=color, linewidth=4, alpha=0.35, solid_capstyle="butt")
        ax.plot(rms[lane], lane, "o", color=color, markersize=5)
        ax.plot(peak[lane], lane, "|", color=color, markersize=8, markeredgewidth=1.5)
        beside = {"xytext": (6, 0), "textcoords": "offset points", "va": "center_baseline", "fontsize": 7}
        ax.annotate(f"{peak[lane] - rms[lane]:.1f} dB", (peak[lane], lane), **beside)
    ax.set_yticks(range(len(names)), labels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    highest = max(0.0, float(np.max(peak)))
    ax.set_xticks([level for level in range(-120, 1, 10) if level > lowest - 3])
    ax.set_xlim(lowest - 3, highest + 0.22 * (highest - lowest))  # room for the numbers
    ax.set_xlabel("level (dBFS): RMS (dot), peak (tick);\nnumber: crest factor")
    return ax


@in_print_style
def long_term_spectra(
    centres: np.ndarray, levels: np.ndarray, names: Sequence[str], ax: Axes | None = None, span: float = 70.0
) -> Axes:
    """Long-term spectra of stems: levels (sources, bands) in dBFS over third-octave `centres` (bands,) in Hz.

    One colour and one line style a stem. Shows `span` dB below the loudest band.
    """
    ax = own_axes(ax, height=2.4)
    for name, level in zip(names, levels, strict=True):
        shown = np.where(np.isfinite(level), level, np.nan)
        look = {"linewidth": 2.0, "zorder": 1} if name == "mixture" else {}  # the sum stays behind its parts
        ax.plot(centres, shown, color=stem_color(name), linestyle=stem_line(name), label=name, **look)
    loudest = np.max(levels, initial=-span, where=np.isfinite(levels))
    third_octave_axes(ax, centres, loudest - span, loudest + 4)
    legend_above(ax)
    return ax


@in_print_style
def overlap_matrix(covered: np.ndarray, names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Heat map of `covered` (sources, sources): the share of a row's energy where the column is at least as loud.

    As `sepnb.spectral.overlap` gives it: fractions, NaN on the diagonal (a dash). Values are written in per cent.
    """
    ax = own_axes(ax, height=2.6)
    shown = np.ma.masked_invalid(covered)
    darkest = max(20.0, 100 * float(shown.max()))
    picture = ax.imshow(100 * shown, cmap="Purples", vmin=0, vmax=darkest, aspect="auto")
    for row, column in np.ndindex(covered.shape):
        percent = 100 * covered[row, column]
        words = f"{percent:.0f}" if np.isfinite(percent) else "–"
        color = "white" if percent > 0.6 * darkest else "black"
        ax.text(column, row, words, ha="center", va="center_baseline", color=color)
    ax.set_xticks(range(len(names)), labels=names)
    ax.set_yticks(range(len(names)), labels=names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("… where this stem is at least as loud")
    ax.set_ylabel("energy of this stem …")
    bar = ax.figure.colorbar(picture, ax=ax, pad=0.03, aspect=18)
    bar.locator = MaxNLocator(5, integer=True)
    bar.set_label("share of energy (%)")
    bar.outline.set_linewidth(0.4)
    return ax


@in_print_style
def measured_bars(
    labels: Sequence[str],
    values: Sequence[float],
    quantity: str,
    ax: Axes | None = None,
    *,
    compare_to: str | Mapping[str, str] | None = None,
    better: str = "faster",
    more_is_better: bool = False,
    published: Collection[str] = (),
    log: bool | None = None,
) -> Axes:
    """Times, rates or sizes side by side, each with its value written on it.

    `quantity` labels the axis with its unit: "time per epoch (s)". `compare_to` says in words how much better a value
    is than that of another label ("1.6× faster", or what `better` says; "0.8×" where it is not): one label for all, or
    {label: the label it is compared to}. Those in `published` are hatched or hollow. A range over 30:1 makes the axis
    logarithmic unless `log` says otherwise; dots take the place of bars there, whose lengths would say nothing.
    """
    values = np.asarray(values, dtype=float)
    ax = own_axes(ax, height=0.27 * len(labels) + 0.65)
    log = bool(values.max() > 30 * values.min() > 0) if log is None else log
    for lane, (label, value) in enumerate(zip(labels, values, strict=True)):
        hollow = label in published
        if log:
            ax.plot(value, lane, "o", color=INK, markersize=5, markerfacecolor="white" if hollow else INK)
        else:
            face, hatch = ("white", "////") if hollow else ("#8C8C8C", None)
            ax.barh(lane, value, height=0.62, facecolor=face, edgecolor="#8C8C8C", hatch=hatch, linewidth=0.8)
        text = _digits(value, 3)
        base = compare_to.get(label) if isinstance(compare_to, Mapping) else compare_to
        if base is not None and base != label:
            other = values[list(labels).index(base)]
            factor = value / other if more_is_better else other / value
            text += f"  ({_digits(factor, 2)}× {better})" if factor >= 1 else f"  ({factor:.2g}×)"
        # On a linear axis the words follow their bar; on a logarithmic one they stand in a column at the right.
        beside = {"xytext": (5, 0), "textcoords": "offset points", "va": "center_baseline", "fontsize": 7}
        coordinates = ax.get_yaxis_transform() if log else "data"
        ax.annotate(text, (1.0 if log else value, lane), xycoords=coordinates, annotation_clip=False, **beside)
    if log:
        log_axis(ax, "x")
        ax.set_xlim(values.min() / 2, values.max() * 2)
        ax.grid(True, axis="x")
    else:
        ax.set_xlim(0, values.max() * (1.35 if compare_to is None else 1.6))  # room for the words
    ax.set_yticks(range(len(labels)), labels=labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    explained = f"; {'hollow' if log else 'hatched'}: published" if set(published) & set(labels) else ""
    ax.set_xlabel(quantity + explained)
    return ax


def _digits(value: float, digits: int) -> str:
    """A positive number rounded to so many digits, as a person writes it: 0.0123, 1.6, 70, 12,300."""
    if value < 10 ** (digits - 1):
        return f"{value:.{digits}g}"
    spare = int(np.floor(np.log10(value))) + 1 - digits
    return f"{round(value, -spare):,.0f}"


@in_print_style
def residuals(
    names: Sequence[str], residual: np.ndarray, ax: Axes | None = None, threshold: float = -50.0, floor: float = -120.0
) -> Axes:
    """Quality check of tracks: level of mixture minus sum of stems, in dB of the mixture (tracks,), sorted.

    Those above `threshold` are filled and named; -inf (an exact sum) is drawn at `floor`. Up to 20 tracks all have
    their names on the axis, more are counted.
    """
    few = len(names) <= 20
    ax = own_axes(ax, height=(0.2 * len(names) + 0.7) if few else 2.4)
    order = np.argsort(residual, kind="stable")
    values = np.clip(np.asarray(residual, dtype=float)[order], floor, None)
    names = [names[index] for index in order]
    ranks = np.arange(len(names))
    wrong = values > threshold
    size = 4 if few else 2
    ax.plot(values[~wrong], ranks[~wrong], "o", color=INK, markersize=size, markerfacecolor="white" if few else INK)
    ax.plot(values[wrong], ranks[wrong], "o", color=WARNING, markersize=size + 1)
    ax.axvline(threshold, color=INK, linewidth=0.6, linestyle=(0, (4, 2)))
    if few:
        ax.set_yticks(ranks, labels=names)
        ax.tick_params(axis="y", length=0)
    else:
        ax.set_ylabel("tracks, sorted")
        worst = [f"{names[rank]}  {_minus(values[rank])} dB" for rank in ranks[wrong][::-1]]
        shown = [*worst[:8], f"and {len(worst) - 8} more"] if len(worst) > 8 else worst
        corner = {"transform": ax.transAxes, "ha": "right", "va": "top", "fontsize": 7, "color": WARNING}
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # where a long name reaches the threshold
        ax.text(0.99, 0.88, "\n".join(shown), bbox=paper, **corner)
    margin = max(0.7, 0.04 * len(names))
    ax.set_ylim(-margin, len(names) - 1 + margin)
    ax.set_xlim(floor - 4, max(0.0, float(values.max()) + 4))
    ticks = np.arange(floor, 1, 40)
    ax.set_xticks(ticks, labels=[f"≤ {_minus(floor)}", *map(_minus, ticks[1:])])
    ax.set_xlabel("residual (dB of the mixture)")
    return ax


def _minus(value: float) -> str:
    """A whole number with a minus sign as long as matplotlib's own."""
    return f"{value:.0f}".replace("-", "−")
