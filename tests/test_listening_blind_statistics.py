"""What answers tell: known values, planted differences found again, intervals that hold what they should."""

import itertools

import numpy as np
import pandas as pd
import pytest
from listening_blind import made_ratings
from scipy.stats import binom, pearsonr, spearmanr

from sepnb.errors import SepnbError
from sepnb.listening.blind import bootstrap
from sepnb.listening.blind.abx import POOLED, abx_results, answers_needed, trials_needed
from sepnb.listening.blind.correlation import correlate, rated_points
from sepnb.listening.blind.ratings import post_screening, rating_differences, rating_summary, without_failed
from sepnb.listening.blind.significance import holm, p_of_difference, sign_flip
from sepnb.listening.blind.simulated import SIMULATED, listeners_of


def abx_answers(correct: dict[tuple[str, str], list[int]], listener: str = "Ann") -> pd.DataFrame:
    rows = [(listener, a, b, bool(right)) for (a, b), given in correct.items() for right in given]
    return pd.DataFrame(rows, columns=["listener", "a", "b", "correct"])


# --- ABX ---------------------------------------------------------------------


def test_twelve_of_sixteen_is_the_textbook_case():
    (row,) = abx_results(abx_answers({("p", "q"): [1] * 12 + [0] * 4})).to_dict("records")
    assert (row["pair"], row["n"], row["correct"], row["needed"]) == ("p against q", 16, 12, 12)
    assert row["p"] == pytest.approx(2517 / 65536)
    assert row["p_holm"] == row["p"]
    assert (row["low"], row["high"]) == (pytest.approx(0.4762, abs=1e-4), pytest.approx(0.9273, abs=1e-4))


def test_pairs_are_pooled_whatever_was_called_a():
    answers = abx_answers({("p", "q"): [1] * 5, ("q", "p"): [1] * 5, ("p", "r"): [1, 0] * 5})
    results = abx_results(answers).set_index("pair")
    assert list(results.index) == ["p against q", "p against r", POOLED]
    assert list(results["n"]) == [10, 10, 20]
    assert list(results["correct"]) == [10, 5, 15]
    assert results.loc["p against q", "p_holm"] == pytest.approx(2 / 1024)
    assert results.loc["p against r", "p_holm"] == pytest.approx(results.loc["p against r", "p"])
    assert np.isnan(results.loc[POOLED, "p_holm"])


def test_four_trials_can_show_nothing():
    row = abx_results(abx_answers({("p", "q"): [1] * 4})).iloc[0]
    assert row["p"] > 0.05
    assert np.isnan(row["needed"])


@pytest.mark.parametrize("n", range(1, 60))
def test_as_many_answers_are_needed_as_make_p_small_and_no_fewer(n):
    needed = answers_needed(n)
    if needed is None:
        assert binom.sf(n - 1, n, 0.5) >= 0.05
    else:
        assert binom.sf(needed - 1, n, 0.5) < 0.05 <= binom.sf(needed - 2, n, 0.5)


def test_how_many_trials_are_needed_for_one_who_hears_it_in_part():
    assert trials_needed(1.0) == 5
    for share in (0.6, 0.7, 0.8, 0.9):
        n = trials_needed(share)
        powers = [binom.sf((answers_needed(k) or k + 1) - 1, k, share) for k in range(n - 1, n + 30)]
        assert powers[0] < 0.8 <= min(powers[1:])
    for share, message in (
        (0.5, "not above 0.5"),
        (1.1, "not above 0.5, .*up to 1"),
        (0.501, "more than 10000 trials"),
    ):
        with pytest.raises(SepnbError, match=message):
            trials_needed(share)


def test_the_interval_of_right_answers_holds_the_truth_at_least_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        row = abx_results(abx_answers({("p", "q"): list(rng.random(16) < 0.7)})).iloc[0]
        held += row["low"] <= 0.7 <= row["high"]
    assert held >= 185


