"""Training a network on a store: recipes, and the loop."""

from sepnb.training.loop import read_history, read_recipe, train
from sepnb.training.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "read_history", "read_recipe", "train"]
