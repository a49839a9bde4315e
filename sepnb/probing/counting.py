"""What an operator costs: its kind, its floating-point operations, and the bytes that it reads and writes."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten

# Operators by what limits them. What is in none of these works through its tensors number by number: "pointwise".
_CONVOLUTIONS = {aten.convolution, aten.convolution_backward}
_PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm}
_ATTENTION = {
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention_for_cpu_backward,
}
_TRANSFORMS = {aten._fft_r2c, aten._fft_c2r, aten._fft_c2c}
_NORMALISATIONS = {
    aten.native_group_norm,
    aten.native_group_norm_backward,
    aten.native_layer_norm,
    aten.native_layer_norm_backward,
    aten.native_batch_norm,
    aten.native_batch_norm_backward,
    aten._native_batch_norm_legit,
    aten.cudnn_batch_norm,
}
_REDUCTIONS = {aten.sum, aten.mean, aten.std, aten.var, aten.var_mean, aten.amax, aten.max, aten.norm}
_COPIES = {
    aten.clone,
    aten.copy_,
    aten._to_copy,
    aten.cat,
    aten.stack,
    aten.constant_pad_nd,
    aten.reflection_pad1d,
    aten.reflection_pad1d_backward,
    aten.slice_backward,
    aten.select_backward,
    aten.as_strided_scatter,
    aten.unfold_backward,
    aten.repeat,
    aten.roll,
    aten.flip,
    aten.index,
    aten.index_put,
    aten.index_put_,
    aten.index_add,
    aten.index_add_,
    aten.fill_,
    aten.zero_,
    aten.zeros,
    aten.zeros_like,
    aten.new_zeros,
    aten.ones,
    aten.ones_like,
    aten.full,
    aten.full_like,
}
# Memory is taken, and nothing happens in it.
_EMPTY = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided}
_KINDS = (
    (_CONVOLUTIONS, "convolution"),
    (_PRODUCTS, "matmul"),
    (_ATTENTION, "attention"),
    (_TRANSFORMS, "fft"),
    (_NORMALISATIONS, "normalisation"),
    (_REDUCTIONS, "reduction"),
    (_COPIES, "copy"),
)
_KIND_OF = {operator: kind for operators, kind in _KINDS for operator in operators}
_PRECISION = {torch.float16: "fp16", torch.bfloat16: "bf16"}


def kind_of(func: torch._ops.OpOverload, args: tuple) -> str:
    """Which sort of work an operator does; see `Trace.ops`."""
    kind = _KIND_OF.get(func.overloadpacket, "pointwise")
    if kind != "convolution":
        return kind
    shift = 1 if func.overloadpacket is aten.convolution_backward else 0
    weight = args[1 + shift]
    transposed, groups = (args[7], args[9]) if shift else (args[6], args[8])
    if groups > 1 and groups == weight.shape[0]:
        return "depthwise"
    if groups > 1:
        return "grouped"
    return "transposed" if transposed else "convolution"


def flops_of(func: torch._ops.OpOverload, args: tuple, kwargs: dict, out: object) -> int:
    """Floating-point operations, two for a multiplication with its addition.

    Matrix products and attention as torch.utils.flop_counter counts them; convolutions by our own count, since that
    counter (torch 2.13) makes the gradient of a grouped one as many times too large as there are groups; FFTs as
    5 n log2 n, half of it for real signals (the usual convention, fftw.org/speed); anything else as one operation for
    each number that it makes.
    """
    packet = func.overloadpacket
    if packet is aten._scaled_dot_product_flash_attention_for_cpu:
        return sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
    if packet is aten._scaled_dot_product_flash_attention_for_cpu_backward:
        return sdpa_backward_flop_count(*(tensor.shape for tensor in args[:4]))
    if packet in _CONVOLUTIONS:
        return _convolution_flops(packet, args, out)
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=out))
    if packet in _TRANSFORMS:
        # The longer side: half of a real signal's spectrum says nothing new and is not there.
        numbers = max(args[0].numel(), out.numel())
        length = max(math.prod(tensor.shape[axis] for axis in args[1]) for tensor in (args[0], out))
        operations = 5 * numbers * math.log2(max(2, length))
        return int(operations if packet is aten._fft_c2c else operations / 2)
    if packet in _EMPTY or packet in _COPIES:
        return 0
    return sum(tensor.numel() for tensor in _written(func, args, out))


def _convolution_flops(packet: torch._ops.OpOverloadPacket, args: tuple, out: object) -> int:
    """Each weight meets each place of the shorter side once; the gradients of both factors cost as much."""
    if packet is aten.convolution:
        (image, weight), transposed, made, times = args[:2], args[6], out, 1
    else:
        (made, image, weight), transposed, wanted = args[:3], args[7], args[10]
        times = int(wanted[0]) + int(wanted[1])
    places = (image if transposed else made).shape
    return 2 * times * weight.numel() * places[0] * math.prod(places[2:])


def bytes_of(func: torch._ops.OpOverload, args: tuple, kwargs: dict, out: object) -> int:
    """Bytes read from its inputs and written to its outputs, each tensor once; none where memory is only taken."""
    if func.overloadpacket in _EMPTY:
        return 0
    read = {id(tensor): tensor for tensor in tensors_in((args, *kwargs.values()))}
    return sum(map(_size, (*read.values(), *_written(func, args, out))))


def precision_of(args: tuple) -> str:
    """What the arithmetic is done in: the type of the first floating-point input."""
    for tensor in tensors_in(args):
        if tensor.is_floating_point():
            return _PRECISION.get(tensor.dtype, "fp32")
    return "fp32"


def narrowest(func: torch._ops.OpOverload, kind: str, args: tuple) -> int:
    """The smallest dimension of a product: what keeps a processor from filling its units. 0 for anything else."""
    if kind in ("convolution", "transposed", "grouped", "depthwise"):
        # (outputs, inputs of a group, …), or the other way round where transposed.
        weight = args[2 if func.overloadpacket is aten.convolution_backward else 1]
        groups = args[9 if func.overloadpacket is aten.convolution_backward else 8]
        return min(weight.shape[0] // groups, weight.shape[1])
    if kind == "matmul":
        left, right = args[-2:] if func.overloadpacket in (aten.addmm, aten.baddbmm) else args[:2]
        return min(*left.shape[-2:], *right.shape[-2:])
    if kind == "attention":
        return min(tensor.shape[-1] for tensor in args[:3])
    return 0


def _written(func: torch._ops.OpOverload, args: tuple, out: object) -> list[Tensor]:
    written = list(tensors_in(out))
    # What changes a list of tensors in place gives nothing back: the list comes first.
    return list(tensors_in(args[:1])) if not written and func._schema.is_mutable else written


def tensors_in(values: object) -> Iterable[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)


def _size(tensor: Tensor) -> int:
    # An expanded tensor has more numbers than there are in memory.
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
