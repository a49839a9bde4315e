"""The page of a listening test: it asks, writes down, goes on, and tells nobody what is what. No browser is needed."""

import io
import json
import warnings

import ipywidgets as widgets
import numpy as np
import pytest
import soundfile
from listening_blind import SYSTEMS, made_items

from sepnb.listening.blind.answers import read_answers
from sepnb.listening.blind.design import QUESTIONS, abx_design, rating_design
from sepnb.listening.blind.widget import BlindTest


@pytest.fixture(scope="module")
def items():
    return made_items()


@pytest.fixture
def abx(items):
    return abx_design(items, repetitions=2, seed=1)


@pytest.fixture
def rating(items):
    return rating_design(items, seed=1)


def parts(test: widgets.Widget, kind: type) -> list:
    """All widgets of a kind in a test, in the order of the page."""
    found = []

    def walk(widget):
        if isinstance(widget, kind):
            found.append(widget)
        for child in getattr(widget, "children", ()):
            walk(child)

    walk(test)
    return found


def button(test) -> widgets.Button:
    return parts(test, widgets.Button)[0]


def words(test) -> str:
    return " ".join(part.value for part in parts(test, widgets.HTML))


def mixer(test):
    return test.children[1]


def choose(test, answer):
    parts(test, widgets.ToggleButtons)[0].value = answer


def rate_all(test, points=lambda label: 50):
    for slider in parts(test, widgets.IntSlider):
        slider.value = points(slider.description)


def test_an_abx_trial_asks_and_writes_down_what_was_said(abx, tmp_path):
    test = BlindTest(abx, "Ann", tmp_path)
    assert (test.done, test.count) == (0, 4)
    right = []
    for number in range(4):
        assert f"Trial {number + 1} of 4: vocals" in words(test)
        assert button(test).disabled
        trial = test.trial
        choose(test, "A")
        right.append(trial.answer == "A")
        assert not button(test).disabled
        button(test).click()
        table = read_answers(test.path)  # it is there before the next trial is answered
        assert list(table["correct"]) == right
        assert list(table["number"]) == list(range(1, number + 2))
    assert test.trial is None
    assert "Thank you. All 4 answers are in" in words(test)
    assert str(test.path) in words(test)
    assert not parts(test, widgets.Button)


def test_the_player_plays_what_the_labels_stand_for(abx, rating, tmp_path):
    for design, labels in ((abx, ["A", "B", "X"]), (rating, ["Reference", "1", "2", "3", "4"])):
        test = BlindTest(design, "Ann", tmp_path)
        config = mixer(test).config
        assert config["blind"]
        assert [system["name"] for system in config["systems"]] == labels
        assert [sound["system"] for sound in config["sounds"]] == labels
        hidden = {"Reference": "reference", **test.trial.labels}
        for label, sound in zip(labels, mixer(test)._encoded.sounds, strict=True):
            heard = soundfile.read(io.BytesIO(sound.data), dtype="float32", always_2d=True)[0].T
            np.testing.assert_allclose(heard, test.trial.item.sounds[hidden[label]], atol=2 / 32768)


def test_two_trials_with_opposite_answers_look_alike(items, tmp_path):
    test, looks = BlindTest(abx_design(items[:1], repetitions=8), "Ann", tmp_path), {}
    for _ in range(test.count):
        looks[test.trial.answer, test.trial.labels["A"]] = json.dumps(mixer(test).config)
        choose(test, "A")
        button(test).click()
    assert len(looks) == 4
    assert len(set(looks.values())) == 1


@pytest.mark.parametrize("kind", ["abx", "rating"])
def test_nothing_that_goes_to_the_browser_says_what_is_what(kind, abx, rating, tmp_path):
    design = {"abx": abx, "rating": rating}[kind]
    test = BlindTest(design, "Ann", tmp_path)
    for _ in range(test.count):
        states = [part.get_state() for part in parts(test, widgets.Widget)]
        sent = json.dumps(states, default=str)
        for name in (*SYSTEMS, *(json.dumps(name)[1:-1] for name in SYSTEMS)):
            assert name not in sent
        assert test.trial.id not in sent
        config = mixer(test).config
        for sound in config["sounds"]:
            assert "bytes" not in sound  # X has as many as that of A and B which it is
        assert {gain for system in config["systems"] for gain in system["match_db"].values()} == {0.0}
        assert "MB" not in config["note"]
        assert "mixture" not in sent
        if kind == "abx":
            choose(test, "B")
        else:
            rate_all(test)
        button(test).click()


