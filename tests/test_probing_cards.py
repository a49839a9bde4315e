"""Cards: names, units, and what must be there."""

import pytest

from sepnb.errors import SepnbError
from sepnb.probing.cards import CARDS, cpu_card, find_card


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("t4", "t4"),
        ("Tesla T4", "t4"),
        ("nvidia l4", "l4"),
        ("V100", "v100-16gb"),
        ("Tesla V100-SXM2-32GB", "v100-32gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("A100 40 GB", "a100-40gb"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
    ],
)
def test_names_are_forgiving(spelling, name):
    assert find_card(spelling) is CARDS[name]


def test_an_unknown_card_lists_what_there_is():
    with pytest.raises(SepnbError, match="no card 'gtx 1080'; there are t4, l4, .*h200"):
        find_card("gtx 1080")


def test_units_and_precisions():
    t4 = find_card("t4")
    assert t4.memory == int(14.56 * 2**30)
    assert t4.bandwidth == 320e9
    assert t4.arithmetic == {"fp32": pytest.approx(8.1e12), "fp16": pytest.approx(65e12)}
    assert t4.capability == (7, 5)
    for card in CARDS.values():
        new = card.capability >= (8, 0)
        assert ("bf16" in card.arithmetic) == ("tf32" in card.arithmetic) == new
        assert {"memory", "bandwidth", "arithmetic"} <= set(card.sources)


def test_the_cpu_has_memory_and_no_rates():
    card = cpu_card()
    assert card.memory > 0 and card.title
    assert (card.bandwidth, card.arithmetic, card.capability) == (None, {}, None)
