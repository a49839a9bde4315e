"""Recurrent layers in a traced step: each as the fused kernels that run it, with their memory and their work.

On fake tensors the kernels are missing. PyTorch's stand-in for oneDNN's LSTM keeps nothing for the backward pass, where
the real one keeps a block several times as large as its output, and cuDNN's kernels are not there at all, because the
fakes are on the CPU. `FusedRecurrence` takes the place of a recurrent layer and allocates what the real one does, in
the same order, and frees it at the same moment; what it computes is nothing. After PyTorch's source:
aten/src/ATen/native/mkldnn/RNN.cpp, aten/src/ATen/native/cudnn/RNN.cpp and aten/src/ATen/cudnn/AutocastRNN.cpp.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sepnb.errors import SepnbError
from sepnb.probing import recurrence_memory as memory
from sepnb.probing.recurrence_loop import gru_direction

# Called with operator, kind, FLOPs, bytes read and written, steps one after the other, smallest dimension of its
# products, and what it computes in ("fp32", "fp16", "bf16"), at the moment when the operator holds most memory.
Note = Callable[[str, str, int, int, int, int, str], None]

_GATES = {torch.lstm: memory.LSTM_GATES, torch.gru: memory.GRU_GATES, torch.rnn_tanh: 1, torch.rnn_relu: 1}
_DTYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


class FusedRecurrence(TorchFunctionMode):
    """While it is active, nn.LSTM, nn.GRU and nn.RNN take the memory that they take on `device`, "cuda" or "cpu".

    On a CPU only the LSTM is one kernel (one for each layer and direction): nn.GRU and nn.RNN are loops of small
    operators there. The loop of a GRU in training is told as one operator each way; nn.RNN, and a GRU without gradients
    or partly frozen, are left as they are. Against the CPU's allocator (torch 2.13), the peak of a training step was
    right to the byte for every LSTM and, but for one of 2 steps (0.2 %), every GRU tried.

    Under autocast (of the CPU, which plays CUDA's in a trace) a layer on "cuda" reads a 16-bit copy of its input and of
    all its weights, kept until the backward pass, and its outputs are of 16 bits. The few MB of random state that cuDNN
    keeps for dropout are left out.

    `note` is told of each kernel's work. A byte is counted once, however often the steps read it: weights that are
    read at each step are taken to stay in the cache. Raises SepnbError for what is not modelled: packed sequences,
    LSTMs with projection, and LSTMs in 16 bits on a CPU.

    It is off during `Tensor.backward`, as all such modes are: what checkpointing computes again there needs it as a
    context of its own (`context_fn` of torch.utils.checkpoint).
    """

    def __init__(self, device: str, note: Note) -> None:
        super().__init__()
        self._device = device
        self._note = note

    def __torch_function__(self, func, types, args=(), kwargs=None):
        gates = _GATES.get(func)
        if gates is None:
            return func(*args, **(kwargs or {}))
        if len(args) != 9 or not isinstance(args[3], bool):
            raise SepnbError("a recurrent layer on packed sequences cannot be probed; give it a padded tensor")
        sequence, states, weights, biases, layers, dropout, training, bidirectional, batch_first = args
        states = list(states) if gates == memory.LSTM_GATES else [states]
        shape = _Shape.of(sequence, states, gates, layers, 2 if bidirectional else 1, batch_first)
        if weights[1].shape[0] != gates * shape.hidden:
            raise SepnbError("an LSTM with projection (proj_size) cannot be probed: its kernels keep other things")
        if self._device == "cuda":
            return _on_cuda(self._note, sequence, states, weights, shape, training)
        if gates == memory.GRU_GATES and biases and _learns(sequence, weights):
            return _loop_on_cpu(self._note, sequence, states[0], weights, shape, dropout if training else 0.0)
        if gates != memory.LSTM_GATES:
            return func(*args, **(kwargs or {}))
        if torch.is_autocast_enabled("cpu") or sequence.dtype != torch.float32:
            raise SepnbError("an LSTM in 16 bits on a CPU cannot be probed; choose fp32, or a GPU")
        return _on_cpu(self._note, sequence, states, weights, shape, biases, dropout if training else 0.0)


@dataclass(frozen=True)
class _Shape:
    """The sizes of a recurrent layer, or of a stack of them, on one batch."""

    steps: int
    batch: int
    inputs: int
    hidden: int
    layers: int
    directions: int
    gates: int
    batch_first: bool

    @classmethod
    def of(
        cls, sequence: Tensor, states: list[Tensor], gates: int, layers: int, directions: int, batch_first: bool
    ) -> "_Shape":
        batch, steps = sequence.shape[:2] if batch_first else (sequence.shape[1], sequence.shape[0])
        hidden = states[0].shape[2]
        return cls(steps, batch, sequence.shape[2], hidden, layers, directions, gates, batch_first)

    @property
    def flops(self) -> int:
        """Of a forward pass: each gate multiplies the input and the state, in each layer, direction and step."""
        widths = [self.inputs] + [self.directions * self.hidden] * (self.layers - 1)
        weights = self.directions * self.gates * self.hidden * sum(width + self.hidden for width in widths)
        return 2 * self.steps * self.batch * weights

    @property
    def narrow(self) -> int:
        return min(self.batch, self.inputs, self.hidden)

    def output(self) -> tuple[int, int, int]:
        """Shape of the output, steps first."""
        return (self.steps, self.batch, self.directions * self.hidden)


def _block(size: int) -> Tensor:
    """Memory that only a kernel looks into."""
    return torch.empty(size, dtype=torch.uint8)


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Kernels want a gradient for each output, also where the loss does not depend on it."""
    return torch.zeros_like(like) if gradient is None else gradient


# ---------------------------------------------------------------------------------------------------- oneDNN, on a CPU


def _on_cpu(
    note: Note,
    sequence: Tensor,
    states: list[Tensor],
    weights: list[Tensor],
    shape: _Shape,
    biases: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM as PyTorch runs it on a CPU: a kernel for each layer and direction, put together by other operators."""
    if shape.batch_first:
        sequence = sequence.transpose(0, 1)
    # The name holds on to the copy until the end, as PyTorch's own function does.
    sequence = sequence.contiguous()
    hidden, cell = (state.contiguous() for state in states)
    below, last_states, last_cells = sequence, [], []
    # A layer's outputs stay, as in PyTorch's own function, until those of the layer above take their place.
    outputs = [sequence] * shape.directions
    for layer in range(shape.layers):
        for direction in range(shape.directions):
            index = layer * shape.directions + direction
            own = weights[4 * index : 4 * index + 4] if biases else weights[2 * index : 2 * index + 2]
            if not biases:
                # PyTorch makes biases of noughts for the kernel, of the shape of the weights.
                own = [*own, torch.zeros_like(own[0]), torch.zeros_like(own[1])]
            one = replace(shape, inputs=below.shape[2], layers=1, directions=1)
            output, state, last = _OneDNNLayer.apply(
                note, one, torch.is_grad_enabled(), below, *own, hidden[index], cell[index]
            )
            outputs[direction] = output
            last_states.append(state)
            last_cells.append(last)
        below = torch.cat(outputs, -1) if shape.directions == 2 else outputs[0]
        if dropout and layer < shape.layers - 1:
            below = torch.dropout(below, dropout, True)
    output = below.transpose(0, 1) if shape.batch_first else below
    return output, torch.stack(last_states), torch.stack(last_cells)


class _OneDNNLayer(torch.autograd.Function):
    """aten::mkldnn_rnn_layer: one layer of an LSTM in one direction, in 32 bits."""

    @staticmethod
    def forward(ctx, note, shape, training, sequence, w_input, w_hidden, b_input, b_hidden, state, cell):
        # Without this, autograd would make gradients of noughts itself, all at once.
        ctx.set_materialize_grads(False)
        ctx.note, ctx.shape = note, shape
        output = torch.empty(shape.output())
        last_state, last_cell = torch.empty_like(state), torch.empty_like(cell)
        sizes = (shape.steps, shape.batch, shape.inputs, shape.hidden)
        rows = memory.LSTM_GATES * shape.hidden
        kept, running = [], [torch.empty(rows)]  # the sum of the two biases
        if training:
            kept = [_block(memory.onednn_workspace(*sizes))]
            width = 4 * memory.onednn_row(rows)
            scratch = memory.onednn_scratchpad(shape.steps, shape.batch, shape.hidden, backward=False)
        else:
            # The kernel for inference takes weights in blocks of 16 columns.
            width = 4 * memory.LSTM_GATES * (-(-shape.hidden // 16) * 16)
            scratch = memory.onednn_inference_scratchpad(*sizes)
        # The weights are copied into the order that the kernel likes.
        running += [_block(shape.inputs * width), _block(shape.hidden * width), _block(scratch)]
        operands = (sequence, w_input, w_hidden, output)
        note(
            "aten.mkldnn_rnn_layer.default",
            "recurrent",
            shape.flops,
            _bytes(*operands, *kept, *running),
            shape.steps,
            shape.narrow,
            "fp32",
        )
        if training:
            ctx.save_for_backward(
                sequence, w_input, w_hidden, b_input, b_hidden, state, cell, output, last_state, last_cell, *kept
            )
        return output, last_state, last_cell

    @staticmethod
    def backward(ctx, d_output, d_last_state, d_last_cell):
        shape = ctx.shape
        sequence, w_input, w_hidden, b_input, _, state, cell, output, _, _, workspace = ctx.saved_tensors
        # A gradient that is a part of another (of both directions', or with the batch first) is copied.
        d_output = _or_zeros(d_output, output).contiguous()
        d_last_state, d_last_cell = _or_zeros(d_last_state, state), _or_zeros(d_last_cell, cell)
        rows = memory.LSTM_GATES * shape.hidden
        running = [torch.empty(rows)]
        gradients = [torch.empty_like(tensor) for tensor in (sequence, state, cell, w_input, w_hidden)]
        d_bias = torch.empty(rows)
        for width in (shape.inputs, shape.hidden):
            if memory.onednn_row(width) != width:
                running.append(_block(4 * rows * memory.onednn_row(width)))
        running += [_block(4 * width * memory.onednn_row(rows)) for width in (shape.inputs, shape.hidden)]
        running += [
            torch.empty(rows),
            _block(memory.onednn_scratchpad(shape.steps, shape.batch, shape.hidden, backward=True)),
        ]
        operands = (sequence, w_input, w_hidden, output, workspace, d_output)
        ctx.note(
            "aten.mkldnn_rnn_layer_backward.default",
            "recurrent",
            2 * shape.flops,
            _bytes(*operands, *gradients, *running),
            shape.steps,
            shape.narrow,
            "fp32",
        )
        del running
        d_sequence, d_state, d_cell, d_w_input, d_w_hidden = gradients
        if b_input.dim() == 2:
            return None, None, None, d_sequence, d_w_input, d_w_hidden, None, None, d_state, d_cell
        return None, None, None, d_sequence, d_w_input, d_w_hidden, d_bias, d_bias.clone(), d_state, d_cell


def _learns(sequence: Tensor, weights: list[Tensor]) -> bool:
    """Whether it is a training step in 32 bits, in which all weights get gradients."""
    plain = sequence.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and torch.is_grad_enabled() and all(weight.requires_grad for weight in weights)


def _loop_on_cpu(
    note: Note, sequence: Tensor, state: Tensor, weights: list[Tensor], shape: _Shape, dropout: float
) -> tuple[Tensor, Tensor]:
    """A GRU as PyTorch runs it on a CPU, for which it has no kernel."""
    below = sequence.transpose(0, 1) if shape.batch_first else sequence
    last_states = []
    for layer in range(shape.layers):
        one = replace(shape, inputs=below.shape[2], layers=1, directions=1)

        def note_pass(name: str, flops: int, size: int, one: _Shape = one) -> None:
            note(f"aten.gru.{name}", "recurrent", flops, size, one.steps, one.narrow, "fp32")

        outputs = []
        for direction in range(shape.directions):
            index = layer * shape.directions + direction
            # A copy where the batch comes first, and a new one for each direction.
            rows = below.reshape(-1, below.shape[2])
            # What the inputs add to the gates of all steps; it stays until the next direction's takes its place.
            gates_of_inputs = torch.empty(len(rows), memory.GRU_GATES * shape.hidden)
            output, last = gru_direction(rows, weights[4 * index : 4 * index + 4], state[index], note_pass)
            outputs.append(output)
            last_states.append(last)
        below = torch.cat(outputs, -1) if shape.directions == 2 else outputs[0]
        del gates_of_inputs
        if dropout and layer < shape.layers - 1:
            below = torch.dropout(below, dropout, True)
    return below.transpose(0, 1) if shape.batch_first else below, torch.stack(last_states)


# ------------------------------------------------------------------------------------------------------ cuDNN, on a GPU


def _on_cuda(
    note: Note, sequence: Tensor, states: list[Tensor], weights: list[Tensor], shape: _Shape, training: bool
) -> tuple[Tensor, ...]:
    """All layers and directions in one kernel, as PyTorch runs them with cuDNN."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else sequence.dtype
    sequence, *states = (tensor.to(dtype) for tensor in (sequence, *states))
    return _CuDNN.apply(note, shape, training, dtype, len(states), sequence, *states, *weights)


class _CuDNN(torch.autograd.Function):
    """aten::_cudnn_rnn, with the 16-bit copy of the weights that autocast makes for it."""

    @staticmethod
    def forward(ctx, note, shape, training, dtype, states, sequence, *tensors):
        ctx.set_materialize_grads(False)
        ctx.note, ctx.shape, ctx.training = note, shape, training
        ctx.states = states
        weights = tensors[states:]
        ctx.copied = weights[0].dtype != dtype
        flat = []
        if ctx.copied:
            flat = [torch.zeros(sum(weight.numel() for weight in weights), dtype=dtype)]
        plain = _steps_first(sequence, shape)
        output = torch.empty(shape.output(), dtype=dtype)
        last = [torch.empty_like(state) for state in tensors[:states]]
        sizes = (*_cudnn_sizes(shape), dtype.itemsize)
        workspace = _block(memory.cudnn_workspace(*sizes))
        reserve = [_block(memory.cudnn_reserve(*sizes))] if training else []
        operands = (plain, output, *reserve, *(flat or weights))
        note(
            "aten._cudnn_rnn.default",
            "recurrent",
            shape.flops,
            _bytes(*operands),
            shape.steps * shape.layers,
            shape.narrow,
            _DTYPES[dtype],
        )
        del plain, workspace
        if shape.batch_first:
            output.transpose_(0, 1)
        if training:
            ctx.save_for_backward(sequence, *tensors, output, *reserve, *flat)
        return output, *last

    @staticmethod
    def backward(ctx, d_output, *d_last):
        if not ctx.training:
            raise SepnbError(
                "on a GPU, cuDNN has no backward pass for a recurrent layer in evaluation mode; call .train() on it"
            )
        shape = ctx.shape
        sequence, *rest = ctx.saved_tensors
        states, rest = rest[: ctx.states], rest[ctx.states :]
        flat = rest.pop() if ctx.copied else None
        *weights, output, reserve = rest
        d_output = _or_zeros(d_output, output)
        d_last = [_or_zeros(gradient, state) for gradient, state in zip(d_last, states, strict=True)]
        plain, d_plain = _steps_first(sequence, shape), _steps_first(d_output, shape)
        d_sequence = torch.empty(plain.shape, dtype=sequence.dtype)
        d_states = [torch.empty_like(state) for state in states]
        sizes = (*_cudnn_sizes(shape), sequence.element_size())
        workspace = _block(memory.cudnn_workspace(*sizes))
        read = (reserve, *([flat] if ctx.copied else weights))

        def note(name: str, *operands: Tensor) -> None:
            # One kernel for the gradient of the inputs, and one for the weights', each as much work as the forward's.
            steps, dtype = shape.steps * shape.layers, _DTYPES[sequence.dtype]
            ctx.note(name, "recurrent", shape.flops, _bytes(*operands), steps, shape.narrow, dtype)

        note("aten._cudnn_rnn_backward.input", *read, output, d_plain, d_sequence)
        del workspace, plain, d_plain
        gradients = [None] * len(weights)
        first_weight = 6 + ctx.states
        if any(ctx.needs_input_grad[first_weight:]):
            plain = _steps_first(sequence, shape)
            # The gradients of all weights are views of one block.
            d_flat = torch.zeros(sum(weight.numel() for weight in weights), dtype=sequence.dtype)
            workspace = _block(memory.cudnn_workspace(*sizes))
            note("aten._cudnn_rnn_backward.weight", reserve, plain, output, d_flat)
            del workspace, plain
            parts = d_flat.split([weight.numel() for weight in weights])
            gradients = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
            if ctx.copied:
                gradients = [part.to(weight.dtype) for part, weight in zip(gradients, weights, strict=True)]
            del d_flat, parts
        if shape.batch_first:
            d_sequence = d_sequence.transpose(0, 1)
        return None, None, None, None, None, d_sequence, *d_states, *gradients


def _steps_first(sequence: Tensor, shape: _Shape) -> Tensor:
    """(steps, batch, ...) in order in memory: a copy where the batch comes first."""
    return (sequence.transpose(0, 1) if shape.batch_first else sequence).contiguous()


def _cudnn_sizes(shape: _Shape) -> tuple[int, ...]:
    return (shape.steps, shape.batch, shape.inputs, shape.hidden, shape.layers, shape.directions, shape.gates)
