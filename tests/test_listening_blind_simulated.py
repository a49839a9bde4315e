"""Simulated listeners say who they are, answer as they were told, and the statistics find what was put in."""

import numpy as np
import pandas as pd
import pytest
from listening_blind import SYSTEMS, abx_answers, made_items, made_ratings

from sepnb.errors import SepnbError
from sepnb.listening.blind.abx import abx_results
from sepnb.listening.blind.design import abx_design, rating_design
from sepnb.listening.blind.ratings import post_screening, rating_differences, rating_summary
from sepnb.listening.blind.simulated import (
    SIMULATED,
    SimulatedListener,
    fixed_quality,
    listeners_of,
    quality_of_scores,
    simulate,
    simulated_panel,
)

GOOD, BAD = SYSTEMS
QUALITY = fixed_quality({GOOD: 70, BAD: 45, "mixture": 15})


@pytest.fixture(scope="module")
def items():
    return made_items(6)


def test_nobody_can_take_a_simulated_listener_for_a_person():
    with pytest.raises(SepnbError, match="begins with \"simulated\", unlike 'Ann'"):
        SimulatedListener("Ann", QUALITY)
    assert all(listener.name.startswith("simulated") for listener in simulated_panel(3, QUALITY))


def test_a_planted_difference_comes_out_of_the_files(items, tmp_path):
    answers = simulate(rating_design(items), simulated_panel(8, QUALITY), tmp_path)
    means = rating_summary(answers, resamples=100).query("question == 'quality'").set_index("system")["mean"]
    assert means["reference"] > 95
    assert means[GOOD] == pytest.approx(70, abs=8)
    row = rating_differences(answers, resamples=500).iloc[0]
    assert (row["a"], row["b"], row["simulated"]) == (GOOD, BAD, 1.0)
    assert row["low"] < 25 < row["high"]
    assert row["p_holm"] < 0.05
    assert not post_screening(answers)["failed"].any()


def test_one_who_cannot_hear_the_reference_fails_the_screening(items, tmp_path):
    deaf = SimulatedListener(
        "simulated and deaf", fixed_quality({GOOD: 60, BAD: 60, "mixture": 60, "reference": 60}), spots=0
    )
    assert post_screening(simulate(rating_design(items), deaf, tmp_path))["failed"].all()


@pytest.mark.parametrize(("hears", "low", "high"), [(1.0, 96, 96), (0.5, 33, 63), (0.8, 65, 88), (0.0, 0, 0)])
def test_right_answers_come_as_often_as_told(items, tmp_path, hears, low, high):
    listener = SimulatedListener("simulated", QUALITY, hears=hears)
    answers = simulate(abx_design(items, repetitions=16), listener, tmp_path / "a.csv")
    assert low <= abx_results(answers)["correct"].item() <= high


def test_asked_again_they_say_the_same_and_what_is_answered_stays(items, tmp_path):
    panel, design = simulated_panel(2, QUALITY, seed=1), rating_design(items[:1])
    first = simulate(design, panel, tmp_path / "one")
    text = [path.read_text(encoding="utf-8") for path in sorted((tmp_path / "one").iterdir())]
    pd.testing.assert_frame_equal(simulate(design, panel, tmp_path / "one"), first)
    assert text == [path.read_text(encoding="utf-8") for path in sorted((tmp_path / "one").iterdir())]
    second = simulate(design, panel, tmp_path / "two")
    pd.testing.assert_frame_equal(second.drop(columns="at"), first.drop(columns="at"))
    other = simulate(design, simulated_panel(2, QUALITY, seed=2), tmp_path / "three")
    assert not np.array_equal(other["rating"], first["rating"])


def test_quality_rises_with_the_score(items):
    scores = pd.DataFrame({"system": [GOOD, BAD], "track": "song 0", "target": "vocals", "SDR": [9.0, 1.0], "frame": 0})
    quality = quality_of_scores(scores)
    good, bad, mixture, reference = (quality(name, items[0], "quality") for name in (GOOD, BAD, "mixture", "reference"))
    assert 0 < bad < good < reference == 100
    assert good == pytest.approx(100 - bad)  # 4 dB on either side of the middle
    assert mixture == 10
    with pytest.raises(SepnbError, match=r"no SDR of .* on 'song 1: vocals'"):
        quality(GOOD, items[1], "quality")


def test_a_condition_without_a_quality_is_named(items):
    with pytest.raises(SepnbError, match="no quality was given for 'mixture'"):
        fixed_quality({GOOD: 50})("mixture", items[0], "quality")


def test_probabilities_lie_between_0_and_1():
    with pytest.raises(SepnbError, match="probabilities"):
        SimulatedListener("simulated", QUALITY, hears=80)


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
    assert (
        listeners_of(rating_summary(ratings, 10))
        == listeners_of(post_screening(ratings.assign(role="reference")))
        == said
    )
