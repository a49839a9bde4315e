"""Blind tests: how often p < 0.05 where there is no difference, and how often a difference of so many points is found.

Ratings of two systems are drawn: the true difference, what each listener and each excerpt adds to it, and noise. Run by
`python -m benchmarks.blind_tests`, about a minute; not part of `make bench`, since nothing here is about speed.
"""

import numpy as np

from benchmarks.table import RESULTS
from sepnb.files import write_json
from sepnb.listening.blind.significance import p_of_difference

SIZES = ((5, 4), (20, 3), (3, 8), (5, 6), (8, 6), (12, 10), (15, 12))  # listeners, excerpts
# Standard deviations in points, of what a listener and an excerpt add to a difference; a single rating has NOISE.
SPREADS = ((0.0, 0.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0))
NOISE = 14.0  # of a difference between two ratings that each have 10
POINTS = (10.0, 15.0, 25.0)
LEVEL, TESTS, RESAMPLES = 0.05, 400, 1000


def main() -> None:
    """Print a Markdown row for each size of test and write build/bench/blind_tests.json."""
    rows = []
    print(f"| listeners × excerpts | no difference | {' | '.join(f'{points:g} points' for points in POINTS)} |")
    print("|---" * (2 + len(POINTS)) + "|")
    for listeners, items in SIZES:
        chance = max(_share_found(listeners, items, 0.0, spread) for spread in SPREADS)
        found = [_share_found(listeners, items, points, SPREADS[-1]) for points in POINTS]
        rows.append({"listeners": listeners, "items": items, "by_chance": chance, "found": found})
        cells = " | ".join(f"{100 * share:.0f} %" for share in (chance, *found))
        print(f"| {listeners} × {items} | {cells} |", flush=True)
    print(f"{TESTS} tests a cell; without a difference, the worst of {len(SPREADS)} kinds of spread")
    write_json(RESULTS / "blind_tests.json", {"level": LEVEL, "tests": TESTS, "rows": rows})


def _share_found(listeners: int, items: int, points: float, spread: tuple[float, float]) -> float:
    """Part of all tests of two systems, `points` apart, in which p is below the level."""
    rng = np.random.default_rng([listeners, items, int(points), *map(int, spread)])
    found = 0
    for seed in range(TESTS):
        of_listener, of_item = spread[0] * rng.standard_normal((listeners, 1)), spread[1] * rng.standard_normal(items)
        between = points + of_listener + of_item + NOISE * rng.standard_normal((listeners, items))
        found += p_of_difference(between, RESAMPLES, seed) < LEVEL
    return found / TESTS


if __name__ == "__main__":
    main()
