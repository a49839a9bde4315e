"""Who hears what in which order: drawn by chance, but the same each time, and fair."""

import itertools
from collections import Counter

import pytest
from listening_blind import SYSTEMS, made_items

from sepnb.errors import SepnbError
from sepnb.listening.blind.design import abx_design, listener_name, rating_design
from sepnb.listening.blind.items import ANCHOR, REFERENCE


@pytest.fixture(scope="module")
def items():
    return made_items()


def shown(trials):
    return [(trial.id, trial.item.name, tuple(trial.labels.items())) for trial in trials]


@pytest.mark.parametrize("make", [abx_design, rating_design])
def test_the_same_seed_and_listener_get_the_same_test_and_others_another(items, make):
    design = make(items, repetitions=4, seed=7)
    assert shown(design.trials("Ann")) == shown(make(items, repetitions=4, seed=7).trials(" Ann\n"))
    assert shown(design.trials("Ann")) != shown(design.trials("Bob"))
    assert shown(design.trials("Ann")) != shown(make(items, repetitions=4, seed=8).trials("Ann"))
    assert sorted(t.id for t in design.trials("Ann")) == sorted(t.id for t in design.trials("Bob"))
    assert len({trial.id for trial in design.trials("Ann")}) == 8


@pytest.mark.parametrize("seed", range(20))
def test_abx_is_balanced_for_every_pair(seed):
    design = abx_design(made_items(3, ("p", "q", "r")), repetitions=4, seed=seed)
    trials = design.trials("Ann")
    assert len(trials) == 3 * 3 * 4
    for pair in itertools.combinations("pqr", 2):
        of_pair = [t for t in trials if {t.labels["A"], t.labels["B"]} == set(pair)]
        assert len(of_pair) == 12
        assert Counter(t.answer for t in of_pair) == {"A": 6, "B": 6}
        assert Counter(t.labels["A"] for t in of_pair) == dict.fromkeys(pair, 6)
        assert Counter(t.labels["X"] for t in of_pair) == dict.fromkeys(pair, 6)


@pytest.mark.parametrize("repetitions", [1, 2, 3, 5])
def test_abx_is_balanced_to_one_trial_for_any_number_of_them(items, repetitions):
    for seed in range(20):
        trials = abx_design(items[:1], repetitions=repetitions, seed=seed).trials("Ann")
        assert abs(2 * sum(t.answer == "A" for t in trials) - repetitions) <= 1
        assert abs(2 * sum(t.labels["A"] == SYSTEMS[0] for t in trials) - repetitions) <= 1


def test_the_answer_is_not_to_be_guessed_from_the_order():
    items = made_items(1)
    firsts = Counter(abx_design(items, seed=seed).trials("Ann")[0].answer for seed in range(400))
    assert 160 < firsts["A"] < 240  # four standard deviations


def test_every_sound_is_rated_and_each_label_is_each_sound_as_often(items):
    counts = Counter()
    for seed in range(300):
        for trial in rating_design(items[:1], seed=seed).trials("Ann"):
            assert list(trial.labels) == ["1", "2", "3", "4"]
            assert set(trial.labels.values()) == {REFERENCE, *SYSTEMS, ANCHOR}
            counts.update(trial.labels.items())
    assert len(counts) == 16
    assert all(45 < count < 105 for count in counts.values())  # of 75, four standard deviations


def test_the_order_of_items_differs_between_listeners(items):
    orders = {tuple(t.item.name for t in rating_design(items).trials(f"listener {n}")) for n in range(20)}
    assert len(orders) == 2


def test_one_system_is_compared_with_the_reference():
    design = abx_design(made_items(1, ("only",)))
    assert design.pairs == (("only", REFERENCE),)


def test_another_test_has_another_fingerprint(items):
    prints = {
        abx_design(items).fingerprint,
        abx_design(items, seed=1).fingerprint,
        abx_design(items, repetitions=2).fingerprint,
        abx_design(items[:1]).fingerprint,
        abx_design(items, [(SYSTEMS[0], ANCHOR)]).fingerprint,
        rating_design(items).fingerprint,
        rating_design(made_items(2, ("x", "y"))).fingerprint,
    }
    assert len(prints) == 7
    assert abx_design(made_items()).fingerprint == abx_design(items).fingerprint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda items: abx_design([]), "no items were given"),
        (lambda items: rating_design([items[0], items[0]]), "two items of the test are 'song 0: vocals'"),
        (lambda items: abx_design(items, [("good", "bad")]), "'good' and 'bad' cannot be compared on 'song 0: vocals'"),
        (lambda items: abx_design(items, [(ANCHOR, ANCHOR)]), "cannot be compared"),
        (lambda items: abx_design(items, [SYSTEMS, SYSTEMS[::-1]]), "one pair of systems is there twice"),
        (lambda items: abx_design(items, []), "pairs come as"),
        (lambda items: abx_design(items, [1, 2]), "pairs come as"),
        (lambda items: abx_design(items, ("a", "b")), r"pairs come as \[\(system, system\), …\], not as \('a', 'b'\)"),
        (lambda items: abx_design(items, seed=-1), "the seed of a test must be a whole number from 0, not -1"),
        (
            lambda items: abx_design(items, repetitions=0),
            "the repetitions of a test must be a whole number from 1, not 0",
        ),
    ],
)
def test_what_is_no_test_is_refused(items, make, message):
    with pytest.raises(SepnbError, match=message):
        make(items)


def test_names_are_one_line_and_not_blank():
    assert listener_name('  Ann,\n "the\tear" ') == 'Ann, "the ear"'
    assert listener_name("Zoe\u0308") == listener_name("Zoë")
    with pytest.raises(SepnbError, match="needs a name"):
        listener_name(" \n")


def test_trials_of_a_seed_stay_as_they_are():
    """A stopped test goes on in another session: what is drawn must not change between them."""
    trials = rating_design(made_items(2, ("a", "b")), seed=1).trials("Ann")
    assert [(t.item.track, list(t.labels.values())) for t in trials] == [
        ("song 0", ["b", "mixture", "reference", "a"]),
        ("song 1", ["mixture", "a", "b", "reference"]),
    ]
