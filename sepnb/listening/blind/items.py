"""What a listening test plays: one excerpt of a stem, true and as several systems give it, all equally loud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sepnb.errors import SepnbError
from sepnb.listening.loudness import TOLERANCE, loudness, match_loudness
from sepnb.tracks import Track

REFERENCE, ANCHOR = "reference", "mixture"  # conditions beside the systems: the true stem, and how bad it can be
SECONDS = 8.0  # an excerpt longer than some 12 s is not remembered while the next one plays (BS.1534-3)
FADE = 0.02  # seconds at both ends, without which an excerpt begins and ends with a click


@dataclass(frozen=True, eq=False)
class Item:
    """An excerpt of one stem of a track: `sounds`, audio (channels, samples) by condition, equally loud to 0.1 LU.

    Conditions are "reference" (the true stem), "mixture" (the anchor, which no system should be worse than) and the
    names of systems. `loudness` in LUFS is what was measured of each as it is played, `gains_db` what was done to it;
    `start` and `seconds` say where in the track it stands.
    """

    track: str
    target: str
    rate: int
    start: float
    seconds: float
    sounds: Mapping[str, np.ndarray] = field(repr=False)
    loudness: Mapping[str, float]
    gains_db: Mapping[str, float]

    @property
    def name(self) -> str:
        """Track and stem, which no other item of a test has both."""
        return f"{self.track}: {self.target}"

    @property
    def systems(self) -> list[str]:
        """The conditions that are systems, in the order given."""
        return [name for name in self.sounds if name not in (REFERENCE, ANCHOR)]


def make_items(
    song: Track,
    estimates: Mapping[str, Mapping[str, np.ndarray]],
    targets: Sequence[str] | None = None,
    start: float | None = None,
    seconds: float = SECONDS,
) -> list[Item]:
    """An item for each stem of a song that all systems give: excerpts of `seconds`, matched in loudness.

    `estimates`: system → stem → audio (channels, samples) of the whole song. `targets`: some of its stems (None: all
    that every system has). `start` in seconds: where the excerpts begin; None takes, for each stem, where the true stem
    is loudest (of a song shorter than `seconds`, all of it).

    Raises SepnbError where a system lacks a stem or has another length than the song, for an excerpt that is not inside
    of the song, and for what is silent in it: that cannot be made as loud as the rest.
    """
    for system, given in estimates.items():
        if system in (REFERENCE, ANCHOR):
            raise SepnbError(f"no system may be called {system!r}, as one of the listening test's own sounds is")
        if not isinstance(given, Mapping):
            raise SepnbError(f"{system!r} is no system with stems: give {{system: {{stem: audio}}}}")
    if not estimates:
        raise SepnbError("a listening test compares systems, and none was given")
    stems, mixture = dict(zip(song.sources, song.stems(), strict=True)), song.mixture()
    if isinstance(targets, str):
        targets = [targets]
    if targets is None:
        targets = [name for name in song.sources if all(name in given for given in estimates.values())]
    items = []
    for target in targets:
        lacking = [system for system, given in estimates.items() if target not in given]
        if target not in stems or lacking:
            raise SepnbError(f"there is no {target!r} of {song.name if target not in stems else ', '.join(lacking)}")
        given = {system: some[target] for system, some in estimates.items()}
        sounds = {REFERENCE: stems[target], **given, ANCHOR: mixture}
        items.append(make_item(song.name, target, sounds, song.rate, start, seconds))
    return items


def make_item(
    track: str,
    target: str,
    sounds: Mapping[str, np.ndarray],
    rate: int,
    start: float | None = None,
    seconds: float = SECONDS,
) -> Item:
    """One item out of whole sounds by condition (see `Item`); the rest as for `make_items`."""
    shapes = {name: np.shape(audio) for name, audio in sounds.items()}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise SepnbError(f"{track}, {target}: the sounds to compare differ in shape ({said})")
    if REFERENCE not in sounds or ANCHOR not in sounds:
        raise SepnbError(f"{track}, {target}: an item has a sound called {REFERENCE!r} and one called {ANCHOR!r}")
    first, last = _excerpt(sounds[REFERENCE], rate, start, seconds, f"{track}, {target}")
    cut = {name: _faded(audio[:, first:last], rate) for name, audio in sounds.items()}
    silent = [name for name, audio in cut.items() if loudness(audio, rate) == -np.inf]
    if silent:
        raise SepnbError(
            f"{track}, {target}: {', '.join(silent)} is silent from {first / rate:g} s to {last / rate:g} s, and "
            "cannot be made as loud as the others: choose another excerpt, or leave it out"
        )
    matched, gains = match_loudness(cut, rate)
    heard = {name: loudness(audio, rate) for name, audio in matched.items()}
    apart = max(heard.values()) - min(heard.values())
    if apart > TOLERANCE:
        raise SepnbError(f"{track}, {target}: the sounds are {apart:.2f} LU apart, more than {TOLERANCE} LU")
    return Item(track, target, rate, first / rate, (last - first) / rate, matched, heard, gains)


def _excerpt(audio: np.ndarray, rate: int, start: float | None, seconds: float, name: str) -> tuple[int, int]:
    """First and last sample of an excerpt; of a song that is shorter than it, all."""
    length, samples = round(seconds * rate), audio.shape[-1]
    if length < 1:
        raise SepnbError(f"{name}: an excerpt of {seconds:g} s is none")
    if start is None:
        return (first := loudest(audio, rate, seconds)), min(first + length, samples)
    first = round(start * rate)
    if not 0 <= first <= first + length <= samples:
        raise SepnbError(
            f"{name}: {seconds:g} s from {start:g} s on are not inside of the song, which has {samples / rate:g} s"
        )
    return first, first + length


def loudest(audio: np.ndarray, rate: int, seconds: float) -> int:
    """The first sample of the stretch of `seconds` with the most energy, at tenths of a second; 0 in a shorter song."""
    length, step = round(seconds * rate), max(rate // 10, 1)
    if audio.shape[-1] <= length:
        return 0
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=float).sum(axis=0))])
    begins = np.arange(0, audio.shape[-1] - length + 1, step)
    return int(begins[np.argmax(energy[begins + length] - energy[begins])])


def _faded(audio: np.ndarray, rate: int) -> np.ndarray:
    length = min(round(FADE * rate), audio.shape[-1] // 2)
    shape = np.ones(audio.shape[-1], np.float32)
    shape[:length] = np.sin(np.linspace(0, np.pi / 2, length, endpoint=False)) ** 2
    shape[len(shape) - length :] = shape[:length][::-1]
    return audio * shape
