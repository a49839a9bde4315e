"""What a step holds, moment by moment: by hand, by PyTorch's own tracker, and by the real allocator."""

from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from probed import FLOAT, Run, of, traced, workload
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from sepnb.errors import SepnbError
from sepnb.probing.measuring import measure
from sepnb.probing.setting import Setting
from sepnb.probing.shortcuts import Shortcuts
from sepnb.probing.step import Step
from sepnb.probing.story import find_workload
from sepnb.probing.tracing import Tracer, trace

# Numbers of the chain below: a batch of 3, and each layer's weights and biases.
BATCH, IN, HIDDEN, OUT = 3, 10, 20, 5
WEIGHTS = IN * HIDDEN + HIDDEN + HIDDEN * OUT + OUT
STATE = 2 * WEIGHTS + 4  # Adam: two numbers a weight, and a count for each of four parameters


def chain(inplace: bool = False) -> nn.Module:
    return nn.Sequential(nn.Linear(IN, HIDDEN), nn.ReLU(inplace), nn.Linear(HIDDEN, OUT))


def held(trace, role: str, operator: str, phase: str) -> int:
    """Numbers of a role that are held after the first operator with a word in its name, in a phase."""
    where = trace.ops["operator"].str.contains(operator, regex=False) & (trace.ops["phase"] == phase)
    return int(trace.curve(role)[np.flatnonzero(where)[0]]) // FLOAT


def small(name: str, share: float = 0.125):
    """A network of the story with so few channels that it is traced in a moment."""
    known = find_workload(name)
    return replace(known, build=lambda width: known.build(share * width))


def test_a_chain_by_hand_moment_by_moment():
    trace = traced(chain, IN, batch=BATCH)
    assert held(trace, "parameters", "addmm", "forward") == WEIGHTS
    assert held(trace, "optimizer", "addmm", "forward") == STATE
    assert held(trace, "gradients", "sum", "forward") == 0
    # The mixture, and one number to compare with.
    assert held(trace, "data", "addmm", "forward") == BATCH * IN + 1
    # What the ReLU puts out is kept, for itself and for the layer after it; what it takes in is not; and the loss.
    assert held(trace, "activations", "sum", "forward") == BATCH * HIDDEN + 1
    assert held(trace, "temporaries", "relu", "forward") == BATCH * HIDDEN
    assert held(trace, "activations", "add_", "optimizer") == 0
    assert held(trace, "gradients", "add_", "optimizer") == WEIGHTS
    assert held(trace, "data", "add_", "optimizer") == 0
    # On a CPU Adam takes one weight after the other: the root of its state, and that divided.
    assert trace.peak // FLOAT == WEIGHTS + STATE + WEIGHTS + 2 * IN * HIDDEN
    assert trace.ops.loc[trace.peak_at, "phase"] == "optimizer"


def test_on_a_gpu_adam_treats_all_weights_at_once():
    trace = traced(chain, IN, batch=BATCH, device="cuda")
    assert trace.peak // FLOAT == WEIGHTS + STATE + WEIGHTS + WEIGHTS
    assert trace.at_peak()["temporaries"] // FLOAT == WEIGHTS


def test_phases_come_in_their_order_and_the_loss_is_forward():
    phases = traced(chain, IN, batch=BATCH).ops["phase"]
    assert list(phases.drop_duplicates()) == ["forward", "backward", "optimizer"]
    assert of(traced(chain, IN), "sum.default", "forward")


def test_a_relu_in_place_holds_one_tensor_and_not_two():
    apart, same = (traced(lambda inplace=inplace: chain(inplace), IN, batch=BATCH) for inplace in (False, True))
    assert held(apart, "temporaries", "relu", "forward") == BATCH * HIDDEN
    assert held(same, "temporaries", "relu_", "forward") == 0
    assert held(same, "activations", "relu_", "forward") == held(apart, "activations", "relu", "forward")


