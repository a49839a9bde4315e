"""How the weights move: Adam, and a learning rate that rises, then falls."""

import math

import torch

from sepnb.training.recipes import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of step number `step` (from 0) of `steps`: rises in a line, then falls along half a cosine.

    It rises for the recipe's `warmup_steps`, but for no more than a tenth of the run: a short one has none to spare.
    """
    warmup = min(recipe.warmup_steps, steps // 10)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(recipe: Recipe, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, or with weight decay AdamW (Loshchilov and Hutter 2019), which keeps it out of Adam's averages."""
    if recipe.weight_decay:
        return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(parameters, lr=recipe.learning_rate)
