"""The size of a network: its parameters, its multiply-adds, and what a training step keeps for the way back.

Nothing is computed and nothing is allocated. Under PyTorch's `FakeTensorMode` a tensor has a shape, a type and a place
in the graph but no numbers, so a network that needs 20 GiB can be built and run on a laptop in a second or two, and
every operator can be asked how large its result would be.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from sepnb.errors import SepnbError


@dataclass(frozen=True)
class ModelSize:
    """What a network holds, does and keeps, for one input of `batch` examples of `seconds` seconds.

    `activation_bytes` is what the forward pass of a training step leaves in memory for the backward pass. It is the
    part of training memory that grows with the batch and the segment, and it is a first estimate of that part only.
    It is NOT the peak of a training step, which has besides:
    - the parameters (`parameter_bytes`), gradients of the same size, and the optimizer's state (Adam: twice that);
    - the loss and the references, and the temporaries that come and go, mostly during the backward pass;
    - on a GPU: the CUDA context, convolution workspaces and the rounding of the allocator.
    Mixed precision and gradient checkpointing, which change it, are not modelled either: everything here is float32.
    """

    parameters: int
    parameter_bytes: int
    # One multiplication and one addition, in the forward pass, for the whole batch. The backward pass takes about
    # twice as many. FFTs, normalisation and activation functions are left out: they are few beside the rest.
    multiply_adds: int
    activation_bytes: int
    batch: int
    seconds: float

    @property
    def multiply_adds_per_second(self) -> float:
        """Multiply-adds of the forward pass for a second of audio."""
        return self.multiply_adds / (self.batch * self.seconds)


def model_size(build: Callable[[], nn.Module], shape: tuple[int, ...], seconds: float) -> ModelSize:
    """Measure the network that `build()` makes on an input of `shape` (batch first), which lasts `seconds` seconds.

    `build` is how to make the network (`MyNet`, or `lambda: MyNet(width=32)`), not a network already made, so that its
    parameters need no memory. `seconds` is only needed to speak of multiply-adds per second of audio. Raises SepnbError
    where the network needs a number from a tensor; where it only asks whether something holds, the answer is yes.

    Multiply-adds are those of matrix products, convolutions and attention (torch.utils.flop_counter) and of LSTMs (our
    own formula). Attention is taken as the fused kernel that PyTorch uses, which does not keep its matrix of weights.
    """
    with ExitStack() as modes:
        modes.enter_context(FakeTensorMode())
        modes.enter_context(_ChecksPass())
        try:
            model = build().train()
            kept = _Kept(model)
            lstms = [_LSTMTally(module, kept) for module in _lstms(model)]
            flops = modes.enter_context(FlopCounterMode(display=False, custom_mapping=_ATTENTION))
            modes.enter_context(torch.autograd.graph.saved_tensors_hooks(kept.note, _no_backward))
            model(torch.zeros(shape))
        except DataDependentOutputException as error:
            raise SepnbError(
                f"the network asks for the value of a tensor on its way ({error}): its size cannot be found from "
                "shapes alone; take out what depends on values, or measure a real step"
            ) from error
        return ModelSize(
            parameters=sum(p.numel() for p in model.parameters()),
            parameter_bytes=sum(p.numel() * p.element_size() for p in model.parameters()),
            multiply_adds=flops.get_total_flops() // 2 + sum(lstm.multiply_adds for lstm in lstms),
            activation_bytes=kept.bytes + sum(lstm.bytes for lstm in lstms),
            batch=shape[0],
            seconds=seconds,
        )


class _ChecksPass(TorchDispatchMode):
    """Lets code pass its own sanity checks, which have no answer without numbers.

    Demucs asserts that padding left the signal as it was: a tensor asked for its truth says yes. `torch.istft` compares
    a tensor with the answer "the windows add up to nothing somewhere": two tensors asked whether they are equal say no.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        aten = torch.ops.aten
        if func in (aten._local_scalar_dense.default, aten.is_nonzero.default) and args[0].dtype == torch.bool:
            return True
        if func is aten.equal.default:
            return False
        return func(*args, **(kwargs or {}))


class _Kept:
    """The memory that autograd holds on to between forward and backward, each block of it counted once.

    Two operators may keep the same tensor, or views of it: what takes memory is the storage under them. Parameters and
    buffers are kept too, but they are there anyway.
    """

    def __init__(self, model: nn.Module) -> None:
        self._own = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers()]}
        self._storages: dict[int, torch.UntypedStorage] = {}
        self.paused = False

    def note(self, tensor: Tensor) -> None:
        """Called by autograd with each tensor that it keeps."""
        storage = tensor.untyped_storage()
        # Holding the storage keeps its address from being given to a later one.
        if not self.paused and storage._cdata not in self._own:
            self._storages[storage._cdata] = storage

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._storages.values())


def _no_backward(_: None) -> Tensor:
    raise RuntimeError("this forward pass was only for counting: it has no backward pass")


def _lstms(model: nn.Module) -> list[nn.LSTM]:
    recurrent = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    for module in recurrent:
        if not isinstance(module, nn.LSTM) or module.proj_size:
            raise SepnbError(
                f"{module} cannot be counted: of the recurrent layers, only nn.LSTM without projection can"
            )
    return recurrent


class _LSTMTally:
    """Counts an LSTM by formula: it runs as one kernel that says neither what it multiplies nor what it keeps.

    At each step, in each direction, each layer multiplies its input and its last output by 4 gates' weights: 4 · hidden
    · (input + hidden) multiply-adds. For the way back it must keep its input, the 4 gates and the cell (5 · hidden
    values) and its output. That is the least: PyTorch's plain loop keeps 1.25 times as much and oneDNN, its fast path
    on a CPU, 3.7 times (measured). Dropout between layers is left out.
    """

    def __init__(self, lstm: nn.LSTM, kept: _Kept) -> None:
        self.multiply_adds = 0
        self.bytes = 0
        self._kept = kept
        lstm.register_forward_pre_hook(self._before)
        lstm.register_forward_hook(self._after)

    def _before(self, lstm: nn.LSTM, inputs: tuple[Tensor, ...]) -> None:
        self._kept.note(inputs[0])
        self._kept.paused = True

    def _after(self, lstm: nn.LSTM, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, tuple[Tensor, Tensor]]) -> None:
        self._kept.paused = False
        output = outputs[0]
        self._kept.note(output)
        hidden, directions = lstm.hidden_size, 2 if lstm.bidirectional else 1
        # The output holds `hidden` values a step and direction, whatever comes first, time or batch.
        steps = output.numel() // hidden
        for layer in range(lstm.num_layers):
            width = lstm.input_size if layer == 0 else hidden * directions
            self.multiply_adds += steps * 4 * hidden * (width + hidden)
            # The last layer's output is the tensor noted above.
            values = 5 * hidden if layer == lstm.num_layers - 1 else 6 * hidden
            self.bytes += steps * values * output.element_size()


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


# The counter knows the GPU's fused attention; on fake CPU tensors it meets the CPU's.
_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
