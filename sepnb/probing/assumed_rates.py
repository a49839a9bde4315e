"""What work costs on a device that is not at hand: shares of what its data sheet says, with a reason for each."""

import torch

from sepnb.probing.cards import Card
from sepnb.probing.rates import BATCHES, KINDS, WIDTHS, Rates

# Shares of a card's peak arithmetic that operators reach when they are wide enough: (low, typical, high).
_ARITHMETIC = {
    # cuBLAS in 32 bits comes within 70 to 90 % of the peak on large matrices, but a T4 under its 70 W cannot hold its
    # boost clock (1.59 GHz) and falls to 1 GHz and less (Jia et al. 2019, arXiv 1903.07486, measured it); networks'
    # matrices are not all large.
    "matmul": (0.3, 0.55, 0.85),
    # cuDNN's implicit products: 3 × 3 kernels do as well as products, long thin ones with strides much worse.
    "convolution": (0.15, 0.35, 0.7),
    # Scattered writes forwards, and as the gradient of a convolution.
    "transposed": (0.12, 0.3, 0.6),
    # Several small products beside each other; libraries have few kernels for them, and lay tensors out anew.
    "grouped": (0.08, 0.2, 0.5),
    # A filter for each channel has no product in it: its bytes decide, and cuDNN's kernels for it are poor.
    "depthwise": (0.01, 0.04, 0.15),
    # FlashAttention reaches 25 to 73 % forwards and backwards, by its generation (Dao 2023, arXiv 2307.08691); the
    # memory-efficient kernels that older cards run reach less.
    "attention": (0.15, 0.3, 0.6),
    # The part that is no loop: products over all steps at once. For the loop see `_recurrent`.
    "recurrent": (0.25, 0.5, 0.85),
    # cuFFT is bound by its bytes.
    "fft": (0.05, 0.15, 0.3),
}
# 16-bit and TF32 peaks are those of tensor cores, which wait for memory more often: 20 to 50 % in practice where 32
# bits reach twice that share.
_TENSOR_CORES = 0.6
# How much of that is left where the smallest side of a product is narrow, by the classes of WIDTHS: 32 to 128 channels
# are the tiles that kernels are made for; with fewer, most of a tile is empty.
_NARROW = {1: 0.05, 8: 0.2, 32: 0.6, 128: 1.0}
# The gradients of a convolution are two more convolutions, of which that for the weights sums over all places.
_BACKWARD = {"convolution": 0.85, "transposed": 0.85, "grouped": 0.7, "depthwise": 0.5, "attention": 0.7}
# Shares of the bandwidth of memory. 70 to 85 % is what plain kernels reach; norms read their input twice; a layer's
# inputs are also laid out anew for tensor cores.
_BANDWIDTH = dict.fromkeys(KINDS, (0.45, 0.65, 0.85)) | {
    "pointwise": (0.65, 0.78, 0.88),
    "optimizer": (0.6, 0.75, 0.85),
    "normalisation": (0.35, 0.55, 0.75),
    "reduction": (0.4, 0.6, 0.85),
    "fft": (0.35, 0.55, 0.8),
}
# Copies that gather and add one by one are bound by the memory's lines, not by its bandwidth.
_SCATTERED = 0.4
# Random numbers are drawn by a single thread of a CPU, some ten nanoseconds each.
_CPU_RANDOM = 0.5e9
# What a card of today may do of which nothing is known, and how many times more or less that may be.
_MIDDLING, _GUESS = ({"fp32": 1e13, "fp16": 4e13, "bf16": 4e13}, 5e11), 4.0
# Seconds that a kernel takes at least (3 to 5 µs on all of these cards), and that Python, autograd and PyTorch need to
# send an operator to the card: some 10 µs on a fast CPU, 20 on the slow two cores of Colab.
_KERNEL, _HOST = 4e-6, 15e-6
# A time step of a cuDNN layer: a launch, a product of few rows, the gates (15 to 40 µs for small layers).
_STEP = 25e-6
# A CPU without a calibration: two fused multiply-adds of 8 numbers a clock at 3 GHz for each thread (AVX2), and what
# one memory channel moves in practice for each thread, of which caches give more.
_CPU_ARITHMETIC, _CPU_BANDWIDTH, _CPU_OPERATOR = 2 * 2 * 8 * 3e9, 6e9, 10e-6
# A step of a GRU there is some 50 operators forwards; of an LSTM, one round of a loop in its kernel.
_CPU_STEPS = {"loop": 50 * _CPU_OPERATOR, "kernel": 10e-6}


