"""Spectrograms of one stem as several systems give it, and where they differ from the truth. Arrays in, axes out."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from sepnb.errors import SepnbError
from sepnb.figures.plots_audio import log_frequency_image, spectrogram_grid
from sepnb.figures.style import in_print_style, subplots

ACROSS = 4  # estimates that stand side by side; more go down the page
EXPLAINED = ("level (dB, 0 = loudest)", "estimate − reference (dB):\nblue lost, red too much")
PLACES = {  # of the two colour bars in the empty panel, by whether the estimates stand side by side
    True: ([0.0, 0.8, 0.85, 0.08], [0.0, 0.22, 0.85, 0.08]),
    False: ([0.02, 0.62, 0.42, 0.13], [0.54, 0.62, 0.42, 0.13]),
}
DIVERGING = "RdBu_r"  # red is too much, blue is lost: told apart without red or green cones, too


@in_print_style
def estimate_spectrograms(
    reference: np.ndarray,
    estimates: Mapping[str, np.ndarray],
    rate: int,
    axes: np.ndarray | Sequence[Sequence[Axes]] | None = None,
    *,
    title: str = "reference",
    fmin: float = 40.0,
    fmax: float | None = None,
    span: float = 60.0,
    difference_span: float = 20.0,
    start: float = 0.0,
) -> np.ndarray:
    """Spectrograms of a stem and of its estimates on one scale, and where each estimate has too much or too little.

    `reference` and each of `estimates` ({system: audio}): (channels, samples). The differences are those of the levels
    as drawn, so that what lies more than `span` dB below the loudest point counts as silence; their colours end at
    ± `difference_span` dB. Red is what an estimate has and the stem has not, bleed or artifacts; blue is what it lost.
    Returns axes (2, 1 + estimates): spectrograms, with the reference (called `title`) first, and differences, of which
    the first is empty. `axes` of that shape are drawn into where they are given; on a page of its own, up to four
    estimates stand side by side with their differences below, more stand below each other. `start`: where in the song
    the audio begins, in seconds.

    Raises SepnbError where an estimate has not the shape of the reference, or there is none.
    """
    if not estimates:
        raise SepnbError("no estimates to compare with the reference")
    for name, estimate in estimates.items():
        if np.shape(estimate) != np.shape(reference):
            raise SepnbError(
                f"the estimate of {name} has shape {np.shape(estimate)}, the reference {np.shape(reference)}: cut both "
                "to the same channels and samples"
            )
    own = axes is None
    across = len(estimates) <= ACROSS
    if own:
        axes = _page(len(estimates), across)
    axes = np.asarray(axes, dtype=object)
    sounds, empty, differences = axes[0], axes[1, 0], axes[1, 1:]
    letters = int(60 / len(axes[0])) if across else 40
    names = [_broken(name, letters) for name in (title, *estimates)]
    look = {"fmin": fmin, "fmax": fmax, "span": span, "start": start}
    spectrogram_grid(np.stack([reference, *estimates.values()]), rate, names, sounds, **look)
    pictures = [ax.images[0] for ax in sounds]
    truth = pictures[0].get_array()
    begin, end, *_ = pictures[0].get_extent()
    limits = {"vmin": -difference_span, "vmax": difference_span}
    for ax, drawn in zip(differences, pictures[1:], strict=True):
        level = drawn.get_array() - truth
        difference = log_frequency_image(
            ax, level, sounds[0].get_ylim(), (begin, end), few=True, cmap=DIVERGING, **limits
        )
    empty.axis("off")
    pictures[-1].colorbar.remove()  # the empty place costs no width: both bars go there
    for picture, words, place in zip((pictures[-1], difference), EXPLAINED, PLACES[across], strict=True):
        bar = empty.figure.colorbar(picture, cax=empty.inset_axes(place), orientation="horizontal")
        bar.set_label(words, fontsize=7)
        bar.outline.set_linewidth(0.4)
    if own:
        _outer_labels(axes if across else axes.T)
    return axes


def _page(count: int, across: bool) -> np.ndarray:
    """Axes (2, 1 + count) of a new figure at text width: two rows, or for many estimates two columns."""
    if across:
        return subplots(2, 1 + count, "text", 2.8, sharex=True, sharey=True, squeeze=False)[1]
    return subplots(1 + count, 2, "text", 0.78 * (1 + count) + 0.4, sharex=True, sharey=True, squeeze=False)[1].T


def _outer_labels(grid: np.ndarray) -> None:
    """Ticks' numbers at the left and at the bottom only, units once a side."""
    rows = len(grid)
    for (row, column), ax in np.ndenumerate(grid):
        lowest = row == rows - 1
        ax.tick_params(labelleft=column == 0, labelbottom=lowest)
        ax.set_xlabel("time (s)" if lowest else "")
        ax.set_ylabel("frequency (Hz)" if column == 0 and (rows == 2 or row == rows // 2) else "")


def _broken(name: str, letters: int) -> str:
    """A name in lines of about so many letters, broken after a space, a hyphen or an underscore."""
    lines = [""]
    for part in re.findall(r"[^ _-]*[ _-]*", name):
        if lines[-1] and len(lines[-1] + part.rstrip()) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)
