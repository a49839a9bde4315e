"""Names beside the dots of a scatter plot, where they hide neither dots nor each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

# Offsets that are tried, in points: to the right first, as one reads; farther away only where it must be.
_DIRECTIONS = np.deg2rad([0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 68, 292, 112, 248])
_DISTANCES = (4.0, 8.0, 13.0, 19.0, 26.0, 34.0)
_LEADER_FROM = 8.0  # points; a name this far from its dot gets a line to it


def name_points(
    ax: Axes,
    x: Sequence[float],
    y: Sequence[float],
    names: Sequence[str],
    dots: np.ndarray | None = None,
) -> list[Annotation]:
    """Write `names` (n,) beside the points `x`, `y` (n,) in data coordinates, each with a line to it where it is far.

    `dots` (m, 2), data coordinates: marks that no name may cover, the points themselves where it is None. Call it when
    limits and everything else of the figure are final, since the places are searched on the page: each name takes the
    nearest place that is free, and the names are gone through again until none wants to move.
    """
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()  # the layout decides where the dots come to lie
    points = ax.transData.transform(np.column_stack([x, y]).astype(float))
    marks = points if dots is None else ax.transData.transform(np.asarray(dots, dtype=float))
    marks = marks[np.isfinite(marks).all(axis=1)]
    pixel = figure.dpi / 72
    look = {"ha": "center", "va": "center", "fontsize": 7, "zorder": 1.8}
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}  # grid lines stay behind the letters
    notes = [
        ax.annotate(name, (px, py), (0, 0), textcoords="offset points", bbox=paper, **look)
        for name, px, py in zip(names, x, y, strict=True)
    ]
    sizes = np.array([[box.width, box.height] for box in (note.get_window_extent() for note in notes)]).reshape(-1, 2)
    candidates = [_places(point, size, pixel) for point, size in zip(points, sizes, strict=True)]
    obstacles = np.array([[mx - 3 * pixel, my - 3 * pixel, mx + 3 * pixel, my + 3 * pixel] for mx, my in marks])
    obstacles = obstacles.reshape(-1, 4)
    fixed = [_fixed_cost(places, obstacles, ax.bbox) for places in candidates]
    chosen = [int(np.argmin(cost)) for cost in fixed]
    for _ in range(8):
        moved = False
        for i, places in enumerate(candidates):
            others = np.array([candidates[j][0][chosen[j]] for j in range(len(names)) if j != i]).reshape(-1, 4)
            crossed = _crossed(points[i], places[0], np.concatenate([others, obstacles]), 5 * pixel)
            best = int(np.argmin(fixed[i] + 30 * _overlap(places[0], others) + 12 * crossed))
            moved |= best != chosen[i]
            chosen[i] = best
        if not moved:
            break
    for note, point, places, place in zip(notes, points, candidates, chosen, strict=True):
        box = places[0][place]
        offset = ((box[:2] + box[2:]) / 2 - point) / pixel
        note.set_position(tuple(offset))
        note.set_in_layout(False)  # a name must not shrink the axes that it was placed in
        if places[1][place] >= _LEADER_FROM:
            near = np.clip(point, box[:2], box[2:])
            ax.annotate(
                "",
                xy=note.xy,
                xytext=tuple((near - point) / pixel),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
            ).set_in_layout(False)
    return notes


def _places(point: np.ndarray, size: np.ndarray, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (places, 4) in pixels where a name of `size` may stand, and how far each is from the point, in points."""
    boxes, far = [], []
    for distance in _DISTANCES:
        for angle in _DIRECTIONS:
            direction = np.array([np.cos(angle), np.sin(angle)])
            # The nearest edge or corner of the box, not its middle, is `distance` away.
            lean = np.where(np.abs(direction) < 0.1, 0.0, np.sign(direction))
            middle = point + distance * pixel * direction + lean * size / 2
            boxes.append([*(middle - size / 2), *(middle + size / 2)])
            far.append(distance)
    return np.array(boxes), np.array(far)


def _fixed_cost(places: tuple[np.ndarray, np.ndarray], obstacles: np.ndarray, inside: Bbox) -> np.ndarray:
    """What speaks against each place whatever the other names do: distance, marks below it, the edge of the axes."""
    boxes, far = places
    outside = (
        np.maximum(inside.x0 - boxes[:, 0], 0)
        + np.maximum(boxes[:, 2] - inside.x1, 0)
        + np.maximum(inside.y0 - boxes[:, 1], 0)
        + np.maximum(boxes[:, 3] - inside.y1, 0)
    )
    order = np.tile(np.arange(len(_DIRECTIONS)) / len(_DIRECTIONS), len(_DISTANCES))
    return far + 3 * order + 100 * outside + 10 * _overlap(boxes, obstacles)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Area of each box (n, 4) that `others` (m, 4) cover, in square pixels, a pixel of air around the others."""
    if not len(others):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2] - 1)
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:] + 1)
    return np.prod(np.maximum(high - low, 0), axis=-1).sum(axis=1)


def _crossed(point: np.ndarray, boxes: np.ndarray, others: np.ndarray, dot: float) -> np.ndarray:
    """How many of `others` (m, 4) the lines from a point to each of `boxes` (n, 4) run over, outside its own dot."""
    near = np.clip(point, boxes[:, :2], boxes[:, 2:])
    along = point + np.linspace(0, 1, 12)[:, None, None] * (near - point)  # (samples, n, 2)
    inside = ((along[:, :, None] > others[:, :2]) & (along[:, :, None] < others[:, 2:])).all(axis=-1)
    inside &= (np.linalg.norm(along - point, axis=-1) > dot)[:, :, None]
    return inside.any(axis=0).sum(axis=1)
