"""Training a network on a store: recipes, and the loop."""

from sepnb.training.budget import estimate_minutes, fit_budget, measure_pace, pace_on_t4
from sepnb.training.divergence import TrainingDiverged
from sepnb.training.history import read_history, read_recipe
from sepnb.training.ladder import LADDERS, Rung, ladder_history, run_ladder
from sepnb.training.loop import train
from sepnb.training.losses import LOSSES, relative_energy
from sepnb.training.recipes import RECIPES, Recipe, find_recipe
from sepnb.training.validation import baseline_scores

__all__ = [
    "LADDERS",
    "LOSSES",
    "RECIPES",
    "Recipe",
    "Rung",
    "TrainingDiverged",
    "baseline_scores",
    "estimate_minutes",
    "find_recipe",
    "fit_budget",
    "ladder_history",
    "measure_pace",
    "pace_on_t4",
    "read_history",
    "read_recipe",
    "relative_energy",
    "run_ladder",
    "train",
]
