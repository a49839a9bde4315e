"""Everything that is not drums, bass or voice: who plays in which part of the song."""

import numpy as np

from sepnb.band import guitar, keys
from sepnb.band.song import Score

PLAYERS = {
    "piano": keys.piano,
    "electric piano": keys.electric_piano,
    "organ": keys.organ,
    "pad": keys.pad,
    "arpeggio": keys.arpeggio,
    "strummed guitar": guitar.strummed_guitar,
    "clean guitar": guitar.clean_guitar,
    "distorted guitar": guitar.distorted_guitar,
}


def play_other(score: Score, rate: int) -> np.ndarray:
    """The stem of all other instruments, dry, float32 (2, samples).

    The first player of the score is heard throughout, the second from the first verse on, the third in choruses and
    bridges; each is set to the same loudness while it plays, the later ones a little below.
    """
    rng = score.rng("other")
    track = np.zeros((2, score.samples(rate)), dtype=np.float32)
    sections = ({"intro", "verse", "chorus", "bridge"}, {"verse", "chorus", "bridge"}, {"chorus", "bridge"})
    for place, (name, where) in enumerate(zip(score.others, sections, strict=False)):
        bars = [bar for bar in score.bars if bar.section in where]
        if not bars:
            continue
        sound = PLAYERS[name](score, bars, score.rng(name), rate)
        power = np.mean(np.square(sound)) * len(score.bars) / len(bars)
        level = (1.0, 0.75, 0.6)[place] * rng.uniform(0.8, 1.2)
        track += np.float32(level / np.sqrt(power + 1e-12)) * sound
    return track