def assumed_rates(card: Card) -> Rates:
    """Typical rates of a card, from its data sheet; of a CPU, from what processors of today have.

    Convolutions and recurrent layers in 32 bits run in TF32 where a card has it, as PyTorch lets them by default.
    A card of which no figures are known is taken for a middling one; its range is wide, and so is that of a CPU.
    """
    cpu = card.name == "cpu"
    arithmetic, bandwidth = card.arithmetic, card.bandwidth
    if cpu:
        threads = torch.get_num_threads()
        arithmetic, bandwidth = {"fp32": threads * _CPU_ARITHMETIC}, threads * _CPU_BANDWIDTH
    known = bool(arithmetic and bandwidth)
    if not known:
        arithmetic, bandwidth = _MIDDLING
    costs = {}
    for precision in ("fp32", "fp16", "bf16"):
        for kind in _ARITHMETIC:
            costs |= _flops(kind, precision, arithmetic, bandwidth, cpu)
    for kind, (_, share, _) in _BANDWIDTH.items():
        for direction in ("forward", "backward"):
            byte = 1 / (share * bandwidth)
            costs[f"byte {kind} large {direction} plain"] = byte
            if cpu and kind == "pointwise":
                costs[f"byte {kind} large {direction} random"] = 1 / _CPU_RANDOM
            if kind == "copy":
                costs[f"byte {kind} large {direction} scattered"] = byte / _SCATTERED
    for phase in ("forward", "backward", "optimizer"):
        costs[f"operator {phase}"] = _CPU_OPERATOR if cpu else _KERNEL
    # The way back is told of a GPU as two kernels (inputs, weights), of a CPU as one.
    for direction, times in (("forward", 1), ("backward", 2 if cpu else 1)):
        for loop, seconds in _CPU_STEPS.items():
            costs[f"step recurrent {loop} {direction}"] = times * (seconds if cpu else _STEP)
    shares = {**_BANDWIDTH, **_ARITHMETIC}
    wider = 1 if known and not cpu else _GUESS
    spread = {kind: (typical / high / wider, wider * typical / low) for kind, (low, typical, high) in shares.items()}
    return Rates(card.name, card.title, False, costs, spread, host=0.0 if cpu else _HOST)


def _flops(kind: str, precision: str, arithmetic: dict[str, float], bandwidth: float, cpu: bool) -> dict[str, float]:
    """Seconds a FLOP of one kind in one precision; none where the card has no such arithmetic."""
    plain = kind in ("depthwise", "fft")  # no products in them: ordinary arithmetic in any precision
    tensor_cores = precision != "fp32" and not plain
    peak = arithmetic.get("fp32" if plain and precision in arithmetic else precision)
    if precision == "fp32" and kind in ("convolution", "transposed", "grouped", "recurrent") and "tf32" in arithmetic:
        peak, tensor_cores = arithmetic["tf32"], True
    if peak is None:
        return {}
    share = _ARITHMETIC[kind][1] * (_TENSOR_CORES if tensor_cores else 1)
    costs = {}
    for direction in ("forward", "backward"):
        rate = peak * share * (_BACKWARD.get(kind, 1.0) if direction == "backward" else 1.0)
        if kind == "recurrent":
            costs |= _recurrent(precision, direction, rate, bandwidth)
            continue
        # A filter for each channel, and an FFT, are not products: there is no side to be narrow.
        for width in WIDTHS:
            narrow = 1.0 if kind in ("depthwise", "fft") else _NARROW[width] ** (0.5 if cpu else 1.0)
            costs[f"flop {kind} {precision} {direction} {width}"] = 1 / (rate * narrow)
    return costs


def _recurrent(precision: str, direction: str, rate: float, bandwidth: float) -> dict[str, float]:
    """Seconds a FLOP of a recurrent layer, of which a part is done step by step and the rest in large products.

    At each step the weights of the state are read, for two FLOPs a weight and example: with few examples, that is bound
    by memory. Where a cache holds the weights it is taken to be three times as fast. Half of the forward FLOPs are such
    a loop (as many inputs as states), and a quarter of the backward ones: the gradients of all weights, and of the
    inputs, are large products again.
    """
    looped = 0.5 if direction == "forward" else 0.25
    size = 4 if precision == "fp32" else 2
    costs = {}
    for batch in BATCHES:
        for held, faster in (("cached", 3.0), ("uncached", 1.0)):
            step = min(rate, faster * _BANDWIDTH["recurrent"][1] * bandwidth * 2 * batch / size)
            for loop in ("kernel", "loop"):
                costs[f"flop recurrent {precision} {direction} {loop} {held} {batch}"] = (
                    looped / step + (1 - looped) / rate
                )
    return costs
