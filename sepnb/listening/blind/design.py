"""A listening test on paper: who hears what under which label, in which order. Nothing here plays or asks."""

import functools
import hashlib
import itertools
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sepnb.errors import SepnbError
from sepnb.figures.rating_scale import QUESTIONS
from sepnb.listening.blind.items import ANCHOR, REFERENCE, Item

ABX, RATING = "abx", "rating"


@dataclass(frozen=True, eq=False)
class Trial:
    """One page of a test: the sounds of `item` under `labels` (label → condition).

    ABX has labels A, B and X, which is one of them; a rating has numbers. `id` is the same whoever listens.
    """

    id: str
    item: Item
    labels: Mapping[str, str]

    @property
    def answer(self) -> str:
        """The right answer of an ABX trial: "A" or "B"."""
        return "A" if self.labels["X"] == self.labels["A"] else "B"


@dataclass(frozen=True, eq=False)
class Design:
    """A listening test, the same for all listeners: see `abx_design` and `rating_design`."""

    kind: str
    items: tuple[Item, ...]
    seed: int
    repetitions: int
    pairs: tuple[tuple[str, str], ...] = field(default=())

    def __post_init__(self) -> None:
        names = [item.name for item in self.items]
        if not names:
            raise SepnbError("a listening test needs something to listen to: no items were given")
        if len(set(names)) < len(names):
            raise SepnbError(f"two items of the test are {max(names, key=names.count)!r}: one of each is enough")
        for name, least in (("repetitions", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise SepnbError(f"the {name} of a test must be a whole number from {least}, not {value!r}")
            object.__setattr__(self, name, int(value))
        if len({frozenset(pair) for pair in self.pairs}) < len(self.pairs):
            raise SepnbError("one pair of systems is there twice: repetitions says how often each is asked")
        for (a, b), item in itertools.product(self.pairs, self.items):
            if a == b or a not in item.sounds or b not in item.sounds:
                raise SepnbError(
                    f"{a!r} and {b!r} cannot be compared on {item.name!r}: there are {', '.join(item.sounds)}"
                )

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve digits that two tests share only if they ask the same of the same sounds; the kind stands before."""
        asked = {
            "kind": self.kind,
            "seed": self.seed,
            "repetitions": self.repetitions,
            "pairs": self.pairs,
            "items": [[item.name, item.rate, item.start, item.seconds, list(item.sounds)] for item in self.items],
            "questions": list(QUESTIONS) if self.kind == RATING else [],
        }
        return f"{self.kind}-{_digest(asked)[:12]}"

    def trials(self, listener: str) -> list[Trial]:
        """The pages of one listener in their order, drawn from the seed and the name: the same each time."""
        rng = np.random.default_rng([self.seed, int(_digest(listener_name(listener))[:16], 16)])
        trials = self._abx(rng) if self.kind == ABX else self._ratings(rng)
        return [trials[place] for place in rng.permutation(len(trials))]

    def _abx(self, rng: np.random.Generator) -> list[Trial]:
        """All pairs on all items: A is as often one as the other, and so is X, to one trial in a pair."""
        trials = []
        for pair in self.pairs:
            pages = list(itertools.product(self.items, range(self.repetitions)))
            flips = rng.integers(2, size=2)
            turns = (np.array([(0, 0), (1, 1), (0, 1), (1, 0)]) + flips) % 2
            turns = np.resize(turns, (len(pages), 2))[rng.permutation(len(pages))]
            for (item, repetition), (swapped, x) in zip(pages, turns, strict=True):
                a, b = pair[::-1] if swapped else pair
                labels = {"A": a, "B": b, "X": (a, b)[x]}
                trials.append(Trial(_trial_id(self.kind, item.name, sorted(pair), repetition), item, labels))
        return trials

    def _ratings(self, rng: np.random.Generator) -> list[Trial]:
        trials = []
        for item, repetition in itertools.product(self.items, range(self.repetitions)):
            order = [list(item.sounds)[place] for place in rng.permutation(len(item.sounds))]
            labels = {str(number): name for number, name in enumerate(order, start=1)}
            trials.append(Trial(_trial_id(self.kind, item.name, repetition), item, labels))
        return trials


def abx_design(
    items: Sequence[Item],
    pairs: Sequence[tuple[str, str]] | None = None,
    repetitions: int = 4,
    seed: int = 0,
) -> Design:
    """An ABX test: is X the sound of A or of B? Each pair of systems on each item, `repetitions` times.

    `pairs`: of systems, or of a system and "reference" (None: every two systems; with one system, that and the
    reference). Sixteen trials a pair are a good number: five are the least that can tell anything (p < 0.05).
    Raises SepnbError for what is no pair of the items' sounds. Method: Clark, "High-Resolution Subjective Testing Using
    a Double-Blind Comparator", JAES 1982.
    """
    if pairs is None:
        systems = items[0].systems if items else ()
        pairs = list(itertools.combinations(systems if len(systems) > 1 else [*systems, REFERENCE], 2))
    elif not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise SepnbError(f"pairs come as [(system, system), …], not as {pairs!r}")
    return Design(ABX, tuple(items), seed, repetitions, tuple((a, b) for a, b in pairs))


def rating_design(items: Sequence[Item], repetitions: int = 1, seed: int = 0) -> Design:
    """A test in the manner of MUSHRA: on each item, every system, the hidden reference and the mixture are rated.

    From 0 to 100 on each of `QUESTIONS`, beside an open reference. Method: ITU-R BS.1534-3, whose low-passed anchors
    are replaced by the mixture, and whose one question by three, after Emiya, Vincent, Harlander, Hohmann, "Subjective
    and Objective Quality Assessment of Audio Source Separation", IEEE TASLP 2011.
    """
    return Design(RATING, tuple(items), seed, repetitions)


def role_of(condition: str) -> str:
    """What a condition is in a test: "reference", "anchor" or "system"."""
    return {REFERENCE: "reference", ANCHOR: "anchor"}.get(condition, "system")


def listener_name(name: str) -> str:
    """A listener's name on one line; anything but nothing. Raises SepnbError for a blank one."""
    name = " ".join(unicodedata.normalize("NFC", name.encode(errors="replace").decode()).split())
    if not name:
        raise SepnbError("a listener needs a name, by which a stopped test is found again")
    return name


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _trial_id(*what: object) -> str:
    """Twelve signs; the first is a letter, or a spreadsheet would take 12345e678901 for a number."""
    return f"t{_digest(list(what))[:11]}"
