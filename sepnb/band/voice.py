"""The singer: a melody of phrases with rests, on made-up syllables, and a second voice in choruses."""

from dataclasses import replace

import numpy as np

from sepnb.band import synth
from sepnb.band.song import Score
from sepnb.band.throat import CONSONANTS, VOWELS, Singer, Syllable, sing_phrase

# Rhythms of a two-bar phrase; one character an eighth: x a syllable, - hold, . rest.
RHYTHMS = {
    8: ("x-x-x-xxx---....", ".xxxx-x-x-----..", "x---x-x-x-x---..", "x-xxx-xxx-x-x-..", ".x-xx-x-.x-xx---",
        "x-----x-x-----x-", "xxx-xxx-x-----..", "..x-x-x-x---x---"),
    6: ("x-x-xxx-----", "x---x-x---..", "x-xxx-x---..", ".xx-x-x-----"),
}  # fmt: skip


SINGERS = {
    "baritone": Singer(45, 0.98, 0.06, 0.35, 5200),
    "tenor": Singer(50, 1.03, 0.05, 0.40, 6500),
    "alto": Singer(55, 1.12, 0.07, 0.35, 6500),
    "soprano": Singer(59, 1.18, 0.05, 0.45, 7000),
    "breathy man": Singer(47, 1.0, 0.28, 0.15, 3800),
    "breathy woman": Singer(55, 1.15, 0.30, 0.15, 4800),
    "shouter": Singer(52, 1.05, 0.10, 0.20, 9000),
}


def sing(score: Score, rate: int) -> np.ndarray:
    """The vocal stem, dry, float32 (2, samples): a lead in the centre, in choruses a second voice at both sides."""
    rng = score.rng("voice")
    singer = SINGERS[str(rng.choice(list(SINGERS)))]
    backing = str(rng.choice(["none", "double", "harmony", "harmony"]))
    melody = write_melody(score, singer, rng)
    track = np.zeros((2, score.samples(rate)), dtype=np.float32)
    for phrase in _phrases(melody):
        start, sound = sing_phrase(singer, phrase, rng, rate)
        synth.place(track, synth.pan(sound, 0.0), start)
    if backing != "none":
        side = np.zeros(track.shape[1], dtype=np.float32)
        shift = 2 if backing == "harmony" else 0
        for phrase in _phrases([syllable for syllable in melody if syllable.section == "chorus"]):
            start, sound = sing_phrase(singer, [_moved(score, s, shift, rng) for s in phrase], rng, rate)
            synth.place(side, sound, start)
        track += synth.pan(0.35 * side, -0.7)
        synth.place(track, synth.pan(0.35 * side, 0.8), int(0.017 * rate))
    return synth.drive(track, 1.0 + score.dirt)


def _phrases(melody: list[Syllable]) -> list[list[Syllable]]:
    """Split a melody where a breath is taken."""
    phrases: list[list[Syllable]] = []
    for syllable in melody:
        if syllable.first or not phrases:
            phrases.append([])
        phrases[-1].append(syllable)
    return phrases


def write_melody(score: Score, singer: Singer, rng: np.random.Generator) -> list[Syllable]:
    """Phrases of two bars; each kind of section has two that answer each other, on the notes of its own chords."""
    eighths = score.steps // 2
    bank = {}
    for section in ("verse", "chorus", "bridge"):
        words = [
            (str(rng.choice(CONSONANTS)), str(rng.choice(list(VOWELS))), int(rng.choice([-2, -1, -1, 0, 1, 1, 2])))
            for _ in range(2 * eighths)
        ]
        rhythms = [str(rng.choice(RHYTHMS[eighths])) for _ in range(2)]
        bank[section] = (rhythms, words)
    lift = {"verse": 3, "chorus": 6, "bridge": 5}  # degrees above the lowest note around which a section lies
    scale = [d for d in range(-14, 28) if singer.low <= score.key.pitch(d, 3) <= singer.low + 19]
    melody = []
    for index, bar in enumerate(score.bars):
        if bar.section == "intro" or bar.place % 2:
            continue
        bars = [bar, *score.bars[index + 1 : index + 2]]
        rhythms, words = bank[bar.section]
        rhythm = rhythms[bar.place // 2 % 2]
        height = lift[bar.section]
        for eighth, sign in enumerate(rhythm[: eighths * len(bars)]):
            if sign != "x":
                continue
            at = bars[eighth // eighths]
            held = 1 + len(rhythm[eighth + 1 :]) - len(rhythm[eighth + 1 :].lstrip("-"))
            consonant, vowel, move = words[eighth]
            height = int(np.clip(height + move, 0, len(scale) - 1))
            if eighth % 4 == 0:  # strong beats land on the chord
                tones = {d % 7 for d in score.chord(at)}
                height = min((h for h in range(len(scale)) if scale[h] % 7 in tones), key=lambda h: abs(h - height))
            start = score.time(at, 2 * (eighth % eighths)) + rng.normal(0.008, 0.012)
            first = not melody or start - melody[-1].end > 0.25
            pitch = score.key.pitch(scale[height], 3)
            loud = float(rng.uniform(0.75, 1.0)) * (1.15 if bar.section == "chorus" else 1.0)
            end = start + (held - 0.12) * 2 * score.step
            melody.append(Syllable(start, end, pitch, consonant, vowel, loud, first, bar.section))
    return melody


def _moved(score: Score, syllable: Syllable, shift: int, rng: np.random.Generator) -> Syllable:
    """The same syllable as another singer has it: a third higher or not, and not at quite the same time."""
    degree = next(d for d in range(-21, 35) if score.key.pitch(d, 3) == syllable.pitch)
    late = rng.normal(0.01, 0.015)
    return replace(
        syllable, start=syllable.start + late, end=syllable.end + late, pitch=score.key.pitch(degree + shift, 3)
    )
