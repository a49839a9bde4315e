"""Drums: kits synthesised from sweeps, shaped noise and metal, and the grooves they play."""

from dataclasses import dataclass

import numpy as np

from sepnb.band import synth
from sepnb.band.song import Bar, Score

# One character a sixteenth: X accent, x stroke, o ghost note, ? drawn once for a song.
GROOVES = {
    "straight": {"kick": "X.......X.?...?.", "snare": "....X.......X...", "hat": "X.x.X.x.X.x.X.x."},
    "driving": {"kick": "X...x.x.X.x...?.", "snare": "....X.......X..?", "hat": "X.X.X.X.X.X.X.X."},
    "four": {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat": "o.X.o.X.o.X.o.Xo"},
    "funk": {"kick": "X..x..?...x..?..", "snare": "....X..o.o..X..o", "hat": "XoxoXoxoXoxoXoxo"},
    "halftime": {"kick": "X.....?...x..?..", "snare": "........X.....?.", "hat": "X.x.x.xoX.x.x.x?"},
    "breakbeat": {"kick": "X.x.......xx..?.", "snare": "....X..o.o..X..o", "hat": "X.x.X.x.X.x.X.x."},
    "shuffle": {"kick": "X.....?xX.....?.", "snare": "....X..o....X..o", "hat": "X.xoX.xoX.xoX.xo"},
    "ballad": {"kick": "X.......x.....?.", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    "waltz": {"kick": "X.....?.....", "snare": "....x...X...", "hat": "X.x.X.x.X.x."},
}
STRENGTH = {"X": 1.0, "x": 0.75, "o": 0.32}
FILLS = ("....x.xxXxXx....", "........XxXxXxXx", "....X.xX.xX.XxXX", "............XXXX")


@dataclass(frozen=True)
class Kit:
    """Ranges from which the drums of one song are drawn."""

    kick: tuple[float, float]  # Hz at rest
    kick_seconds: tuple[float, float]
    snare: tuple[float, float]  # Hz of the lower mode
    snare_seconds: tuple[float, float]
    metal: tuple[float, float]  # Hz, lowest partial of hats and cymbals
    top: float  # Hz, where the kit gets dark
    crush: tuple[float, float]  # saturation of every drum


KITS = {
    "studio": Kit((48, 62), (0.18, 0.32), (170, 220), (0.10, 0.18), (320, 480), 16000, (0.5, 1.5)),
    "arena": Kit((50, 66), (0.18, 0.28), (150, 200), (0.18, 0.32), (280, 420), 15000, (1.0, 2.5)),
    "machine": Kit((40, 56), (0.30, 0.60), (160, 240), (0.10, 0.22), (380, 560), 18000, (0.5, 3.0)),
    "dusty": Kit((55, 72), (0.14, 0.26), (180, 260), (0.08, 0.15), (300, 460), 8500, (1.5, 3.5)),
}
PANS = {"kick": 0.0, "snare": 0.05, "hat": 0.3, "open": 0.3, "ride": -0.4, "crash": -0.35, "high tom": 0.25,
        "low tom": -0.3, "shaker": -0.45}  # fmt: skip


def play_drums(score: Score, rate: int) -> np.ndarray:
    """The drum stem, dry, float32 (2, samples)."""
    rng = score.rng("drums")
    samples = score.samples(rate)
    kit = _build_kit(KITS[score.kit], score, rng, rate)
    groove = {drum: _settle(pattern, rng) for drum, pattern in GROOVES[score.groove].items()}
    fill = str(rng.choice(FILLS))[-score.steps :]
    late = rng.normal(0.0, 0.004, size=score.steps)  # a drummer errs in much the same way each bar
    cymbal = str(rng.choice(["open", "ride", "crash", "hat"], p=[0.3, 0.35, 0.1, 0.25]))  # what the chorus is played on
    intro = str(rng.choice(["hat", "all", "none"], p=[0.4, 0.4, 0.2]))
    shaker = rng.random() < 0.45
    track = np.zeros((2, samples), dtype=np.float32)
    for bar in score.bars:
        for drum, step, strength in _strokes(score, bar, groove, fill, cymbal, intro, shaker):
            error, factor = synth.humanise(rng, 0.003, 0.1)
            sounds = kit[drum]
            sound = sounds[rng.integers(len(sounds))]
            start = score.time(bar, step) + late[step] + error
            synth.place(track, sound, int(start * rate), strength * factor)
    return synth.drive(track, 0.6 + 1.6 * score.dirt)


def _settle(pattern: str, rng: np.random.Generator) -> str:
    return "".join(("x" if rng.random() < 0.5 else ".") if stroke == "?" else stroke for stroke in pattern)


def _strokes(
    score: Score, bar: Bar, groove: dict[str, str], fill: str, cymbal: str, intro: str, shaker: bool
) -> list[tuple[str, int, float]]:
    """What is struck in one bar: (drum, sixteenth, strength)."""
    if bar.section == "intro" and intro == "none" and not bar.last:
        return []
    fill_from = score.steps - 8 if bar.last else score.steps
    strokes = []
    for drum, pattern in groove.items():
        if bar.section == "intro" and intro == "hat" and drum != "hat":
            continue
        name = cymbal if drum == "hat" and bar.section == "chorus" else drum
        for step, stroke in enumerate(pattern):
            if stroke != "." and (step < fill_from or drum == "kick"):
                strokes.append((name, step, STRENGTH[stroke]))
    if shaker and bar.section in ("chorus", "bridge"):
        strokes += [("shaker", step, 0.8 if step % 4 == 2 else 0.5) for step in range(score.steps)]
    if bar.place == 0 and bar.section != "intro":
        strokes.append(("crash", 0, 0.9))
    for step in range(fill_from, score.steps):
        if fill[step] != ".":
            drum = ("snare", "high tom", "low tom")[(step - fill_from) * 3 // max(score.steps - fill_from, 1)]
            strokes.append((drum, step, STRENGTH[fill[step]]))
    return strokes


def _build_kit(kit: Kit, score: Score, rng: np.random.Generator, rate: int) -> dict[str, list[np.ndarray]]:
    """Every drum of the kit as a few stereo takes, so that no two strokes need be alike."""
    crush = rng.uniform(*kit.crush)
    metal = [rng.uniform(*kit.metal) * ratio for ratio in (1.0, *rng.uniform(1.2, 12.0, size=5).tolist())]
    snare_hz, snare_seconds = rng.uniform(*kit.snare), rng.uniform(*kit.snare_seconds)
    kick_hz, kick_seconds = rng.uniform(*kit.kick), rng.uniform(*kit.kick_seconds)
    kick_start = kick_hz * rng.uniform(2.5, 5.0)
    hat_seconds = rng.uniform(0.02, 0.05)
    makers = {
        "kick": (2, 1.0, lambda: _drum(rng, rate, kick_start, kick_hz, kick_seconds, 0.25, 4000)),
        "snare": (3, 0.85, lambda: _snare(rng, rate, snare_hz, snare_seconds)),
        "hat": (4, 0.30, lambda: _cymbal(rng, rate, metal, hat_seconds, 6000)),
        "open": (2, 0.28, lambda: _cymbal(rng, rate, metal, hat_seconds * 7, 5000)),
        "ride": (2, 0.28, lambda: _cymbal(rng, rate, metal, 0.5, 2500)),
        "crash": (1, 0.45, lambda: _cymbal(rng, rate, metal, 0.8, 1200)),
        "high tom": (1, 0.8, lambda: _drum(rng, rate, 260, 165, 0.22, 0.12, 2500)),
        "low tom": (1, 0.9, lambda: _drum(rng, rate, 170, 95, 0.30, 0.12, 2000)),
        "shaker": (3, 0.22, lambda: _shaker(rng, rate)),
    }
    return {
        drum: [
            level * synth.pan(synth.band(synth.drive(make(), crush), rate, high=kit.top), PANS[drum])
            for _ in range(takes)
        ]
        for drum, (takes, level, make) in makers.items()
    }


def _loudest(sound: np.ndarray) -> np.ndarray:
    return sound / np.float32(np.abs(sound).max())


def _drum(
    rng: np.random.Generator, rate: int, start: float, rest: float, seconds: float, click: float, click_top: float
) -> np.ndarray:
    """A skin: a sine that falls to its rest pitch, and the beater's click."""
    time = synth.clock(seconds * 3.0, rate)
    start = start * rng.uniform(0.97, 1.03)
    phase = 2 * np.pi * (rest * time + (start - rest) * 0.022 * (1.0 - np.exp(-time / 0.022)))
    body = np.sin(phase) * np.exp(-time / seconds * 2.0)
    beater = synth.band(synth.noise(rng, len(time)) * np.exp(-time / 0.006), rate, 300, click_top)
    return _loudest(body + 3.0 * click * beater)


def _snare(rng: np.random.Generator, rate: int, low: float, seconds: float) -> np.ndarray:
    """Two modes of the skin and the wires below it."""
    time = synth.clock(seconds * 4.0, rate)
    bend = 1.0 + 0.25 * np.exp(-time / 0.012)
    skin = np.sin(2 * np.pi * low * time * bend) + 0.6 * np.sin(2 * np.pi * low * 1.59 * time)
    wires = synth.band(synth.noise(rng, len(time)), rate, 900, 11000, order=1) * np.exp(-time / seconds)
    snap = synth.band(synth.noise(rng, len(time)), rate, 2500) * np.exp(-time / 0.008)
    return _loudest(0.9 * skin * np.exp(-time / (0.5 * seconds)) + 0.9 * wires + 0.5 * snap)


def _cymbal(rng: np.random.Generator, rate: int, metal: list[float], seconds: float, low: float) -> np.ndarray:
    """Struck metal: inharmonic square waves and noise, without what is below `low`."""
    time = synth.clock(min(seconds * 4.0, 2.2), rate)
    ring = sum(np.sign(np.sin(2 * np.pi * (hz * time + rng.uniform()))) for hz in metal)
    sound = 0.25 * ring + synth.noise(rng, len(time))
    attack = 1.0 + 2.0 * np.exp(-time / 0.01)
    return _loudest(synth.band(sound, rate, low, order=2) * np.exp(-time / seconds) * attack)


def _shaker(rng: np.random.Generator, rate: int) -> np.ndarray:
    time = synth.clock(0.12, rate)
    swell = np.exp(-(((time - 0.035) / 0.022) ** 2))
    return _loudest(synth.band(synth.noise(rng, len(time)), rate, 4500, 13000) * swell)
