"""Blind listening tests: ABX, and ratings in the manner of MUSHRA; from the sounds to what the answers tell.

The names below load on first use: importing this package needs no widgets and no statistics.
"""

from sepnb.faces import on_first_use

_HOME_OF = {
    "Item": "items",
    "make_items": "items",
    "item_scores": "scores",
    "Design": "design",
    "abx_design": "design",
    "rating_design": "design",
    "QUESTIONS": "design",
    "BlindTest": "widget",
    "read_answers": "answers",
    "SimulatedListener": "simulated",
    "simulate": "simulated",
    "simulated_panel": "simulated",
    "fixed_quality": "simulated",
    "quality_of_scores": "simulated",
    "listeners_of": "simulated",
    "abx_results": "abx",
    "trials_needed": "abx",
    "answers_needed": "abx",
    "rating_summary": "ratings",
    "rating_differences": "ratings",
    "post_screening": "ratings",
    "without_failed": "ratings",
    "correlate": "correlation",
    "rated_points": "correlation",
}

__all__ = [*_HOME_OF]

__getattr__, __dir__ = on_first_use(__name__, _HOME_OF)
