"""The caching allocator, against sums by hand."""

import pandas as pd
import pytest

from sepnb.probing.allocator import MIB, simulate
from sepnb.probing.setting import Setting
from sepnb.probing.trace import Trace


def step(*blocks, ops):
    """A step of blocks (size, born, died)."""
    table = pd.DataFrame(blocks, columns=["size", "born", "died"]).assign(role="activations")
    return Trace(Setting(1, 1.0), pd.DataFrame({"operator": ["aten.x"] * ops}), table)


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        # A rest of 1 MiB or less stays with its block.
        (11 * MIB, 12 * MIB, 12 * MIB),
        (31 * MIB, 32 * MIB, 32 * MIB),
    ],
)
def test_rounding_and_segments(size, allocated, reserved):
    found = simulate(step((size, 0, 1), ops=1))
    assert (found.allocated_peak, found.reserved_peak, found.fits) == (allocated, reserved, True)


def test_small_blocks_share_a_segment_and_large_ones_another():
    found = simulate(step((MIB, 0, 1), (MIB, 0, 1), (9 * MIB, 0, 1), (9 * MIB, 0, 1), ops=1))
    assert found.reserved_peak == 2 * MIB + 20 * MIB


def test_free_neighbours_become_one():
    # Two halves of a 20 MiB segment (the rest of 2 MiB is cut off): only joined do they hold 20 MiB.
    found = simulate(step((9 * MIB, 0, 1), (9 * MIB, 0, 1), (20 * MIB, 1, 2), ops=2), steps=1)
    assert found.reserved_peak == 20 * MIB


def test_a_live_block_in_between_makes_fragments():
    # 40 MiB free in all, in two pieces of 20 around one of 2 MiB that stays.
    blocks = [(42 * MIB, 0, 1), (20 * MIB, 1, 2), (2 * MIB, 1, 3), (20 * MIB, 1, 2), (40 * MIB, 2, 3)]
    found = simulate(step(*blocks, ops=3), steps=1)
    assert found.allocated_peak == 42 * MIB
    assert found.reserved_peak == 82 * MIB


def test_unused_segments_are_given_back_before_it_fails():
    blocks = [(30 * MIB, 0, 1), (40 * MIB, 1, 2)]
    assert simulate(step(*blocks, ops=2)).reserved_peak == 70 * MIB
    tight = simulate(step(*blocks, ops=2), limit=50 * MIB)
    assert (tight.reserved_peak, tight.fits) == (40 * MIB, True)
    assert not simulate(step(*blocks, ops=2), limit=39 * MIB).fits


def test_a_second_step_takes_up_what_the_first_left():
    # Parameters stay, data come anew, and what a step leaves behind goes.
    blocks = [(30 * MIB, -1, 2), (20 * MIB, -1, 1), (20 * MIB, 1, 2)]
    found = simulate(step(*blocks, ops=2), steps=3)
    assert (found.allocated_peak, found.reserved_peak) == (50 * MIB, 50 * MIB)


def test_nothing_needs_nothing():
    assert simulate(step((0, 0, 1), ops=1)).reserved_peak == 0
