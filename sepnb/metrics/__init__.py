"""Scores: arrays in, decibels out. Nothing here knows of files or figures."""

from sepnb.metrics.aggregate import common_targets, improvement, medians, track_medians
from sepnb.metrics.bsseval import BSSScores, bss_eval
from sepnb.metrics.comparison import Difference, better
from sepnb.metrics.scale_invariant import frame_si_sdr, si_sar, si_sdr, si_sir
from sepnb.metrics.sdr import frame_sdr, usdr

__all__ = [
    "BSSScores",
    "Difference",
    "better",
    "bss_eval",
    "common_targets",
    "frame_sdr",
    "frame_si_sdr",
    "improvement",
    "medians",
    "si_sar",
    "si_sdr",
    "si_sir",
    "track_medians",
    "usdr",
]
