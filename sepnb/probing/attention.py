"""Attention as a GPU runs it: in one kernel that never keeps who looks at whom."""

from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# Where the probability of dropout stands among the arguments.
_DROPOUT = {F.scaled_dot_product_attention: 4, F.multi_head_attention_forward: 10}


class FusedAttention(TorchFunctionMode):
    """Lets attention with dropout run in the fused kernel too, as on a GPU.

    On a CPU, PyTorch's fused kernel knows no dropout, and falls back to products that keep the whole matrix of weights,
    frames times frames. On a GPU both fused kernels do know it (FlashAttention from compute capability 8, memory-
    efficient attention before: pytorch.org/docs, `scaled_dot_product_attention`) and keep only the seed of the random
    numbers. Attention whose weights are asked for (`need_weights`) stays as it is: no fused kernel has them.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        place = _DROPOUT.get(func)
        if func is F.multi_head_attention_forward and kwargs.get("need_weights", True):
            place = None
        if place is not None:
            if len(args) > place:
                args = (*args[:place], 0.0, *args[place + 1 :])
            elif "dropout_p" in kwargs:
                kwargs["dropout_p"] = 0.0
        return func(*args, **kwargs)