def test_who_answered_is_counted_and_said():
    answers = pd.concat(
        [abx_answers({("p", "q"): [1] * 5}, name) for name in ("Ann", f"{SIMULATED} 1", f"{SIMULATED} 2")]
    )
    row = abx_results(answers).iloc[0]
    assert (row["listeners"], row["simulated"]) == (3, pytest.approx(2 / 3))


def of_test(answers: pd.DataFrame, trials: int) -> pd.DataFrame:
    """As `read_answers` gives them, of a test that has so many trials for each listener."""
    answered = answers.groupby("listener")["a"].transform("size")
    return answers.assign(test="abx-1", trials=trials, unfinished=trials - answered)


def test_p_is_held_back_until_every_listener_is_done():
    done = abx_answers({("p", "q"): [1] * 8, ("p", "r"): [1] * 8})
    begun = abx_answers({("p", "q"): [1] * 6}, "Bob")
    results = abx_results(of_test(pd.concat([done, begun]), 16)).set_index("pair")
    assert list(results["correct"]) == [14, 8, 22]
    assert set(results["trials"]) == {32}
    assert set(results["unfinished"]) == {10}  # of the second pair too, which Bob has not come to
    assert results[["p", "p_holm", "low", "high", "needed"]].isna().all(axis=None)
    alone = abx_results(of_test(done, 16)).set_index("pair")
    assert set(alone["unfinished"]) == {0}
    assert alone.loc["p against q", "p"] == pytest.approx(1 / 256)
    part = of_test(done, 16).query("b == 'r'")  # of some of the answers, that it is finished stays known
    assert abx_results(part)["p"].item() == pytest.approx(1 / 256)
    unknown = abx_results(done).iloc[0]
    assert np.isnan(unknown["unfinished"])
    assert unknown["p"] == pytest.approx(1 / 256)


def test_another_test_that_is_finished_has_its_p():
    done = of_test(abx_answers({("p", "q"): [1] * 8}), 8)
    begun = of_test(abx_answers({("p", "r"): [1] * 6}, "Bob"), 16).assign(test="abx-2")
    results = abx_results(pd.concat([done, begun])).set_index("pair")
    assert list(results["unfinished"]) == [0, 10, 10]
    assert list(results["p"].isna()) == [False, True, True]
    assert results.loc["p against q", "p_holm"] == results.loc["p against q", "p"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["Ann"], "1 listener"),
        (["Ann", "Bob", "Zoë"], "3 listeners"),
        ([f"{SIMULATED} 1"], "1 simulated listener"),
        ([f"{SIMULATED} {n}" for n in range(6)], "6 simulated listeners"),
        (["Ann", f"{SIMULATED} 1", "Bob", f"{SIMULATED} 2"], "4 listeners, 2 of them simulated"),
        (["Ann", "Bob", f"{SIMULATED} 1"], "3 listeners, 1 of them simulated"),
    ],
)
def test_who_listened_is_said_in_words(names, said):
    answers = pd.concat([abx_answers({("p", "q"): [1, 0]}, name) for name in names])
    some = abx_answers({("p", "r"): [1]}, names[0])  # a pair that not all were asked for
    everything = pd.concat([some, answers])
    assert listeners_of(answers) == said
    assert listeners_of(abx_results(everything)) == said
    ratings = made_ratings({"p": 60, "q": 50}, listeners=len(names), items=2)
    ratings["listener"] = ratings["listener"].map({f"listener {n}": name for n, name in enumerate(names)})
    assert listeners_of(rating_summary(ratings, 10)) == listeners_of(post_screening_of(ratings)) == said


def post_screening_of(ratings: pd.DataFrame) -> pd.DataFrame:
    return post_screening(ratings.assign(role="reference"))


# --- ratings ---------------------------------------------------------------------


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
        (lambda: abx_results(made_ratings({"p": 50})), "not the answers of an ABX test"),
        (lambda: rating_summary({}), "not the answers of a rating test"),
        (lambda: abx_results({"correct": [1]}), "not the answers of an ABX test"),
        (lambda: rating_differences(made_ratings({"p": 50, "mixture": 9})), "between two systems"),
        (lambda: rating_differences(made_ratings({"p": 50, "q": 9}), "smell"), "nobody was asked for 'smell'"),
    ],
)
def test_answers_to_another_question_are_refused(call, message):
    with pytest.raises(SepnbError, match=message):
        call()


