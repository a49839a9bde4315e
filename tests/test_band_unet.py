"""The separator that comes with the package: it is there, offline, and beats what needs no network."""

import numpy as np
import pytest

from sepnb import find_tracks
from sepnb.band import render_song
from sepnb.metrics import frame_sdr
from sepnb.separators import REGISTRY, load_separator
from sepnb.separators.unet import BAND_UNET

SOURCES = ("drums", "bass", "other", "vocals")


@pytest.fixture(scope="module")
def band_unet():
    return load_separator("band-unet")


def sdr(stems: np.ndarray, estimates: np.ndarray, rate: int) -> dict[str, float]:
    """Median over one-second frames of BSSEval v4's SDR, by source."""
    return dict(zip(SOURCES, np.nanmedian(frame_sdr(stems, estimates, rate), axis=1), strict=True))


def gains(separator, stems: np.ndarray, rate: int) -> dict[str, float]:
    """dB above the mixture divided by four, by source."""
    mixture = stems.sum(axis=0)
    separated = separator(mixture, rate)
    ours = sdr(stems, np.stack([separated[source] for source in SOURCES]), rate)
    quarter = sdr(stems, np.repeat(mixture[None] / 4, 4, axis=0), rate)
    return {source: ours[source] - quarter[source] for source in SOURCES}


def test_the_registry_says_of_it_what_is_so(band_unet):
    entry = REGISTRY["band-unet"]
    assert entry.cached()
    assert entry.parameters == sum(weights.numel() for weights in band_unet.networks[0].parameters())
    assert (entry.sources, entry.rate) == (band_unet.sources, band_unet.rate)
    assert band_unet.name == "band-unet"


def test_it_is_small_and_says_what_it_is():
    assert sum(file.stat().st_size for file in BAND_UNET.iterdir()) < 8e6
    card = (BAND_UNET / "README.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("Trained on", "Scores", "Licence", "mixture ÷ 4"))


def test_it_separates_a_song_of_the_band_that_it_never_heard(band_unet):
    song = render_song(999_999, 12.0)
    assert min(gains(band_unet, song.stems, song.rate).values()) > 1


@pytest.mark.parametrize("clip", ["musdb18hq", "musdb18"])
def test_it_beats_a_quarter_of_the_mixture_on_real_music(real, band_unet, clip):
    """In every stem, though it never heard any: the first clip is MUSDB18's test, the second a train song."""
    (track,) = find_tracks(real / clip)
    stems = np.stack([track.stem(source) for source in SOURCES])
    assert min(gains(band_unet, stems, track.rate).values()) > 0
