"""Under autocast, CPU tensors take the types that CUDA's would, and only for as long as they are told to."""

import pytest
import torch
from probed import FLOAT, of, traced
from torch import nn
from torch.nn import functional as F

from sepnb.probing.autocasting import IN_32_BITS, cuda_rules

HALF = FLOAT // 2


def halves(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.float16)


# From PyTorch's list "CUDA Ops that can autocast to float32".
WIDENED = {
    "group_norm": lambda: F.group_norm(halves(2, 4, 8), 2, halves(4), halves(4)),
    "layer_norm": lambda: F.layer_norm(halves(2, 8), (8,), halves(8), halves(8)),
    "softmax": lambda: halves(2, 8).softmax(-1),
    "log_softmax": lambda: halves(2, 8).log_softmax(-1),
    "softplus": lambda: F.softplus(halves(8)),
    "sum": lambda: halves(8).sum(),
    "sum of an axis": lambda: halves(2, 8).sum(1),
    "cumsum": lambda: halves(8).cumsum(0),
    "norm": lambda: halves(8).norm(),
    "exp": lambda: halves(8).exp(),
    "log": lambda: halves(8).log(),
    "power": lambda: halves(8) ** 3,
    "power of a tensor": lambda: halves(8) ** halves(8),
    "rsqrt": lambda: halves(8).rsqrt(),
    "l1_loss": lambda: F.l1_loss(halves(8), halves(8)),
    "mse_loss": lambda: F.mse_loss(halves(8), halves(8)),
}
# Those that run in 16 bits, and those that keep the type that comes.
NARROW = {
    "conv1d": lambda: F.conv1d(torch.ones(1, 2, 8), torch.ones(2, 2, 3)),
    "conv_transpose2d": lambda: F.conv_transpose2d(torch.ones(1, 2, 8, 8), torch.ones(2, 2, 3, 3)),
    "linear": lambda: F.linear(torch.ones(2, 4), torch.ones(3, 4)),
    "matmul": lambda: torch.ones(2, 4) @ torch.ones(4, 2),
    "attention": lambda: F.scaled_dot_product_attention(*[torch.ones(1, 1, 4, 8)] * 3),
    "relu": lambda: halves(8).relu(),
    "add": lambda: halves(8) + halves(8),
    "gelu": lambda: F.gelu(halves(8)),
}


@pytest.mark.parametrize("name", WIDENED)
def test_what_cuda_computes_in_32_bits(name):
    with cuda_rules("fp16"), torch.autocast("cpu", torch.float16):
        assert WIDENED[name]().dtype == torch.float32


@pytest.mark.parametrize("name", NARROW)
def test_what_stays_or_goes_in_16_bits(name):
    with cuda_rules("fp16"), torch.autocast("cpu", torch.float16):
        assert NARROW[name]().dtype == torch.float16


def types(precision: torch.dtype) -> dict[str, torch.dtype]:
    with torch.autocast("cpu", precision):
        return {name: run().dtype for name, run in {**WIDENED, **NARROW}.items()}


def test_afterwards_the_cpus_own_rules_are_back():
    before = types(torch.float16)
    assert before["softmax"] == torch.float16, "a CPU has other rules; else there is nothing to test here"
    with cuda_rules("fp16"):
        within = types(torch.float16)
    assert within != before
    assert types(torch.float16) == before
    with pytest.raises(ZeroDivisionError), cuda_rules("bf16"):
        _ = 1 / 0
    assert types(torch.float16) == before


def test_without_autocast_nothing_changes():
    with cuda_rules("fp16"):
        assert halves(8).exp().dtype == torch.float16
    with cuda_rules("fp32"), torch.autocast("cpu", torch.bfloat16):
        assert torch.ones(8).bfloat16().exp().dtype == torch.bfloat16


def test_every_operator_of_the_list_is_taken_over():
    # A name that PyTorch does not know (any longer) would be an error here.
    with cuda_rules("bf16"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key("aten::group_norm", "AutocastCPU")
    for name in IN_32_BITS:
        packet, _, overload = name.partition(".")
        assert getattr(getattr(torch.ops.aten, packet), overload or "default")


def test_gradients_come_back_in_the_weights_type():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4), nn.Softmax(-1))
    with cuda_rules("bf16"):
        with torch.autocast("cpu", torch.bfloat16):
            out = network(torch.randn(1, 2, 16))
            loss = (out * torch.randn(1, 4, 14)).sum()
        loss.backward()
    assert out.dtype == torch.float32
    for weights in network.parameters():
        assert weights.grad.dtype == torch.float32
        assert weights.grad.isfinite().all()
    assert network[0].weight.grad.abs().sum() > 0


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128, bias=False), nn.ReLU(), nn.Linear(128, 32, bias=False))


def test_16_bit_copies_of_the_weights_are_kept_and_activations_halve():
    batch = 1000
    full, half = (traced(chain, 64, batch=batch, device="cuda", precision=precision) for precision in ("fp32", "fp16"))
    where = [int((one.ops["phase"] == "forward").sum()) - 1 for one in (full, half)]
    kept = [int(one.curve("activations")[at]) for one, at in zip((full, half), where, strict=True)]
    assert kept[0] == batch * 128 * FLOAT + FLOAT  # what the ReLU puts out; and the loss
    # The same in 16 bits, the mixture's 16-bit copy, and that of the second layer's weights, which its input's
    # gradient is made of. The first layer's copy is gone with autocast: the mixture has no gradient.
    assert kept[1] == (batch * 128 + batch * 64 + 128 * 32) * HALF + FLOAT
    # Weights, gradients and the optimizer stay as they are.
    for role in ("parameters", "optimizer"):
        assert half.curve(role).max() == full.curve(role).max()
    assert half.curve("gradients").max() == full.curve("gradients").max()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_products_are_written_down_in_16_bits_and_norms_in_32(precision):
    build = lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4), nn.Linear(30, 8))  # noqa: E731
    trace = traced(build, 2, 32, device="cuda", precision=precision)
    for phase in ("forward", "backward"):
        assert {row["dtype"] for row in of(trace, "aten.convolution", phase)} == {precision}
        assert {row["dtype"] for row in of(trace, "mm", phase)} == {precision}
        assert {row["dtype"] for row in of(trace, "group_norm", phase)} == {"fp32"}
    assert set(trace.ops[trace.ops["phase"] == "optimizer"]["dtype"]) == {"fp32"}


def test_on_a_cpu_norms_stay_in_16_bits():
    build = lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4))  # noqa: E731
    (norm,) = of(traced(build, 2, 32, device="cpu", precision="bf16"), "group_norm", "forward")
    assert norm["dtype"] == "bf16"


def test_a_checkpointed_block_computes_again_in_the_same_types():
    build = lambda: nn.Sequential(nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4)), nn.Conv1d(4, 2, 1))  # noqa: E731
    trace = traced(build, 2, 32, device="cuda", precision="fp16", checkpoint=1)
    again = [row for row in of(trace, "native_group_norm.default") if row["phase"] == "backward"]
    assert [row["dtype"] for row in again] == ["fp32"]
