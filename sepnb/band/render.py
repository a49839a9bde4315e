"""One song from a seed: composed, played by four players, mixed."""

from dataclasses import dataclass

import numpy as np

from sepnb.band.bass import play_bass
from sepnb.band.drums import play_drums
from sepnb.band.mix import mix
from sepnb.band.other import play_other
from sepnb.band.song import Score, compose
from sepnb.band.voice import sing
from sepnb.errors import SepnbError

PLAYERS = {"drums": play_drums, "bass": play_bass, "other": play_other, "vocals": sing}
SHORTEST = 2.0  # seconds; less than a bar is no song
RATES = (8000, 192000)  # Hz


@dataclass(frozen=True)
class BandSong:
    """A rendered song. Stems are float32 (sources, 2, samples) on the 16-bit grid, so that their sum is exact."""

    name: str
    score: Score
    rate: int
    sources: tuple[str, ...]
    stems: np.ndarray

    @property
    def mixture(self) -> np.ndarray:
        """The sum of the stems, float32 (2, samples)."""
        return self.stems.sum(axis=0)

    def with_mixture(self) -> np.ndarray:
        """Mixture and stems in the order of MUSDB18's streams, float32 (1 + sources, 2, samples)."""
        return np.concatenate([self.mixture[None], self.stems])


def render_song(seed: int, seconds: float = 30.0, rate: int = 44100) -> BandSong:
    """Compose and render one song of `seconds` at `rate` Hz; the same arguments give the same samples.

    The style, key, tempo and timbres follow from the seed alone; form, and so the notes, also from the length.
    Raises SepnbError when an argument is out of range.
    """
    check_request(seed, seconds, rate)
    score = compose(int(seed), float(seconds))
    dry = {source: play(score, rate) for source, play in PLAYERS.items()}
    return BandSong(score.name, score, rate, tuple(PLAYERS), mix(score, dry, rate))


def check_request(seed: int, seconds: float, rate: int) -> None:
    """Raise SepnbError unless a song can be made so."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SepnbError(f"band: the seed is {seed!r}; take a whole number from 0 up")
    if not seconds >= SHORTEST:
        raise SepnbError(f"band: {seconds} s is too short for a song; ask for {SHORTEST:g} s or more")
    if not RATES[0] <= rate <= RATES[1]:
        raise SepnbError(f"band: a rate of {rate} Hz is out of range; take one from {RATES[0]} to {RATES[1]}")
