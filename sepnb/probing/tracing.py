"""One step on fake tensors: every operator and every block of memory is seen, and nothing is computed.

Under PyTorch's FakeTensorMode a tensor has a shape, a type and a place in the graph but no numbers, so a step that
needs 60 GiB can be run on a laptop. The fakes are CPU tensors, also where a GPU is meant: fake GPU tensors need a GPU's
driver for convolutions and recurrent layers. What a GPU does otherwise is put in: fused attention and recurrent layers
(`attention`, `recurrence`), the operators that autocast leaves in 32 bits (`autocasting`), the optimizer's grouped
update (`step`).
"""

import warnings
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from sepnb.errors import SepnbError
from sepnb.probing import counting
from sepnb.probing.attention import FusedAttention
from sepnb.probing.autocasting import cuda_rules
from sepnb.probing.recurrence import FusedRecurrence
from sepnb.probing.setting import Setting
from sepnb.probing.shortcuts import Shortcuts
from sepnb.probing.step import Step
from sepnb.probing.trace import Trace
from sepnb.probing.workloads import Workload
from sepnb.probing.workspaces import workspace

# What of a setting may differ from trace to trace: all else is built into network and optimizer.
CHANGES = ("batch", "segment", "precision", "accumulate")
_OPS = ["operator", "kind", "phase", "flops", "bytes", "dtype", "narrow", "steps"]


def trace(workload: Workload, setting: Setting) -> Trace:
    """Run one step of a network in a setting on fake tensors; see `Tracer`."""
    return Tracer(workload, setting).trace()


class Tracer:
    """A network on fake tensors, with its optimizer, of which steps are traced one after the other.

    Raises SepnbError where the network needs a number that only a real tensor has; where it only asks whether something
    holds, the answer is yes.
    """

    def __init__(self, workload: Workload, setting: Setting) -> None:
        self.workload, self.setting = workload, setting
        # Constants that a network keeps beside its weights are turned into fakes as they are met.
        self._fakes = FakeTensorMode(allow_non_fake_inputs=True)
        with self._modes():
            self._step = Step(workload, setting, "cpu", recomputing=self._kernels)
            # What a network makes once and keeps, tables of positions say, is there from the second step on.
            with torch.no_grad():
                self._step.network(self._step.data()[0])

    @property
    def network(self) -> nn.Module:
        """The network, whose tensors are fakes."""
        return self._step.network

    def trace(self, **changes: object) -> Trace:
        """The trace of a step in the tracer's setting, or with another batch, segment, precision or accumulation.

        The step is one after the first: the optimizer's state is there already, and with `accumulate` the gradients
        are, so that the trace's peak is that of all later steps.
        """
        if fixed := set(changes) - set(CHANGES):
            raise SepnbError(f"another {', '.join(sorted(fixed))} needs a tracer of its own")
        step = self._step
        step.setting = replace(self.setting, **changes)
        with self._modes() as modes:
            step.make_state()
            # Of a network of one's own, this finds out what shape comes out, once.
            step.data()
            recorder = _Recorder(step)
            self._note = recorder.note
            if step.setting.device == "cuda":
                modes.enter_context(cuda_rules(step.setting.precision))
            try:
                with self._kernels(), recorder:
                    step.run(recorder.enter, micro_batches=1)
            finally:
                recorder.remove_hooks()
            return recorder.finish()

    @contextmanager
    def _kernels(self) -> Iterator[None]:
        """What runs as one kernel on the device does so on fakes."""
        with ExitStack() as modes:
            modes.enter_context(FusedRecurrence(self.setting.device, self._note))
            if self.setting.device == "cuda":
                modes.enter_context(FusedAttention())
            yield

    @contextmanager
    def _modes(self) -> Iterator[ExitStack]:
        with ExitStack() as modes:
            modes.enter_context(warnings.catch_warnings())
            # Of autocast to 32 bits, which some networks ask for: a matter of the CPU that the fakes are on.
            warnings.filterwarnings("ignore", message="In CPU autocast")
            modes.enter_context(self._fakes)
            modes.enter_context(Shortcuts())
            try:
                yield modes
            except (DataDependentOutputException, DynamicOutputShapeException) as error:
                raise SepnbError(
                    f"{self.workload.title} asks for the value of a tensor on its way ({error}): its cost cannot be "
                    "found from shapes alone; take out what depends on values, or measure a real step"
                ) from error