def test_views_take_no_memory_and_are_no_operators():
    plain = traced(lambda: nn.Linear(8, 8), 4, 8)
    turned = traced(
        lambda: Run(lambda self, x: self.layer(x).transpose(1, 2).unsqueeze(0), layer=nn.Linear(8, 8)), 4, 8
    )
    assert list(turned.ops["operator"]) == list(plain.ops["operator"])
    assert turned.peak == plain.peak


def test_a_view_keeps_the_whole_of_what_it_looks_at():
    # One number of a thousand is used on, and squaring keeps it for the gradient: the thousand stay.
    trace = traced(lambda: Run(lambda self, x: self.layer(x)[:, :1] ** 2, layer=nn.Linear(1, 1000)), 1)
    assert held(trace, "activations", "sum", "forward") >= 1000


def test_shared_weights_are_held_once_and_their_gradient_too():
    def tied() -> nn.Module:
        layers = nn.Sequential(nn.Linear(30, 30, bias=False), nn.Linear(30, 30, bias=False))
        layers[1].weight = layers[0].weight
        return layers

    trace = traced(tied, 30)
    assert held(trace, "parameters", "mm", "forward") == 30 * 30
    assert held(trace, "optimizer", "mm", "forward") == 2 * 30 * 30 + 1
    assert held(trace, "gradients", "add_", "optimizer") == 30 * 30


def test_buffers_count_as_parameters_and_take_no_gradient():
    trace = traced(lambda: nn.BatchNorm1d(6), 6, 50)
    # Gain and offset; running mean and variance, in floats, and a count in eight bytes.
    assert held(trace, "parameters", "batch_norm", "forward") == 4 * 6 + 2
    assert held(trace, "gradients", "add_", "optimizer") == 2 * 6


def test_a_forward_pass_holds_two_layers_at_a_time_and_no_gradients():
    deep = traced(
        lambda: nn.Sequential(*[nn.Linear(50, 50, bias=False) for _ in range(9)]), 50, training=False, batch=7
    )
    assert set(deep.ops["phase"]) == {"forward"}
    assert set(deep.blocks["role"]) == {"parameters", "data", "temporaries"}
    # The caller holds the mixture; a layer holds what it reads and what it writes.
    assert deep.peak == (9 * 50 * 50 + 3 * 7 * 50) * FLOAT


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_trace_does_not_change_the_next(device):
    tracer = Tracer(workload(chain, IN), Setting(BATCH, 1.0, device=device))
    first, second, other, third = tracer.trace(), tracer.trace(), tracer.trace(batch=9), tracer.trace()
    for again in (second, third):
        assert first.ops.equals(again.ops)
        assert first.blocks.equals(again.blocks)
    assert other.setting.batch == 9
    assert other.peak > first.peak


def test_the_state_that_is_made_ready_is_what_a_real_first_step_leaves(monkeypatch):
    setting = Setting(2, 0.4)
    ready = trace(small("toy"), setting)
    monkeypatch.setattr(Step, "make_state", lambda self: None)
    tracer = Tracer(small("toy"), setting)
    first, second = tracer.trace(), tracer.trace()
    assert first.at_peak()["optimizer"] == 0
    assert second.ops.equals(ready.ops)
    # PyTorch makes the STFT's window one number too long and cuts it; it forgets that number when it makes it again.
    assert np.abs(second.curve() - ready.curve()).max() <= FLOAT
    assert second.at_peak() == ready.at_peak()


def tracked(of_what, setting: Setting) -> int:
    """The peak of two steps by PyTorch's MemTracker, in bytes."""
    with FakeTensorMode(), Shortcuts(), MemTracker() as tracker:
        step = Step(of_what, setting, "cpu")
        for _ in range(2):
            step.run(lambda phase: tracker.reset_mod_stats() if phase == "data" else None)
        return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]


def attending() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.LayerNorm(32), layer)


