"""Allowances, against sums by hand."""

import pandas as pd

from sepnb.probing.allocator import MIB
from sepnb.probing.allowances import CUBLAS, CUBLAS_HOPPER, allowances
from sepnb.probing.cards import find_card
from sepnb.probing.setting import Setting
from sepnb.probing.trace import Trace


def step(*ops, blocks=((1000, -1, 9),), device="cuda"):
    """A step of operators (kind, phase, bytes, dtype) and blocks (size, born, died)."""
    table = pd.DataFrame(blocks, columns=["size", "born", "died"]).assign(role="activations")
    table["died"] = table["died"].clip(upper=len(ops))
    return Trace(Setting(1, 1.0, device=device), pd.DataFrame(ops, columns=["kind", "phase", "bytes", "dtype"]), table)


def test_a_cpu_needs_nothing():
    found = allowances(step(("matmul", "forward", 10, "fp32"), device="cpu"), find_card("t4"))
    assert (found.total, found.low, found.high) == (0, 0, 0)


def test_context_and_rounding():
    found = allowances(step(("pointwise", "forward", 10, "fp32")), find_card("t4"))
    assert found.context == 140 * MIB
    assert found.rounding == 24
    assert (found.cublas, found.convolution) == (0, 0)
    assert found.total == found.as_dict()["total"] == 140 * MIB + 24
    assert found.low < found.total < found.high


def test_each_thread_has_a_cublas_workspace():
    ops = [("matmul", "forward", 10, "fp32"), ("matmul", "backward", 10, "fp32"), ("matmul", "backward", 10, "fp32")]
    assert allowances(step(*ops[:1]), find_card("t4")).cublas == CUBLAS == 8_519_680
    assert allowances(step(*ops), find_card("t4")).cublas == 2 * CUBLAS
    assert allowances(step(*ops), find_card("h100")).cublas == 2 * CUBLAS_HOPPER == 64 * MIB


def test_only_what_a_convolution_adds_to_the_peak_counts():
    # The second operator has the peak, 1000 bytes more than the first, whose copies need 1500.
    blocks = [(1000, -1, 9), (1000, 1, 2)]
    ops = [("convolution", "forward", 1500, "fp16"), ("pointwise", "forward", 10, "fp16")]
    assert allowances(step(*ops, blocks=blocks), find_card("t4")).convolution == 500


def test_tensor_cores_make_copies_and_the_t4_has_none_for_fp32():
    ops = [("convolution", "backward", 1500, "fp32")]
    assert allowances(step(*ops), find_card("t4")).convolution == 0
    assert allowances(step(*ops), find_card("a100")).convolution == 1000
    assert allowances(step(("depthwise", "forward", 1500, "fp16")), find_card("t4")).convolution == 0
