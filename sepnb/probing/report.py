"""Predictions in words and tables, for the terminal."""

from collections.abc import Sequence

import pandas as pd

from sepnb.probing.cards import GIB
from sepnb.probing.examining import Examination
from sepnb.probing.prediction import SESSION, Prediction, two_digits
from sepnb.probing.ways_out import WayOut

_PARTS = {
    "parameters": "parameters",
    "gradients": "gradients",
    "optimizer": "optimizer's state",
    "data": "mixture and references",
    "activations": "activations",
    "temporaries": "temporaries",
    "workspaces": "workspaces and rounding",
    "context": "CUDA context",
}


def hours(value: float) -> str:
    """Hours with two digits that count, or minutes where that reads better."""
    return f"{two_digits(60 * value)} min" if value < 0.95 else f"{two_digits(value)} h"


def seconds(value: float) -> str:
    """Seconds with two digits that count, or milliseconds."""
    return f"{two_digits(1000 * value)} ms" if value < 0.095 else f"{two_digits(value)} s"


def verdict_table(found: Sequence[Examination]) -> pd.DataFrame:
    """A row a network: what was probed, what it needs, how long it takes, the verdict. As strings, to be read."""
    return pd.DataFrame(_row(one.prediction) for one in found)


def ways_table(ways: Sequence[WayOut]) -> pd.DataFrame:
    """A row a way out: the change, what it comes to, and its price."""
    return pd.DataFrame(
        {
            "way out": way.change,
            "memory": f"{way.prediction.memory / GIB:.1f} GiB",
            "training": "" if way.prediction.hours is None else hours(way.prediction.hours),
            "verdict": way.prediction.verdict,
            "price": way.price,
        }
        for way in ways
    )


def comparison_table(compared: pd.DataFrame) -> pd.DataFrame:
    """What `comparing.comparison` gives, as strings, to be read."""
    return pd.DataFrame(_compared(row) for row in compared.to_dict("records"))


def describe(prediction: Prediction) -> str:
    """One prediction, whole: memory by parts, time by kinds of work, verdict."""
    setting, step = prediction.setting, prediction.step
    lines = [
        f"{prediction.model} on {prediction.card.title}: {_words(prediction)}",
        f"  {prediction.verdict}: {prediction.decides}",
        f"  memory at the worst moment: {_range(prediction)}",
    ]
    for part, words in _PARTS.items():
        if prediction.parts[part]:
            lines.append(f"    {words:24}{prediction.parts[part] / GIB:8.3f} GiB")
    if prediction.reserved is not None:
        lines.append(
            f"  reserved by PyTorch's allocator: {prediction.reserved.reserved_peak / GIB:.2f} GiB (simulated)"
        )
    kind = "training step" if setting.training else "forward pass"
    how = "calibrated here" if step.calibrated else "assumed efficiencies, not measured on this card"
    lines.append(
        f"  time of a {kind}: {seconds(step.seconds)}, from {seconds(step.low)} to {seconds(step.high)} ({how}); "
        f"{prediction.trace.flops / 1e12:.3g} TFLOP"
    )
    if prediction.published is not None:
        low, high = prediction.hours_range
        lines.append(
            f"  published training, {prediction.published.epochs} epochs of {prediction.steps_per_epoch:,} such steps"
            f"{_networks(prediction.published.networks)}: "
            f"{hours(prediction.hours_per_epoch)} an epoch, {hours(prediction.hours)} in all ({hours(low)} to "
            f"{hours(high)}), sessions of {SESSION} h: {prediction.sessions}"
        )
    if prediction.training is not None:
        lines.append(f"  source: {prediction.training.source}")
    return "\n".join(lines)


def _compared(row: dict) -> dict[str, str]:
    measured = row["measured_peak"] is not None and not pd.isna(row["measured_peak"])
    timed = row["measured_seconds"] is not None and not pd.isna(row["measured_seconds"])
    return {
        "model": row["model"],
        "batch": str(row["batch"]),
        "segment": f"{row['segment']:.3g} s",
        "precision": row["precision"],
        "predicted": f"{row['predicted_peak'] / GIB:.3f} GiB",
        "measured": f"{row['measured_peak'] / GIB:.3f} GiB" if measured else row["outcome"],
        "ratio": f"{row['peak_ratio']:.4f}" if measured else "",
        "predicted step": f"{seconds(row['predicted_seconds'])} ({seconds(row['low'])} to {seconds(row['high'])})",
        "measured step": seconds(row["measured_seconds"]) if timed else "",
        "predicted / measured": f"{row['seconds_ratio']:.2f}" if timed else "",
    }


def _networks(number: int) -> str:
    return "" if number == 1 else f" ({number} networks, one a stem, together)"


def _words(prediction: Prediction) -> str:
    setting = prediction.setting
    words = [f"batch {setting.batch} of {setting.segment:.3g} s", setting.precision]
    words += [f"gradients of {setting.accumulate} batches added up"] if setting.accumulate > 1 else []
    words += ["gradient checkpointing"] if setting.checkpoint else []
    words += [f"the last {setting.trainable:.0%} of layers trained"] if setting.trainable < 1 else []
    words += [f"{setting.width:.0%} of the channels"] if setting.width < 1 else []
    words += [] if setting.training else ["forward pass only"]
    return ", ".join(words)


def _range(prediction: Prediction) -> str:
    low, high = prediction.memory_low / GIB, prediction.memory_high / GIB
    if low == high:
        return f"{prediction.memory / GIB:.2f} GiB"
    return f"{prediction.memory / GIB:.2f} GiB ({low:.2f} to {high:.2f}) of {prediction.card.memory / GIB:.1f}"


def _row(prediction: Prediction) -> dict[str, str]:
    setting, trained = prediction.setting, prediction.published is not None
    return {
        "model": prediction.model,
        "batch": str(setting.batch),
        "segment": f"{setting.segment:.3g} s",
        "memory": f"{prediction.memory / GIB:.2f} GiB",
        "step": seconds(prediction.step.seconds),
        "epoch": hours(prediction.hours_per_epoch) if trained else "",
        "training": hours(prediction.hours) if trained else "",
        "verdict": prediction.verdict,
    }
