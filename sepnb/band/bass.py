"""Bass: plucked, picked, synthesised or distorted, on patterns that lock with the bar."""

import numpy as np

from sepnb.band import synth
from sepnb.band.song import Bar, Score

# One character a sixteenth: 1 root, 5 fifth, 8 octave, a approach to the next root, - hold, . rest.
PATTERNS = {
    "eighths": ("1-1-1-1-1-1-1-1-", "1-1-1-1-1-1-1-a-", "1-1-8-1-1-1-5-1-"),
    "sparse": ("1-----1-1-----5-", "1-------1---5-a-", "1------.1---..a-"),
    "funky": ("1.1.--8.1..1.5a-", "1..1..8.1..15.8.", "1---.18..1-.5-a-"),
    "offbeat": ("..1-..1-..1-..1-", "1.1-..1-1.1-..8-", "..1.1-1-..1.8-5-"),
    "long": ("1---------------", "1-----------5---", "1-------1-----a-"),
}
STYLE_PATTERNS = {
    "pop": ("eighths", "sparse"),
    "rock": ("eighths", "sparse"),
    "soul": ("funky", "sparse"),
    "electro": ("offbeat", "eighths", "funky"),
    "ballad": ("long", "sparse"),
    "slow beat": ("long", "sparse", "funky"),
}
BASSES = ("finger", "pick", "synth", "sub", "distorted")
LOWEST = 28  # the E of a four-string bass


def play_bass(score: Score, rate: int) -> np.ndarray:
    """The bass stem, dry, float32 (2, samples): one instrument in the centre."""
    rng = score.rng("bass")
    samples = score.samples(rate)
    patterns = {
        section: str(rng.choice(PATTERNS[str(rng.choice(STYLE_PATTERNS[score.style]))]))
        for section in ("verse", "chorus", "bridge")
    }
    patterns["intro"] = patterns["verse"]
    silent_intro = rng.random() < 0.4
    instrument = _Instrument(score.bass, rng, rate)
    track = np.zeros(samples, dtype=np.float32)
    for index, bar in enumerate(score.bars):
        if bar.section == "intro" and silent_intro:
            continue
        following = score.bars[index + 1] if index + 1 < len(score.bars) else bar
        for step, steps, pitch in bass_line(score, bar, following, patterns[bar.section]):
            error, factor = synth.humanise(rng, 0.005, 0.1)
            start = int((score.time(bar, step) + error) * rate)
            note = synth.cut(instrument.note(pitch), steps * score.step * 0.95, rate)
            synth.place(track, note, start, factor)
    track = synth.drive(track, 0.4 + 1.0 * score.dirt)
    if score.bass == "distorted":
        clean = synth.band(track, rate, high=160)
        track = clean + 0.5 * synth.band(synth.drive(track, 6.0), rate, 120, 3200)
    warm = 1.7 * synth.band(track, rate, high=140, order=1) + 0.22 * track  # an amplifier's tone control
    return synth.pan(warm, 0.0)


def bass_line(score: Score, bar: Bar, following: Bar, pattern: str) -> list[tuple[int, int, int]]:
    """The notes of one bar: (sixteenth, length in sixteenths, MIDI number)."""
    root = score.key.pitch(bar.degree, 1)
    root -= 12 * ((root - LOWEST) // 12)  # into the lowest octave of the instrument
    target = score.key.pitch(following.degree, 1)
    target -= 12 * ((target - LOWEST) // 12)
    degree = next(d for d in range(-14, 15) if score.key.pitch(d, 2) == root)
    approach = next(d for d in range(-14, 15) if score.key.pitch(d, 2) == target) + (-1 if target > root else 1)
    pitches = {
        "1": root,
        "5": score.key.pitch(degree + 4, 2),
        "8": root + 12,
        "a": score.key.pitch(approach, 2),
    }
    pattern = pattern[: score.steps]
    notes = []
    for step, sign in enumerate(pattern):
        if sign in pitches:
            held = len(pattern[step + 1 :]) - len(pattern[step + 1 :].lstrip("-"))
            notes.append((step, 1 + held, pitches[sign]))
    return notes


class _Instrument:
    """Renders each pitch once and keeps it."""

    def __init__(self, kind: str, rng: np.random.Generator, rate: int):
        self.kind, self.rng, self.rate = kind, rng, rate
        self.bright = rng.uniform(0.75, 1.35)
        self.ring = rng.uniform(0.8, 1.25)
        self.kept: dict[int, np.ndarray] = {}

    def note(self, pitch: int) -> np.ndarray:
        if pitch not in self.kept:
            self.kept[pitch] = self._render(synth.hertz(pitch))
        return self.kept[pitch]

    def _render(self, hz: float) -> np.ndarray:
        if self.kind in ("finger", "pick", "distorted"):
            bright, pluck = (700.0, 0.22) if self.kind == "finger" else (1700.0, 0.12)
            tone = synth.string(self.rng, hz, 2.6, self.rate, 4.0 * self.ring, bright * self.bright, pluck, 1e-5)
            return synth.drive(synth.band(tone, self.rate, 30, 5000, order=1), 1.2)
        time = synth.clock(2.6, self.rate)
        phase = hz * time
        if self.kind == "sub":
            tone = np.sin(2 * np.pi * phase) * np.exp(-time / (1.5 * self.ring))
            return synth.drive(tone, 1.5 * self.bright)
        return self._synth(hz, time, phase)

    def _synth(self, hz: float, time: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Harmonics of a sawtooth under a low-pass that closes: each falls faster the higher it is."""
        tone = np.zeros_like(time)
        fall = np.exp(time * (-1.0 / (3.0 * self.ring * self.bright)))
        level = fall.copy()
        for harmonic in range(1, min(24, int(0.45 * self.rate / hz))):
            tone += np.sin(phase % 1.0 * (2 * np.pi * harmonic)) * level / harmonic
            level *= fall
        return tone / np.float32(np.abs(tone).max())
