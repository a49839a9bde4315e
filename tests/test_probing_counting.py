"""Operations and bytes of operators, by hand and against PyTorch's own counter."""

import math

import pytest
import torch
from probed import FLOAT, Run, of, traced
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode


def only(trace, operator: str, phase: str) -> dict:
    (row,) = of(trace, operator, phase)
    return row


def test_a_linear_layer_by_hand():
    trace = traced(lambda: nn.Sequential(nn.Linear(10, 4, bias=False), nn.Linear(4, 6, bias=False)), 7, 10, batch=2)
    first, second = of(trace, "mm", "forward")
    rows = 2 * 7
    assert (first["kind"], first["flops"]) == ("matmul", 2 * rows * 10 * 4)
    assert first["bytes"] == (rows * 10 + 10 * 4 + rows * 4) * FLOAT
    assert (first["narrow"], second["narrow"]) == (4, 4)
    # The gradients of both factors for the second layer; the mixture needs none.
    assert sorted(row["flops"] for row in of(trace, "mm", "backward")) == [2 * rows * 4 * 6] * 2 + [2 * rows * 10 * 4]


def test_a_convolution_by_hand():
    trace = traced(lambda: nn.Conv1d(3, 8, 5, stride=2), 3, 101, batch=4)
    row = only(trace, "aten.convolution.default", "forward")
    steps = (101 - 5) // 2 + 1
    assert (row["kind"], row["flops"], row["narrow"]) == ("convolution", 2 * 4 * steps * 8 * 3 * 5, 3)
    assert row["bytes"] == (4 * 3 * 101 + 8 * 3 * 5 + 8 + 4 * 8 * steps) * FLOAT
    back = only(trace, "convolution_backward", "backward")
    assert back["flops"] == row["flops"], "the weights' gradient is needed and the mixture's is not"


def test_a_transposed_convolution_by_hand():
    trace = traced(lambda: nn.Sequential(nn.Conv1d(6, 6, 1), nn.ConvTranspose1d(6, 2, 8, stride=4)), 6, 50)
    row = of(trace, "aten.convolution.default", "forward")[1]
    assert (row["kind"], row["flops"], row["narrow"]) == ("transposed", 2 * 50 * 6 * 2 * 8, 2)
    back = of(trace, "convolution_backward", "backward")[0]
    assert (back["kind"], back["flops"]) == ("transposed", 2 * row["flops"])


@pytest.mark.parametrize(
    ("build", "kind", "weights_at_a_place", "narrow"),
    [
        (lambda: nn.Conv1d(6, 6, 3, padding=1, groups=6), "depthwise", 6 * 3, 1),
        (lambda: nn.Conv1d(6, 12, 3, padding=1, groups=3), "grouped", 12 * 2 * 3, 2),
        (lambda: nn.ConvTranspose1d(6, 6, 3, padding=1, groups=6), "depthwise", 6 * 3, 1),
        (lambda: nn.ConvTranspose1d(6, 12, 3, padding=1, groups=3), "grouped", 6 * 4 * 3, 2),
    ],
    ids=["depthwise", "grouped", "depthwise transposed", "grouped transposed"],
)
def test_groups_by_hand_and_what_pytorchs_counter_makes_of_them(build, kind, weights_at_a_place, narrow):
    trace = traced(lambda: nn.Sequential(nn.Conv1d(6, 6, 1), build()), 6, 50)
    row = of(trace, "aten.convolution.default", "forward")[1]
    assert (row["kind"], row["flops"], row["narrow"]) == (kind, 2 * 50 * weights_at_a_place, narrow)
    # The gradients of input and weights cost as much again, each: not as many times that as there are groups.
    back = of(trace, "convolution_backward", "backward")[0]
    assert back["flops"] == 2 * row["flops"]