# --- ratings beside scores ---------------------------------------------------------------------


def heard_scores(follow: float, items: int = 12, systems: int = 4, listeners: int = 6, targets=("vocals",)):
    """Ratings that follow SDR as closely as `follow` says, and SIR not at all: (answers, scores)."""
    rng = np.random.default_rng(5)
    ratings, scores = [], []
    for system in range(systems):
        for item in range(items):
            for target in targets:
                sdr, sir = rng.normal(size=2)
                worth = 50 + 10 * (follow * sdr + np.sqrt(1 - follow**2) * rng.normal())
                key = {"system": f"s{system}", "track": f"song {item}", "target": target}
                frames = [{**key, "frame": n, "SDR": sdr + d, "SIR": sir} for n, d in enumerate((-9, 0, 1, np.nan))]
                scores += frames
                ratings += [
                    {
                        **key,
                        "listener": f"l{n}",
                        "role": "system",
                        "question": "quality",
                        "rating": worth + rng.normal(scale=3),
                    }
                    for n in range(listeners)
                ]
    return pd.DataFrame(ratings), pd.DataFrame(scores)


def test_the_points_are_mean_ratings_beside_the_medians_of_frames():
    answers, scores = heard_scores(0.5, items=2, systems=2)
    hidden = answers.assign(system="reference", role="reference", rating=100.0)
    points = rated_points(pd.concat([answers, hidden]), scores)
    assert list(points.columns) == ["system", "track", "target", "rating", "SDR", "SIR"]
    assert len(points) == 4
    for row in points.itertuples():
        same = (answers["system"] == row.system) & (answers["track"] == row.track)
        assert row.rating == pytest.approx(answers.loc[same, "rating"].mean())
        frames = scores[(scores["system"] == row.system) & (scores["track"] == row.track)]
        assert frames["SDR"].median() == row.SDR


def test_correlations_are_scipys_and_their_intervals_hold_them():
    answers, scores = heard_scores(0.8)
    points = rated_points(answers, scores)
    table = correlate(answers, scores, resamples=400).set_index("metric")
    for metric in ("SDR", "SIR"):
        row = table.loc[metric]
        assert row["pearson"] == pytest.approx(pearsonr(points["rating"], points[metric]).statistic)
        assert row["spearman"] == pytest.approx(spearmanr(points["rating"], points[metric]).statistic)
        assert row["pearson_low"] < row["pearson"] < row["pearson_high"]
        assert row["spearman_low"] < row["spearman"] < row["spearman_high"]
    assert table.loc["SDR", "pearson"] > 0.6
    assert table.loc["SDR", "pearson_low"] > 0.4
    assert table.loc["SIR", "pearson_low"] < 0 < table.loc["SIR", "pearson_high"]


def test_stems_have_rows_of_their_own():
    answers, scores = heard_scores(0.8, items=4, targets=("vocals", "drums"))
    table = correlate(answers, scores, ["SDR"], resamples=50)
    assert list(table["target"]) == ["all", "vocals", "drums"]
    assert list(table["points"]) == [32, 16, 16]
    assert table["simulated"].eq(0).all()


