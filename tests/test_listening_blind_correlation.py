"""Ratings beside scores: correlations as scipy has them, over points that can be set side by side."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sepnb.errors import SepnbError
from sepnb.listening.blind.correlation import correlate, rated_points


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
    with pytest.raises(SepnbError, match=r"nothing was both.*ratings are of s0.*; song 0.*scores of other; song 0"):
        correlate(answers, scores.assign(system="other"))
    with pytest.raises(SepnbError, match="no scores called PESQ; there are SDR, SIR"):
        correlate(answers, scores, "PESQ")
    for no_table in (scores.to_numpy(), scores.drop(columns="system")):
        with pytest.raises(SepnbError, match="scores come as a table with the columns system, track and target"):
            correlate(answers, no_table)
    with pytest.raises(SepnbError, match="nobody was asked for 'smell'"):
        correlate(answers, scores, question="smell")
