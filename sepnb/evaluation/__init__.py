"""Separators × tracks → one tidy table of scores, kept on disk part by part, here or on a cluster."""

from sepnb.evaluation.cost import Cost, costs, measure_cost
from sepnb.evaluation.estimates import EstimatesFolder
from sepnb.evaluation.pairs import SCORES, SONG_SCORES
from sepnb.evaluation.scoring import evaluate

__all__ = ["SCORES", "SONG_SCORES", "Cost", "EstimatesFolder", "costs", "evaluate", "measure_cost"]
