"""Predictions beside measurements: is the probe right on the device at hand?"""

from collections.abc import Iterable, Iterator

import pandas as pd
from tqdm.auto import tqdm

from sepnb.probing.cards import cpu_card, this_card
from sepnb.probing.measuring_apart import measure_apart, named_workload
from sepnb.probing.predicting import Predictor
from sepnb.probing.rates import Rates
from sepnb.probing.setting import Setting
from sepnb.probing.story import available


def comparison(
    models: Iterable[str] | None = None,
    batch: int = 1,
    segment: float | None = None,
    precision: str = "fp32",
    device: str = "cpu",
    repeats: int = 3,
    rates: Rates | None = None,
) -> pd.DataFrame:
    """A table of models, predicted and measured: what a training step holds and how long it takes.

    `models` are names of the story, or `module:attribute` for a Workload in a module (by default all that are
    installed), `segment` is in seconds (by default as published), `device` is "cpu" or "cuda", `rates` are those of a
    calibration (by default what is known of the device).

    Columns: model, batch, segment, precision, outcome, predicted_peak, measured_peak, peak_ratio (bytes, predicted to
    measured), measured_reserved (on a GPU), predicted_seconds, low, high, measured_seconds, seconds_ratio, calibrated,
    device, threads, torch, date. What was not measured is None, and `outcome` says why.
    """
    names = [workload.name for workload in available()] if models is None else list(models)
    rows = compare(((name, batch, precision) for name in names), segment, device, repeats, rates)
    return pd.DataFrame(list(tqdm(rows, total=len(names), unit="model")))


def compare(
    cases: Iterable[tuple[str, int, str]],
    segment: float | None = None,
    device: str = "cpu",
    repeats: int = 3,
    rates: Rates | None = None,
) -> Iterator[dict]:
    """The rows of such a table as they are measured, for cases of a model, a batch and a precision."""
    card = this_card() if device == "cuda" else cpu_card()
    for name, batch, precision in cases:
        workload = named_workload(name)
        setting = Setting(batch, segment or workload.training.segment, precision, device)
        predicted = Predictor(workload, card, rates).at(setting)
        # What PyTorch's allocator counts: on a GPU that is also what libraries take from it.
        peak = predicted.trace.peak + predicted.extra.allocated
        measured = measure_apart(name, setting, device, repeats, expected=peak)
        yield {
            "model": name,
            "batch": batch,
            "segment": setting.segment,
            "precision": precision,
            "outcome": measured.outcome,
            "predicted_peak": peak,
            "measured_peak": measured.peak,
            "peak_ratio": _ratio(peak, measured.peak),
            "measured_reserved": measured.reserved,
            "predicted_seconds": predicted.step.seconds,
            "low": predicted.step.low,
            "high": predicted.step.high,
            "measured_seconds": measured.typical,
            "seconds_ratio": _ratio(predicted.step.seconds, measured.typical),
            "calibrated": predicted.step.calibrated,
            "device": measured.device,
            "threads": measured.threads,
            "torch": measured.torch,
            "date": measured.date,
        }


def _ratio(predicted: float | None, measured: float | None) -> float | None:
    return predicted / measured if predicted is not None and measured else None
