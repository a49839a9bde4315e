"""Pairs on this machine: separated here, one after the other, and scored in processes side by side."""

import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from typing import Any

from sepnb.errors import SepnbError
from sepnb.evaluation.pairs import Failure, Pair, PairScores, Stems, attempt, score_stems, separate_pair
from sepnb.evaluation.systems import Loader, description_of
from sepnb.processes import side_by_side
from sepnb.separators import Bindable, Separator


class Local:
    """This machine, with so many processes that score; networks run on `device` in this process."""

    def __init__(self, workers: int = 1, device: str = "cpu") -> None:
        self._workers = workers
        self._device = device
        self._load = Loader()

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self._load = Loader()

    def describe(self, source: Separator | Bindable | str) -> dict[str, Any] | Failure:
        """What a system is, having loaded it (and `score` takes it from there); or why it cannot be loaded."""
        return attempt(lambda: description_of(self._load(source, self._device)))

    def score(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, PairScores | Failure]]:
        """Each pair with its scores, or why it has none, as they finish.

        Pairs are drawn as they are needed. Where a process that scores dies, what it was at is scored here, and so is
        all that follows.
        """
        drawn: dict[int, tuple[Pair, Stems | Failure]] = {}

        def jobs() -> Iterator[tuple[int, Stems | Failure]]:
            for pair in pairs:
                stems = attempt(self._separate, pair)
                drawn[pair.number] = pair, stems
                yield pair.number, stems

        waiting = jobs()
        try:
            for (number, _), scores in side_by_side(_score, waiting, self._workers):
                yield drawn.pop(number)[0], scores
        except SepnbError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            warnings.warn(
                "a process that scores died, perhaps for want of memory: the rest is scored in one, which is slower",
                stacklevel=2,
            )
            lost = [(number, stems) for number, (_, stems) in drawn.items()]
            for job in chain(lost, waiting):
                yield drawn.pop(job[0])[0], _score(job)

    def _separate(self, pair: Pair) -> Stems:
        return separate_pair(self._load(pair.system.source, self._device), pair.track)


def _score(job: tuple[int, Stems | Failure]) -> PairScores | Failure:
    stems = job[1]
    return stems if isinstance(stems, Failure) else attempt(score_stems, stems)
