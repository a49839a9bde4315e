"""Small networks to probe, whose steps can be counted by hand."""

from collections.abc import Callable

from torch import Tensor, nn

from sepnb.probing.setting import Setting
from sepnb.probing.trace import Trace
from sepnb.probing.tracing import trace
from sepnb.probing.workloads import Workload

FLOAT = 4


class Run(nn.Module):
    """A module with a forward pass of one's own: `forward(module, inputs)`."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, inputs: Tensor) -> Tensor:
        return self._forward(self, inputs)


def workload(build: Callable[[], nn.Module], *example: int, loss: Callable | None = None, title: str = "") -> Workload:
    """The workload of a network for examples of a shape, whatever the seconds; its loss is the sum of what comes out.

    The gradient of a sum is one number, expanded: it takes four bytes and not a copy of the estimates.
    """
    return Workload(
        name="network",
        title=title or "a network",
        build=lambda width: build(),
        input_shape=lambda batch, seconds: (batch, *example),
        target_shape=lambda batch, seconds: (1,),
        loss=loss or (lambda network, inputs, references: network(inputs).sum()),
        narrows=False,
    )


def traced(build: Callable[[], nn.Module], *example: int, batch: int = 1, loss: Callable | None = None, **how) -> Trace:
    """The trace of a step of a network with examples of a shape; `how` is of a Setting. By default as on a CPU."""
    return trace(workload(build, *example, loss=loss), Setting(batch, 1.0, **{"device": "cpu", **how}))


def of(trace: Trace, operator: str, phase: str | None = None) -> list[dict]:
    """The operators of a trace with a word in their names, in order."""
    rows = trace.ops[trace.ops["operator"].str.contains(operator, regex=False)]
    return (rows if phase is None else rows[rows["phase"] == phase]).to_dict("records")
