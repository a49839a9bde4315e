"""Questions that fake tensors have no answer to, and operators whose answer is known without asking."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from sepnb.errors import SepnbError

aten, prim = torch.ops.aten, torch.ops.prim

# Questions of truth in a step, beyond which it is taken for a loop that never ends.
PATIENCE = 10_000

# Gradients have the shapes of what they are gradients of: for each operator, which arguments its results are like, and
# which argument says which of the results are wanted. PyTorch would find that out by taking these operators apart.
_LIKE = {
    aten.convolution_backward.default: ((1, 2), 10),
    aten.native_group_norm_backward.default: ((1, 4, 4), 9),
    aten.native_layer_norm_backward.default: ((1, 5, 6), 7),
    aten.native_batch_norm_backward.default: ((1, 2, 2), 9),
    aten.gelu_backward.default: (1, None),
    aten.glu_backward.default: (1, None),
    aten.threshold_backward.default: (1, None),
}
# What Adam does to all weights at once, in place.
_UPDATES = {
    aten._foreach_addcdiv_.ScalarList,
    aten._foreach_addcmul_.Scalar,
    aten._foreach_lerp_.Scalar,
    aten._foreach_mul_.Scalar,
    aten._foreach_div_.ScalarList,
}


class Shortcuts(TorchDispatchMode):
    """Answers for fake tensors what code asks of values, and saves time where shapes are known.

    Demucs asserts that padding left the signal as it was: whatever is asked for its truth says yes. `torch.istft`
    compares a tensor with the answer "the windows add up to nothing somewhere": two tensors asked whether they are
    equal say no. A number asked for, a loudness say, is 1. Where a whole number is asked for, which may be a
    length, PyTorch's own error stands. Code that goes on asking, in a loop that waits for a value, is stopped.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing here is compiled: without this, PyTorch wraps each call to make sure of it, which takes longer.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is prim.device.default:
            return args[0].fake_device  # asked ten thousand times a step
        if func is aten.equal.default:
            return False
        if func is aten.is_nonzero.default:
            return True
        if func is aten._local_scalar_dense.default:
            self._asked += args[0].dtype == torch.bool
            if self._asked > PATIENCE:
                raise SepnbError("the network asks for the truth of tensors without end: fakes have no values")
            return _number(func, args[0])
        if func in _LIKE:
            return _gradients(func, args)
        if func in _UPDATES:
            return None  # changes numbers only
        return func(*args, **(kwargs or {}))


def _number(func: torch._ops.OpOverload, tensor: Tensor) -> bool | int | float:
    if tensor.constant is not None:
        with _disable_current_modes():
            return tensor.constant.item()
    if tensor.dtype == torch.bool:
        return True
    return 1.0 if tensor.is_floating_point() else func(tensor)


def _gradients(func: torch._ops.OpOverload, args: tuple) -> Tensor | tuple[Tensor | None, ...]:
    like, mask = _LIKE[func]
    if mask is None:
        return torch.empty_like(args[like])
    found = [torch.empty_like(args[place]) if wanted else None for place, wanted in zip(like, args[mask], strict=False)]
    if func is aten.convolution_backward.default:
        found.append(args[0].new_empty(args[3]) if args[mask][2] else None)
    return tuple(found)
