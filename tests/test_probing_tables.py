"""Tables of predictions: they say what the predictions say, in the columns that the figures want."""

from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from torch import nn

from sepnb import figures
from sepnb.probing import Predictor, Setting, Training, ways_out
from sepnb.probing.cards import cpu_card, find_card
from sepnb.probing.measuring import measure
from sepnb.probing.tables import (
    curve_table,
    epochs_table,
    hours_table,
    measured_table,
    memory_table,
    phase_spans,
    settings_table,
    sizes_table,
    ways_bars,
)
from sepnb.probing.workloads import own_workload

mpl.use("agg")
RATE = 1000
WIDTH = 12


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def network() -> nn.Module:
    first, last = nn.Conv1d(2, WIDTH, 5, padding=2), nn.Conv1d(WIDTH, 2, 5, padding=2)
    return nn.Sequential(first, nn.ReLU(), last)


WORKLOAD = own_workload(network, (2, RATE), rate=RATE)
# 100 examples of 4 s an epoch, 3 epochs: 400 s of audio, and with a batch of 5, 20 steps an epoch.
TRAINED = replace(
    WORKLOAD,
    training=Training(batch=5, gpus=1, segment=4.0, examples=100, epochs=3, source="this test", link=""),
)
SETTING = Setting(5, 4.0)


@pytest.fixture(scope="module")
def prediction():
    return Predictor(TRAINED, find_card("t4")).at(SETTING)


@pytest.fixture(scope="module")
def untrained():
    return Predictor(WORKLOAD, find_card("t4")).at(SETTING)


def test_a_row_a_setting(prediction):
    (row,) = settings_table([prediction]).to_dict("records")
    assert (row["batch"], row["segment"], row["precision"]) == (5, 4.0, "fp32")
    assert row["memory_low"] <= row["memory"] <= row["memory_high"]
    assert row["seconds_low"] <= row["seconds"] <= row["seconds_high"]
    assert row["flops"] == prediction.trace.flops


def test_parts_add_up_to_the_memory(prediction):
    table = memory_table([prediction])
    assert table["model"].item().endswith("batch 5")
    assert table.drop(columns=["model", "low", "high"]).sum(axis=1).item() == prediction.memory
    figures.memory_bars(table, prediction.card.memory)


def test_the_curve_is_that_of_the_trace(prediction):
    table, spans = curve_table(prediction.trace), phase_spans(prediction.trace)
    assert table.sum(axis=1).max() == prediction.trace.peak
    assert [name for name, *_ in spans] == ["forward", "backward", "optimizer"]
    assert spans[0][1] == 0
    assert [end for *_, end in spans] == [*(start for _, start, _ in spans[1:]), len(table)]
    figures.memory_curve(table, spans)


def test_a_forward_pass_has_one_phase():
    forward = Predictor(WORKLOAD, find_card("t4")).at(replace(SETTING, training=False)).trace
    assert phase_spans(forward) == [("forward", 0, len(forward.ops))]


def test_hours_of_an_epoch_leave_out_what_has_no_training(prediction, untrained):
    table = hours_table([prediction, untrained])
    assert len(table) == 1
    assert table["epochs"].item() == 3
    assert table["hours"].item() == pytest.approx(20 * prediction.step.seconds / 3600)
    assert table["low"].item() == pytest.approx(20 * prediction.step.low / 3600)
    assert table["high"].item() == pytest.approx(20 * prediction.step.high / 3600)
    figures.hours_an_epoch(table)


def test_an_epoch_in_hours_of_audio(prediction, untrained):
    (row,) = epochs_table([prediction, untrained]).to_dict("records")
    assert row["hours of audio"] == pytest.approx(400 / 3600)
    assert row["minutes for an hour of audio"] == pytest.approx(60 * 20 * prediction.step.seconds / 400)


def test_sizes_by_hand(prediction):
    (row,) = sizes_table([prediction]).to_dict("records")
    weights = 2 * WIDTH * 5
    assert row["parameters"] == 2 * weights + WIDTH + 2
    assert row["multiply_adds"] == RATE * 2 * weights
    # The output of the ReLU, which the second convolution and the ReLU itself need; the loss keeps its own.
    kept = RATE * WIDTH * 4
    assert kept <= row["activation_bytes"] <= kept + 2 * RATE * 2 * 4
    figures.model_sizes(sizes_table([prediction]))


def test_ways_out_begin_with_what_was_published(prediction):
    predictor = Predictor(TRAINED, find_card("t4"))
    ways = ways_out(predictor, SETTING)
    table = ways_bars(prediction, ways)
    assert table["way"].tolist() == ["as published", *(way.change for way in ways)]
    assert table["memory"].iloc[0] == prediction.memory_high
    assert table["hours"].iloc[0] == prediction.hours
    figures.ways_out(table, prediction.card.memory)


def test_predicted_beside_measured():
    setting = Setting(2, 1.0, device="cpu")
    said = Predictor(WORKLOAD, cpu_card()).at(setting)
    was = measure(WORKLOAD, setting, repeats=1)
    table = measured_table([(said, was), (said, replace(was, outcome="out of memory", peak=None, seconds=()))])
    assert table["predicted_bytes"].iloc[0] == said.trace.peak  # on a CPU nothing comes on top
    assert table["measured_bytes"].iloc[0] == was.peak > 0
    assert table["measured_seconds"].iloc[0] == was.typical
    assert table["outcome"].tolist() == ["measured", "out of memory"]
    assert table["measured_bytes"].isna().tolist() == [False, True]
    figures.predicted_against_measured(table)
