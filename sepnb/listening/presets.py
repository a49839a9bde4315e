"""Faders in one word: karaoke takes the voice away, practice lowers the stem that one plays oneself."""

import math
from collections.abc import Iterable

from sepnb.errors import SepnbError


def karaoke(stems: Iterable[str], voice: str = "vocals") -> dict[str, float]:
    """Gains in dB for `mix` or a StemMixer that mute `voice` (-inf) and leave the other stems as they are (0).

    `stems`: names, or a dict by name. Raises SepnbError where `voice` is not among them.
    """
    return _lowered(stems, voice, -math.inf)


def practice(stems: Iterable[str], stem: str, db: float = -12.0) -> dict[str, float]:
    """Gains in dB that lower `stem` by so much that one can play to it and still hear what is to be played.

    `db` is 0 or less. Raises SepnbError where `stem` is not among `stems`, or `db` would raise it.
    """
    if not db <= 0:
        raise SepnbError(f"practice lowers a stem: give 0 dB or less (-12 is usual), not {db:g}")
    return _lowered(stems, stem, float(db))


def _lowered(stems: Iterable[str], name: str, db: float) -> dict[str, float]:
    names = list(stems)
    if name not in names:
        raise SepnbError(f"no stem {name} to lower; there are {', '.join(names) or 'none'}")
    return {stem: db if stem == name else 0.0 for stem in names}
