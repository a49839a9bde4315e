"""What ABX answers tell: the textbook's values, and no p before a test is done."""

import numpy as np
import pandas as pd
import pytest
from listening_blind import abx_answers, made_ratings
from scipy.stats import binom

from sepnb.errors import SepnbError
from sepnb.listening.blind.abx import POOLED, abx_results, answers_needed, trials_needed
from sepnb.listening.blind.simulated import SIMULATED


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


@pytest.mark.parametrize("no_answers", [made_ratings({"p": 50}), {"correct": [1]}])
def test_answers_to_another_question_are_refused(no_answers):
    with pytest.raises(SepnbError, match="not the answers of an ABX test"):
        abx_results(no_answers)
