"""Time of traced steps: by hand on made traces, for assumed and for given rates."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from sepnb.errors import SepnbError
from sepnb.probing.assumed_rates import assumed_rates
from sepnb.probing.cards import CARDS, cpu_card, find_card
from sepnb.probing.rates import KINDS, Rates
from sepnb.probing.setting import Setting
from sepnb.probing.timing import SMALL, step_time, work
from sepnb.probing.trace import Trace

BIG = 100 * SMALL


def made_trace(*ops: dict, **setting) -> Trace:
    usual = {"operator": "aten.mm.default", "kind": "matmul", "phase": "forward", "flops": 0, "bytes": BIG}
    usual |= {"dtype": "fp32", "narrow": 0, "steps": 0}
    blocks = pd.DataFrame({"size": [], "born": [], "died": [], "role": []})
    return Trace(Setting(1, 1.0, **setting), pd.DataFrame([usual | op for op in ops]), blocks)


def made_rates(**changes) -> Rates:
    costs = {
        "flop matmul fp32 forward 128": 1e-12,
        "flop matmul fp32 forward 8": 1e-11,
        "byte matmul large forward plain": 1e-11,
        "byte pointwise large forward plain": 2e-11,
        "byte optimizer large forward plain": 1e-11,
        "operator forward": 1e-5,
        "operator backward": 2e-5,
        "operator optimizer": 3e-5,
    }
    values = {"card": "t4", "title": "NVIDIA T4", "calibrated": True, "costs": costs}
    values |= {"spread": dict.fromkeys(KINDS, (0.8, 1.5))}
    return Rates(**(values | changes))


def test_arithmetic_memory_and_start_of_an_operator_add_up():
    traced = made_trace({"flops": 10**12, "narrow": 200, "bytes": BIG})
    assert step_time(traced, made_rates()).seconds == pytest.approx(1 + BIG * 1e-11 + 1e-5)


def test_a_memory_bound_operator_takes_its_bytes():
    traced = made_trace({"kind": "pointwise", "operator": "aten.add.Tensor", "flops": 10**9, "bytes": 10**11})
    assert step_time(traced, made_rates()).seconds == pytest.approx(2, rel=1e-4)


def test_many_small_operators_take_their_starts():
    traced = made_trace(*1000 * [{"kind": "pointwise", "operator": "aten.add.Tensor", "bytes": 4, "phase": "backward"}])
    assert step_time(traced, made_rates()).seconds == pytest.approx(1000 * 2e-5, rel=1e-4)


def test_a_narrow_product_is_slower():
    wide, narrow = (step_time(made_trace({"flops": 10**12, "narrow": n}), made_rates()).seconds for n in (128, 20))
    assert narrow == pytest.approx(wide + 9)


def test_memory_that_is_only_taken_costs_nothing():
    assert step_time(made_trace({"bytes": 0, "operator": "aten.empty.memory_format"}), made_rates()).seconds == 0


def test_kinds_and_phases_add_up_to_the_step_and_the_range_is_ordered():
    ops = [{"flops": 10**11, "narrow": 200}, {"kind": "pointwise", "operator": "aten.add.Tensor", "phase": "backward"}]
    step = step_time(made_trace(*ops), made_rates())
    assert sum(step.by_kind.values()) == pytest.approx(step.seconds)
    assert sum(step.by_phase.values()) == pytest.approx(step.seconds)
    assert step.low == pytest.approx(0.8 * step.seconds)
    assert step.high == pytest.approx(1.5 * step.seconds)
    assert step.calibrated
    assert step.as_dict()["by_phase"]["optimizer"] == 0


def test_accumulation_repeats_all_but_the_optimizer():
    ops = [
        {"flops": 10**12, "narrow": 200},
        {"kind": "optimizer", "phase": "optimizer", "operator": "aten.add_.Tensor"},
    ]
    one = step_time(made_trace(*ops), made_rates())
    four = step_time(made_trace(*ops, accumulate=4), made_rates())
    assert four.by_phase["forward"] == pytest.approx(4 * one.by_phase["forward"])
    assert four.by_phase["optimizer"] == pytest.approx(one.by_phase["optimizer"])


def test_a_gpu_is_no_faster_than_the_host_that_feeds_it():
    ops = 100 * [{"kind": "pointwise", "operator": "aten.add.Tensor", "bytes": 4}]
    step = step_time(made_trace(*ops), made_rates(host=1e-3))
    assert step.host_bound
    assert step.seconds == pytest.approx(0.1)
    assert step.low < step.seconds < step.high


def test_what_is_recomputed_in_the_backward_phase_is_a_forward_operator():
    done = work(made_trace({"flops": 10**6, "narrow": 200, "phase": "backward"}).ops)
    assert "flop matmul fp32 forward 128" in set(done["sort"])


def test_weights_that_no_cache_holds_are_another_sort_of_recurrence():
    lstm = {"operator": "aten.mkldnn_rnn_layer.default", "kind": "recurrent", "narrow": 2, "steps": 100}
    small, large = (2 * 100 * 2 * hidden**2 * 8 for hidden in (100, 2000))
    done = work(made_trace(lstm | {"flops": small}, lstm | {"flops": large}).ops)
    sorts = set(done["sort"])
    assert {"flop recurrent fp32 forward kernel cached 2", "flop recurrent fp32 forward kernel uncached 2"} <= sorts
    assert done[done["sort"] == "step recurrent kernel forward"]["amount"].sum() == 200


def test_rates_of_another_card_are_refused():
    with pytest.raises(SepnbError, match="NVIDIA T4, not of NVIDIA L4"):
        step_time(made_trace({}), made_rates(), find_card("l4"))


def test_an_unknown_sort_costs_what_the_most_similar_one_does():
    assert made_rates().cost("flop matmul fp16 forward 8") == 1e-11
    assert made_rates().cost("flop matmul fp32 backward 32") == 1e-11
    with pytest.raises(SepnbError, match="calibrate again"):
        made_rates().cost("flop attention fp32 forward 8")


@pytest.mark.parametrize("name", [*CARDS, "cpu"])
def test_assumed_rates_are_within_what_the_card_can_do(name):
    card = cpu_card() if name == "cpu" else CARDS[name]
    rates = assumed_rates(card)
    assert not rates.calibrated
    assert all(0 < cost < float("inf") for cost in rates.costs.values())
    for sort, cost in rates.costs.items():
        if name != "cpu" and sort.startswith("flop"):
            assert 1 / cost < max(card.arithmetic.values())
        if name != "cpu" and sort.startswith("byte"):
            assert 1 / cost < card.bandwidth
    assert all(fast <= 1 <= slow for fast, slow in rates.spread.values())
    step = step_time(made_trace({"flops": 10**12, "narrow": 512}), rates, card)
    assert step.low < step.seconds < step.high


def test_a_t4_is_faster_in_16_bits_and_an_a100_uses_tf32_for_convolutions_only():
    t4, a100 = (assumed_rates(find_card(name)) for name in ("t4", "a100-40gb"))
    assert t4.cost("flop convolution fp16 forward 128") < t4.cost("flop convolution fp32 forward 128") / 2
    assert a100.cost("flop convolution fp32 forward 128") < a100.cost("flop matmul fp32 forward 128") / 2


def test_an_unknown_card_is_a_guess_within_a_wide_range():
    guess = assumed_rates(replace(find_card("t4"), name="new", arithmetic={}, bandwidth=None))
    known = assumed_rates(find_card("t4"))
    for kind, (low, high) in guess.spread.items():
        assert low < known.spread[kind][0] / 2
        assert high > known.spread[kind][1] * 2


def test_rates_come_back_from_their_file(tmp_path):
    rates = made_rates(threads=torch.get_num_threads(), torch=torch.__version__)
    rates.save(tmp_path / "rates.json")
    assert Rates.load(tmp_path / "rates.json", "NVIDIA T4") == rates
    assert rates.table().set_index("sort").loc["matmul fp32 forward 128", "rate"] == pytest.approx(1e12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": "NVIDIA L4"}, "rates are of NVIDIA L4"),
        ({"threads": 1000}, "measured with 1000 threads"),
        ({"torch": "1.13.1"}, "PyTorch's major version"),
    ],
)
def test_rates_of_another_device_are_not_loaded(tmp_path, changes, words):
    here = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    made_rates(**(here | changes)).save(tmp_path / "rates.json")
    with pytest.raises(SepnbError, match=words):
        Rates.load(tmp_path / "rates.json", "NVIDIA T4")


def test_a_file_that_is_not_of_rates_is_refused(tmp_path):
    with pytest.raises(SepnbError, match="no rates here"):
        Rates.load(tmp_path / "none.json")
    for text in ("", "[]", '{"card": "t4"}', '{"spread": {}, "costs": {}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(SepnbError, match="not a file of rates"):
            Rates.load(tmp_path / "bad.json")
