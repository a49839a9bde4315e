""" "A is better than B" comes with an interval over songs, paired song by song."""

import numpy as np
import pandas as pd
import pytest

from sepnb.errors import SepnbError
from sepnb.metrics import better


def scored(a: np.ndarray, b: np.ndarray, target: str = "vocals") -> pd.DataFrame:
    """Two systems, a score a track."""
    tracks = [f"song {number}" for number in range(len(a))]
    tables = [
        pd.DataFrame({"system": system, "track": tracks, "target": target, "frame": 0, "SDR": values})
        for system, values in (("A", a), ("B", b))
    ]
    return pd.concat(tables, ignore_index=True)


def songs(seed: int, count: int, spread: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, spread, count)


def test_a_small_but_steady_lead_is_clear_though_songs_differ_more():
    b = songs(0, 50, spread=3)
    found = better(scored(b + 0.2 + songs(1, 50, 0.1) - 5, b), "A", "B")
    assert found.clear
    assert found.low < 0.2 < found.high
    assert found.high - found.low < 0.1
    assert found.tracks == 50
    assert found.share > 0.9


def test_chance_is_not_clear():
    found = better(scored(songs(0, 50, 1), songs(1, 50, 1)), "A", "B")
    assert not found.clear
    assert found.low < 0 < found.high


def test_the_interval_holds_the_true_lead_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        differences = rng.normal(1.0, 1.0, 40)
        found = better(scored(differences, np.zeros(40)), "A", "B", resamples=400, seed=seed)
        held += found.low <= 1.0 <= found.high
    assert 0.90 <= held / 200 <= 0.99


def test_turned_round_it_is_the_same_lead_the_other_way():
    scores = scored(songs(0, 20, 1), songs(1, 20, 1))
    one, other = better(scores, "A", "B"), better(scores, "B", "A")
    np.testing.assert_allclose((one.median, one.mean), (-other.median, -other.mean))
    np.testing.assert_allclose((one.low, one.high), (-other.high, -other.low))
    assert one.share == pytest.approx(1 - other.share)


def test_known_values_by_hand():
    found = better(scored(np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 1.0])), "A", "B")
    assert (found.median, found.mean, found.share) == (1.0, 2.0, pytest.approx(2.5 / 3))
    assert (found.low, found.high) == (0.0, 5.0)  # three songs allow all
    assert str(found).startswith("A − B: +1.00 dB SDR (95 %: +0.00 to +5.00), ahead on 2.5 of 3 tracks")


def test_the_same_seed_gives_the_same_interval():
    scores = scored(songs(0, 20, 1), songs(1, 20, 1))
    assert better(scores, "A", "B", seed=3) == better(scores, "A", "B", seed=3)


def test_tracks_that_one_of_them_lacks_do_not_count():
    scores = scored(np.array([1.0, 2.0, np.nan]), np.array([0.0, 0.0, 0.0]))
    assert better(scores, "A", "B").tracks == 2


def test_without_a_target_a_track_counts_by_the_mean_of_its_targets():
    vocals = scored(np.array([1.0, 1.0]), np.zeros(2))
    drums = scored(np.array([3.0, 3.0]), np.zeros(2), target="drums")
    both = pd.concat([vocals, drums])
    assert better(both, "A", "B").median == 2.0
    assert better(both, "A", "B", target="drums").median == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("A", "C", None), "no scores of 'C'; there are A, B"),
        (("A", "B", "bass"), "no scores of the target 'bass'; there are vocals"),
        (("A", "A", None), "two systems"),
    ],
)
def test_what_is_not_there_is_named(arguments, message):
    a, b, target = arguments
    with pytest.raises(SepnbError, match=message):
        better(scored(np.arange(3.0), np.zeros(3)), a, b, target)


def test_one_song_is_no_evidence():
    with pytest.raises(SepnbError, match="share 1 scored tracks"):
        better(scored(np.ones(1), np.zeros(1)), "A", "B")
