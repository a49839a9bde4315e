"""Know before you train: what a network costs, found without a GPU and without allocating it."""

from sepnb.probing.cards import CARDS, Card, cpu_card, find_card, this_card
from sepnb.probing.examining import Examination, examine
from sepnb.probing.predicting import Predictor, probe, setting_for
from sepnb.probing.prediction import SESSION, Prediction
from sepnb.probing.report import describe, verdict_table, ways_table
from sepnb.probing.searching import largest_batch, longest_segment
from sepnb.probing.setting import Setting
from sepnb.probing.story import WORKLOADS, available, find_workload
from sepnb.probing.trace import PHASES, ROLES, Trace
from sepnb.probing.tracing import Tracer, trace
from sepnb.probing.ways_out import WayOut, ways_out
from sepnb.probing.workloads import Training, Workload, own_workload

__all__ = [
    "CARDS",
    "PHASES",
    "ROLES",
    "SESSION",
    "WORKLOADS",
    "Card",
    "Examination",
    "Prediction",
    "Predictor",
    "Setting",
    "Trace",
    "Tracer",
    "Training",
    "WayOut",
    "Workload",
    "available",
    "cpu_card",
    "describe",
    "examine",
    "find_card",
    "find_workload",
    "largest_batch",
    "longest_segment",
    "own_workload",
    "probe",
    "setting_for",
    "this_card",
    "trace",
    "verdict_table",
    "ways_out",
    "ways_table",
]
