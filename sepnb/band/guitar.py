"""Guitars: strummed steel strings, a clean electric, and a distorted one played twice."""

import numpy as np

from sepnb.band import synth
from sepnb.band.keys import voicing
from sepnb.band.song import Bar, Score

# One character a sixteenth: D down, U up, m muted, . let ring.
STRUMS = ("D...D.UU..U.D.U.", "D...D.U.D.UUD.U.", "D.DUm.DU.UDUm.DU", "D.......D...D.U.", "D...m.U...UUm.U.")
CHOPS = ("..D...D...D...D.", ".mD..mD..mDU.mD.", "....D.......D...", "D..m.D.m..D.m.D.")
RIFFS = ("D.mmD.mmD.mmD.mm", "D.......D.......", "D.mDm.mDm.mDm.DD", "DmmmDmmmDmmmDmDm", "D.D.D.D.D.D.D.D.")


def strummed_guitar(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Six steel strings, strummed a few milliseconds one after another, with a wooden body."""
    strings = _Strings(rng, rate, ring=3.0, bright=rng.uniform(2200, 4200), pluck=rng.uniform(0.1, 0.3))
    track = _strum(score, bars, rng, rate, strings, str(rng.choice(STRUMS)), low=45, count=6, sweep=0.014)
    body = track + synth.band(track, rate, 90, 240, order=1) + 0.6 * synth.band(track, rate, 3000, 8000, order=1)
    return _both_sides(body, rate, 0.3, 0.011)


def clean_guitar(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """An electric guitar that chops at short chords high up."""
    strings = _Strings(rng, rate, ring=1.6, bright=rng.uniform(1800, 3000), pluck=rng.uniform(0.08, 0.15))
    track = _strum(score, bars, rng, rate, strings, str(rng.choice(CHOPS)), low=57, count=4, sweep=0.008)
    return synth.pan(synth.drive(synth.band(track, rate, 140, 5500), 1.5), float(rng.choice([-0.5, 0.5])))


def distorted_guitar(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Root and fifth through an overdriven amplifier and its cabinet; two takes, left and right."""
    riff = str(rng.choice(RIFFS))
    gain = rng.uniform(6.0, 25.0)
    sides = []
    for _ in range(2):
        strings = _Strings(rng, rate, ring=5.0, bright=2600.0, pluck=0.12)
        take = _strum(score, bars, rng, rate, strings, riff, low=40, count=3, sweep=0.004, power=True)
        take = synth.drive(synth.band(take, rate, 110, order=1), gain)
        sides.append(synth.band(take, rate, 80, 4800))
    left, right = sides
    return synth.pan(left, -0.8) + synth.pan(right, 0.8)


class _Strings:
    """Renders each pitch once, ringing and muted, and keeps it."""

    def __init__(self, rng: np.random.Generator, rate: int, ring: float, bright: float, pluck: float):
        self.rng, self.rate, self.ring, self.bright, self.pluck = rng, rate, ring, bright, pluck
        self.kept: dict[tuple[int, bool], np.ndarray] = {}

    def note(self, pitch: int, muted: bool) -> np.ndarray:
        if (pitch, muted) not in self.kept:
            hz = synth.hertz(pitch) * 2 ** (self.rng.normal(0.0, 2.0) / 1200)  # never quite in tune
            seconds, ring, bright = (0.3, 0.25, 0.5 * self.bright) if muted else (1.8, self.ring, self.bright)
            self.kept[pitch, muted] = synth.string(self.rng, hz, seconds, self.rate, ring, bright, self.pluck)
        return self.kept[pitch, muted]


def _strum(
    score: Score, bars: list[Bar], rng: np.random.Generator, rate: int, strings: _Strings, pattern: str,
    low: int, count: int, sweep: float, power: bool = False,
) -> np.ndarray:  # fmt: skip
    """Play a pattern on each bar's chord, mono; `power` leaves only root, fifth and octave."""
    mono = np.zeros(score.samples(rate), dtype=np.float32)
    for bar in bars:
        strokes = [(step, sign) for step, sign in enumerate(pattern[: score.steps]) if sign in "DUm"]
        if power:
            root = low + (score.key.pitch(bar.degree) - low) % 12
            fifth = root + score.key.pitch(bar.degree + 4) - score.key.pitch(bar.degree)
            pitches = [root, fifth, root + 12]
        else:
            pitches = voicing(score, bar, low, count)
        for (step, sign), following in zip(strokes, [*strokes[1:], (score.steps + 2, "")], strict=True):
            order = pitches[::-1] if sign == "U" else pitches
            error, factor = synth.humanise(rng, 0.006)
            start = score.time(bar, step) + error
            for index, pitch in enumerate(order):
                ring = (following[0] - step) * score.step
                sound = synth.cut(strings.note(pitch, sign == "m"), ring, rate)
                when = start + index * sweep * rng.uniform(0.7, 1.3)
                synth.place(mono, sound, int(when * rate), factor * (0.7 if sign == "U" else 1.0))
    return mono


def _both_sides(mono: np.ndarray, rate: int, width: float, delay: float) -> np.ndarray:
    """Two microphones: one hears the sound a little later."""
    track = synth.pan(mono, -width)
    synth.place(track, synth.pan(mono, 1.0), int(delay * rate), 0.5)
    return track
