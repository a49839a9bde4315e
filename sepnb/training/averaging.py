"""Averaged weights (EMA): where the steps of training scatter around a good place, their mean is nearer to it."""

import copy

import torch
from torch import nn


class Average:
    """A second network whose weights follow those of the first, as an exponential moving average over the steps.

    After every step: average = decay * average + (1 - decay) * weights. The decay rises with the steps,
    (1 + steps) / (10 + steps) until it reaches `decay`, so that a short run is not held back by its random beginning.
    A decay of 0 keeps a plain copy.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, steps: int) -> None:
        """Take in the weights after so many steps (1 after the first)."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for average, weights in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weights, 1 - decay)
        for average, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)
