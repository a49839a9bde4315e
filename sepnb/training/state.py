"""All that a run is at one moment, as plain values and tensors: what a checkpoint holds."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from sepnb.batches import Batches
from sepnb.training.averaging import Average
from sepnb.training.checkpoints import copied
from sepnb.training.history import Progress


@dataclass
class State:
    """The parts of a run that change while it trains."""

    network: nn.Module
    average: Average
    optimizer: AcceleratedOptimizer
    scaler: torch.amp.GradScaler | None  # fp16 only
    batches: Batches
    progress: Progress
    best: dict[str, torch.Tensor] | None = None  # averaged weights of the best epoch

    def as_dict(self, about: dict, randoms: list[dict]) -> dict:
        """Everything, for a checkpoint. The learning rate needs no state: it follows from the step.

        about: what run this is; randoms: `random_state()` of every process.
        """
        return {
            "about": about,
            "progress": self.progress.as_dict(),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "batches": self.batches.state_dict(),
            "best": self.best,
            "random": randoms,
        }

    def load(self, saved: dict, process: int) -> None:
        """Go on from what `as_dict` gave, in the process of that number."""
        self.progress = Progress.from_dict(saved["progress"])
        self.network.load_state_dict(saved["network"])
        self.average.network.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.scaler is not None and saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.batches.load_state_dict(saved["batches"])
        self.best = saved["best"]
        set_random_state(saved["random"][process])

    def keep_best(self) -> None:
        """Remember the averaged weights as those of the epoch that has just been validated."""
        last = self.progress.rows[-1]
        self.progress.best_epoch, self.progress.best_sdr = last["epoch"], last["valid_sdr"]
        self.best = copied(self.average.network.state_dict())

    def is_finite(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(torch.isfinite(weights).all()) for weights in self.network.parameters())


def random_state() -> dict:
    """Where this process's random number generators are: Python's, numpy's, torch's, the GPU's."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - whatever uses the global one shall go on too
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_state(state: dict) -> None:
    """Put the generators back to where `random_state` found them."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
