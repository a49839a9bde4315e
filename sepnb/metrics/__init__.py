"""Scores: arrays in, decibels out. Nothing here knows of files or figures."""

from sepnb.metrics.aggregate import medians
from sepnb.metrics.bsseval import BSSScores, bss_eval
from sepnb.metrics.sdr import frame_sdr

__all__ = ["BSSScores", "bss_eval", "frame_sdr", "medians"]
