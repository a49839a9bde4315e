"""What a separation costs is measured: seconds per second of music, and the memory that it takes."""

import time
import types

import numpy as np
import pytest
from songs import RATE, noise

from sepnb.evaluation import costs, measure_cost
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


def test_a_row_for_every_system_that_is_there(root):
    track = find_tracks(root)[0]
    with pytest.warns(UserWarning, match="nowhere is left out: no separator 'nowhere'"):
        table = costs([Hungry(0.1, 50), "irm2", "nowhere"], track)
    assert list(table.system) == ["hungry", "IRM2"]
    assert (table.seconds_per_second > 0).all()
    assert table.memory_bytes[0] > 0.9 * 50 * 2**20


def test_memory_that_was_given_back_is_seen():
    cost = measure_cost(Hungry(0.1, 300), noise(1, seconds=2), RATE)
    assert 0.9 * 300 * 2**20 < cost.peak_bytes < 1.5 * 300 * 2**20


def test_the_first_call_does_not_count():
    hungry = Hungry(0, 0)
    measure_cost(hungry, noise(1, seconds=2), RATE)
    assert hungry.calls == [RATE, 2 * RATE]
    measure_cost(hungry, noise(1, seconds=2), RATE, warm_up=False)
    assert hungry.calls[2:] == [2 * RATE]