class _Recorder(TorchDispatchMode):
    """Writes down the operators of a step as they come, and each block of memory from when it is there until it goes.

    A block is a storage: views share it, and it goes when the last tensor that looks at it has gone.
    """

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step
        self._phase = "data"
        self._ops: list[tuple] = []
        self._sizes: list[int] = []
        self._born: list[int] = []
        self._died: list[int | None] = []
        self._roles: list[str] = []
        self._alive: dict[int, int] = {}
        self._forward_ends = 0
        for role, tensors in step.held().items():
            for tensor in tensors:
                self._see(tensor, role)
        self._hooks = [
            weights.register_post_accumulate_grad_hook(self._mark_gradient)
            for weights in step.network.parameters()
            if weights.requires_grad
        ]

    def enter(self, phase: str) -> None:
        """Called by the step as it goes from data to forward, backward and optimizer."""
        if phase == "backward":
            self._forward_ends = len(self._ops)
        self._phase = phase

    def note(self, operator: str, kind: str, flops: int, bytes: int, steps: int, narrow: int, dtype: str) -> None:
        """Write down what runs as one kernel on the device and does not come by here as such."""
        if self._phase == "data":
            return
        self._ops.append((operator, kind, self._phase, flops, bytes, dtype, narrow, steps))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing here is compiled: without this, PyTorch wraps each call to make sure of it, which takes longer.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return args[0].fake_device
        out = func(*args, **kwargs)
        made = [tensor for tensor in counting.tensors_in(out) if tensor.untyped_storage()._cdata not in self._alive]
        if (made or func._schema.is_mutable) and self._phase != "data":
            self._write_down(func, args, kwargs, out)
        for tensor in made:
            self._see(tensor, "data" if self._phase == "data" else "temporaries")
        return out

    def _write_down(self, func, args: tuple, kwargs: dict, out: object) -> None:
        kind = "optimizer" if self._phase == "optimizer" else counting.kind_of(func, args)
        self._ops.append(
            (
                str(func),
                kind,
                self._phase,
                counting.flops_of(func, args, kwargs, out),
                counting.bytes_of(func, args, kwargs, out),
                counting.precision_of(args),
                counting.narrowest(func, kind, args),
                0,
            )
        )
        if size := workspace(func, args, self._step.setting.device):
            self._write_block(size, len(self._ops) - 1, len(self._ops), "temporaries")

    def _see(self, tensor: Tensor, role: str) -> None:
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address in self._alive:
            return
        self._alive[address] = block = self._write_block(storage.nbytes(), len(self._ops) - 1, None, role)
        weakref.finalize(storage, self._forget, address, block).atexit = False

    def _write_block(self, size: int, born: int, died: int | None, role: str) -> int:
        self._sizes.append(size)
        self._born.append(born)
        self._died.append(died)
        self._roles.append(role)
        return len(self._sizes) - 1

    def _forget(self, address: int, block: int) -> None:
        self._died[block] = len(self._ops)
        del self._alive[address]

    def _mark_gradient(self, weights: nn.Parameter) -> None:
        self._roles[self._alive[weights.grad.untyped_storage()._cdata]] = "gradients"

    def remove_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def finish(self) -> Trace:
        ops = pd.DataFrame(self._ops, columns=_OPS)
        ends = len(ops)
        died = [ends if moment is None else moment for moment in self._died]
        blocks = pd.DataFrame({"size": self._sizes, "born": self._born, "died": died, "role": self._roles})
        # What the forward pass made and the backward pass still finds has been kept for it.
        kept = (blocks["role"] == "temporaries") & (blocks["born"] < self._forward_ends)
        blocks.loc[kept & (blocks["died"] > self._forward_ends), "role"] = "activations"
        return Trace(self._step.setting, ops, blocks[blocks["size"] > 0].reset_index(drop=True))