def test_next_waits_until_every_slider_was_moved(rating, tmp_path):
    test = BlindTest(rating, "Ann", tmp_path)
    sliders = parts(test, widgets.IntSlider)
    assert len(sliders) == 4 * len(QUESTIONS)
    for slider in sliders:
        assert button(test).disabled
        slider.value = 40
    assert not button(test).disabled
    assert "is there none with a quality of 100?" in words(test)  # a reminder, no more
    sliders[0].value = 100
    assert "of 100?" not in words(test)
    for question in QUESTIONS.values():
        assert question.split(":")[0] in words(test)
    for word in ("bad", "poor", "fair", "good", "excellent"):
        assert words(test).count(f">{word}<") == 3


def test_ratings_are_written_to_the_sound_that_was_heard(rating, tmp_path):
    test = BlindTest(rating, "Ann", tmp_path)
    first = test.trial
    places = {label: number for number, label in enumerate(first.labels)}
    for place, slider in enumerate(parts(test, widgets.IntSlider)):
        slider.value = 10 * places[slider.description] + place // 4 + 1  # four sounds to a question
    button(test).click()
    table = read_answers(tmp_path).set_index(["system", "question"])["rating"]
    for label, condition in first.labels.items():
        for number, question in enumerate(QUESTIONS):
            assert table[condition, question] == 10 * places[label] + number + 1


def test_a_stopped_test_goes_on_where_it_was(abx, tmp_path):
    test = BlindTest(abx, "Ann", tmp_path)
    choose(test, "A")
    button(test).click()
    waiting = test.trial
    again = BlindTest(abx, " Ann ", tmp_path)
    assert again.trial.id == waiting.id
    assert "Trial 2 of 4" in words(again)
    assert BlindTest(abx, "Bob", tmp_path).done == 0


def test_a_second_click_answers_nothing(rating, tmp_path):
    test = BlindTest(rating, "Ann", tmp_path)
    rate_all(test)
    button(test).click()
    button(test).click()  # sent before the browser knew that Next is disabled
    assert test.done == 1
    assert read_answers(tmp_path)["trial"].nunique() == 1


def test_an_answer_that_cannot_be_written_is_not_lost(abx, tmp_path):
    (tmp_path / "answers").write_text("a file where a folder has to be", encoding="utf-8")
    test = BlindTest(abx, "Ann", tmp_path / "answers")
    waiting = test.trial
    choose(test, "A")
    button(test).click()
    assert "The answer could not be written to" in words(test)
    assert test.trial is waiting
    (tmp_path / "answers").unlink()
    button(test).click()
    assert len(read_answers(tmp_path / "answers")) == 1


def test_names_are_text_and_never_markup(tmp_path):
    design = abx_design(made_items(1, targets=("<script>alert(1)</script>",)), repetitions=1)
    test = BlindTest(design, "<b>Ann</b>", tmp_path)
    assert "<script>" not in words(test)
    assert "&lt;script&gt;" in words(test)
    choose(test, "A")
    button(test).click()
    assert "<b>" not in words(test)


def test_volume_stays_and_what_was_shown_is_closed(abx, tmp_path):
    test = BlindTest(abx, "Ann", tmp_path)
    old = mixer(test)
    old.volume, old.playing = 0.3, True
    choose(test, "A")
    button(test).click()
    assert mixer(test) is not old
    assert mixer(test).volume == 0.3
    assert not mixer(test).playing
    assert old.comm is None


def test_a_finished_test_says_so_when_it_is_opened_again(abx, tmp_path):
    test = BlindTest(abx, "Ann", tmp_path)
    while test.trial is not None:
        choose(test, "B")
        button(test).click()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = BlindTest(abx, "Ann", tmp_path)
    assert "Thank you" in words(again)
