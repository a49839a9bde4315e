"""What ratings tell: planted differences found again, none where none is, intervals that hold what they should."""

import itertools

import numpy as np
import pandas as pd
import pytest
from listening_blind import abx_answers, made_ratings

from sepnb.errors import SepnbError
from sepnb.listening.blind import bootstrap
from sepnb.listening.blind.ratings import post_screening, rating_differences, rating_summary, without_failed
from sepnb.listening.blind.significance import holm, p_of_difference, sign_flip


def test_means_and_medians_are_those_of_the_ratings():
    answers = made_ratings({"p": 60, "reference": 95, "mixture": 20})
    table = rating_summary(answers, resamples=200)
    assert list(table["system"]) == ["reference", "p", "mixture"]
    assert list(table["role"]) == ["reference", "system", "anchor"]
    for row in table.itertuples():
        ratings = answers.loc[answers["system"] == row.system, "rating"]
        assert row.mean == pytest.approx(ratings.mean())
        assert row.median == pytest.approx(ratings.median())
        assert row.mean_low < row.mean < row.mean_high
        assert row.median_low <= row.median <= row.median_high
        assert (row.ratings, row.items, row.listeners, row.simulated) == (48, 6, 8, 0)


def test_an_item_rated_twice_by_one_listener_counts_once():
    answers = made_ratings({"p": 50}, listeners=2, items=2, spreads=(0, 0, 0))
    again = answers.iloc[:1].assign(rating=100.0)
    table = rating_summary(pd.concat([answers, again]), resamples=10)
    assert table["mean"].item() == pytest.approx((75 + 3 * 50) / 4)


def test_resampled_means_and_medians_are_those_of_ratings_repeated():
    """Drawn twice is there twice: the same as repeating rows and columns."""
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(5, 4))
    grid[1, 2] = grid[4, 0] = np.nan
    draws = bootstrap.draw(5, 4, resamples=50, seed=1)
    for name, statistic in (("nanmean", bootstrap.means), ("nanmedian", bootstrap.medians)):
        expected = []
        for who, what in zip(draws.listeners.astype(int), draws.items.astype(int), strict=True):
            expected.append(getattr(np, name)(grid.repeat(who, axis=0).repeat(what, axis=1)))
        np.testing.assert_allclose(statistic(grid, draws), expected)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = dict.fromkeys(("mean", "median", "difference"), 0)
    for seed in range(120):
        answers = made_ratings({"p": 60, "q": 50}, listeners=15, items=12, rng=rng)
        row = rating_summary(answers, resamples=200, seed=seed).set_index("system").loc["p"]
        difference = rating_differences(answers, resamples=200, seed=seed).iloc[0]
        sign = 1 if difference["a"] == "p" else -1
        held["mean"] += row["mean_low"] <= 60 <= row["mean_high"]
        held["median"] += row["median_low"] <= 60 <= row["median_high"]
        held["difference"] += difference["low"] <= sign * 10 <= difference["high"]
    assert all(0.88 <= count / 120 <= 1.0 for count in held.values()), held


def test_no_difference_is_rarely_found():
    rng = np.random.default_rng(1)
    found = sum(
        rating_differences(
            made_ratings(dict.fromkeys("pqr", 50.0), listeners=12, items=10, rng=rng), resamples=20, seed=seed
        )["p_holm"].min()
        < 0.05
        for seed in range(80)
    )
    assert found / 80 <= 0.07


def test_signs_by_hand():
    assert sign_flip(np.array([3.0, 2.0]), 100) == 0.5
    assert sign_flip(np.array([3.0, -2.0]), 100) == 1.0
    assert sign_flip(np.array([5.0, 4.0, 1.0, -1.0]), 100) == 6 / 16  # 11, 9 and 9 are as far, and 7 is not
    assert sign_flip(np.zeros(5), 100) == 1.0
    assert sign_flip(0.1 * np.ones(10), 100) == 2 / 1024


