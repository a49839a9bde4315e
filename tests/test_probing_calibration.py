"""Calibration: known costs come back from made timings, and a very short one on the CPU."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from sepnb.errors import SepnbError
from sepnb.probing import calibration
from sepnb.probing.assumed_rates import assumed_rates
from sepnb.probing.calibration import calibrate, fit
from sepnb.probing.cards import cpu_card
from sepnb.probing.micro_networks import micro_networks
from sepnb.probing.rates import KINDS

# Tests run beside each other, and time nothing.
pytestmark = pytest.mark.filterwarnings("ignore:other programs take")

TRUE = {
    "flop convolution fp32 forward 32": 2e-11,
    "flop matmul fp32 forward 128": 1e-11,
    "byte convolution large forward plain": 3e-10,
    "byte matmul large forward plain": 1e-10,
    "operator forward": 2e-5,
}


def made_measurements(noise: float = 0.0, cases: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for case in range(cases):
        amounts = {}
        for sort in TRUE:
            if sort.startswith("operator"):
                amounts[sort] = int(random.integers(1, 50))
            elif ("matmul" in sort) == bool(case % 2):
                amounts[sort] = 10 ** random.uniform(*((8, 10) if sort.startswith("flop") else (6, 8)))
        seconds = sum(amount * TRUE[sort] for sort, amount in amounts.items())
        seconds *= math.exp(noise * random.standard_normal())
        rows += [{"case": case, "sort": sort, "amount": amount, "seconds": seconds} for sort, amount in amounts.items()]
    return pd.DataFrame(rows)


@pytest.fixture
def guess():
    return assumed_rates(cpu_card())


def test_known_costs_are_found_again(guess):
    costs, (low, high) = fit(made_measurements(), guess)
    for sort, cost in TRUE.items():
        assert costs[sort] == pytest.approx(cost, rel=0.05), sort
    # Never more certain than measurements are.
    assert low <= 0.9
    assert high >= 1.1


def test_odd_measurements_and_noise_do_little_harm(guess):
    measured = made_measurements(noise=0.05)
    measured.loc[measured["case"].isin([3, 8]), "seconds"] *= 6
    costs, _ = fit(measured, guess)
    for sort, cost in TRUE.items():
        assert costs[sort] == pytest.approx(cost, rel=0.3), sort


def test_scattered_measurements_widen_the_range(guess):
    _, calm = fit(made_measurements(noise=0.02), guess)
    _, wild = fit(made_measurements(noise=0.5), guess)
    assert wild[0] < calm[0]
    assert wild[1] > calm[1]


def test_what_was_not_measured_is_guessed(guess):
    costs, _ = fit(made_measurements(), guess)
    assert costs["flop attention fp32 backward 32"] == guess.costs["flop attention fp32 backward 32"]


def test_a_very_short_calibration_knows_every_kind(tmp_path, monkeypatch):
    small = sorted(micro_networks(), key=lambda network: math.prod(network.shape))[:6]
    monkeypatch.setattr(calibration, "micro_networks", lambda: small)
    rates = calibrate("cpu", seconds=5)
    assert rates.calibrated
    assert rates.card == "cpu"
    assert rates.threads == torch.get_num_threads()
    assert all(0 <= cost < float("inf") for cost in rates.costs.values())
    for kind in set(KINDS):
        known = [cost for sort, cost in rates.costs.items() if sort.split()[1] == kind]
        assert max(known) > 0, kind
    rates.save(tmp_path / "rates.json")
    assert type(rates).load(tmp_path / "rates.json", cpu_card().title) == rates


def test_calibration_stops_when_its_time_is_up(monkeypatch):
    begun = []
    measure = calibration._measure
    monkeypatch.setattr(calibration, "_measure", lambda *job: begun.append(job) or measure(*job))
    monkeypatch.setattr(calibration, "micro_networks", lambda: 3 * micro_networks()[3:4])
    calibrate("cpu", seconds=0)
    # The warm-up, which does not count, and the first network.
    assert len(begun) == 2


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(SepnbError, match="no device 'tpu'"):
        calibrate("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(SepnbError, match="no GPU here"):
            calibrate("cuda")


def test_micro_networks_have_names_of_their_own_and_cover_the_kinds():
    names = [network.name for network in micro_networks()]
    assert len(set(names)) == len(names)
    for word in ("convolution", "transposed", "depthwise", "product", "attention", "LSTM", "GRU", "STFT", "GLU"):
        assert any(name.startswith(word) for name in names), word
