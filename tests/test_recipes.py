"""Recipes are plain values: they can be varied, written down and read again, and refuse what cannot be."""

import json
from dataclasses import replace

import pytest

from sepnb.augment import Augment
from sepnb.errors import SepnbError
from sepnb.training.recipes import RECIPES, Recipe, find_recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_goes_through_json_and_back(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_every_value_goes_through_json_and_back():
    augment = Augment(gain_db=(-3.0, 1.0), speed=(0.8, 1.2), eq_db=6.0, mute=0.1, drive=0.2, reverb=0.3, mono=0.4)
    recipe = Recipe("odd", 3, None, accumulate=2, settings={"width": 8, "norm": "group"}, augment=augment, songs=5)
    again = Recipe.from_dict(json.loads(json.dumps(recipe.as_dict())))
    assert again == recipe
    assert isinstance(again.augment.speed, tuple)


def test_a_recipe_of_another_version_is_refused_by_name():
    values = RECIPES["toy-minute"].as_dict()
    with pytest.raises(SepnbError, match="recipe toy-minute: no setting width"):
        Recipe.from_dict({**values, "width": 16})
    with pytest.raises(SepnbError, match="augmentation: no setting echo"):
        Recipe.from_dict({**values, "augment": {"echo": 1}})


def test_a_recipe_is_found_by_name_or_refused_with_those_there_are():
    assert find_recipe("compact").model == "compact"
    with pytest.raises(SepnbError, match="no recipe 'toy-5s'; there are toy-minute, .*toy-3s, toy-30s, .*compact"):
        find_recipe("toy-5s")


@pytest.mark.parametrize(
    ("names", "lengths"),
    [
        (("toy-3s", "toy-30s"), (3.0, 30.0)),
        (("toy-3s", "toy-6s"), (3.0, 6.0)),
        (("toy-3s-short", "toy-30s-short"), (3.0, 30.0)),
    ],
)
def test_short_and_long_chunks_hear_the_same_music_and_are_judged_on_the_same(names, lengths):
    short, long = (find_recipe(name) for name in names)
    assert (short.seconds, long.seconds) == lengths
    assert short.batch_size * short.seconds == long.batch_size * long.seconds
    assert (short.valid_seconds or short.seconds) == (long.valid_seconds or long.seconds)
    # Nothing else may differ.
    same = {"name": "", "seconds": 1.0, "batch_size": 1, "valid_seconds": 1.0}
    assert replace(short, **same) == replace(long, **same)


def test_toy_and_compact_of_a_minute_hear_the_same_batches():
    same = {
        "name": "",
        "epochs": 1,
        "steps_per_epoch": 1,
        "learning_rate": 1.0,
        "warmup_steps": 0,
        "model": "",
        "settings": {},
    }
    assert replace(find_recipe("toy-minute"), **same) == replace(find_recipe("compact-minute"), **same)


def test_seconds_heard_are_of_recipes_that_fix_their_steps():
    recipe = replace(find_recipe("toy-minute"), epochs=2, steps_per_epoch=10, batch_size=4, seconds=1.5)
    assert recipe.seconds_heard == 2 * 10 * 4 * 1.5
    with pytest.raises(SepnbError, match="depends on the songs"):
        _ = replace(recipe, steps_per_epoch=None).seconds_heard


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs is a number from 1 up, not 0"),
        ({"batch_size": None}, "batch_size is a number from 1 up, not None"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is a number from 1 up"),
        ({"songs": 2.5}, "songs is a number from 1 up, not 2.5"),
        ({"seconds": 0.0}, "seconds is above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is above 0, not nan"),
        ({"clip": -1.0}, "clip is above 0"),
        ({"valid_seconds": 0.0}, "valid_seconds is above 0, not 0.0"),
        ({"weight_decay": -0.1}, "weight_decay is 0 or more"),
        ({"ema": 1.0}, "ema is from 0 to below 1, not 1.0"),
        ({"batch_size": 4, "accumulate": 3}, "a batch of 4 cannot be computed in 3 equal parts"),
    ],
)
def test_values_that_cannot_be_are_refused_with_the_recipes_name(change, said):
    with pytest.raises(SepnbError, match=f"recipe toy-minute: {said}"):
        replace(find_recipe("toy-minute"), **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mute": 1.5}, "mute is a probability, 0 to 1, not 1.5"),
        ({"gain_db": (2.0, -2.0)}, "gain_db is a lowest and a highest value"),
        ({"speed": (1.0,)}, "speed is a lowest and a highest value"),
        ({"speed": (0.0, 1.0)}, "a speed is a factor above 0"),
        ({"eq_db": -1.0}, "eq_db is the largest change in dB"),
    ],
)
def test_augmentation_that_cannot_be_is_refused(change, said):
    with pytest.raises(SepnbError, match=said):
        Augment(**change)
