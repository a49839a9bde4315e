"""A vocal tract: syllables become sound by a source, formants that glide, and the noise of consonants."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from sepnb.band import synth

# First three formants (Hz) of a man's vowels, after Peterson and Barney (1952); shorter tracts scale them up.
VOWELS = {
    "a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (290, 2290, 3010), "o": (570, 840, 2410),
    "u": (310, 870, 2240), "@": (500, 1350, 2450),
}  # fmt: skip
PRESENCE = np.float32(1500.0)  # Hz from which lips, and the equaliser after them, lift the sound
UPPER = (3400.0, 4500.0)  # fourth and fifth formant, much the same in all vowels
WIDTHS = (95.0, 120.0, 170.0, 240.0, 360.0)
HUM = (280, 1000, 2200)  # lips closed: m, n, l
HUMMED = ("m", "n", "l")
STOPS = ("t", "k", "d", "b")  # silent for a moment
# Noise of a consonant: lowest and highest frequency (Hz), length (s), level.
HISS = {
    "s": (4800, 11000, 0.11, 0.34), "sh": (2200, 7000, 0.11, 0.32), "f": (3000, 12000, 0.09, 0.12),
    "t": (3000, 9000, 0.035, 0.4), "k": (1300, 4500, 0.04, 0.35), "h": (600, 5000, 0.09, 0.12),
}  # fmt: skip
CONSONANTS = ("", *HUMMED, "s", "sh", "f", "h", *STOPS)
BEFORE, AFTER = 0.45, 0.25  # seconds of room around a phrase, for the breath and the last release
LOUDNESS = 0.25  # root mean square of a phrase: singers, and the compressors after them, level themselves


@dataclass(frozen=True)
class Singer:
    """A kind of voice."""

    low: int  # MIDI number of the lowest comfortable note; the range is an octave and a fifth
    tract: float  # formants relative to VOWELS
    breath: float
    vibrato: float  # semitones
    dark: float  # Hz above which the source falls faster


@dataclass(frozen=True)
class Syllable:
    """One sung note: times in seconds, pitch as a MIDI number, and what is pronounced."""

    start: float
    end: float
    pitch: int
    consonant: str
    vowel: str
    loud: float
    first: bool  # of its phrase: a breath is heard before it
    section: str


def sing_phrase(
    singer: Singer, syllables: list[Syllable], rng: np.random.Generator, rate: int
) -> tuple[int, np.ndarray]:
    """Sing what lies between two breaths: the sample at which it starts, and float32 (samples,)."""
    phrase = _Phrase(singer, syllables, rng, rate)
    sound = phrase.tract(phrase.source())
    sound *= np.float32(LOUDNESS / np.sqrt(np.square(sound).mean() + 1e-12))
    phrase.add_consonants(sound)
    return round(phrase.start * rate), sound


class _Phrase:
    """Curves of pitch, loudness and mouth every few milliseconds, and the sounds made from them."""

    def __init__(self, singer: Singer, syllables: list[Syllable], rng: np.random.Generator, rate: int):
        self.singer, self.syllables, self.rng, self.rate = singer, syllables, rng, rate
        self.start = syllables[0].start - BEFORE
        self.samples = int((syllables[-1].end + AFTER - self.start) * rate)
        self.window = 2 ** round(np.log2(0.024 * rate))
        self.hop = self.window // 4
        self.times = self.start + np.arange(self.samples // self.hop + 2) * self.hop / rate

    def source(self) -> np.ndarray:
        """The glottis: a sawtooth with its steps rounded off (PolyBLEP), and breath that pulses with it."""
        step = self._every_sample(synth.hertz(self._pitch()) / self.rate)  # turns a sample
        turn = (np.cumsum(step, dtype=np.float64) % 1.0).astype(np.float32)
        after = np.clip(1.0 - turn / step, 0.0, 1.0)
        before = np.clip(1.0 - (1.0 - turn) / step, 0.0, 1.0)
        saw = 2.0 * turn - 1.0 + np.square(after) - np.square(before)
        hiss = synth.noise(self.rng, self.samples)
        hiss[1:] -= 0.93 * hiss[:-1]  # breath is mostly treble
        rough = 1.0 + 0.05 * self.rng.normal(size=len(self.times))
        level = self._loudness()
        pulsing = np.float32(self.singer.breath) * (0.4 + 0.6 * turn)
        return self._every_sample(level * rough) * saw + self._every_sample(level) * pulsing * hiss

    def _every_sample(self, curve: np.ndarray) -> np.ndarray:
        """A curve of one value a hop as straight lines between them, float32 (samples,)."""
        values = curve.astype(np.float32)
        along = np.arange(self.hop, dtype=np.float32) / np.float32(self.hop)
        lines = values[:-1, None] + np.diff(values)[:, None] * along
        return lines.reshape(-1)[: self.samples]

    def tract(self, source: np.ndarray) -> np.ndarray:
        """Filter the source by the moving formants: short windows, each shaped in the frequency domain."""
        window = np.hanning(self.window + 1)[:-1].astype(np.float32)
        half = self.window // 2
        padded = np.pad(source, (half, self.window))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop][: len(self.times)]
        gains = self._formants(len(frames))
        shaped = fft.irfft(fft.rfft(frames * window, axis=1) * gains, self.window, axis=1)
        shaped *= window / np.float32(1.5)  # four overlapping squared windows sum to 1.5
        out = np.zeros(len(padded) + self.window, dtype=np.float32)
        for offset in range(0, self.window, self.hop):  # frames four apart do not overlap
            every = shaped[offset // self.hop :: 4].reshape(-1)
            out[offset : offset + len(every)] += every
        return out[half : half + self.samples]

    def add_consonants(self, sound: np.ndarray) -> None:
        """Add the hiss and bursts of consonants, and the breath before the phrase."""
        for syllable in self.syllables:
            if syllable.consonant in HISS:
                low, high, seconds, level = HISS[syllable.consonant]
                self._burst(sound, syllable.start - seconds + 0.03, low, high, seconds, level)
        self._burst(sound, self.syllables[0].start - 0.38, 900, 6000, 0.28, 0.08)

    def _burst(self, sound: np.ndarray, start: float, low: float, high: float, seconds: float, level: float) -> None:
        samples = int(seconds * self.rate)
        hiss = synth.band(synth.noise(self.rng, samples), self.rate, low, high)
        hiss *= np.hanning(samples).astype(np.float32)
        synth.place(sound, hiss, int((start - self.start) * self.rate), level / max(float(np.abs(hiss).max()), 1e-9))

    def _pitch(self) -> np.ndarray:
        """MIDI number at every hop: steps smoothed into glides, a vibrato that grows in long notes, slow drift."""
        steps = np.full(len(self.times), float(self.syllables[0].pitch))
        vibrato = np.zeros(len(self.times))
        for syllable in self.syllables:
            first, last = np.searchsorted(self.times, [syllable.start, syllable.end])
            steps[first:] = syllable.pitch
            age = self.times[first:last] - syllable.start
            if syllable.first or self.rng.random() < 0.25:  # from a little below
                steps[first:last] -= self.rng.uniform(0.0, 1.2) * np.exp(-age / 0.06)
            vibrato[first:last] = np.clip((age - 0.25) / 0.4, 0.0, 1.0)
        glide = np.hanning(max(int(0.07 * self.rate / self.hop), 3))
        glide /= glide.sum()
        width = len(glide)
        smooth = np.convolve(np.pad(steps, width, mode="edge"), glide, "same")[width:-width]
        wander = np.convolve(self.rng.normal(size=len(steps)), np.ones(25) / 25.0, "same") * 0.35
        sway = np.sin(2 * np.pi * self.rng.uniform(5.0, 5.8) * self.times + self.rng.uniform(0, 6))
        return smooth + wander + self.singer.vibrato * vibrato * sway

    def _loudness(self) -> np.ndarray:
        loud = np.zeros(len(self.times))
        for syllable in self.syllables:
            begin = syllable.start + (0.03 if syllable.consonant in STOPS else 0.0)
            shape = np.clip((self.times - begin) / 0.05, 0, 1) * np.clip(
                (syllable.end + 0.09 - self.times) / 0.12, 0, 1
            )
            loud = np.maximum(loud, syllable.loud * shape)
        return loud

    def _formants(self, frames: int) -> np.ndarray:
        """Magnitude of the tract's resonances in cascade (Fant 1960), float32 (frames, bins)."""
        keys, mouths = [], []
        for syllable in self.syllables:
            if syllable.consonant in HUMMED:
                keys += [syllable.start - 0.02, syllable.start + 0.05]
                mouths += [HUM, HUM]
            vowel = VOWELS[syllable.vowel]
            keys += [syllable.start + 0.09, max(syllable.end, syllable.start + 0.1)]
            mouths += [vowel, vowel]
        order = np.argsort(keys, kind="stable")
        times, mouths = np.array(keys)[order], np.array(mouths, dtype=float)[order]
        square = np.square(fft.rfftfreq(self.window, 1.0 / self.rate)).astype(np.float32)[None]
        power = np.ones((frames, square.shape[1]), dtype=np.float32)
        for number, width in enumerate(WIDTHS):
            if number < len(HUM):
                centre = np.interp(self.times[:frames], times, mouths[:, number])
            else:
                centre = np.full(frames, UPPER[number - len(HUM)])
            middle = np.square(centre * self.singer.tract).astype(np.float32)[:, None]
            power *= np.square(middle) / (np.square(square - middle) + np.float32(width**2) * square)
        # A voice keeps some energy above the fifth formant, where the cascade would leave none.
        power += np.float32(0.04) * np.minimum(square / np.float32(4000.0**2), 1.0)
        bright = np.sqrt(1.0 + square / PRESENCE**2) / (1.0 + square / np.float32(self.singer.dark**2))
        return np.sqrt(power, out=power) * bright
