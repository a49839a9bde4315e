"""A line for each case, with what was predicted beside what came out, and the reason where nothing did."""

from types import SimpleNamespace

import pytest

from sepnb.probing import comparing
from sepnb.probing.measuring import nothing_yet


class Expects:
    """Stands for a predictor: every step holds 3 GiB and takes 2 s."""

    def __init__(self, workload, card, rates):
        assert card.name == "cpu"

    def at(self, setting):
        step = SimpleNamespace(seconds=2.0, low=1.0, high=4.0, calibrated=True)
        extra = SimpleNamespace(allocated=0)
        return SimpleNamespace(trace=SimpleNamespace(peak=3 * 2**30), extra=extra, step=step)


def measured(name, setting, device, repeats, expected):
    """Stands for a measurement: 4 GiB and 5 s; a batch of two does not fit."""
    assert (device, expected) == ("cpu", 3 * 2**30)
    result = vars(nothing_yet(name, setting, device))
    if setting.batch == 2:
        return SimpleNamespace(**result, typical=None)
    return SimpleNamespace(**{**result, "outcome": "measured", "peak": 4 * 2**30}, typical=5.0)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    monkeypatch.setattr(comparing, "Predictor", Expects)
    monkeypatch.setattr(comparing, "measure_apart", measured)


def test_predictions_stand_beside_measurements():
    table = comparing.comparison(["toy", "compact"], segment=2.0)
    assert list(table["model"]) == ["toy", "compact"]
    row = table.iloc[0]
    assert (row["segment"], row["precision"], row["outcome"]) == (2.0, "fp32", "measured")
    assert row["peak_ratio"] == pytest.approx(3 / 4)
    assert row["seconds_ratio"] == pytest.approx(2 / 5)
    assert (row["low"], row["high"], row["calibrated"]) == (1.0, 4.0, True)


def test_a_segment_is_as_published_if_nothing_is_said():
    assert comparing.comparison(["toy"])["segment"].item() == 3.0


def test_what_was_not_measured_has_no_ratio():
    (row,) = comparing.compare([("toy", 2, "fp32")])
    assert row["outcome"] == "not run"
    assert row["measured_peak"] is row["peak_ratio"] is row["measured_seconds"] is row["seconds_ratio"] is None
