"""CUDA's rules of autocast, played on CPU tensors.

Autocast on a CPU and on a GPU agree on what runs in 16 bits (convolutions, matrix products, attention, recurrent
layers), and keep copies of the weights in the same way, but not on what goes back to 32 bits. On a GPU that is far
more: norms, softmax, losses, exponentials and powers, whose 32-bit copies take memory. The lists are those of PyTorch's
aten/src/ATen/autocast_mode.h and of docs.pytorch.org/docs/stable/amp.html ("CUDA Ops that can autocast to float32").
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

# Those of CUDA's list that a CPU runs in the type that comes.
IN_32_BITS = (
    "acos",
    "asin",
    "cosh",
    "cumprod",
    "cumsum",
    "erfinv",
    "exp",
    "expm1",
    "group_norm",
    "layer_norm",
    "linalg_vector_norm",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_softmax.int",
    "logsumexp",
    "native_layer_norm",
    "norm.Scalar",
    "norm.ScalarOpt_dim",
    "pow.Tensor_Scalar",
    "pow.Tensor_Tensor",
    "reciprocal",
    "rsqrt",
    "sinh",
    "softmax.int",
    "softplus",
    "sum",
    "sum.dim_IntList",
    "tan",
)
_HALVES = (torch.float16, torch.bfloat16)


@contextmanager
def cuda_rules(precision: str) -> Iterator[None]:
    """Within, autocast on CPU tensors follows CUDA's rules. In 32 bits there is no autocast, and nothing to do."""
    if precision == "fp32":
        yield
        return
    library = torch.library.Library("aten", "IMPL")
    for name in IN_32_BITS:
        packet, _, overload = name.partition(".")
        operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
        library.impl(name, _in_32_bits(operator), "AutocastCPU", allow_override=True)
    try:
        yield
    finally:
        library._destroy()


def _in_32_bits(operator: Callable) -> Callable:
    def run(*args: object, **kwargs: object) -> object:
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)):
            args, kwargs = tree_map_only(Tensor, _widen, (args, kwargs))
            return operator(*args, **kwargs)

    return run


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _HALVES else tensor
