"""Training a network on a store: recipes, and the loop."""

from sepnb.training.loop import train
from sepnb.training.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "train"]
