"""From dry players to a mixed song: a common room, levels, and stems on the 16-bit grid that sum exactly."""

import math

import numpy as np
from scipy import fft

from sepnb.band import synth
from sepnb.band.song import Score

FULL_SCALE = 32768
PEAK = 0.92  # of the mixture; below 1 with room for the rounding of each stem
FADE = 1.2  # seconds
# Loudness while a stem plays, in dB to one another, and how much of the room is heard.
LEVELS = {"drums": 0.1, "bass": -0.5, "other": 0.2, "vocals": -0.2}
WET = {"drums": 0.28, "bass": 0.0, "other": 0.30, "vocals": 0.24}
SPREAD = 1.3  # dB by which songs differ (standard deviation)


def mix(score: Score, dry: dict[str, np.ndarray], rate: int) -> np.ndarray:
    """Stems as float32 (sources, 2, samples), every value a whole number of 1/32768; their sum stays below 1."""
    rng = score.rng("mix")
    room = _room(score, rng, rate)
    mixed = np.stack([_in_room(sound, room, WET[name] * rng.uniform(0.6, 1.4)) for name, sound in dry.items()])
    for name, stem in zip(dry, mixed, strict=True):
        level = LEVELS[name] + rng.normal(0.0, SPREAD)
        stem *= np.float32(10 ** (level / 20) / _loudness(stem, rate))
    fade = min(int(FADE * rate), mixed.shape[-1] // 4)
    mixed[..., -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    mixed *= np.float32(PEAK * FULL_SCALE / np.abs(mixed.sum(axis=0)).max())
    np.rint(mixed, out=mixed)
    mixed /= np.float32(FULL_SCALE)
    return mixed


def _loudness(stem: np.ndarray, rate: int) -> float:
    """Root mean square of half-second frames while the stem plays: the median of those within 20 dB of the loudest."""
    frame = rate // 2
    frames = max(stem.shape[-1] // frame, 1)
    power = np.square(stem[:, : frames * frame]).mean(axis=0).reshape(frames, -1).mean(axis=1)
    return float(np.sqrt(np.median(power[power >= power.max() / 100.0]) + 1e-12))


def _room(score: Score, rng: np.random.Generator, rate: int) -> np.ndarray:
    """Impulse response (2, samples): a few early reflections, then noise whose treble dies first."""
    time = synth.clock(min(0.7 * score.room, 1.2) + 0.05, rate)
    tail = rng.standard_normal((2, len(time)), dtype=np.float32)
    dull = synth.band(tail, rate, 120, 2500, order=1)
    response = dull * np.exp(-6.9 * time / score.room) + 0.5 * (tail - dull) * np.exp(-6.9 * time / (0.45 * score.room))
    response *= np.clip((time - 0.012) / 0.02, 0.0, 1.0) * np.clip((time[-1] - time) / 0.1, 0.0, 1.0)
    for side in range(2):
        for _ in range(6):
            response[side, int(rng.uniform(0.006, 0.045) * rate)] += rng.normal(0.0, 6.0)
    return (response / np.sqrt(np.square(response).sum(axis=1, keepdims=True))).astype(np.float32)


def _in_room(sound: np.ndarray, room: np.ndarray, wet: float) -> np.ndarray:
    """Add the room's answer to the sound, in place; the room hears both sides as one.

    The convolution goes by blocks short enough for the processor's cache, several times faster than in one piece.
    """
    if wet == 0:
        return sound
    send = (sound[0] + sound[1]) * np.float32(wet / np.sqrt(2.0))
    size = 2 ** math.ceil(math.log2(2 * room.shape[1]))
    block = size - room.shape[1] + 1
    response = fft.rfft(room, size)
    for start in range(0, len(send), block):
        answer = fft.irfft(fft.rfft(send[start : start + block], size) * response, size)
        synth.place(sound, answer[:, : block + room.shape[1] - 1], start)
    return sound
