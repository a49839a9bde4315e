"""From two traces to all batches: larger batches do the same operators, on larger tensors.

Every block is either as large whatever the batch (weights, gradients) or so many bytes an example; so each is
a + b · batch, and so are operations and bytes of every operator. Two traces say a and b of each; the peak at any batch
then follows exactly, also where it wanders from the optimizer's step to the backward pass.
"""

from dataclasses import dataclass, replace

import numpy as np

from sepnb.errors import SepnbError
from sepnb.probing.trace import Trace
from sepnb.probing.tracing import Tracer

# A batch of one is special: axes of length one are squeezed and copied in other ways.
_SMALL, _LARGER = 2, 3
_GROWING = (("ops", "flops"), ("ops", "bytes"), ("blocks", "size"))


@dataclass(frozen=True)
class Scaling:
    """A network's step as a function of the batch, all else as in a setting."""

    small: Trace
    larger: Trace

    def at(self, batch: int) -> Trace:
        """The trace of a step with so many examples."""
        by = (batch - self.small.setting.batch) / (self.larger.setting.batch - self.small.setting.batch)
        tables = {"ops": self.small.ops.copy(), "blocks": self.small.blocks.copy()}
        for table, column in _GROWING:
            small = getattr(self.small, table)[column].to_numpy()
            growth = getattr(self.larger, table)[column].to_numpy() - small
            tables[table][column] = np.rint(small + by * growth).astype(np.int64)
        return Trace(replace(self.small.setting, batch=batch), **tables)


def scaling(tracer: Tracer, **changes: object) -> Scaling:
    """Trace a network twice, with two small batches; `changes` are those of `Tracer.trace`.

    Raises SepnbError where the network does something else with each.
    """
    small, larger = (tracer.trace(**{**changes, "batch": batch}) for batch in (_SMALL, _LARGER))
    if list(small.ops["operator"]) != list(larger.ops["operator"]) or len(small.blocks) != len(larger.blocks):
        raise SepnbError(
            f"{tracer.workload.title} does not do the same for {_SMALL} and for {_LARGER} examples: larger batches "
            "cannot be told from small ones; probe each batch by itself"
        )
    return Scaling(small, larger)
