"""What a listening test plays is one place of the song, equally loud whoever made it."""

import numpy as np
import pytest
from listening_blind import RATE, noise
from songs import song

from sepnb.errors import SepnbError
from sepnb.listening.blind.items import ANCHOR, FADE, REFERENCE, loudest, make_item, make_items
from sepnb.listening.blind.scores import item_scores
from sepnb.listening.loudness import loudness
from sepnb.tracks import find_tracks


@pytest.fixture
def track(tmp_path):
    song(tmp_path / "test" / "A - Song", 0, seconds=4)
    return find_tracks(tmp_path)[0]


def guesses(track, wrong: float, level: float = 1.0) -> dict[str, np.ndarray]:
    """Each stem with something of the mixture in it."""
    mixture = track.mixture()
    return {name: level * (stem + wrong * mixture) for name, stem in zip(track.sources, track.stems(), strict=True)}


def test_all_are_within_a_tenth_of_a_loudness_unit_though_they_came_at_other_levels(track):
    items = make_items(track, {"loud": guesses(track, 0.1, 2.0), "quiet": guesses(track, 0.5, 0.01)}, seconds=2.0)
    assert [item.target for item in items] == list(track.sources)
    for item in items:
        assert list(item.sounds) == [REFERENCE, "loud", "quiet", ANCHOR]
        assert item.systems == ["loud", "quiet"]
        levels = [loudness(audio, item.rate) for audio in item.sounds.values()]
        assert np.ptp(levels) < 0.1
        np.testing.assert_allclose(levels, list(item.loudness.values()))
        assert item.gains_db["quiet"] - item.gains_db["loud"] == pytest.approx(46, abs=8)
        assert max(np.abs(audio).max() for audio in item.sounds.values()) <= 10 ** (-1 / 20) + 1e-4


def test_the_excerpt_is_the_same_place_of_all_sounds_and_its_ends_are_silent():
    whole = {name: noise(number, 3.0) for number, name in enumerate((REFERENCE, "a", ANCHOR))}
    item = make_item("song", "vocals", whole, RATE, start=1.0, seconds=1.5)
    assert (item.start, item.seconds, item.name) == (1.0, 1.5, "song: vocals")
    inner = slice(round(FADE * RATE), -round(FADE * RATE))
    for name, audio in item.sounds.items():
        cut = whole[name][:, RATE : RATE + round(1.5 * RATE)]
        gain = np.float32(10 ** (item.gains_db[name] / 20))
        np.testing.assert_allclose(audio[:, inner], gain * cut[:, inner], rtol=1e-4)
        assert np.abs(audio[:, [0, -1]]).max() < 1e-3


def test_without_a_start_it_is_where_the_stem_is_loudest():
    quiet = noise(0, 5.0)
    quiet[:, 2 * RATE : 4 * RATE] *= 5
    assert loudest(quiet, RATE, 2.0) == 2 * RATE
    assert loudest(quiet, RATE, 20.0) == 0
    whole = {REFERENCE: quiet, "a": noise(1, 5.0), ANCHOR: noise(2, 5.0)}
    assert make_item("song", "vocals", whole, RATE, seconds=2.0).start == 2.0


def test_real_stems_are_matched_too(real):
    (track,) = find_tracks(real / "musdb18hq")
    for item in make_items(track, {"a": guesses(track, 0.2)}, ["vocals", "bass"], seconds=4.0):
        assert np.ptp(list(item.loudness.values())) < 0.1
        assert item.sounds["a"].shape == (2, 4 * 44100)
        assert -30 < item.loudness["a"] <= -22.9


def test_what_is_silent_is_named_with_the_place(track):
    silent = guesses(track, 0.1) | {"vocals": np.zeros_like(track.mixture())}
    with pytest.raises(SepnbError, match=r"A - Song, vocals: silent system is silent from 1 s to 2 s.*another excerpt"):
        make_items(track, {"silent system": silent}, ["vocals"], start=1.0, seconds=1.0)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({"reference": {}}, {}, "no system may be called 'reference'"),
        ({}, {}, "none was given"),
        ({"vocals": np.zeros((2, 5))}, {}, "'vocals' is no system with stems: give {system: {stem: audio}}"),
        ({"a": {"vocals": np.zeros((2, 5))}}, {}, r"differ in shape.*a \(2, 5\)"),
        ({"a": {"vocals": np.zeros((2, 5))}}, {"targets": ["drums"]}, "no 'drums' of a"),
        ({"a": {"flute": np.zeros((2, 5))}}, {"targets": ["flute"]}, "no 'flute' of A - Song"),
    ],
)
def test_what_cannot_be_compared_is_refused(track, given, options, message):
    with pytest.raises(SepnbError, match=message):
        make_items(track, given, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 9.0}, "8 s from 9 s on are not inside of the song, which has 4 s"),
        ({"start": 3.0, "seconds": 1.5}, "1.5 s from 3 s on are not inside"),
        ({"start": -1.0, "seconds": 2.0}, "2 s from -1 s on are not inside"),
        ({"seconds": 0.0}, "an excerpt of 0 s is none"),
    ],
)
def test_an_excerpt_that_does_not_fit_is_refused(track, options, message):
    with pytest.raises(SepnbError, match=message):
        make_items(track, {"a": guesses(track, 0.1)}, "vocals", **options)


def test_of_a_song_shorter_than_an_excerpt_all_is_heard(track):
    [item] = make_items(track, {"a": guesses(track, 0.1)}, "vocals", seconds=60.0)
    assert (item.start, item.seconds) == (0.0, track.samples / RATE)


def test_the_scores_are_those_of_the_excerpt(track):
    half_wrong = guesses(track, 0.1)
    half = track.samples // 2
    for stem, other in zip(half_wrong.values(), guesses(track, 3.0).values(), strict=True):
        stem[:, half:] = other[:, half:]
    given = {"fine at first": half_wrong}
    begin, end = (make_items(track, given, ["vocals"], start=start, seconds=2.0) for start in (0.0, 2.0))
    first, second = (item_scores(items, track, given, anchor=True).set_index("system") for items in (begin, end))
    assert first.loc["fine at first", "SDR"] > second.loc["fine at first", "SDR"] + 10
    assert first.loc["fine at first", "SI-SIR"] > second.loc["fine at first", "SI-SIR"] + 10
    assert list(first.columns) == ["track", "target", "SDR", "ISR", "SIR", "SAR", "SI-SDR", "SI-SIR", "SI-SAR"]
    assert np.isnan(first.loc[ANCHOR, "SI-SAR"])
    assert np.isfinite(first.loc[ANCHOR, "SI-SIR"])
    assert list(item_scores(begin, track, given)["system"]) == ["fine at first"]


def test_a_system_of_one_stem_is_scored_with_what_it_leaves(track):
    alone = {"vocals": guesses(track, 0.2)["vocals"]}
    items = make_items(track, {"alone": alone}, seconds=2.0)
    found = item_scores(items, track, {"alone": alone}).set_index("system").loc["alone"]
    assert found["target"] == "vocals"
    assert np.isfinite(found[["SDR", "SIR", "SI-SIR"]].astype(float)).all()
