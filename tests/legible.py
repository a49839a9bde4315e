"""What several tests of figures share: whether the words of a figure can be read at its final size."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from sepnb.figures import style


def check_words(figure: Figure) -> None:
    """All text is at least 7 pt, none is cut off, and no two words lie on each other."""
    figure.canvas.draw()
    hidden = _not_drawn(figure)
    words = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden and text.get_window_extent().width > 0
    ]
    assert words
    boxes = []
    for text in words:
        assert text.get_fontsize() >= 7, text
        box = Text.get_window_extent(text)  # of the words alone: an annotation's own reaches to its point
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
        boxes.append((text.get_text(), box))
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or up <= 2, f"{one!r} lies on {two!r}"


def check_panels(drawn: Axes | np.ndarray) -> Figure:
    """The figure of what a plot returned; it is as wide as a column or a page's text, and its words can be read."""
    figure = np.ravel(drawn)[0].figure
    assert figure.get_size_inches()[0] in (style.COLUMN, style.TEXT)
    check_words(figure)
    return figure


def _not_drawn(figure: Figure) -> set[Text]:
    """Texts that do not end up on the page: matplotlib keeps tick labels outside the limits without drawing them."""
    hidden = set()
    for ax in figure.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            hidden.add(axis.get_offset_text())
            if not ax.axison:
                hidden.add(axis.label)
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if not (ax.axison and low <= tick.get_loc() <= high):
                    hidden |= {tick.label1, tick.label2}
    return hidden
