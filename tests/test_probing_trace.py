"""A trace adds up its blocks of memory, and a setting refuses what cannot be run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepnb.errors import SepnbError
from sepnb.probing.setting import Setting
from sepnb.probing.trace import ROLES, Trace

SETTING = Setting(batch=2, segment=1.5)


def made_up(blocks: list[tuple[int, int, int, str]], flops: list[int]) -> Trace:
    ops = pd.DataFrame({"operator": ["aten.mul.Tensor"] * len(flops), "flops": flops})
    return Trace(SETTING, ops, pd.DataFrame(blocks, columns=["size", "born", "died", "role"]))


@pytest.fixture
def by_hand() -> Trace:
    blocks = [
        (100, -1, 4, "parameters"),
        (7, -1, 1, "data"),  # gone when the second operator is done
        (50, 0, 3, "activations"),
        (30, 1, 2, "temporaries"),
        (20, 3, 4, "gradients"),  # outlives the step
    ]
    return made_up(blocks, [1, 2, 3, 4])


def test_the_curve_holds_each_block_from_its_birth_to_its_end(by_hand):
    assert by_hand.curve().tolist() == [157, 180, 150, 120]
    assert by_hand.curve("activations").tolist() == [50, 50, 50, 0]
    assert by_hand.curve("optimizer").tolist() == [0, 0, 0, 0]


def test_the_peak_is_the_curves_highest_point_and_says_what_is_held_there(by_hand):
    assert (by_hand.peak_at, by_hand.peak) == (1, 180)
    held = by_hand.at_peak()
    assert list(held) == list(ROLES)
    assert {role: size for role, size in held.items() if size} == {
        "parameters": 100,
        "activations": 50,
        "temporaries": 30,
    }


def test_roles_add_up_to_the_whole(by_hand):
    assert (sum(by_hand.curve(role) for role in ROLES) == by_hand.curve()).all()
    assert by_hand.flops == 10


def test_what_came_and_went_before_the_first_operator_is_never_held():
    assert made_up([(10**9, -1, 0, "data"), (1, -1, 1, "data")], [0]).peak == 1


def test_bytes_are_whole_numbers_beyond_32_bits():
    trace = made_up([(2**40, -1, 1, "parameters"), (1, 0, 1, "temporaries")], [2**50])
    assert (trace.peak, trace.flops) == (2**40 + 1, 2**50)
    assert trace.curve().dtype == np.int64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch": 0}, "0 segments of 1.5 s.*more than zero"),
        ({"segment": 0.0}, "2 segments of 0.0 s.*more than zero"),
        ({"segment": -1.0}, "more than zero"),
        ({"accumulate": 0}, "0 batches a step"),
        ({"precision": "fp8"}, "no precision 'fp8'; there are fp32, fp16, bf16"),
        ({"device": "tpu"}, "no device 'tpu' to model; there are cuda, cpu"),
        ({"checkpoint": -1}, "checkpoint is -1"),
        ({"trainable": 0.0}, "trainable 0.0.*more than 0 and at most 1"),
        ({"width": 1.5}, "width 1.5.*at most 1"),
        ({"segment": float("nan")}, "nan s"),
        ({"segment": float("inf")}, "inf s"),
    ],
)
def test_a_setting_refuses_what_cannot_be_run(change, said):
    with pytest.raises(SepnbError, match=said):
        replace(SETTING, **change)
