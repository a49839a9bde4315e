"""Composition: a seed becomes a score (style, tempo, key, chords, form) that every player of the band reads."""

import math
from dataclasses import dataclass

import numpy as np

from sepnb.band.names import song_name

STEPS_PER_BEAT = 4  # the grid is sixteenth notes

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
# Degrees counted from 0; none of them has a diminished triad in its mode.
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 2, 3, 4), (1, 4, 0, 5), (3, 0, 4, 5), (0, 3, 1, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 2, 6, 3), (5, 6, 0, 0), (0, 4, 5, 3), (3, 0, 5, 6)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 2, 3, 6), (0, 1, 3, 0)),
    "mixolydian": ((0, 6, 3, 0), (0, 4, 6, 3), (0, 6, 0, 3), (0, 3, 6, 3)),
}
NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Style:
    """What a kind of music allows; one choice of each is drawn for a song."""

    tempo: tuple[float, float]  # beats per minute, lowest and highest
    modes: tuple[str, ...]
    grooves: tuple[str, ...]  # drums.GROOVES
    kits: tuple[str, ...]  # drums.KITS
    basses: tuple[str, ...]  # bass.BASSES
    others: tuple[tuple[str, ...], ...]  # combinations of other.PLAYERS
    swing: tuple[float, float]  # how late every second sixteenth is, in sixteenths
    room: tuple[float, float]  # reverberation time in seconds
    dirt: tuple[float, float]  # saturation of the stems, 0 clean to 1 crushed


