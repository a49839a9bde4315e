"""What CUDA needs beside a step's tensors: an allowance, with a low and a high figure, and where each is from.

None of this is in a trace, which knows the tensors only. Figures are from public logs and from PyTorch's own code; the
choice of cuDNN's algorithms cannot be known without the card, so its share is a range that starts at nothing.
"""

from dataclasses import asdict, dataclass

import numpy as np

from sepnb.probing.allocator import MIB, round_up
from sepnb.probing.cards import Card
from sepnb.probing.trace import Trace

# What a process holds on a card of a compute capability beyond what PyTorch's allocator has reserved: low, typical and
# high, in MiB. It is the CUDA context and the kernels loaded so far, so it grows with the number of multiprocessors.
CONTEXT = {
    (7, 0): (360, 380, 800),
    (7, 5): (120, 140, 300),
    (8, 0): (480, 510, 800),
    (8, 9): (230, 250, 430),
    (9, 0): (490, 530, 800),
}
# A card that we have no log of.
CONTEXT_UNKNOWN = (120, 400, 800)

# cuBLAS's workspace for each of PyTorch's handles: 2 pieces of 4096 KiB and 8 of 16; 32 MiB on Hopper and Blackwell.
CUBLAS = (2 * 4096 + 8 * 16) * 1024
CUBLAS_HOPPER = 32 * MIB
# cublasLt's own, where it does not share the other one.
CUBLAS_LT = MIB

SOURCES = {
    "context": (
        "process memory less what PyTorch allocated and reserved, in messages of running out of memory: T4 0.12 to "
        "0.14 GiB (github.com/facebookresearch/tribev2/issues/28, github.com/FoundationVision/GenerateU/issues/10, "
        "github.com/Zheng-Chong/CatVTON/issues/133), L4 0.23 to 0.26 (github.com/ArcInstitute/evo2/issues/190), "
        "V100 0.37 (public training logs), A100 0.49 to 0.51 (github.com/TianheWu/CoSeR/issues/10), H200 0.51 to "
        "0.65 (public training logs). High: before kernels were loaded lazily (CUDA 11.7) it was two to three times "
        "as much (github.com/pytorch/pytorch/pull/86509: 287 against 667 MB)"
    ),
    "cublas": (
        "PyTorch's aten/src/ATen/cuda/CublasHandlePool.cpp: a workspace for each handle and stream, 8.125 MiB, or "
        "32 MiB from compute capability 9 (see CUBLAS_WORKSPACE_CONFIG); handles belong to threads, and the "
        "backward pass runs in a thread of its own. High: cublasLt with 1 MiB of its own, as before they shared one"
    ),
    "convolution": (
        "low: algorithms without a workspace. Typical: tensor cores want channels last (NVIDIA, Convolutional "
        "Layers User's Guide), so cuDNN copies what a call reads and writes into that order; only what this adds to "
        "the peak counts. High: twice that, and the same copy in 32 bits for other algorithms. PyTorch sets no "
        "limit, but where a workspace does not fit it takes the next algorithm "
        "(aten/src/ATen/native/cudnn/Conv_v8.cpp), so this alone does not end a run. An estimate of ours, not "
        "measured on a card"
    ),
    "rounding": (
        "PyTorch's allocator rounds every block to 512 bytes (c10/core/AllocatorConfig.h); exact, from the trace"
    ),
}

# Operators that call cuBLAS, and those that call cuDNN's convolutions; depthwise ones run on PyTorch's own kernels.
PRODUCTS = ("matmul", "attention")
CONVOLUTIONS = ("convolution", "transposed", "grouped")


@dataclass(frozen=True)
class Allowances:
    """Bytes beside the tensors of a step, each part at its typical figure; all zero on a CPU."""

    # Held outside of PyTorch's allocator: it makes the card smaller, and torch.cuda.memory_allocated does not show it.
    context: int
    # Held inside, so part of torch.cuda.max_memory_allocated.
    cublas: int
    convolution: int
    rounding: int
    # The sum, at its least and at its most.
    low: int
    high: int
    # Where the parts are from, by name.
    sources: dict[str, str]

    @property
    def allocated(self) -> int:
        """The parts that PyTorch's allocator counts."""
        return self.cublas + self.convolution + self.rounding

    @property
    def total(self) -> int:
        """The sum of the typical figures."""
        return self.context + self.allocated

    def as_dict(self) -> dict:
        """For a report: parts, total, low, high and sources."""
        return asdict(self) | {"total": self.total}


def allowances(trace: Trace, card: Card) -> Allowances:
    """What a step needs on a card beyond `trace.peak`, in bytes. A trace for the CPU needs nothing."""
    if trace.setting.device == "cpu":
        return Allowances(0, 0, 0, 0, 0, 0, sources={})
    context = [size * MIB for size in CONTEXT.get(card.capability, CONTEXT_UNKNOWN)]
    cublas, cublas_high = _cublas(trace, card)
    convolution, convolution_high = _convolution(trace, card)
    rounding = _rounding(trace)
    return Allowances(
        context=context[1],
        cublas=cublas,
        convolution=convolution,
        rounding=rounding,
        low=context[0] + cublas + rounding,
        high=context[2] + cublas_high + convolution_high + rounding,
        sources=SOURCES,
    )


def _cublas(trace: Trace, card: Card) -> tuple[int, int]:
    """Typical and high: a workspace for each thread that multiplies matrices."""
    phases = trace.ops.loc[trace.ops["kind"].isin(PRODUCTS), "phase"]
    # The optimizer runs in the thread of the forward pass.
    threads = phases.replace("optimizer", "forward").nunique()
    size = CUBLAS_HOPPER if card.capability is not None and card.capability >= (9, 0) else CUBLAS
    return threads * size, threads * (size + CUBLAS_LT)


def _convolution(trace: Trace, card: Card) -> tuple[int, int]:
    """Typical and high: what copies of a convolution's tensors add to the peak."""
    ops = trace.ops
    if not len(ops):
        return 0, 0
    # The backward pass is two calls, each with two of the three tensors that the operator reads and writes.
    share = np.where(ops["phase"] == "backward", 2 / 3, 1.0)
    copies = np.where(ops["kind"].isin(CONVOLUTIONS), ops["bytes"] * share, 0)
    tensor_cores = ops["dtype"].isin(("fp16", "bf16")) | ("tf32" in card.arithmetic)
    typical = np.where(tensor_cores, copies, 0)
    held = trace.curve()
    return tuple(int((held + workspace).max()) - trace.peak for workspace in (typical, typical + copies))


def _rounding(trace: Trace) -> int:
    """What rounding adds to the blocks that are held at the peak."""
    blocks = trace.blocks
    held = blocks.loc[(blocks["born"] <= trace.peak_at) & (blocks["died"] > trace.peak_at), "size"]
    return int((round_up(held) - held).sum())
