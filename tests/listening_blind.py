"""What several tests of the listening test share: made sounds to listen to, and made answers."""

import itertools

import numpy as np
import pandas as pd

from sepnb.listening.blind.design import role_of
from sepnb.listening.blind.items import ANCHOR, REFERENCE, Item, make_item

RATE = 8000
SYSTEMS = ("good & <bold>", 'bad, "really"')


def noise(seed: int, seconds: float = 1.0, channels: int = 2) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return (0.1 * drawn).astype(np.float32)


def made_items(
    count: int = 2, systems: tuple[str, ...] = SYSTEMS, targets: tuple[str, ...] = ("vocals",)
) -> list[Item]:
    """Items of noise, which differ in level before they are matched."""
    names = (REFERENCE, *systems, ANCHOR)
    return [
        make_item(
            f"song {number}",
            target,
            {name: noise(10 * number + place) / (place + 1) for place, name in enumerate(names)},
            RATE,
        )
        for number, target in itertools.product(range(count), targets)
    ]


def made_ratings(
    quality: dict[str, float],
    listeners: int = 8,
    items: int = 6,
    rng: np.random.Generator | None = None,
    spreads: tuple[float, float, float] = (6.0, 6.0, 8.0),
    question: str = "quality",
) -> pd.DataFrame:
    """Ratings as `read_answers` gives them: quality of the system + of its item + of listener and system + noise.

    `spreads`: standard deviations of what a listener, and an item, thinks of each system, and of a single rating.
    """
    rng = rng or np.random.default_rng(0)
    rows = []
    for system, points in quality.items():
        of_listener, of_item = spreads[0] * rng.standard_normal(listeners), spreads[1] * rng.standard_normal(items)
        for listener, item in itertools.product(range(listeners), range(items)):
            rating = points + of_listener[listener] + of_item[item] + spreads[2] * rng.standard_normal()
            rows.append((f"listener {listener}", f"song {item}", "vocals", system, role_of(system), question, rating))
    return pd.DataFrame(rows, columns=["listener", "track", "target", "system", "role", "question", "rating"])


def abx_answers(correct: dict[tuple[str, str], list[int]], listener: str = "Ann") -> pd.DataFrame:
    """Answers to an ABX test as `read_answers` gives them: (a, b) → 1 for each that was right, 0 for wrong."""
    rows = [(listener, a, b, bool(right)) for (a, b), given in correct.items() for right in given]
    return pd.DataFrame(rows, columns=["listener", "a", "b", "correct"])
