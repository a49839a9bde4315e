"""Predictions as tables of numbers, a row each: what the figures are drawn from, and what a report quotes."""

from collections.abc import Sequence

import pandas as pd

from sepnb.probing.measuring import Measurement
from sepnb.probing.prediction import Prediction
from sepnb.probing.rates import PRODUCTS
from sepnb.probing.trace import PHASES, ROLES, Trace
from sepnb.probing.ways_out import WayOut

# The arithmetic that papers count: what multiplies weights, or frames, with each other.
_COUNTED = (*PRODUCTS, "recurrent")
_FLOAT = 4


def settings_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """What was probed and what it comes to: memory in bytes, flops and seconds of a step, low and high of both."""
    return pd.DataFrame(
        {
            "model": one.model,
            "batch": one.setting.batch,
            "segment": one.setting.segment,
            "precision": one.setting.precision,
            "memory": one.memory,
            "memory_low": one.memory_low,
            "memory_high": one.memory_high,
            "flops": one.trace.flops,
            "seconds": one.step.seconds,
            "seconds_low": one.step.low,
            "seconds_high": one.step.high,
        }
        for one in predictions
    )


def memory_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """What the memory of a step consists of at its worst moment, in bytes; see `sepnb.figures.memory_bars`."""
    return pd.DataFrame(
        {
            "model": f"{one.model}, batch {one.setting.batch}",
            **one.trace.at_peak(),
            "rounding": one.extra.rounding,
            "workspaces": one.extra.allocated - one.extra.rounding,
            "context": one.extra.context,
            "low": one.memory_low,
            "high": one.memory_high,
        }
        for one in predictions
    )


def curve_table(trace: Trace) -> pd.DataFrame:
    """Bytes that are held after each operator of a step, a column a role; see `sepnb.figures.memory_curve`."""
    return pd.DataFrame({role: trace.curve(role) for role in ROLES})


def phase_spans(trace: Trace) -> list[tuple[str, int, int]]:
    """Name, first operator and operator after the last, for each phase of a step that has any."""
    where = {phase: trace.ops.index[trace.ops["phase"] == phase] for phase in PHASES}
    return [(phase, int(at[0]), int(at[-1]) + 1) for phase, at in where.items() if len(at)]


def hours_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Hours of computing that a published epoch takes, from low to high; see `sepnb.figures.hours_an_epoch`.

    Networks of which no published training is known are left out.
    """
    return pd.DataFrame(
        {
            "model": one.model,
            "hours": one.hours_per_epoch,
            "low": one.hours_range[0] / one.training.epochs,
            "high": one.hours_range[1] / one.training.epochs,
            "epochs": one.training.epochs,
        }
        for one in predictions
        if one.hours is not None
    )


def epochs_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """What is called an epoch: hours of audio that pass through, and of computing. A row a known training."""
    table = pd.DataFrame(
        {
            "model": one.model,
            "examples an epoch": one.training.examples,
            "hours of audio": one.training.examples * one.training.segment / 3600,
            "hours of computing": one.hours_per_epoch,
            "epochs": one.training.epochs,
        }
        for one in predictions
        if one.hours is not None
    )
    return table.assign(**{"minutes for an hour of audio": 60 * table["hours of computing"] / table["hours of audio"]})


def ways_bars(published: Prediction, ways: Sequence[WayOut]) -> pd.DataFrame:
    """Memory at the most (bytes) and hours of training, as published and by each way out; see `sepnb.figures.ways_out`.

    At the most, because a way out is one that surely fits.
    """
    named = [("as published", published), *((way.change, way.prediction) for way in ways)]
    return pd.DataFrame({"way": name, "memory": one.memory_high, "hours": one.hours} for name, one in named)


def sizes_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Parameters; and for a second of audio the multiply-adds of the forward pass and the activations (bytes).

    Counted are products, recurrent layers included, not FFTs and functions of single numbers. Activations are what the
    backward pass finds, in the setting's precision.
    """
    return pd.DataFrame(_size(one) for one in predictions)


def _size(prediction: Prediction) -> dict:
    ops, blocks = prediction.trace.ops, prediction.trace.blocks
    audio = prediction.setting.batch * prediction.setting.segment
    forward = ops[(ops["phase"] == "forward") & ops["kind"].isin(_COUNTED)]
    return {
        "model": prediction.model,
        "parameters": int(blocks.loc[blocks["role"] == "parameters", "size"].sum()) // _FLOAT,
        "multiply_adds": forward["flops"].sum() / 2 / audio,
        "activation_bytes": prediction.trace.curve("activations").max() / audio,
    }


def measured_table(pairs: Sequence[tuple[Prediction, Measurement]]) -> pd.DataFrame:
    """Predicted beside measured: bytes of tensors (on a GPU with what its allocator adds), seconds of a step.

    What was not measured is None, and `outcome` says why; see `sepnb.figures.predicted_against_measured`.
    """
    return pd.DataFrame(
        {
            "model": said.model,
            "batch": said.setting.batch,
            "segment": said.setting.segment,
            "outcome": was.outcome,
            "predicted_bytes": said.trace.peak + said.extra.allocated,
            "measured_bytes": was.peak,
            "predicted_seconds": said.step.seconds,
            "seconds_low": said.step.low,
            "seconds_high": said.step.high,
            "measured_seconds": was.typical,
            "flops": said.trace.flops,
            "calibrated": said.step.calibrated,
        }
        for said, was in pairs
    )
