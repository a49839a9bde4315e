"""One step of training, or of separation: the same code on fake tensors, where it is predicted, and on real ones."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from sepnb.probing.checkpointing import checkpoint_blocks
from sepnb.probing.freezing import freeze_first_layers
from sepnb.probing.setting import Setting
from sepnb.probing.workloads import Workload

_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Step:
    """A network with its optimizer (Adam), ready to run steps in a setting.

    device: where tensors are made ("cpu", "cuda"). On fake tensors it is "cpu", whatever `setting.device` models.
    recomputing: a context for what checkpointing computes a second time.
    """

    def __init__(
        self,
        workload: Workload,
        setting: Setting,
        device: str,
        recomputing: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.workload, self.setting, self.device = workload, setting, device
        self.network = workload.build(setting.width).train(setting.training)
        if device != "cpu":
            self.network.to(device)
        self._seen: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.optimizer = None
        if not setting.training:
            self.network.requires_grad_(False)
            return
        if setting.trainable < 1:
            freeze_first_layers(self.network, setting.trainable, self.data()[0])
        if setting.checkpoint:
            checkpoint_blocks(self.network, setting.checkpoint, recomputing)
        # On a GPU, Adam treats all weights in a few operators at once, which takes temporaries as large as they are.
        self.optimizer = torch.optim.Adam(self.trained, lr=3e-4, foreach=setting.device == "cuda")

    @property
    def trained(self) -> list[nn.Parameter]:
        """The weights that are trained."""
        return [weights for weights in self.network.parameters() if weights.requires_grad]

    def data(self) -> tuple[Tensor, Tensor | None]:
        """A batch of mixtures and, for training, of references, on the device; their numbers are drawn anew."""
        workload, setting = self.workload, self.setting
        mixture = torch.rand(workload.input_shape(setting.batch, setting.segment), device=self.device) - 0.5
        if not setting.training:
            return mixture, None
        return mixture, torch.rand(self._target_shape(mixture), device=self.device) - 0.5

    def make_state(self) -> None:
        """Leave the optimizer, and with accumulation the gradients, as an earlier step would have left them."""
        if self.optimizer is None:
            return
        for weights in self.trained:
            weights.grad = torch.zeros_like(weights)
        if not self.optimizer.state:
            self.optimizer.step()
        if self.setting.accumulate == 1:
            self.optimizer.zero_grad()

    def run(self, enter: Callable[[str], None] = lambda phase: None, micro_batches: int | None = None) -> None:
        """One step: all its micro-batches (or so many of them), then the optimizer. Without training, one forward pass.

        `enter` is told as each phase begins: data, forward, backward, optimizer.
        """
        if self.optimizer is None:
            enter("data")
            mixture, _ = self.data()
            enter("forward")
            with torch.no_grad(), self._autocast():
                self.network(mixture)
            return
        for _ in range(micro_batches or self.setting.accumulate):
            enter("data")
            mixture, references = self.data()
            enter("forward")
            with self._autocast():
                loss = self.workload.loss(self.network, mixture, references)
            enter("backward")
            (loss / self.setting.accumulate).backward()
            del mixture, references, loss
        enter("optimizer")
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _target_shape(self, mixture: Tensor) -> tuple[int, ...]:
        known, setting = self.workload.target_shape, self.setting
        if known is not None:
            return known(setting.batch, setting.segment)
        # Of a network of one's own, only a forward pass says it.
        size = tuple(mixture.shape)
        if size not in self._seen:
            with torch.no_grad():
                estimates = self.network(mixture)
            self._seen[size] = tuple(estimates.shape) if isinstance(estimates, Tensor) else size
        return self._seen[size]

    def held(self) -> dict[str, Iterator[Tensor]]:
        """What is there between two steps, by role."""
        state = self.optimizer.state.values() if self.optimizer else ()
        return {
            "parameters": iter([*self.network.parameters(), *self.network.buffers()]),
            "optimizer": (value for entry in state for value in entry.values() if isinstance(value, Tensor)),
            "gradients": (weights.grad for weights in self.network.parameters() if weights.grad is not None),
        }

    def _autocast(self) -> AbstractContextManager:
        if self.setting.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device, _TYPES[self.setting.precision])
