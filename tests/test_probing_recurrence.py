"""Recurrent layers on fake tensors take the memory that the real kernels take, and say what they compute."""

import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_sequence
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from sepnb.errors import SepnbError
from sepnb.probing import recurrence_memory as memory
from sepnb.probing.recurrence import FusedRecurrence

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")


class Tally(TorchDispatchMode):
    """Bytes in all blocks of memory that are held, now and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(results):
            if isinstance(tensor, torch.Tensor):
                self._hold(tensor.untyped_storage())
        return results

    def _hold(self, storage: torch.UntypedStorage) -> None:
        name = storage._cdata
        if name in self._known:
            return
        self._known.add(name)
        self.held += storage.nbytes()
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._free, name, storage.nbytes())

    def _free(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.held -= size


def step(layer, shape, gradients=True):
    """One forward pass, and a backward pass where there are gradients; what is held afterwards is returned."""
    layer = layer()
    sequence = torch.zeros(shape, requires_grad=gradients)
    with torch.set_grad_enabled(gradients):
        output = layer(sequence)[0]
    if gradients:
        output.backward(torch.ones_like(output))
    return layer, sequence, output


def real_peak(*arguments):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        held = step(*arguments)
    del held
    held = peak = 0
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def fake_step(device, layer, shape, gradients=True, autocast=None):
    """Tally, notes and results of the same step on fake tensors."""
    notes = []
    with (
        FakeTensorMode(),
        FusedRecurrence(device, lambda *note: notes.append(note)),
        Tally() as tally,
        torch.autocast("cpu", dtype=autocast, enabled=autocast is not None),
    ):
        return tally, notes, step(layer, shape, gradients)


@needs_onednn
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "hidden"),
    [(5, 1, 48, 48), (20, 3, 64, 50), (7, 16, 640, 512), (3, 2, 96, 1024), (9, 130, 51, 64), (200, 1, 256, 64)],
)
def test_workspace_of_a_cpu_is_the_real_operators(steps, batch, inputs, hidden):
    rows = 4 * hidden
    sizes = [(steps, batch, inputs), (rows, inputs), (rows, hidden), (rows,), (rows,), (1, batch, hidden)]
    operands = [torch.zeros(size) for size in [*sizes, (1, batch, hidden)]]
    results = torch.ops.aten.mkldnn_rnn_layer(*operands, False, [], 2, hidden, 1, True, False, False, True)
    assert results[3].numel() == memory.onednn_workspace(steps, batch, inputs, hidden)


@needs_onednn
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.LSTM(64, 48), (20, 3, 64)),
        (lambda: nn.LSTM(50, 64, bidirectional=True), (20, 3, 50)),
        (lambda: nn.LSTM(64, 48, 2, batch_first=True), (3, 20, 64)),
        (lambda: nn.LSTM(100, 256, 2, bidirectional=True, batch_first=True, dropout=0.4), (4, 60, 100)),
        (lambda: nn.LSTM(100, 256, 2, bidirectional=True, dropout=0.4).eval(), (60, 4, 100)),
        (lambda: nn.LSTM(100, 256, 2, bidirectional=True, bias=False), (60, 4, 100)),
        (lambda: nn.LSTM(512, 512, 3, bidirectional=True, dropout=0.4), (20, 2, 512)),
        (lambda: nn.GRU(64, 48), (20, 3, 64)),
        (lambda: nn.GRU(96, 96, bidirectional=True, batch_first=True), (40, 12, 96)),
        (lambda: nn.GRU(64, 48, 2, bidirectional=True, batch_first=True, dropout=0.4), (4, 20, 64)),
    ],
    ids=[
        *("one", "both directions", "batch first", "all at once", "evaluation", "no biases", "open-unmix"),
        *("gru", "gru as in compact", "gru with all at once"),
    ],
)
def test_peak_on_a_cpu_is_the_allocators(layer, shape, gradients):
    if not gradients and isinstance(layer(), nn.GRU):
        pytest.skip("without gradients a GRU's loop is left to PyTorch's own fakes")
    tally, _, _ = fake_step("cpu", layer, shape, gradients)
    assert tally.peak == pytest.approx(real_peak(layer, shape, gradients), rel=0.001)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_gradients_are_there_and_of_the_right_shapes(device, kind, batch_first):
    shape = (3, 4, 8)
    _, _, (layer, sequence, output) = fake_step(
        device, lambda: kind(8, 5, 2, bidirectional=True, batch_first=batch_first), shape
    )
    assert output.shape == (3, 4, 10)
    assert sequence.grad.shape == shape
    assert [parameter.grad.shape for parameter in layer.parameters()] == [p.shape for p in layer.parameters()]
    assert sequence.grad.dtype == torch.float32
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}


def test_frozen_layers_get_no_gradients():
    def frozen():
        return nn.LSTM(8, 5).requires_grad_(False)

    for device in ("cpu", "cuda"):
        _, _, (layer, sequence, _) = fake_step(device, frozen, (3, 4, 8))
        assert sequence.grad is not None
        assert all(parameter.grad is None for parameter in layer.parameters())


# 2 directions of: 4 gates of 5 numbers, each from the input and the 5 states; 3 steps, 4 examples. The second layer's
# input is both directions of the first.
FIRST, SECOND = 2 * 3 * 4 * (4 * 5) * (8 + 5), 2 * 3 * 4 * (4 * 5) * (10 + 5)


def test_work_on_a_cpu_is_a_kernel_for_each_layer_and_direction():
    _, notes, _ = fake_step("cpu", lambda: nn.LSTM(8, 5, 2, bidirectional=True), (3, 4, 8))
    forward, backward = notes[:4], notes[4:]
    assert [note[2] for note in forward] == [FIRST, FIRST, SECOND, SECOND]
    assert [note[2] for note in backward] == [2 * SECOND, 2 * SECOND, 2 * FIRST, 2 * FIRST]
    assert {note[0] for note in forward} == {"aten.mkldnn_rnn_layer.default"}
    assert {(note[1], *note[4:]) for note in notes} == {("recurrent", 3, 4, "fp32")}


def test_work_of_a_gru_on_a_cpu_is_an_operator_each_way():
    _, notes, _ = fake_step("cpu", lambda: nn.GRU(8, 5, bidirectional=True), (3, 4, 8))
    assert [note[2] for note in notes] == [FIRST * 3 // 4] * 2 + [FIRST * 3 // 2] * 2
    assert {(note[1], *note[4:]) for note in notes} == {("recurrent", 3, 4, "fp32")}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_checkpointing_keeps_nothing_of_the_first_pass(device, kind):
    with FakeTensorMode(), FusedRecurrence(device, lambda *_: None), Tally() as tally:
        layer, sequence = kind(64, 48, bidirectional=True), torch.zeros(50, 3, 64, requires_grad=True)
        before = tally.held
        # A mode is off while it handles `backward`: what is computed again there needs one of its own.
        output = checkpoint(
            lambda sequence: layer(sequence)[0],
            sequence,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), FusedRecurrence(device, lambda *_: None)),
        )
        assert tally.held - before == 4 * output.numel()
        output.sum().backward()
        assert sequence.grad.shape == sequence.shape


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_work_on_a_gpu_is_one_kernel_forwards_and_two_back(kind, gates):
    _, notes, _ = fake_step("cuda", lambda: kind(8, 5, 2, bidirectional=True), (3, 4, 8))
    once = (2 * FIRST + 2 * SECOND) * gates // 4
    assert [note[2] for note in notes] == [once] * 3
    assert {(note[1], *note[4:]) for note in notes} == {("recurrent", 6, 4, "fp32")}


def kept(autocast=None):
    """Shapes and types of what the forward pass of a small LSTM leaves on a GPU, besides its weights."""
    saved = []
    with FakeTensorMode(), FusedRecurrence("cuda", lambda *_: None):
        layer = nn.LSTM(8, 5, 2, batch_first=True)
        own = {parameter.untyped_storage()._cdata for parameter in layer.parameters()}
        with (
            torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda t: t),
            torch.autocast("cpu", dtype=autocast, enabled=autocast is not None),
        ):
            output = layer(torch.zeros(3, 4, 8))[0]
    shapes = [(tuple(t.shape), t.dtype) for t in saved if t.untyped_storage()._cdata not in own]
    return output, shapes, sum(parameter.numel() for parameter in layer.parameters())


def test_a_gpu_keeps_input_states_output_and_reserve():
    output, shapes, _ = kept()
    assert output.dtype == torch.float32
    single = torch.float32
    reserve = memory.cudnn_reserve(4, 3, 8, 5, layers=2, directions=1, gates=4, itemsize=4)
    assert shapes == [
        ((3, 4, 8), single),
        ((2, 3, 5), single),
        ((2, 3, 5), single),
        ((3, 4, 5), single),
        ((reserve,), torch.uint8),
    ]


def test_under_autocast_a_gpu_keeps_all_in_16_bits_and_a_copy_of_the_weights():
    output, shapes, weights = kept(torch.float16)
    assert output.dtype == torch.float16
    half = torch.float16
    reserve = memory.cudnn_reserve(4, 3, 8, 5, layers=2, directions=1, gates=4, itemsize=2)
    assert shapes == [
        ((3, 4, 8), half),
        ((2, 3, 5), half),
        ((2, 3, 5), half),
        ((3, 4, 5), half),
        ((reserve,), torch.uint8),
        ((weights,), half),
    ]
    _, notes, (layer, sequence, _) = fake_step("cuda", lambda: nn.LSTM(8, 5), (3, 4, 8), autocast=torch.float16)
    assert {note[6] for note in notes} == {"fp16"}
    assert {tensor.grad.dtype for tensor in [sequence, *layer.parameters()]} == {torch.float32}


def test_without_gradients_nothing_is_kept():
    for device in ("cpu", "cuda"):
        tally, _, (layer, sequence, output) = fake_step(device, lambda: nn.LSTM(64, 48), (20, 3, 64), False)
        tensors = [*layer.parameters(), sequence, output]
        assert tally.held == sum(4 * tensor.numel() for tensor in tensors)


def test_gradients_of_a_gpus_weights_lie_in_one_block():
    _, _, (layer, _, _) = fake_step("cuda", lambda: nn.GRU(8, 5, 2), (3, 4, 8))
    assert len({parameter.grad.untyped_storage()._cdata for parameter in layer.parameters()}) == 1


def test_reserve_and_workspace_are_those_of_the_one_published_measurement():
    # PyTorch issue 2895: 4 layers of 320 on 123 inputs; 250 steps of 100 are our guess.
    sizes = {"steps": 250, "batch": 100, "inputs": 123, "hidden": 320, "layers": 4, "directions": 1, "itemsize": 4}
    assert memory.cudnn_reserve(**sizes, gates=4) == 736_000_000
    assert memory.cudnn_reserve(**sizes, gates=3) == 864_000_000
    assert memory.cudnn_workspace(**sizes, gates=4) == 17_730_560
    assert memory.cudnn_workspace(**sizes, gates=3) == 13_169_920


def test_what_cannot_be_probed_says_so():
    with FusedRecurrence("cuda", lambda *_: None):
        with pytest.raises(SepnbError, match="packed"):
            nn.LSTM(8, 5)(pack_sequence([torch.zeros(3, 8)]))
        with pytest.raises(SepnbError, match="projection"):
            nn.LSTM(8, 5, proj_size=2)(torch.zeros(3, 4, 8))
    with pytest.raises(SepnbError, match="16 bits on a CPU"):
        fake_step("cpu", lambda: nn.LSTM(8, 5), (3, 4, 8), autocast=torch.bfloat16)
    with pytest.raises(SepnbError, match="evaluation mode"):
        fake_step("cuda", lambda: nn.LSTM(8, 5).eval(), (3, 4, 8))
