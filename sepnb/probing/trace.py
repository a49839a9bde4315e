"""What one step of a network does and holds, operator by operator."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from sepnb.probing.setting import Setting

# What memory is held for. Data are the mixture and the references; activations are what the forward pass leaves for
# the backward pass; temporaries come and go within one of them.
ROLES = ("parameters", "optimizer", "gradients", "data", "activations", "temporaries")
PHASES = ("forward", "backward", "optimizer")


@dataclass(frozen=True)
class Trace:
    """One step, with the optimizer's state already there; the loss belongs to the forward phase.

    `ops` has a row for each operator that computes or moves something, in order: operator, kind, phase, flops (2 for a
    multiplication and an addition), bytes (read and written), dtype (what the arithmetic is done in), narrow (the
    smallest dimension of a product), steps (of a recurrent layer in time, one after the other).

    `blocks` has a row for each block of memory: size in bytes, born (the operator that made it; -1 if it was there
    before the step), died (the operator before which it was gone; as many as there are if it outlives the step), role.
    """

    setting: Setting
    ops: pd.DataFrame
    blocks: pd.DataFrame

    def curve(self, role: str | None = None) -> np.ndarray:
        """Bytes that are held after each operator: of all roles, or of one."""
        blocks = self.blocks if role is None else self.blocks[self.blocks["role"] == role]
        changes = np.zeros(len(self.ops) + 1, np.int64)
        np.add.at(changes, np.maximum(blocks["born"].to_numpy(), 0), blocks["size"].to_numpy())
        np.subtract.at(changes, blocks["died"].to_numpy(), blocks["size"].to_numpy())
        return np.cumsum(changes)[:-1]

    @cached_property
    def peak_at(self) -> int:
        """The operator at which most memory is held."""
        return int(self.curve().argmax())

    @property
    def peak(self) -> int:
        """Bytes held at the worst moment."""
        return int(self.curve()[self.peak_at])

    def at_peak(self) -> dict[str, int]:
        """Bytes held at the worst moment, by role."""
        return {role: int(self.curve(role)[self.peak_at]) for role in ROLES}

    @property
    def flops(self) -> int:
        """Floating-point operations of the whole step."""
        return int(self.ops["flops"].sum())
