"""What fits into a budget is arithmetic on measured times."""

from dataclasses import replace

import pytest
import torch
from test_ladder import TINY, store  # noqa: F401 -- a fixture

from sepnb.errors import SepnbError
from sepnb.files import write_json
from sepnb.training import budget
from sepnb.training.budget import (
    T4_RATE,
    Pace,
    estimate_minutes,
    fit_budget,
    fit_run,
    matmul_rate,
    measure_pace,
    pace_on_t4,
    read_duration,
    step_seconds,
    steps_per_epoch,
)

PACE = Pace(step=0.5, validation=2.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("11h30", 41400), ("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1h5m10s", 3910), (" 3M ", 180)],
)
def test_durations_as_people_write_them(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "90", "1d", "5m5", "-5m", "1.5h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(SepnbError, match="is no duration: write it as in 11h30, 90m or 45s"):
        read_duration(text)


def test_pace_is_measured_and_leaves_nothing_behind(store, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pace = measure_pace(store, replace(TINY, patience=1, warmup_steps=50), steps=2)
    assert 0 < pace.step < 10
    assert 0 < pace.validation < 10
    assert not list(tmp_path.glob("sepnb-*"))
    assert 0 < step_seconds(store, TINY, steps=1) < 10


def test_steps_of_an_epoch_are_the_recipes_or_the_songs(store):  # noqa: F811
    assert steps_per_epoch(TINY, store) == 7
    assert steps_per_epoch(replace(TINY, steps_per_epoch=None), store) == 6  # 12 s in batches of 2 s
    assert steps_per_epoch(replace(TINY, steps_per_epoch=None, songs=2), store) == 4


def test_an_estimate_counts_steps_and_validations(store):  # noqa: F811
    assert estimate_minutes(replace(TINY, epochs=12), store, PACE) == pytest.approx(12 * (7 * 0.5 + 2.0) / 60)


def test_a_budget_is_filled_and_not_passed(store):  # noqa: F811
    for minutes in (0.1, 1.0, 17.3):
        fitted = fit_budget(TINY, store, minutes, pace=PACE)
        assert estimate_minutes(fitted, store, PACE) <= minutes + 1e-9
        assert estimate_minutes(replace(fitted, epochs=fitted.epochs + 1), store, PACE) > minutes
        assert replace(fitted, epochs=1) == TINY


def test_a_budget_below_an_epoch_shortens_it(store):  # noqa: F811
    fitted = fit_budget(TINY, store, 4 / 60, pace=PACE)
    assert (fitted.epochs, fitted.steps_per_epoch) == (1, 4)
    with pytest.raises(SepnbError, match="not enough for one step of tiny"):
        fit_budget(TINY, store, 2.4 / 60, pace=PACE)


def test_a_budget_without_a_pace_measures_one(store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(budget, "measure_pace", lambda *_: PACE)
    assert fit_budget(TINY, store, 1.0).epochs == int(60 / 5.5)


def test_a_t4s_pace_is_scaled_by_the_rates_of_both(monkeypatch):
    scaled, words = pace_on_t4(PACE, rate=T4_RATE / 100)
    assert (scaled.step, scaled.validation) == (pytest.approx(0.005), pytest.approx(0.02))
    assert "computed" in words
    assert "8.1 TFLOP/s" in words
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    assert pace_on_t4(PACE, "cuda") == (PACE, "measured on this T4")


def test_the_rate_of_a_matrix_product_is_that_of_its_operations(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(budget.time, "perf_counter", lambda: float(next(ticks)))
    assert matmul_rate(size=10) == 2 * 10**3


def test_a_run_that_is_gone_on_with_keeps_the_epochs_it_began_with(store, tmp_path, monkeypatch):  # noqa: F811
    paces = iter([Pace(step=0.5, validation=2.0), Pace(step=5.0, validation=2.0)])
    monkeypatch.setattr(budget, "measure_pace", lambda *_: next(paces))
    begun = fit_run([tmp_path / "out", tmp_path], TINY, store, minutes=1.0)
    assert begun.epochs == int(60 / (7 * 0.5 + 2))
    write_json(tmp_path / "history.json", {"recipe": begun.as_dict()})
    assert fit_run([tmp_path / "out", tmp_path], TINY, store, minutes=1.0) == begun
    (tmp_path / "history.json").unlink()
    assert fit_run([tmp_path / "out", tmp_path], TINY, store, minutes=1.0).epochs == 1


def test_minutes_are_not_measured_by_several_processes(store, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SepnbError, match="say how many epochs"):
        fit_run([tmp_path], TINY, store, minutes=1.0)