STYLES = {
    "pop": Style(
        (92, 128), ("major", "minor"), ("straight", "four", "breakbeat"), ("studio", "machine"),
        ("finger", "synth", "sub"), (("piano", "pad", "clean guitar"), ("electric piano", "pad", "strummed guitar")),
        (0.0, 0.08), (0.5, 1.1), (0.1, 0.4),
    ),
    "rock": Style(
        (108, 168), ("minor", "mixolydian", "major"), ("straight", "driving"), ("arena", "studio"),
        ("pick", "distorted"), (("distorted guitar", "organ"), ("distorted guitar", "strummed guitar", "pad")),
        (0.0, 0.04), (0.6, 1.4), (0.4, 0.9),
    ),
    "soul": Style(
        (78, 108), ("dorian", "minor", "mixolydian"), ("funk", "straight", "shuffle"), ("studio", "dusty"),
        ("finger", "pick"), (("electric piano", "clean guitar", "organ"), ("organ", "clean guitar", "pad")),
        (0.1, 0.3), (0.4, 0.9), (0.2, 0.6),
    ),
    "electro": Style(
        (112, 140), ("minor", "dorian"), ("four", "breakbeat"), ("machine", "dusty"),
        ("synth", "sub", "distorted"), (("pad", "arpeggio"), ("electric piano", "arpeggio", "pad")),
        (0.0, 0.12), (0.7, 1.6), (0.2, 0.7),
    ),
    "ballad": Style(
        (64, 84), ("major", "minor"), ("ballad", "halftime", "waltz"), ("studio", "arena"),
        ("finger", "sub"), (("piano", "pad"), ("strummed guitar", "pad", "electric piano"),
                            ("piano", "strummed guitar")),
        (0.0, 0.06), (0.9, 1.9), (0.05, 0.3),
    ),
    "slow beat": Style(
        (70, 96), ("minor", "dorian"), ("halftime", "breakbeat", "shuffle"), ("dusty", "machine"),
        ("sub", "synth", "finger"), (("electric piano", "pad"), ("piano", "arpeggio", "pad")),
        (0.1, 0.33), (0.4, 1.0), (0.3, 0.8),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A tonic (0 is C) and a mode; degrees count from 0 and run on past the octave."""

    tonic: int
    mode: str

    def __str__(self) -> str:
        return f"{NOTE_NAMES[self.tonic]} {self.mode}"

    def pitch(self, degree: int, octave: int = 4) -> int:
        """MIDI number of a degree, counted from the tonic in an octave (4 begins at middle C, 60)."""
        return 12 * (octave + 1) + self.tonic + 12 * (degree // 7) + MODES[self.mode][degree % 7]

    def classes(self) -> tuple[int, ...]:
        """The pitch classes of the scale, 0 is C."""
        return tuple((self.tonic + step) % 12 for step in MODES[self.mode])


@dataclass(frozen=True)
class Bar:
    """One bar: when it starts (s), the degree its chord stands on, and where in the form it is."""

    start: float
    degree: int
    section: str  # intro, verse, chorus, bridge
    place: int  # index within the section
    last: bool  # the last bar of its section


@dataclass(frozen=True)
class Score:
    """What all players of one song agree on. Times are in seconds."""

    seed: int
    name: str
    style: str
    tempo: float
    beats: int
    key: Key
    swing: float
    seventh: bool  # chords carry a seventh
    groove: str
    kit: str
    bass: str
    others: tuple[str, ...]
    room: float
    dirt: float
    seconds: float
    bars: tuple[Bar, ...]

    @property
    def steps(self) -> int:
        return self.beats * STEPS_PER_BEAT

    @property
    def step(self) -> float:
        return 60.0 / self.tempo / STEPS_PER_BEAT

    def samples(self, rate: int) -> int:
        """Length of every track at a sampling rate."""
        return round(self.seconds * rate)

    def time(self, bar: Bar, step: float) -> float:
        """When a sixteenth of a bar sounds: every second one comes late by the swing."""
        late = self.swing if int(step) % 2 else 0.0
        return bar.start + (step + late) * self.step

    def chord(self, bar: Bar) -> tuple[int, ...]:
        """Degrees of the bar's chord, from its root upwards."""
        return tuple(bar.degree + third for third in ((0, 2, 4, 6) if self.seventh else (0, 2, 4)))

    def rng(self, player: str) -> np.random.Generator:
        """A random stream of the player's own: what one plays does not depend on the others."""
        return np.random.default_rng([self.seed, *player.encode()])


def compose(seed: int, seconds: float) -> Score:
    """Write the score of one song.

    The style, key, tempo and players depend on the seed alone; the form is fitted to the length, so that a short song
    is not the beginning of a long one with the same seed.
    """
    rng = np.random.default_rng([seed, 0])
    style_name = list(STYLES)[seed % len(STYLES)]  # neighbouring seeds differ, so that a small band is not all ballads
    style = STYLES[style_name]
    mode = str(rng.choice(style.modes))
    groove = str(rng.choice(style.grooves))
    tempo = round(float(rng.uniform(*style.tempo)), 1)
    beats = 3 if groove == "waltz" else 4
    bars = _form(rng, PROGRESSIONS[mode], seconds, beats * 60.0 / tempo)
    return Score(
        seed=seed,
        name=song_name(seed),
        style=style_name,
        tempo=tempo,
        beats=beats,
        key=Key(int(rng.integers(12)), mode),
        swing=float(rng.uniform(*style.swing)),
        seventh=bool(rng.random() < 0.4),
        groove=groove,
        kit=str(rng.choice(style.kits)),
        bass=str(rng.choice(style.basses)),
        others=style.others[rng.integers(len(style.others))],
        room=float(rng.uniform(*style.room)),
        dirt=float(rng.uniform(*style.dirt)),
        seconds=seconds,
        bars=bars,
    )


def _form(rng: np.random.Generator, progressions: tuple, seconds: float, bar_seconds: float) -> tuple[Bar, ...]:
    """Intro, then verse and chorus in turn with a bridge now and then, until the time is filled."""
    verse, chorus, bridge = (progressions[i] for i in rng.choice(len(progressions), size=3, replace=False))
    chords = {"intro": verse, "verse": verse, "chorus": chorus, "bridge": bridge}
    count = math.ceil(seconds / bar_seconds)
    length = 4 if count < 24 else 8
    # A snippet of a few bars goes straight to the verse, so that it has all stems.
    intro = 0 if count < 4 else 1 if count < 8 else 2 if count < 24 else 4
    sections = [("intro", intro)]
    while sum(bars for _, bars in sections) < count:
        turn = (len(sections) - 1) % 5
        sections.append((("verse", "chorus", "verse", "chorus", "bridge")[turn], 4 if turn == 4 else length))
    bars = [(section, place, bars, chords[section][place % 4]) for section, bars in sections for place in range(bars)]
    return tuple(
        Bar(index * bar_seconds, degree, section, place, place == bars - 1)
        for index, (section, place, bars, degree) in enumerate(bars[:count])
    )
