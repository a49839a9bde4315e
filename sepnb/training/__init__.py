"""Training a network on a store: recipes, and the loop."""

from sepnb.training.divergence import TrainingDiverged
from sepnb.training.history import read_history, read_recipe
from sepnb.training.loop import train
from sepnb.training.losses import LOSSES, relative_energy
from sepnb.training.recipes import RECIPES, Recipe, find_recipe

__all__ = [
    "LOSSES",
    "RECIPES",
    "Recipe",
    "TrainingDiverged",
    "find_recipe",
    "read_history",
    "read_recipe",
    "relative_energy",
    "train",
]
