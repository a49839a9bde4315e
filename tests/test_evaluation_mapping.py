"""Stems answer sources by name, on the finest cut that both sides can give."""

import numpy as np
import pytest

from sepnb.errors import SepnbError
from sepnb.evaluation.mapping import map_sources, sum_stems

FOUR = ("drums", "bass", "other", "vocals")


def mapped(gives, has):
    """Target → (names summed for the reference, names summed for the estimate)."""
    mapping = map_sources("net", gives, "song", has)
    return dict(zip(mapping.targets, zip(mapping.references, mapping.estimates, strict=True), strict=True))


def test_equal_names_answer_each_other_whatever_their_order():
    found = mapped(("vocals", "other", "bass", "drums"), FOUR)
    assert found == {name: ((name,), (name,)) for name in FOUR}
    assert list(found) == list(FOUR)


def test_guitar_and_piano_are_other_where_the_track_has_no_such_source():
    found = mapped(("drums", "bass", "other", "vocals", "guitar", "piano"), FOUR)
    assert found["other"] == (("other",), ("other", "guitar", "piano"))
    assert mapped((*FOUR, "guitars"), FOUR)["other"] == (("other",), ("other", "guitars"))


def test_guitar_is_scored_as_itself_where_the_track_has_it():
    found = mapped((*FOUR, "guitar", "piano"), (*FOUR, "guitars"))
    assert found["guitars"] == (("guitars",), ("guitar",))
    assert found["other"] == (("other",), ("other", "piano"))


def test_a_track_of_six_stems_is_scored_as_four_for_a_system_of_four():
    found = mapped(FOUR, (*FOUR, "guitar", "piano"))
    assert found["other"] == (("other", "guitar", "piano"), ("other",))
    assert list(found) == list(FOUR)


@pytest.mark.parametrize("rest", ["accompaniment", "instrumental", "other", "no_vocals"])
def test_a_system_of_two_stems_is_scored_on_the_sum_of_the_rest(rest):
    found = mapped(("vocals", rest), FOUR)
    assert found == {
        "vocals": (("vocals",), ("vocals",)),
        "accompaniment": (("drums", "bass", "other"), (rest,)),
    }


def test_on_a_karaoke_data_set_the_stems_beside_the_vocals_are_summed():
    found = mapped((*FOUR, "guitar"), ("vocals", "accompaniment"))
    assert found["accompaniment"] == (("accompaniment",), ("drums", "bass", "other", "guitar"))
    # Vocals and "other" alone is the same data set under another name.
    found = mapped(FOUR, ("vocals", "other"))
    assert found["accompaniment"] == (("other",), ("drums", "bass", "other"))


def test_a_sum_kept_beside_its_parts_is_not_added_to_them():
    with_sums = (*FOUR, "accompaniment", "mixture")
    assert mapped(with_sums, FOUR) == mapped(FOUR, FOUR)
    assert mapped(with_sums, ("vocals", "accompaniment"))["accompaniment"][1] == ("accompaniment",)
    assert map_sources("net", with_sums, "song", FOUR).not_scored == ()


def test_stems_that_nothing_is_known_of_are_named_as_not_scored():
    assert map_sources("net", (*FOUR, "crowd"), "song", FOUR).not_scored == ("crowd",)


def test_other_data_sets_go_by_their_names():
    assert mapped(("Music", "speech"), ("speech", "music"))["music"] == (("music",), ("Music",))


@pytest.mark.parametrize(
    ("gives", "has", "missing"),
    [
        (("vocals",), ("vocals", "accompaniment"), "accompaniment"),
        (("drums", "vocals"), FOUR, "bass, other"),
        (("drums", "bass", "vocals"), FOUR, "other"),  # the three are not the whole song
        (("drums", "bass", "guitar", "vocals"), FOUR, "other"),  # a guitar is not all of other
        (("drums", "bass", "vocals"), ("vocals", "accompaniment"), "accompaniment"),
        (("speech",), ("speech", "music"), "music"),
    ],
)
def test_what_is_missing_is_named(gives, has, missing):
    with pytest.raises(SepnbError, match=f"net gives {', '.join(gives)}, not the {missing} that 'song' has"):
        map_sources("net", gives, "song", has)


def test_stems_are_summed_by_name():
    stems = np.arange(3.0)[:, None, None] + np.zeros((3, 2, 4))
    summed = sum_stems(stems, ("a", "b", "c"), (("c",), ("a", "b", "c")))
    np.testing.assert_array_equal(summed[:, 0, 0], [2, 3])