def test_signs_beyond_counting_are_drawn_and_the_same_each_time():
    values = np.random.default_rng(0).normal(0.5, 1, size=14)
    signs = np.array(list(itertools.product((1, -1), repeat=14)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip(values, 4000) == pytest.approx(exact, abs=0.02)
    assert sign_flip(values, 400, seed=1) == sign_flip(values, 400, seed=1)
    assert sign_flip(np.ones(40), 400) == 1 / 400  # never 0


def test_two_differences_are_never_clear():
    for shape in ((1, 2), (2, 1), (2, 2), (9, 2)):
        assert p_of_difference(np.full(shape, 40.0) + np.arange(shape[1]), 100) >= 0.5
    assert np.isnan(p_of_difference(np.array([[40.0]]), 100))
    assert np.isnan(p_of_difference(np.array([[40.0, np.nan], [np.nan, np.nan]]), 100))
    assert p_of_difference(np.zeros((8, 8)), 100) == 1.0
    assert p_of_difference(np.full((8, 8), 30.0), 100) == 2 / 256


@pytest.mark.parametrize(
    ("listeners", "items", "spreads", "most"),
    [
        (1, 2, (6, 6, 8), 0.0),
        (1, 4, (6, 6, 8), 0.0),
        (3, 2, (6, 6, 8), 0.0),
        (5, 4, (6, 6, 8), 0.0),
        (2, 8, (12, 2, 8), 0.02),
        (3, 8, (12, 2, 8), 0.07),
        (8, 6, (2, 12, 8), 0.07),
        (12, 10, (6, 6, 8), 0.07),
    ],
)
def test_no_difference_is_found_no_more_often_than_it_may(listeners, items, spreads, most):
    rng = np.random.default_rng(1)
    size = (600, listeners, items)
    of_listeners, of_items, noise = (
        np.sqrt(2) * spread * rng.standard_normal(shape)
        for spread, shape in zip(spreads, ((600, listeners, 1), (600, 1, items), size), strict=True)
    )
    found = [p_of_difference(drawn, 100) < 0.05 for drawn in of_listeners + of_items + noise]
    assert np.mean(found) <= most


def test_a_planted_difference_is_found_by_eight_listeners_on_six_excerpts():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(40):
        answers = made_ratings({"better": 70, "worse": 45}, listeners=8, items=6, rng=rng)
        row = rating_differences(answers, resamples=20).iloc[0]
        found.append(row["a"] == "better" and row["p_holm"] < 0.05)
    assert np.mean(found) >= 0.8


def test_below_three_excerpts_there_are_no_intervals():
    for items, known in ((2, False), (3, True)):
        answers = made_ratings({"p": 60, "q": 50}, listeners=5, items=items)
        summary, differences = rating_summary(answers, 50), rating_differences(answers, resamples=50)
        ends = [*summary[["mean_low", "mean_high", "median_low", "median_high"]].to_numpy().ravel()]
        ends += [*differences[["low", "high"]].to_numpy().ravel()]
        assert set(np.isfinite(ends)) == {known}
        assert np.isfinite(differences["difference"]).all()
    unheard = answers[(answers["system"] == "p") | (answers["track"] != "song 2")]  # q on two of the three only
    assert list(np.isfinite(rating_summary(unheard, 50).set_index("system")["mean_low"][["p", "q"]])) == [True, False]
    assert np.isnan(rating_differences(unheard, resamples=50)["low"].item())


def test_a_planted_difference_is_found_and_its_direction():
    answers = made_ratings({"worse": 45, "better": 70, "middle": 58, "reference": 100}, listeners=10, items=8)
    table = rating_differences(answers)
    assert len(table) == 3
    assert list(table.iloc[0][["a", "b"]]) == ["better", "worse"]
    assert table.iloc[0]["difference"] == pytest.approx(25, abs=8)
    assert (table["difference"] > 0).all()
    assert table.iloc[0]["p_holm"] < 0.05
    assert (table["p_holm"] >= table["p"]).all()
    assert len(rating_differences(answers, everything=True)) == 6


def test_what_listeners_think_of_everything_cancels_in_a_difference():
    answers = made_ratings({"p": 60, "q": 50}, spreads=(0, 0, 1), rng=np.random.default_rng(0))
    bias = answers["listener"].map(lambda name: 20.0 * int(name.split()[-1]))
    biased = answers.assign(rating=answers["rating"] + bias)
    one, other = (rating_differences(table, resamples=500).iloc[0] for table in (answers, biased))
    assert one["difference"] == pytest.approx(other["difference"])
    assert one["high"] - one["low"] == pytest.approx(other["high"] - other["low"])
    assert one["high"] - one["low"] < 3


def test_one_listener_or_item_alone_has_an_interval_of_the_other_and_both_alone_none():
    alone = rating_summary(made_ratings({"p": 50}, listeners=1, items=8), resamples=200).iloc[0]
    assert alone["mean_low"] < alone["mean"] < alone["mean_high"]
    single = rating_summary(made_ratings({"p": 50, "q": 60}, listeners=1, items=1), resamples=200).iloc[0]
    assert np.isnan([single["mean_low"], single["median_high"]]).all()
    difference = rating_differences(made_ratings({"p": 50, "q": 60}, listeners=1, items=1)).iloc[0]
    assert np.isnan([difference["low"], difference["p"], difference["p_holm"]]).all()


def test_the_same_seed_gives_the_same_table():
    answers = made_ratings({"p": 60, "q": 50})
    pd.testing.assert_frame_equal(rating_summary(answers, 100, seed=4), rating_summary(answers, 100, seed=4))
    assert not rating_summary(answers, 100, seed=4).equals(rating_summary(answers, 100, seed=5))


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.5, np.nan, 0.9])), [1.0, np.nan, 1.0])


def test_listeners_who_miss_the_reference_are_named_and_can_be_left_out():
    answers = made_ratings({"reference": 97, "p": 50}, listeners=3, items=20, spreads=(0, 0, 0))
    hidden = answers["role"] == "reference"
    deaf = hidden & (answers["listener"] == "listener 1") & answers["track"].isin([f"song {n}" for n in range(4)])
    edge = hidden & (answers["listener"] == "listener 2") & answers["track"].isin([f"song {n}" for n in range(3)])
    answers.loc[deaf | edge, "rating"] = 89
    screened = post_screening(answers).set_index("listener")
    assert dict(screened["below"]) == {"listener 0": 0, "listener 1": 4, "listener 2": 3}
    assert dict(screened["failed"]) == {"listener 0": False, "listener 1": True, "listener 2": False}  # 20 %, 15 %
    assert set(without_failed(answers)["listener"]) == {"listener 0", "listener 2"}
    with pytest.raises(SepnbError, match="no listener heard the hidden reference"):
        without_failed(answers[answers["listener"] == "listener 1"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rating_summary(abx_answers({("p", "q"): [1]})), "not the answers of a rating test"),
        (lambda: rating_summary({}), "not the answers of a rating test"),
        (lambda: rating_differences(made_ratings({"p": 50, "mixture": 9})), "between two systems"),
        (lambda: rating_differences(made_ratings({"p": 50, "q": 9}), "smell"), "nobody was asked for 'smell'"),
    ],
)
def test_answers_to_another_question_are_refused(call, message):
    with pytest.raises(SepnbError, match=message):
        call()
