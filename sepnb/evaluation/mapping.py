"""Which of a system's stems answers which of a track's sources.

Systems and data sets cut music differently: six stems with guitar and piano, four, vocals and accompaniment. Stems are
matched by name on the finest cut that both sides can give: the track's own sources, else the four of MUSDB18, else
vocals and accompaniment. What one side has finer is summed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sepnb.errors import SepnbError

# Other names of the same thing.
_SAME = {
    "guitars": "guitar",
    "keyboard": "keys",
    "keyboards": "keys",
    "synths": "synth",
    "drum": "drums",
    "vocal": "vocals",
    "voice": "vocals",
    "vox": "vocals",
    "instrumental": "accompaniment",
    "instruments": "accompaniment",
    "no_vocals": "accompaniment",
}

# What each is a part of. In MUSDB18 `other` is all that is not drums, bass or vocals.
_PART_OF = {
    "drums": "accompaniment",
    "bass": "accompaniment",
    "other": "accompaniment",
    **dict.fromkeys(("guitar", "piano", "keys", "organ", "synth", "strings", "wind", "winds", "brass"), "other"),
}

_FOUR = ("drums", "bass", "other", "vocals")
_TWO = ("vocals", "accompaniment")

# Each is all that no other name of its cut holds. Without it a system gives just some parts of the whole.
_REST = {"other", "accompaniment"}

# Sums that people keep beside the parts: never a part of anything themselves.
_SUMS = {"mixture", "mix", "linear_mixture", "accompaniment"}


@dataclass(frozen=True)
class Mapping:
    """What is scored: each target with the names that are summed for its reference and for its estimate."""

    targets: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    estimates: tuple[tuple[str, ...], ...]
    not_scored: tuple[str, ...] = ()  # stems of the system that have no place in the track


def map_sources(system: str, gives: Sequence[str], track: str, has: Sequence[str]) -> Mapping:
    """Match the stems that a system gives with the sources that a track has, by name in upper or lower case.

    Guitar, piano, keys, strings and the like are summed into `other` where the track has no such source. A system of
    vocals and accompaniment (or instrumental; or `other`, as the only one beside the vocals) is scored as these two,
    against the vocals and the sum of the rest. On a track of vocals and accompaniment, all that a system gives beside
    the vocals is summed. Two stems summed must together be all that they stand for: drums and bass without `other` are
    no accompaniment.

    Raises SepnbError that names what is missing.
    """
    cuts = [tuple(has)]
    for cut in (_FOUR, _TWO):
        if all(_home(name, cut) for name in has):
            # Only what the track has can be asked of a system.
            cuts.append(tuple(member for member in cut if any(_home(name, cut) == member for name in has)))
    found = [mapping for cut in cuts if (mapping := _on(cut, gives, has))]
    for mapping in found:
        # A cut that has no place for the drums of a system is not the one: the track's `other` then holds drums.
        if not any(_usual(name) in _PART_OF for name in mapping.not_scored):
            return mapping
    if found:
        return found[0]
    missing = [name for name, names in zip(has, _gather(gives, has), strict=True) if not names]
    raise SepnbError(f"{system} gives {', '.join(gives)}, not the {', '.join(missing)} that {track!r} has")


def sum_stems(stems: Sequence[np.ndarray], names: Sequence[str], wanted: Iterable[tuple[str, ...]]) -> np.ndarray:
    """Stems (channels, samples) by name, summed as `wanted` says: (targets, channels, samples)."""
    by_name = dict(zip(names, stems, strict=True))
    return np.stack([sum(by_name[name] for name in summed) for summed in wanted])


def _usual(name: str) -> str:
    folded = name.casefold()
    return _SAME.get(folded, folded)


def _home(name: str, cut: Sequence[str]) -> str | None:
    """The member of a cut that a name is, or is a part of: itself first, then what it is a part of, and so on."""
    members = {member.casefold(): member for member in reversed(cut)}
    usual = {_usual(member): member for member in reversed(cut)}
    if name.casefold() in members:
        return members[name.casefold()]
    step: str | None = _usual(name)
    while step is not None:
        if step in usual:
            return usual[step]
        step = _PART_OF.get(step)
    return None


def _on(cut: tuple[str, ...], gives: Sequence[str], has: Sequence[str]) -> Mapping | None:
    """Both sides on one cut, or None where the system lacks a part of it."""
    estimates = _gather(gives, cut)
    if not all(estimates):
        return None
    # All that the track has of a member is that member; there is nothing else in its mixture.
    references = tuple(tuple(name for name in has if _home(name, cut) == member) for member in cut)
    left = (name for name in gives if _home(name, cut) is None and _usual(name) not in _SUMS)
    return Mapping(cut, references, estimates, tuple(left))


def _gather(names: Sequence[str], cut: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """For each member of a cut the names that make it up; none where they are not all of it."""
    gathered = []
    for member in cut:
        parts = tuple(name for name in names if _home(name, cut) == member)
        itself = tuple(name for name in parts if _usual(name) == _usual(member))
        if itself and _usual(member) in _SUMS:
            parts = itself  # a sum that is there needs no adding up
        whole = itself or _usual(member) not in _REST or any(_usual(name) in _REST for name in parts)
        gathered.append(parts if whole else ())
    return tuple(gathered)
