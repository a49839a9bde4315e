"""What a separation costs is measured: seconds per second of music, and the memory that it takes."""

import time
import types

import numpy as np
import pytest
from songs import RATE, noise

from sepnb.evaluation import costs, measure_cost
from sepnb.models import UNet, UNetConfig, save
from sepnb.separators import load_separator
from sepnb.tracks import find_tracks


class Hungry:
    """Takes a while and a lot of memory for a moment."""

    name, sources, rate = "hungry", ("vocals",), RATE

    def __init__(self, seconds, megabytes):
        self.seconds, self.megabytes = seconds, megabytes
        self.calls = []

    def __call__(self, mixture, rate):
        self.calls.append(mixture.shape[-1])
        if len(self.calls) > 1:  # not for the warm-up
            held = np.ones(self.megabytes * 2**17)  # eight bytes each, written to
            time.sleep(self.seconds)
            del held
        return {"vocals": mixture}


def test_seconds_are_per_second_of_music(monkeypatch):
    looks = iter([10.0, 10.5])
    monkeypatch.setattr("sepnb.evaluation.cost.time", types.SimpleNamespace(perf_counter=lambda: next(looks)))
    cost = measure_cost(Hungry(0, 0), noise(1, seconds=2), RATE)
    assert cost.system == "hungry"
    assert cost.seconds == 0.25


class Failing(Hungry):
    """Learns of the track, and fails."""

    def bind(self, track):
        raise RuntimeError("no kernel image")


def test_a_row_for_every_system_that_does_not_fail(root):
    track = find_tracks(root)[0]
    with pytest.warns(UserWarning) as warned:
        table = costs([Hungry(0.1, 50), Failing(0, 0), "irm2", "nowhere"], track, "auto")
    assert [str(warning.message).split(":")[0] for warning in warned] == ["hungry is left out", "nowhere is left out"]
    assert "RuntimeError: no kernel image" in str(warned[0].message)
    assert list(table.columns) == ["system", "device", "seconds_per_second", "memory_bytes"]
    assert list(table.system) == ["hungry", "IRM2"]
    assert list(table.device) == ["cpu", "cpu"]  # where they computed, whatever "auto" takes
    assert (table.seconds_per_second > 0).all()


def test_a_system_that_was_here_before_is_measured_as_if_it_was_not(tmp_path, root):
    """Its weights count, and what an earlier separation left to this process does not hide what it takes."""
    track = find_tracks(root)[0]
    config = UNetConfig(sources=track.sources, channels=2, rate=track.rate, width=64)
    save(UNet(config), tmp_path / "wide")
    weights = (tmp_path / "wide" / "weights.safetensors").stat().st_size
    held = load_separator(tmp_path / "wide")
    held(track.mixture(), track.rate)
    table = costs([tmp_path / "wide"], track)
    assert table.memory_bytes[0] > weights
    assert weights > 10 * 2**20


def test_the_device_is_the_separators_own():
    hungry = Hungry(0, 0)
    assert measure_cost(hungry, noise(1, seconds=2), RATE).device == "cpu"
    hungry.device = "meta"
    assert measure_cost(hungry, noise(1, seconds=2), RATE).device == "meta"


def test_memory_that_was_given_back_is_seen():
    cost = measure_cost(Hungry(0.1, 300), noise(1, seconds=2), RATE)
    assert 0.9 * 300 * 2**20 < cost.peak_bytes < 1.5 * 300 * 2**20


def test_the_first_call_does_not_count():
    hungry = Hungry(0, 0)
    measure_cost(hungry, noise(1, seconds=2), RATE)
    assert hungry.calls == [RATE, 2 * RATE]
    measure_cost(hungry, noise(1, seconds=2), RATE, warm_up=False)
    assert hungry.calls[2:] == [2 * RATE]