def test_pytorchs_counter_makes_grouped_gradients_too_large():
    # Should this fail one day, PyTorch has mended it, and `counting` can let it count convolutions.
    groups, layer = 6, nn.Conv1d(6, 6, 3, padding=1, groups=6)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(1, 6, 50, requires_grad=True)).sum().backward()
    counts = counter.get_flop_counts()["Global"]
    forward, backward = counts[torch.ops.aten.convolution], counts[torch.ops.aten.convolution_backward]
    assert forward == 2 * 50 * 6 * 3
    assert backward == forward + groups * forward, "the weights' gradient is counted once a group"


def test_what_pytorchs_counter_gets_right_is_the_same_here():
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv1d(2, 16, 8, stride=4), nn.ReLU(), nn.ConvTranspose1d(16, 8, 8, stride=4), nn.Linear(1000, 30)
        )

    with FlopCounterMode(display=False) as counter:
        build()(torch.zeros(3, 2, 1000)).sum().backward()
    ops = traced(build, 2, 1000, batch=3).ops
    products = ops[ops["kind"].isin(["convolution", "transposed", "matmul"])]
    assert products["flops"].sum() == counter.get_total_flops()


def attend(**how):
    return lambda: Run(
        lambda self, x: F.scaled_dot_product_attention(*[self.layer(x)] * 3, **how), layer=nn.Linear(16, 16, bias=False)
    )


def test_attention_by_hand():
    heads, frames, width = 2, 30, 16
    trace = traced(attend(), heads, frames, width)
    row = only(trace, "attention", "forward")
    # Who looks at whom, and what they see: two products.
    assert (row["kind"], row["flops"], row["narrow"]) == ("attention", 2 * (2 * heads * frames * frames * width), width)
    back = only(trace, "attention", "backward")
    # The first product again, and the gradients of both factors of both.
    assert (back["kind"], back["flops"]) == ("attention", 5 * 2 * heads * frames * frames * width)


@pytest.mark.parametrize(("device", "kept"), [("cuda", False), ("cpu", True)])
def test_attention_with_dropout_keeps_no_matrix_on_a_gpu(device, kept):
    heads, frames, width = 2, 500, 16
    trace = traced(attend(dropout_p=0.1), heads, frames, width, device=device)
    assert bool(of(trace, "_scaled_dot_product_flash_attention", "forward")) is not kept
    matrix = heads * frames * frames * FLOAT
    assert (trace.at_peak()["activations"] > matrix) is kept


def test_a_layers_attention_is_fused_where_nobody_asks_for_its_weights():
    def build(need_weights: bool):
        def run(self, x):
            return self.layer(x, x, x, need_weights=need_weights)[0]

        return lambda: Run(run, layer=nn.MultiheadAttention(16, 2, dropout=0.1, batch_first=True))

    trace = {asked: traced(build(asked), 300, 16, device="cuda") for asked in (False, True)}
    assert of(trace[False], "_scaled_dot_product_flash_attention", "forward")
    assert not of(trace[True], "_scaled_dot_product_flash_attention")
    assert trace[True].peak - trace[False].peak > 2 * 300 * 300 * FLOAT


def test_transforms_by_the_usual_convention():
    def run(self, x):
        return torch.fft.irfft(torch.fft.rfft(self.layer(x))) + torch.fft.fft(torch.complex(x, x)).real

    trace = traced(lambda: Run(run, layer=nn.Linear(64, 64)), 10, 64, batch=3)
    rows = {row["operator"]: row for row in of(trace, "_fft", "forward")}
    assert {row["kind"] for row in rows.values()} == {"fft"}
    whole = int(5 * 3 * 10 * 64 * math.log2(64))
    assert rows["aten._fft_c2c.default"]["flops"] == whole
    assert rows["aten._fft_r2c.default"]["flops"] == rows["aten._fft_c2r.default"]["flops"] == whole / 2


