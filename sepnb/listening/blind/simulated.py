"""Listeners who are no people: a model with known ears, so that a test can be tried out, and its statistics tested.

Their names begin with "simulated", and every figure says so. What they answer is what the model was told to answer:
they show how many trials it takes to find a difference, never how large it is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.listening.blind.answers import AnswerFile, read_answers
from sepnb.listening.blind.design import ABX, QUESTIONS, Design, Trial
from sepnb.listening.blind.items import ANCHOR, REFERENCE, Item
from sepnb.metrics.aggregate import track_medians

SIMULATED = "simulated"

# What a condition deserves on an item, from 0 to 100, by the question asked.
Quality = Callable[[str, Item, str], float]


@dataclass(frozen=True)
class SimulatedListener:
    """A model of a listener: rating = quality + bias + noise, cut to 0–100; right in ABX with a given probability.

    `quality(condition, item, question)`, 0 to 100: see `fixed_quality` and `quality_of_scores`. `bias`: points by which
    this listener is kinder than others. `noise`: standard deviation of a single rating, in points; people have about
    10. `spots`: how often the hidden reference is recognised, and gets 100. `hears`: probability of a right answer in
    an ABX trial, from 0.5 (guessing) to 1.
    """

    name: str
    quality: Quality
    bias: float = 0.0
    noise: float = 10.0
    spots: float = 0.95
    hears: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name.startswith(SIMULATED):
            raise SepnbError(f'the name of a listener who is none begins with "{SIMULATED}", unlike {self.name!r}')
        if not 0 <= self.hears <= 1 or not 0 <= self.spots <= 1:
            raise SepnbError(f"hears and spots are probabilities, from 0 to 1, not {self.hears} and {self.spots}")

    def answer(self, kind: str, trial: Trial) -> "str | dict[str, dict[str, float]]":
        """What `AnswerFile.add` takes; the same each time for the same trial."""
        rng = np.random.default_rng([self.seed, *self.name.encode(), *trial.id.encode()])
        if kind == ABX:
            right = rng.random() < self.hears
            return trial.answer if right else {"A": "B", "B": "A"}[trial.answer]
        return {label: self._ratings(condition, trial.item, rng) for label, condition in trial.labels.items()}

    def _ratings(self, condition: str, item: Item, rng: np.random.Generator) -> dict[str, float]:
        if condition == REFERENCE and rng.random() < self.spots:
            return dict.fromkeys(QUESTIONS, 100.0)
        drawn = {
            question: self.quality(condition, item, question) + self.bias + self.noise * rng.standard_normal()
            for question in QUESTIONS
        }
        return {question: float(np.clip(np.round(rating), 0, 100)) for question, rating in drawn.items()}


def simulate(
    design: Design,
    listeners: "SimulatedListener | Iterable[SimulatedListener]",
    where: Path | str,
) -> pd.DataFrame:
    """Have simulated listeners take a test, and read their answers; `where` as for `AnswerFile`.

    What is answered already stays. Raises as `AnswerFile` does.
    """
    listeners = [listeners] if isinstance(listeners, SimulatedListener) else list(listeners)
    paths = {}
    for listener in listeners:
        file = AnswerFile(where, design, listener.name)
        for number, trial in enumerate(design.trials(listener.name), start=1):
            if trial.id not in file.done:
                file.add(trial, number, listener.answer(design.kind, trial), took=0.0)
        paths[file.path] = None
    return read_answers(paths)


def who(answers: pd.DataFrame) -> dict[str, float]:
    """How many listeners gave the answers, and which part of them is simulated: columns of every table of results."""
    names = pd.Series(answers["listener"].unique())
    return {"listeners": len(names), "simulated": float(names.str.startswith(SIMULATED).mean())}


def listeners_of(table: pd.DataFrame) -> str:
    """Who listened, for a caption: "3 listeners", "6 simulated listeners", "4 listeners, 2 of them simulated".

    `table`: answers, or any table of results (of whose rows the one with most listeners counts).
    """
    counts = who(table) if "listener" in table else table.loc[table["listeners"].idxmax()]
    count = int(counts["listeners"])
    simulated = round(count * counts["simulated"])
    people = "listener" if count == 1 else "listeners"
    if simulated == count:
        return f"{count} simulated {people}"
    return f"{count} {people}{f', {simulated} of them simulated' if simulated else ''}"


def simulated_panel(count: int, quality: Quality, spread: float = 8.0, seed: int = 0, **options: float) -> list:
    """`count` simulated listeners, whose biases have a standard deviation of `spread` points; `options` go to each."""
    biases = spread * np.random.default_rng(seed).standard_normal(count)
    return [
        SimulatedListener(f"{SIMULATED} {number}", quality, bias=float(bias), seed=seed, **options)
        for number, bias in enumerate(biases, start=1)
    ]


def fixed_quality(points: Mapping[str, float]) -> Quality:
    """A quality, 0 to 100, for each condition whatever the item and question; 100 for the reference unless it is named.

    Raises SepnbError, when it is asked, for a condition that has none.
    """
    known = {REFERENCE: 100.0, **points}

    def quality(condition: str, item: Item, question: str) -> float:
        if condition not in known:
            raise SepnbError(f"no quality was given for {condition!r}; there are {', '.join(known)}")
        return known[condition]

    return quality


def quality_of_scores(scores: pd.DataFrame, metric: str = "SDR", middle: float = 5.0, slope: float = 4.0) -> Quality:
    """A quality that rises with a score in dB: 100 / (1 + exp(-(score - middle) / slope)), the same for all questions.

    `scores`: a table as `sepnb.evaluate` gives it; a track's score is the median over its frames. `middle` (dB) gets 50
    points. The reference has 100; the mixture, where it was not scored, 10.
    """
    table = track_medians(scores, metric).set_index(["system", "track", "target"])[metric]

    def quality(condition: str, item: Item, question: str) -> float:
        if condition == REFERENCE:
            return 100.0
        key = (condition, item.track, item.target)
        if key not in table.index:
            if condition == ANCHOR:
                return 10.0
            raise SepnbError(f"there is no {metric} of {condition!r} on {item.name!r} to make a quality of")
        return float(100 / (1 + np.exp(-(table.loc[key] - middle) / slope)))

    return quality
