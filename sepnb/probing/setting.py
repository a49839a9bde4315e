"""What is probed: a batch, a segment, a precision, and the usual ways to make a training step smaller."""

import math
from dataclasses import dataclass

from sepnb.errors import SepnbError

PRECISIONS = ("fp32", "fp16", "bf16")
DEVICES = ("cuda", "cpu")


@dataclass(frozen=True)
class Setting:
    """How a network is run. Raises SepnbError for what cannot be run at all."""

    # Examples on the device at once, and how long each of them is in seconds.
    batch: int
    segment: float
    # fp16 and bf16 mean autocast: weights and gradients stay in 32 bits, large products read 16-bit copies.
    precision: str = "fp32"
    # Whose kernels are modelled: a GPU keeps and needs other things than a CPU.
    device: str = "cuda"
    # A training step with Adam, or a forward pass without gradients.
    training: bool = True
    # Batches whose gradients are added up before the optimizer takes its step.
    accumulate: int = 1
    # 0: keep all activations; n: keep only the inputs of the blocks n lists deep, and compute the rest again.
    checkpoint: int = 0
    # The share of layers, counted from the output, that is trained; the ones before are frozen.
    trainable: float = 1.0
    # The share of the network's channels that is left.
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 < self.segment < math.inf or self.accumulate < 1:
            raise SepnbError(
                f"nothing to probe: {self.batch} segments of {self.segment} s, {self.accumulate} batches a step; "
                "all must be more than zero, and finite"
            )
        if self.precision not in PRECISIONS:
            raise SepnbError(f"no precision {self.precision!r}; there are {', '.join(PRECISIONS)}")
        if self.device not in DEVICES:
            raise SepnbError(f"no device {self.device!r} to model; there are {', '.join(DEVICES)}")
        if self.checkpoint < 0:
            raise SepnbError(f"checkpoint is {self.checkpoint}: 0 keeps all activations, 1 and more say how deep")
        if not (0 < self.trainable <= 1 and 0 < self.width <= 1):
            raise SepnbError(f"trainable {self.trainable} and width {self.width} are shares: more than 0 and at most 1")