@pytest.mark.parametrize(
    ("run", "operator", "kind", "flops", "numbers"),
    [
        (lambda self, x: self.layer(x).relu(), "relu", "pointwise", 40, 2 * 40),
        (lambda self, x: self.layer(x).softmax(-1), "_softmax", "pointwise", 40, 2 * 40),
        (lambda self, x: self.layer(x) + 1, "add", "pointwise", 40, 2 * 40),
        (lambda self, x: self.layer(x).mean(-1), "mean", "reduction", 5, 40 + 5),
        (lambda self, x: torch.cat([self.layer(x), x]), "cat", "copy", 0, 4 * 40),
        (lambda self, x: F.pad(self.layer(x), (2, 2)), "constant_pad_nd", "copy", 0, 40 + 60),
        (lambda self, x: self.layer(x).t().contiguous(), "clone", "copy", 0, 2 * 40),
    ],
    ids=["relu", "softmax", "add", "mean", "cat", "pad", "contiguous"],
)
def test_other_operators_by_hand(run, operator, kind, flops, numbers):
    row = of(traced(lambda: Run(run, layer=nn.Linear(8, 8)), 8, batch=5), f"aten.{operator}.", "forward")[0]
    assert (row["kind"], row["flops"], row["bytes"]) == (kind, flops, numbers * FLOAT)
    assert (row["narrow"], row["steps"], row["dtype"]) == (0, 0, "fp32")


def test_norms_have_a_kind_of_their_own():
    build = lambda: nn.Sequential(nn.GroupNorm(1, 4), nn.BatchNorm1d(4), nn.LayerNorm(16))  # noqa: E731
    trace = traced(build, 4, 16, batch=2)
    for phase in ("forward", "backward"):
        rows = of(trace, "norm", phase)
        assert [row["kind"] for row in rows] == ["normalisation"] * 3


def test_what_is_expanded_is_read_once():
    # A gain of four numbers, seen as if it were 100 times as many.
    trace = traced(
        lambda: Run(lambda self, x: x + self.layer.weight.expand(100, 4), layer=nn.Linear(4, 1)), 4, batch=100
    )
    assert of(trace, "add", "forward")[0]["bytes"] == (2 * 400 + 4) * FLOAT


def test_memory_that_is_only_taken_costs_nothing():
    trace = traced(lambda: Run(lambda self, x: self.layer(x) + x.new_empty(5, 8), layer=nn.Linear(8, 8)), 8, batch=5)
    (row,) = of(trace, "new_empty", "forward")
    assert (row["flops"], row["bytes"]) == (0, 0)


def test_all_of_the_optimizers_work_is_of_one_kind():
    ops = traced(lambda: nn.Linear(30, 30), 30).ops
    assert set(ops[ops["phase"] == "optimizer"]["kind"]) == {"optimizer"}
    assert "optimizer" not in set(ops[ops["phase"] != "optimizer"]["kind"])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_optimizer_reads_and_writes_each_weight_so_often(device):
    weights = 100 * 100
    ops = traced(lambda: nn.Linear(100, 100, bias=False), 100, device=device).ops
    optimizer = ops[ops["phase"] == "optimizer"]
    # Two averages (3 numbers a weight; 2 and 3), a root, that divided, something added, an update (4); and the count.
    numbers = 3 + 2 + 3 + 2 + 2 + 2 + 4
    assert optimizer["bytes"].sum() / FLOAT / weights == pytest.approx(numbers, abs=0.01)
    assert optimizer["flops"].sum() / weights == pytest.approx(7, abs=0.01)


def test_what_is_given_twice_is_read_once():
    row = of(traced(lambda: Run(lambda self, x: self.layer(x) @ x.t(), layer=nn.Linear(8, 8)), 8, batch=5), "mm")[1]
    same = of(traced(lambda: Run(lambda self, x: (y := self.layer(x)) * y, layer=nn.Linear(8, 8)), 8, batch=5), "mul")[
        0
    ]
    assert row["bytes"] == (40 + 40 + 25) * FLOAT
    assert same["bytes"] == (40 + 40) * FLOAT