def test_resampled_ranks_are_those_of_points_repeated():
    from sepnb.listening.blind.correlation import _pearson, _ranks

    rng = np.random.default_rng(0)
    x, y = rng.integers(5, size=(2, 9)).astype(float)  # with ties
    weights = rng.integers(3, size=(20, 9)).astype(float)
    found = _pearson(_ranks(x[None], weights), _ranks(y[None], weights), weights)
    expected = [spearmanr(x.repeat(w), y.repeat(w)).statistic for w in weights.astype(int)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_too_little_has_no_correlation_or_no_interval():
    answers, scores = heard_scores(0.8, items=1, systems=4)
    row = correlate(answers, scores, ["SDR"], resamples=50).iloc[0]
    assert np.isfinite(row["pearson"])
    assert np.isnan(row["pearson_low"])
    answers, scores = heard_scores(0.8, items=1, systems=2)
    assert np.isnan(correlate(answers, scores, ["SDR"]).iloc[0]["pearson"])
    flat = correlate(*heard_scores(0.8, items=3), resamples=50)
    assert np.isfinite(flat["pearson"]).all()
    same = heard_scores(0.8, items=3)[1].assign(SDR=1.0)
    assert np.isnan(correlate(heard_scores(0.8, items=3)[0], same, ["SDR"], resamples=50).iloc[0]["pearson"])


def with_anchor(answers: pd.DataFrame, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The mixture, bad and with bad scores in SDR and SIR, on every excerpt."""
    heard = answers[answers["system"] == "s0"].assign(system="mixture", role="anchor", rating=5.0)
    scored = scores[scores["system"] == "s0"].assign(system="mixture", SDR=-30.0, SIR=-30.0)
    return pd.concat([answers, heard]), pd.concat([scores, scored])


def test_a_metric_that_is_noise_has_no_correlation_by_the_anchor():
    answers, scores = with_anchor(*heard_scores(0.8))
    systems = correlate(answers, scores, resamples=50).set_index("metric")
    assert abs(systems.loc["SIR", "pearson"]) < 0.35
    assert set(systems["points"]) == {48}
    assert set(rated_points(answers, scores)["system"]) == {"s0", "s1", "s2", "s3"}
    both = correlate(answers, scores, resamples=50, anchor=True).set_index("metric")
    assert both.loc["SIR", "pearson"] > 0.8
    assert set(both["points"]) == {60}
    assert set(rated_points(answers, scores, anchor=True)["system"]) == {"mixture", "s0", "s1", "s2", "s3"}


def test_metrics_are_set_side_by_side_over_the_points_that_have_all_of_them():
    answers, scores = heard_scores(0.8, items=6)
    scores.loc[(scores["system"] == "s0") & (scores["track"] == "song 0"), "SIR"] = np.inf
    scores.loc[(scores["system"] == "s1") & (scores["track"] == "song 2"), "SDR"] = np.nan
    scores["none"] = np.nan  # a metric that nothing has costs nothing
    table = correlate(answers, scores, resamples=50).set_index("metric")
    assert dict(table["points"]) == {"SDR": 22, "SIR": 22, "none": 0}
    points = rated_points(answers, scores)
    assert len(points) == 22
    assert table.loc["SDR", "pearson"] == pytest.approx(pearsonr(points["rating"], points["SDR"]).statistic)
    assert len(rated_points(answers, scores, metrics=["SDR"])) == 23
    assert correlate(answers, scores, ["SDR"], resamples=50)["points"].item() == 23
    odd = scores["system"].isin(["s0", "s1"])
    apart = scores.assign(SDR=scores["SDR"].where(odd), SIR=scores["SIR"].where(~odd))
    with pytest.raises(SepnbError, match="no system has all of the scores SDR, SIR on any item: name fewer"):
        correlate(answers, apart, ["SDR", "SIR"])


def test_what_was_rated_has_to_be_what_was_scored():
    answers, scores = heard_scores(0.8, items=2)
    with pytest.raises(SepnbError, match="nothing was both rated and scored: ratings are of s0.*scores of other"):
        correlate(answers, scores.assign(system="other"))
    with pytest.raises(SepnbError, match="no scores called PESQ; there are SDR, SIR"):
        correlate(answers, scores, ["PESQ"])
    for no_table in (scores.to_numpy(), scores.drop(columns="system")):
        with pytest.raises(SepnbError, match="scores come as a table with the columns system, track and target"):
            correlate(answers, no_table)
    with pytest.raises(SepnbError, match="nobody was asked for 'smell'"):
        correlate(answers, scores, question="smell")
