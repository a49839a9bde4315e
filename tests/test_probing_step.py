"""What makes a step smaller does so, and costs what it is said to cost."""

import pytest
import torch
from probed import FLOAT, Run, of, traced, workload
from torch import nn
from torch.nn import functional as F

from sepnb.errors import SepnbError
from sepnb.probing.checkpointing import checkpoint_blocks, checkpoint_levels
from sepnb.probing.freezing import freeze_first_layers
from sepnb.probing.setting import Setting
from sepnb.probing.step import Step

WIDTH, DEPTH, BATCH = 40, 8, 500
ACTIVATION = BATCH * WIDTH * FLOAT
WEIGHTS = WIDTH * WIDTH * FLOAT


def layer() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=False), nn.Tanh())


def deep() -> nn.Module:
    return nn.Sequential(*[layer() for _ in range(DEPTH)])


def step_of(**how):
    return traced(deep, WIDTH, batch=BATCH, **{"device": "cuda", **how})


def held_after_forward(trace, role: str) -> int:
    return int(trace.curve(role)[(trace.ops["phase"] == "forward").sum() - 1])


def flops(trace, phase: str) -> int:
    products = trace.ops[trace.ops["kind"] == "matmul"]
    return int(products[products["phase"] == phase]["flops"].sum())


def test_checkpointing_keeps_one_activation_a_block():
    plain, few = step_of(), step_of(checkpoint=1)
    assert held_after_forward(plain, "activations") == DEPTH * ACTIVATION + FLOAT
    # A block keeps its input: that of the first is the mixture; what the last puts out is summed, and not kept.
    assert held_after_forward(few, "activations") == (DEPTH - 1) * ACTIVATION + FLOAT

    def halves() -> nn.Module:
        return nn.Sequential(*[nn.Sequential(*[layer() for _ in range(DEPTH // 2)]) for _ in range(2)])

    two = traced(halves, WIDTH, batch=BATCH, device="cuda", checkpoint=1)
    assert held_after_forward(two, "activations") == ACTIVATION + FLOAT
    assert two.peak < plain.peak


def test_checkpointing_computes_the_forward_pass_again():
    plain, few = step_of(), step_of(checkpoint=1)
    assert flops(few, "forward") == flops(plain, "forward")
    assert flops(few, "backward") == flops(plain, "backward") + flops(plain, "forward")
    # Forward is a third of forward and backward: about as much comes on top. (The mixture needs no gradient.)
    more = few.ops["flops"].sum() / plain.ops["flops"].sum()
    assert 1.3 < more < 1.4


def test_attention_in_checkpointed_blocks_is_fused_both_times():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 16)

        def forward(self, inputs):
            queries = self.layer(inputs)
            return F.scaled_dot_product_attention(queries, queries, queries, dropout_p=0.1)

    trace = traced(lambda: nn.Sequential(Block(), Block()), 2, 400, 16, device="cuda", checkpoint=1)
    fused = "_scaled_dot_product_flash_attention_for_cpu.default"
    assert len(of(trace, fused, "forward")) == 2
    assert len(of(trace, fused, "backward")) == 2
    assert trace.peak < 2 * 400 * 400 * FLOAT, "no matrix of who looks at whom"


def test_a_network_without_blocks_so_deep_is_refused():
    with pytest.raises(SepnbError, match="nothing to checkpoint 3 lists deep in Sequential"):
        step_of(checkpoint=3)
    with pytest.raises(SepnbError, match="nothing to checkpoint 1 lists deep in Linear"):
        traced(lambda: nn.Linear(4, 4), 4, checkpoint=1)


def test_levels_are_how_deep_lists_of_layers_lie_in_each_other():
    assert checkpoint_levels(deep()) == [1, 2]
    assert checkpoint_levels(nn.Linear(2, 2)) == []
    inner = Run(None, layers=nn.ModuleList([nn.Linear(2, 2), nn.ReLU()]))
    assert checkpoint_levels(Run(None, first=nn.Linear(2, 2), inner=inner)) == [1]
    # A list of layers without weights has nothing that is worth it.
    assert checkpoint_levels(nn.Sequential(nn.ReLU(), nn.Tanh())) == []


def test_checkpointing_changes_neither_result_nor_gradients():
    torch.manual_seed(0)
    network, inputs = deep(), torch.randn(5, WIDTH)
    results = []
    for _ in range(2):
        network.zero_grad()
        out = network(inputs)
        out.pow(2).sum().backward()
        results.append([out.detach(), *(weights.grad.clone() for weights in network.parameters())])
        assert checkpoint_blocks(network, 1) == DEPTH
    for plain, again in zip(*results, strict=True):
        torch.testing.assert_close(plain, again)


def test_freezing_takes_gradients_optimizer_and_activations():
    plain, last = step_of(), step_of(trainable=0.25)
    trained = DEPTH // 4
    assert last.curve("parameters").max() == plain.curve("parameters").max() == DEPTH * WEIGHTS
    assert last.curve("gradients").max() == trained * WEIGHTS
    assert last.curve("optimizer").max() == trained * (2 * WEIGHTS + FLOAT)
    # Their inputs and outputs: the first of them takes what a frozen layer puts out.
    assert held_after_forward(last, "activations") == (trained + 1) * ACTIVATION + FLOAT
    assert flops(last, "forward") == flops(plain, "forward")
    # A gradient for each weight, and for what each trained layer but the first takes in.
    assert flops(last, "backward") * (2 * DEPTH - 1) == flops(plain, "backward") * (2 * trained - 1)


def test_layers_are_frozen_in_the_order_in_which_they_run():
    def run(self, x):
        return self.first(self.second(self.third(x)))

    network = Run(run, first=nn.Linear(4, 4), second=nn.Linear(4, 4), third=nn.Linear(4, 4))
    freeze_first_layers(network, 0.34, torch.zeros(1, 4))
    assert [name for name, weights in network.named_parameters() if weights.requires_grad] == [
        "first.weight",
        "first.bias",
    ]


def test_at_least_one_layer_stays_trainable():
    network = deep()
    freeze_first_layers(network, 0.001, torch.zeros(1, WIDTH))
    assert [weights.requires_grad for weights in network.parameters()] == [False] * (DEPTH - 1) + [True]


def test_a_layer_that_runs_twice_counts_at_its_last_turn():
    network = Run(lambda self, x: self.twice(self.once(self.twice(x))), twice=nn.Linear(4, 4), once=nn.Linear(4, 4))
    freeze_first_layers(network, 0.5, torch.zeros(1, 4))
    assert network.twice.weight.requires_grad
    assert not network.once.weight.requires_grad


def test_accumulated_gradients_are_there_in_the_forward_pass():
    plain, adding = step_of(), step_of(accumulate=4)
    assert held_after_forward(plain, "gradients") == 0
    assert held_after_forward(adding, "gradients") == DEPTH * WEIGHTS
    assert adding.peak > plain.peak
    # One micro-batch is traced, and the optimizer's step after it.
    assert flops(adding, "forward") == flops(plain, "forward")
    gradients = adding.blocks[adding.blocks["role"] == "gradients"]
    assert int(gradients["size"].sum()) == DEPTH * WEIGHTS, "what comes is added to what is there"
    assert (gradients["born"] == -1).all()


def test_a_forward_pass_knows_no_gradients_and_no_optimizer():
    trace = step_of(training=False)
    assert set(trace.ops["phase"]) == {"forward"}
    assert {"gradients", "optimizer", "activations"}.isdisjoint(trace.blocks["role"])
    # The mixture; what a block takes in, and what its first and its second layer put out.
    assert trace.peak == DEPTH * WEIGHTS + 4 * ACTIVATION


def test_the_same_step_runs_on_real_tensors():
    torch.manual_seed(0)
    phases = []
    step = Step(workload(deep, WIDTH), Setting(4, 1.0, accumulate=3, device="cpu"), "cpu")
    before = [weights.clone() for weights in step.trained]
    step.run(phases.append)
    assert phases == ["data", "forward", "backward"] * 3 + ["optimizer"]
    assert all(not torch.equal(old, new) for old, new in zip(before, step.trained, strict=True))
    assert all(weights.grad is None for weights in step.trained)
    assert len(step.optimizer.state) == DEPTH


def test_micro_batches_add_up_to_the_gradient_of_their_mean():
    setting = Setting(4, 1.0, accumulate=3, device="cpu")
    step = Step(workload(deep, WIDTH), setting, "cpu")
    batches = [torch.randn(4, WIDTH) for _ in range(3)]
    wanted = torch.autograd.grad(step.network(torch.cat(batches)).sum() / 3, step.trained)
    found, drawn = [], iter(batches)
    step.data = lambda: (next(drawn), None)
    step.run(lambda phase: found.extend(w.grad.clone() for w in step.trained) if phase == "optimizer" else None)
    for mean, added in zip(wanted, found, strict=True):
        torch.testing.assert_close(mean, added)


def test_data_has_the_shapes_of_the_setting_and_a_forward_pass_no_references():
    training = Step(workload(deep, 3, WIDTH), Setting(5, 1.0), "cpu")
    mixture, references = training.data()
    assert tuple(mixture.shape) == (5, 3, WIDTH)
    assert references is not None
    assert mixture.min() < 0 < mixture.max()
    assert Step(workload(deep, 3, WIDTH), Setting(5, 1.0, training=False), "cpu").data()[1] is None