CONVOLUTIONS = workload(
    lambda: nn.Sequential(nn.Conv1d(2, 8, 8, 4), nn.GroupNorm(2, 8), nn.GELU(), nn.Conv1d(8, 16, 1), nn.GLU(1)), 2, 4000
)


@pytest.mark.parametrize(
    ("of_what", "setting"),
    [
        (workload(chain, IN), Setting(BATCH, 1.0)),
        (workload(chain, IN), Setting(BATCH, 1.0, device="cpu")),
        (CONVOLUTIONS, Setting(3, 1.0)),
        (CONVOLUTIONS, Setting(3, 1.0, accumulate=2)),
        (workload(attending, 50, 32), Setting(2, 1.0)),
        (small("toy"), Setting(2, 0.4)),
    ],
    ids=["chain", "chain on a CPU", "convolutions", "accumulated", "attention", "toy"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_peak_is_that_of_pytorchs_own_tracker(of_what, setting):
    assert trace(of_what, setting).peak == tracked(of_what, setting)


@pytest.mark.parametrize("training", [True, False])
def test_the_peak_is_what_the_real_allocator_provides(training):
    wide = workload(lambda: nn.Sequential(nn.Linear(300, 500), nn.ReLU(), nn.Linear(500, 700), nn.Tanh()), 300)
    setting = Setting(400, 1.0, device="cpu", training=training)
    assert trace(wide, setting).peak == pytest.approx(measure(wide, setting, repeats=1).peak, rel=0.001)


def test_nothing_is_allocated():
    before = psutil.Process().memory_info().rss
    trace = traced(lambda: nn.Linear(10**6, 10**6, bias=False), 10**6, batch=1000, device="cuda")
    assert trace.at_peak()["parameters"] == 4 * 10**12
    assert trace.at_peak()["optimizer"] == 8 * 10**12 + 4
    assert trace.flops >= 2 * 2 * 1000 * 10**12  # the weights' gradient is needed, the input's is not
    assert psutil.Process().memory_info().rss - before < 200e6


def test_a_check_passes_and_a_loudness_is_one():
    def cautious(self, x):
        assert (x > 0).all()
        level = x.abs().max().item()
        return self.layer(x / level)

    plain = traced(lambda: nn.Linear(4, 4), 4)
    assert (
        traced(lambda: Run(cautious, layer=nn.Linear(4, 4)), 4).at_peak()["gradients"] == plain.at_peak()["gradients"]
    )


def test_a_number_that_is_known_stays_what_it_is():
    # Made of numbers, not of the input: its value is known, and decides the shape.
    trace = traced(lambda: Run(lambda self, x: self.layer(x)[:, : torch.tensor(3).item()], layer=nn.Linear(4, 4)), 4)
    assert of(trace, "sum", "forward")[0]["bytes"] == 3 * FLOAT + FLOAT


@pytest.mark.parametrize(
    "peek",
    [
        lambda self, x: self.layer(x)[:, : x.argmax().item() + 1],
        lambda self, x: self.layer(x)[x > 0],
        lambda self, x: self.layer(x[x.sum(-1).nonzero().squeeze(-1)]),
    ],
    ids=["a length", "a mask", "nonzero"],
)
def test_what_depends_on_values_is_said(peek):
    with pytest.raises(SepnbError, match="Peeking asks for the value of a tensor.*cannot be found from shapes alone"):
        trace(workload(lambda: Run(peek, layer=nn.Linear(4, 4)), 4, title="Peeking"), Setting(2, 1.0))


def test_after_an_error_pytorch_is_as_before():
    with pytest.raises(SepnbError):
        traced(
            lambda: Run(lambda self, x: self.layer(x)[x > 0], layer=nn.Linear(4, 4)), 4, precision="fp16", device="cuda"
        )
    assert type(torch.zeros(1)) is torch.Tensor
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.zeros(2, 2).bfloat16().exp().dtype == torch.bfloat16
