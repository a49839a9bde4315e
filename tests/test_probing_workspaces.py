"""What an operator holds while it runs, beside what goes in and comes out, against PyTorch's own allocations."""

import pytest
import torch
from torch import nn

from sepnb.probing.workspaces import workspace

backward = torch.ops.aten.convolution_backward.default


def arguments(layer, length):
    """Those of a layer's backward pass, for one example."""
    inputs = torch.randn(1, layer.in_channels, *length)
    coming = torch.randn_like(layer(inputs))
    ends = ([0] * len(length), layer.groups, [True, True, False])
    return (coming, inputs, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.transposed, *ends)


def held(operator, args):
    """Bytes at the worst moment of an operator, beside what it gives back."""
    with torch.no_grad(), torch.autograd.profiler.profile(profile_memory=True) as profiler:
        out = operator(*args)
    out = out if isinstance(out, tuple) else (out,)
    live = peak = 0
    for event in profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak - sum(tensor.nbytes for tensor in out if tensor is not None)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1, bias=False),
        nn.Conv2d(56, 56, 3, padding=1, groups=4, bias=False),
    ],
    ids=["plain", "transposed", "in groups that fill no block"],
)
def test_the_rule_agrees_with_what_is_allocated(layer):
    args = arguments(layer, (128, 64))
    assert workspace(backward, args, "cpu") == pytest.approx(held(backward, args), rel=0.05)


def test_one_thread_multiplies_where_nothing_is_next_to_anything():
    args = arguments(nn.Conv1d(64, 32, 1, bias=False), (1000,))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert workspace(backward, args, "cpu") == held(backward, args) == 0
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("operator", [torch.ops.aten.abs.default, torch.ops.aten.angle.default])
def test_magnitudes_and_phases_are_picked_from_complex_results(operator):
    spectrum = torch.randn(100, 100, dtype=torch.complex64)
    assert workspace(operator, (spectrum,), "cpu") == held(operator, (spectrum,)) == spectrum.nbytes
    assert workspace(operator, (spectrum.real,), "cpu") == 0


def test_other_operators_and_a_gpus_convolutions_have_none_of_it():
    assert workspace(torch.ops.aten.mm.default, (torch.ones(3, 3), torch.ones(3, 3)), "cpu") == 0
    assert workspace(backward, arguments(nn.Conv1d(16, 16, 3), (100,)), "cuda") == 0
