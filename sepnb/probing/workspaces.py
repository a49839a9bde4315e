"""What an operator holds beside its inputs and results, for as long as it runs: no tensor of PyTorch's shows it.

On a CPU, convolutions are oneDNN's. It works on tensors whose channels come in groups of eight or sixteen, and makes
such copies of what it is given; where channels do not divide so, it writes each output's inputs side by side
("columns") and multiplies matrices. The rules are read off the allocations of torch 2.13 with AVX2, where
they are right to the kilobyte for the convolutions that decided a step's peak; which way oneDNN takes depends on the
processor. On a GPU it is cuDNN's workspace instead, which is an allowance of its own (`allowances`).
"""

import math

import torch
from torch import Tensor

aten = torch.ops.aten

# PyTorch's kernels give complex numbers for complex numbers: the magnitudes are picked from a result twice as large
# (`unary_op_impl_with_complex_to_float_out` in its aten/src/ATen/native/UnaryOps.cpp, whatever the device).
_FROM_COMPLEX = {aten.abs, aten.angle}
# Numbers that the smallest of oneDNN's blocked layouts keeps together.
_BLOCK = 8
# From this many examples on, PyTorch calls oneDNN for any convolution (`use_mkldnn` in its
# aten/src/ATen/native/Convolution.cpp).
_MANY = 16


def workspace(func: torch._ops.OpOverload, args: tuple, device: str) -> int:
    """Bytes that an operator holds on a device ("cpu", "cuda") while it runs, beside what goes in and comes out."""
    if func.overloadpacket in _FROM_COMPLEX and args[0].is_complex():
        return _size(args[0])
    if func.overloadpacket is aten.convolution_backward and device == "cpu":
        return _convolution_backward(args)
    return 0


def _convolution_backward(args: tuple) -> int:
    coming, inputs, weights = args[:3]
    stride, groups = args[4], args[9]
    channels, kernel = inputs.shape[1], weights.shape[2:]
    if 1 < groups < channels and (weights.shape[1] % _BLOCK or coming.shape[1] // groups % _BLOCK):
        # Each thread has columns of its own, for one example and one group.
        at_once = min(torch.get_num_threads(), inputs.shape[0] * groups)
        numbers = weights.shape[1] * math.prod(kernel) * math.prod(coming.shape[2:])
        return at_once * numbers * inputs.element_size()
    if groups > 1:
        return _size(inputs) if groups == channels else _size(inputs) + _size(coming)
    if torch.get_num_threads() == 1 and inputs.shape[0] < _MANY and all(each == 1 for each in (*kernel, *stride)):
        # A plain product of matrices, without oneDNN.
        return 0
    # Copies of both for the weights' gradient, or one of the weights (for either gradient), whichever is more.
    return max(_size(inputs) + _size(coming), _size(weights))


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
