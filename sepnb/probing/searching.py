"""The largest batch and the longest segment that fit, found from a few traces instead of by trying all.

Memory is affine in the batch, operator by operator (`scaling`), so the largest batch follows from two traces. In the
segment it is nearly a straight line, with steps where frames and strides round up: the line through two traces says
where the limit is crossed, a trace there is a better point, and so on until a winner has been traced.
"""

import math
from dataclasses import replace

from sepnb.probing.predicting import Predictor
from sepnb.probing.prediction import Prediction
from sepnb.probing.setting import Setting

# Nobody trains with more examples at once, or on excerpts shorter or longer than these (seconds).
MOST = 1024
SHORTEST, LONGEST = 0.5, 120.0
# A longest segment is found to this share of itself.
NEAR = 0.03


def largest_batch(predictor: Predictor, setting: Setting, most: int = MOST) -> Prediction | None:
    """The prediction for the largest batch, up to `most`, that surely fits; None if not even one example does.

    By bisection over what two small batches say of all others. The winner is traced for itself.
    """
    fits, too_many = 0, most + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2 if fits or too_many < 4 else min(too_many // 2, 64)
        if _is_known_to_fit(predictor, replace(setting, batch=middle)):
            fits = middle
        else:
            too_many = middle
    while fits:
        found = predictor.at(replace(setting, batch=fits))
        if found.fits:
            return found
        fits -= 1
    return None


def _is_known_to_fit(predictor: Predictor, setting: Setting) -> bool:
    found = predictor.at_batch(setting) if setting.batch > 1 else predictor.at(setting)
    return found.fits is True


def longest_segment(predictor: Predictor, setting: Setting, most: float = LONGEST) -> Prediction | None:
    """The prediction for the longest segment, up to `most` seconds, that surely fits; None if even half a second is
    too long.

    Starts from the segment of `setting`. What is returned has been traced.
    """
    seen: dict[float, Prediction] = {}
    first = min(setting.segment, most)
    wanted: float | None = first
    while wanted is not None and wanted not in seen and len(seen) < 10:
        seen[wanted] = predictor.at(replace(setting, segment=wanted))
        wanted = _second(seen[first], most) if len(seen) == 1 else _next(seen, predictor.card.memory, most)
    best = max((segment for segment, found in seen.items() if found.fits), default=None)
    return None if best is None else seen[best]


def _second(first: Prediction, most: float) -> float | None:
    """A second segment to trace: where what grows with the length would just fit, if it grew in proportion."""
    segment = first.setting.segment
    if first.fits and segment == most:
        return None
    longer = (first.card.memory - first.lasting) / (first.memory_high - first.lasting)
    wanted = math.floor(min(max(segment * longer * (1 - NEAR / 3), SHORTEST), most) * 10) / 10
    return wanted if wanted != segment else max(SHORTEST, segment / 2)


def _next(seen: dict[float, Prediction], limit: int, most: float) -> float | None:
    """The segment to trace next: where the line through the two traces nearest to the limit crosses it. None: done."""
    low = max((segment for segment, found in seen.items() if found.fits), default=None)
    high = min((segment for segment, found in seen.items() if not found.fits), default=None)
    if low == most or (high and high <= SHORTEST) or (low and high and high - low <= NEAR * low):
        return None
    near, other = sorted(seen, key=lambda segment: abs(seen[segment].memory_high - limit))[:2]
    rise = (seen[near].memory_high - seen[other].memory_high) / (near - other)
    crossing = near + (limit - seen[near].memory_high) / rise if rise > 0 else most
    # A little on the safe side of the crossing, and inside of what is not known yet.
    lower = SHORTEST if low is None else low * (1 + NEAR / 2)
    upper = most if high is None else high * (1 - NEAR / 2)
    wanted = min(max(crossing * (1 - NEAR / 3), lower), max(lower, upper))
    # A figure that can be typed, where there is one.
    tenths = math.floor(wanted * 10) / 10
    return tenths if lower <= tenths <= upper and tenths not in seen else wanted
