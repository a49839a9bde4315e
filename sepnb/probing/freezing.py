"""Training the last layers only: the others keep their weights, and what comes before them keeps no activations."""

import torch
from torch import Tensor, nn


def freeze_first_layers(network: nn.Module, trainable: float, mixture: Tensor) -> None:
    """Freeze a network but for the last layers: so large a share of them, in the order in which they run.

    A layer is a module with weights of its own. At least one stays trainable. `mixture` is an input for a forward pass,
    which shows the order: modules need not be listed as they are used.
    """
    ran: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: ran.append(module))
        for module in network.modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    with torch.no_grad():
        network(mixture)
    for hook in hooks:
        hook.remove()
    layers = list(dict.fromkeys(reversed(ran)))[::-1]  # in the order of their last turns
    last = layers[-max(1, round(trainable * len(layers))) :]
    network.requires_grad_(False)
    for layer in last:
        for weights in layer.parameters(recurse=False):
            weights.requires_grad_(True)
