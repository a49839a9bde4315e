"""Pairs on this machine: separated here, one after the other, and scored in processes side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

from sepnb.errors import SepnbError
from sepnb.evaluation.pairs import LeftOut, Pair, PairScores, Stems, score_stems, separate_pair
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

    def describe(self, source: Separator | Bindable | str) -> dict[str, Any]:
        """What a system is, having loaded it. Raises what loading raises."""
        return description_of(self._load(source, self._device))

    def score(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, PairScores | LeftOut]]:
        """Each pair with its scores, or why it has none, as they finish."""
        failed: list[tuple[Pair, LeftOut]] = []

        def jobs() -> Iterator[tuple[Pair, Stems]]:
            for pair in pairs:
                try:
                    yield pair, separate_pair(self._load(pair.system.source, self._device), pair.track)
                except SepnbError as error:
                    failed.append((pair, LeftOut.because(error, pair)))

        by_number = {pair.number: pair for pair in pairs}
        numbered = ((pair.number, stems) for pair, stems in jobs())
        for (number, _), scores in side_by_side(_score, numbered, self._workers):
            yield by_number[number], scores
        yield from failed


def _score(job: tuple[int, Stems]) -> PairScores:
    return score_stems(job[1])
