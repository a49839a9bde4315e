"""Figures of what listeners said: what is drawn is what the tables say, and simulated listeners are named so."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from legible import check_panels
from listening_blind import made_ratings
from matplotlib.colors import to_rgb

from sepnb.figures.plots_listening import (
    abx_against_chance,
    rating_against_metric,
    rating_differences,
    ratings_by_system,
)
from sepnb.figures.style import stem_color
from sepnb.listening.blind import ratings
from sepnb.listening.blind.abx import abx_results
from sepnb.listening.blind.correlation import correlate, rated_points

mpl.use("agg")
LONG = "a system with a name that is far too long to read"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def abx_table(pairs, listener="Ann"):
    rows = [(listener, *pair, n < right) for pair, (right, of) in pairs.items() for n in range(of)]
    return abx_results(pd.DataFrame(rows, columns=["listener", "a", "b", "correct"]))


def dots(ax, marker="o"):
    """The marked points: (x, y, filled)."""
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), to_rgb(line.get_markerfacecolor()) != (1, 1, 1))
        for line in ax.lines
        if line.get_marker() == marker
    ]


def scored(answers):
    pairs = answers.drop_duplicates(["system", "track", "target"])[["system", "track", "target"]]
    rng = np.random.default_rng(2)
    return pairs.assign(SDR=rng.normal(5, 3, len(pairs)), SIR=np.inf)


def everything(answers):
    """All four figures of some answers."""
    named = {"listener": answers["listener"].iloc[0]}
    summary = ratings.rating_summary(answers, resamples=50)
    differences = ratings.rating_differences(answers, resamples=50)
    scores = scored(answers)
    abx = abx_table({("p", "q"): (12, 16)}, named["listener"])
    found = correlate(answers, scores, ["SDR"], resamples=50)
    return [
        abx_against_chance(abx),
        ratings_by_system(summary, answers),
        rating_differences(differences),
        rating_against_metric(rated_points(answers, scores), found),
    ]


def test_abx_shows_shares_intervals_and_what_is_clear():
    table = abx_table({("p", "q"): (15, 16), ("p", LONG): (9, 16), ("r", "s"): (2, 4)})
    ax = abx_against_chance(table)
    assert dots(ax) == [(93.75, 0, True), (56.25, 1, False), (50, 2, False), (pytest.approx(2600 / 36), 3, True)]
    words = [text.get_text() for text in ax.texts]
    assert words[0].startswith("15 of 16\np < 0.001")
    assert words[1].startswith("9 of 16\np = 0.8")  # 0.40, as one of three pairs
    ends = [
        line.get_xdata()
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    ]
    np.testing.assert_allclose(ends, 100 * table[["low", "high"]].to_numpy())
    assert "of a pair alone" in ax.get_xlabel()
    check_panels(ax)


def test_one_abx_pair_alone_is_one_row():
    ax = abx_against_chance(abx_table({("p", "q"): (12, 16)}))
    assert [text.get_text() for text in ax.texts] == ["12 of 16\np = 0.038"]
    assert dots(ax) == [(75.0, 0, True)]
    assert "alone" not in ax.get_xlabel()
    check_panels(ax)


def test_ratings_show_every_rating_and_the_mean_with_its_interval():
    answers = made_ratings({"p": 60, LONG: 50, "reference": 95, "mixture": 20}).assign(
        rating=lambda table: table["rating"].clip(0, 100)
    )
    summary = ratings.rating_summary(answers, resamples=100)
    ax = ratings_by_system(summary, answers)
    single = [line for line in ax.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in single] == [48] * 4
    for line, row in zip(single, summary.itertuples(), strict=True):
        given = answers.loc[answers["system"] == row.system, "rating"]
        np.testing.assert_allclose(np.sort(line.get_xdata()), np.sort(given))
    assert [(x, filled) for x, _, filled in dots(ax)] == [
        (row.mean, row.role == "system") for row in summary.itertuples()
    ]
    assert [text.get_text() for text in ax.texts] == ["bad", "poor", "fair", "good", "excellent"]
    assert "8 listeners, 6 excerpts" in ax.get_xlabel()
    check_panels(ax)
    with pytest.raises(KeyError, match="no ratings of 'smell'; there are quality"):
        ratings_by_system(summary, answers, question="smell")


def test_differences_are_filled_where_they_are_clear():
    answers = made_ratings({"p": 90, "q": 50, "r": 49.5}, listeners=10, items=8)
    table = ratings.rating_differences(answers, resamples=200)
    ax = rating_differences(table)
    assert [(x, filled) for x, _, filled in dots(ax)] == [
        (row.difference, row.p_holm < 0.05) for row in table.itertuples()
    ]
    assert {filled for _, _, filled in dots(ax)} == {True, False}
    check_panels(ax)


def test_ratings_beside_a_metric_have_a_colour_a_stem_and_r_in_the_legend():
    answers = pd.concat([made_ratings({"p": 60, "q": 40}).assign(target=name) for name in ("vocals", "drums")])
    scores = scored(answers)
    points, found = rated_points(answers, scores), correlate(answers, scores, resamples=100)
    ax = rating_against_metric(points, found)
    for line, target in zip(ax.lines, ("vocals", "drums"), strict=True):
        part = points[points["target"] == target]
        np.testing.assert_array_equal(line.get_xdata(), part["SDR"])
        np.testing.assert_array_equal(line.get_ydata(), part["rating"])
        assert line.get_color() == stem_color(target)
    row = found[(found["target"] == "vocals") & (found["metric"] == "SDR")].iloc[0]
    text = ax.get_legend().get_texts()[0].get_text().replace("−", "-")
    assert text == f"vocals: r = {row['pearson']:.2f} ({row['pearson_low']:.2f} to {row['pearson_high']:.2f})"
    check_panels(ax)
    infinite = rating_against_metric(points, found, "SIR", targets=["drums"])
    assert [len(line.get_xdata()) for line in infinite.lines] == [0]
    assert "(0 points)" in infinite.get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (lambda name: f"simulated {name}", "simulated listeners"),
        (lambda name: name, None),
    ],
)
def test_figures_of_simulated_listeners_say_so_in_their_titles(names, said):
    answers = made_ratings({"p": 60, "q": 50}, listeners=3)
    answers["listener"] = answers["listener"].map(names)
    for ax in everything(answers):
        check_panels(ax)
        title = ax.get_title().lower()
        assert (said in title) if said else ("simulated" not in title)


def test_some_simulated_listeners_are_said_to_be_some():
    answers = made_ratings({"p": 60, "q": 50}, listeners=3)
    answers["listener"] = answers["listener"].replace("listener 1", "simulated 1")
    ax = rating_differences(ratings.rating_differences(answers, resamples=50))
    assert "(some listeners simulated)" in ax.get_title()


def test_plots_draw_into_axes_that_they_are_given():
    _, ax = plt.subplots()
    assert abx_against_chance(abx_table({("p", "q"): (12, 16)}), ax) is ax


@pytest.mark.parametrize(("listeners", "items"), [(1, 1), (8, 2)])
def test_too_few_excerpts_have_no_interval_to_draw_and_the_axis_says_so(listeners, items):
    answers = made_ratings({"p": 60, "q": 50}, listeners=listeners, items=items)
    _, rated, between, beside = everything(answers)
    for ax in (rated, between):
        assert "too few" in ax.get_xlabel()
        assert "95 %" not in ax.get_xlabel()
        assert ("for this listener" in between.get_xlabel()) == (listeners == 1)
        assert not [line for line in ax.lines if len(line.get_xdata()) == 2 and len(set(line.get_xdata())) == 2]
        check_panels(ax)
    check_panels(beside)


def test_an_unfinished_abx_test_has_no_p_and_says_how_much_is_answered():
    rows = [("Ann", *pair, True) for pair in (("p", LONG), ("r", "s")) for _ in range(6)]
    answers = pd.DataFrame(rows, columns=["listener", "a", "b", "correct"])
    ax = abx_against_chance(abx_results(answers.assign(test="t", trials=16, unfinished=4)))
    assert "unfinished: 12 of 16 answered" in ax.get_xlabel()
    assert "95 %" not in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts] == ["6 of 6", "6 of 6", "12 of 12"]
    assert [filled for _, _, filled in dots(ax)] == [False] * 3
    check_panels(ax)
    done = abx_against_chance(abx_results(answers.assign(test="t", trials=12, unfinished=0)))
    assert "unfinished" not in done.get_xlabel()
    assert {filled for _, _, filled in dots(done)} == {True}
    both = abx_results(
        pd.concat(
            [
                answers[answers["a"] == "p"].assign(test="t", trials=6, unfinished=0),
                answers[answers["a"] == "r"].assign(test="u", trials=16, unfinished=10),
            ]
        )
    )
    mixed = abx_against_chance(both)
    assert [filled for _, _, filled in dots(mixed)] == [True, False, False]
    assert "unfinished: 12 of 22 answered" in mixed.get_xlabel()
    check_panels(mixed)
