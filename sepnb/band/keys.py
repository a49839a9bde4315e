"""Keyboards: piano, electric piano, organ, pads of many voices, and an arpeggio."""

import numpy as np
from scipy import fft

from sepnb.band import synth
from sepnb.band.song import Bar, Score

# One character a sixteenth: X the chord, x softer, - hold, . rest.
COMPING = {
    "long": ("X---------------", "X-------x-------", "X-----x---------"),
    "pulse": ("X---x---X---x---", "X-x-X-x-X-x-X-x-", "X---x-x-X---x-x-"),
    "off": ("..X-..X-..X-..X-", "X-..x-X-..x-X-x.", "X-.x-.X-..x-.x-."),
}


def voicing(score: Score, bar: Bar, low: int, count: int) -> list[int]:
    """The `count` lowest tones of the bar's chord from a MIDI number up: near to where the last chord lay."""
    classes = {score.key.pitch(degree) % 12 for degree in score.chord(bar)}
    return [pitch for pitch in range(low, low + 48) if pitch % 12 in classes][:count]


def piano(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Struck, stiff strings; bass to the left and treble to the right."""
    bright = rng.uniform(1500, 3200)

    def tone(pitch: int) -> np.ndarray:
        hz = synth.hertz(pitch)
        strings = synth.string(rng, hz, 3.0, rate, 5.0, bright, 0.12, 2e-5)
        second = synth.string(rng, hz * 1.0006, 3.0, rate, 4.0, bright, 0.12, 2e-5)
        thump = synth.band(synth.noise(rng, int(0.04 * rate)), rate, 200, 1500) * 0.1
        sound = strings + second
        sound[: len(thump)] += thump
        return synth.pan(synth.band(sound, rate, 60, 9000, order=1), (pitch - 62) / 40.0)

    return _comp(score, bars, rng, rate, tone, low=int(rng.integers(50, 57)), count=4, spread=0.004)


def electric_piano(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Two-operator frequency modulation (Chowning 1973): a bark that dies into a sine, with a stereo tremolo."""
    bark, ratio = rng.uniform(0.8, 2.2), float(rng.choice([1.0, 1.0, 2.0]))
    wobble = rng.uniform(4.0, 6.5)
    depth = rng.uniform(0.1, 0.5)

    def tone(pitch: int) -> np.ndarray:
        hz = synth.hertz(pitch)
        time = synth.clock(2.4, rate)
        index = bark * np.exp(-time / 0.35) * min(1.0, 400.0 / hz)
        sound = np.sin(2 * np.pi * hz * time + index * np.sin(2 * np.pi * hz * ratio * time))
        tine = 0.12 * np.sin(2 * np.pi * min(7.1 * hz, 0.4 * rate) * time) * np.exp(-time / 0.05)
        key = 0.03 * synth.noise(rng, len(time)) * np.exp(-time / 0.004)
        return synth.pan((sound + tine) * np.exp(-time / 1.1) + key, 0.0)

    track = _comp(score, bars, rng, rate, tone, low=int(rng.integers(50, 58)), count=4, spread=0.006)
    sway = np.float32(depth) * np.sin(2 * np.pi * wobble * synth.clock(track.shape[1] / rate, rate))
    return synth.drive(track, 1.0) * np.stack([1 + sway, 1 - sway])[:, : track.shape[1]]


def organ(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Drawbars through a turning loudspeaker: loudness and pitch sway, against each other left and right."""
    bars_drawn = rng.uniform(0.1, 1.0, size=8) * np.array([0.8, 1.0, 0.9, 0.7, 0.5, 0.35, 0.3, 0.3])
    harmonics = (0.5, 1, 1.5, 2, 3, 4, 5, 6)
    turn = float(rng.choice([0.9, 6.2]))

    def tone(pitch: int) -> np.ndarray:
        hz = synth.hertz(pitch)
        time = synth.clock(3.4, rate)
        sides = []
        for sign in (1.0, -1.0):
            phase = hz * time + sign * 0.0012 * hz / turn * np.sin(2 * np.pi * turn * time) / (2 * np.pi)
            table = _one_cycle(tuple(2 * h for h in harmonics), bars_drawn, rate, hz / 2)
            wave = np.interp(phase / 2 % 1.0, np.linspace(0, 1, len(table)), table).astype(np.float32)
            sides.append(wave * (1 + sign * 0.25 * np.sin(2 * np.pi * turn * time)))
        click = 0.15 * synth.noise(rng, len(time)) * np.exp(-time / 0.005)
        return np.stack(sides).astype(np.float32) + click

    track = _comp(score, bars, rng, rate, tone, low=int(rng.integers(52, 60)), count=4, spread=0.002, patterns="long")
    return synth.drive(track, rng.uniform(0.5, 2.5))


def pad(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Many voices at once, built as spread harmonics with random phases (PADsynth, Paul 2001)."""
    cents = rng.uniform(12, 45)
    bright = rng.uniform(700, 3500)
    slope = rng.uniform(0.9, 1.5)
    low = int(rng.integers(52, 60))
    kept: dict[tuple[int, ...], np.ndarray] = {}
    track = np.zeros((2, score.samples(rate)), dtype=np.float32)
    bar_seconds = score.steps * score.step
    fade = min(0.25, bar_seconds / 4)
    for bar in bars:
        pitches = tuple(voicing(score, bar, low, 4))
        if pitches not in kept:
            kept[pitches] = _ensemble(rng, pitches, rate, cents, bright, slope)
        loop = kept[pitches]
        samples = int((bar_seconds + fade) * rate)
        sound = np.take(loop, np.arange(samples) + rng.integers(loop.shape[1]), axis=1, mode="wrap")
        ramp = np.sin(np.linspace(0, np.pi / 2, int(fade * rate), dtype=np.float32))
        sound[:, : len(ramp)] *= ramp
        sound[:, -len(ramp) :] *= ramp[::-1]
        synth.place(track, sound, int(bar.start * rate))
    return track


def arpeggio(score: Score, bars: list[Bar], rng: np.random.Generator, rate: int) -> np.ndarray:
    """Short synthetic plucks that climb through the chord, with an echo from side to side."""
    order = rng.permutation(4)
    stride = int(rng.choice([1, 2]))
    bright, seconds = rng.uniform(1200, 4000), rng.uniform(0.12, 0.35)
    low = int(rng.integers(60, 68))
    kept: dict[int, np.ndarray] = {}
    mono = np.zeros(score.samples(rate), dtype=np.float32)
    for bar in bars:
        pitches = voicing(score, bar, low, 4)
        for step in range(0, score.steps, stride):
            pitch = pitches[order[step // stride % 4]]
            if pitch not in kept:
                kept[pitch] = synth.string(rng, synth.hertz(pitch), 4 * seconds, rate, 3 * seconds, bright, 0.3)
            error, factor = synth.humanise(rng, 0.001, 0.15)
            synth.place(mono, kept[pitch], int((score.time(bar, step) + error) * rate), factor)
    echo = int(3 * score.step * rate)
    track = synth.pan(mono, -0.2)
    synth.place(track, synth.pan(mono, 0.8), echo, 0.4)
    synth.place(track, synth.pan(mono, -0.8), 2 * echo, 0.2)
    return track


def _comp(score, bars, rng, rate, tone, low, count, spread, patterns=None) -> np.ndarray:
    """Play chords on a rhythm drawn for the song; `tone(pitch)` renders a stereo note once."""
    kinds = [patterns] if patterns else list(COMPING)
    chosen = {section: str(rng.choice(COMPING[str(rng.choice(kinds))])) for section in ("verse", "chorus", "bridge")}
    chosen["intro"] = chosen["verse"]
    kept: dict[int, np.ndarray] = {}
    track = np.zeros((2, score.samples(rate)), dtype=np.float32)
    for bar in bars:
        pattern = chosen[bar.section][: score.steps]
        for step, sign in enumerate(pattern):
            if sign not in "Xx":
                continue
            held = 1 + len(pattern[step + 1 :]) - len(pattern[step + 1 :].lstrip("-"))
            for pitch in voicing(score, bar, low, count):
                if pitch not in kept:
                    kept[pitch] = tone(pitch)
                error, factor = synth.humanise(rng, spread)
                sound = synth.cut(kept[pitch], held * score.step, rate, release=0.08)
                start = int((score.time(bar, step) + error) * rate)
                synth.place(track, sound, start, factor * (1.0 if sign == "X" else 0.7))
    return track


def _one_cycle(harmonics: tuple, levels: np.ndarray, rate: int, hz: float) -> np.ndarray:
    """One period of a sum of harmonics, without those above half the sampling rate; the last point is the first."""
    turn = np.linspace(0, 2 * np.pi, 1025)
    return sum(
        level * np.sin(harmonic * turn)
        for harmonic, level in zip(harmonics, levels, strict=True)
        if harmonic * hz < 0.45 * rate
    )


def _ensemble(
    rng: np.random.Generator, pitches: tuple[int, ...], rate: int, cents: float, bright: float, slope: float
) -> np.ndarray:
    """A seamless stereo loop of three seconds in which each harmonic of each pitch is a narrow band."""
    samples = fft.next_fast_len(3 * rate, real=True)
    width = rate / samples  # Hz a bin
    spectrum = np.zeros(samples // 2 + 1, dtype=np.float32)
    for pitch in pitches:
        hz = synth.hertz(pitch)
        for harmonic in range(1, int(min(0.45 * rate, 9000) / hz) + 1):
            centre = harmonic * hz
            spread = centre * (2 ** (cents / 1200) - 1)
            first, last = int((centre - 3 * spread) / width), int((centre + 3 * spread) / width) + 2
            bins = np.arange(max(first, 1), min(last, len(spectrum)))
            level = harmonic**-slope / (1 + (centre / bright) ** 2) / np.sqrt(spread)
            spectrum[bins] += level * np.exp(-0.5 * ((bins * width - centre) / spread) ** 2)
    turns = np.exp(2j * np.pi * rng.random((2, len(spectrum)), dtype=np.float32))
    sound = fft.irfft(spectrum * turns.astype(np.complex64), samples)
    return (sound / np.abs(sound).max()).astype(np.float32)
