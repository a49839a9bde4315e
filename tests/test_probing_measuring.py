"""What a real step holds is what one can count by hand; what cannot be run is told in a sentence and ends nothing."""

import json
import os
import signal
import sys

import pytest
import torch
from torch import nn

from sepnb.errors import SepnbError
from sepnb.probing.measuring import TIMELESS, measure
from sepnb.probing.measuring_apart import measure_apart
from sepnb.probing.setting import Setting
from sepnb.probing.workloads import Workload

# Bytes of the weights of LINEAR.
WEIGHTS = 1000 * 500 * 4
# Adam counts its steps in four bytes a parameter, a loss is a number, and so on.
SMALL = 100
ON_CPU = Setting(batch=4, segment=1.0, device="cpu")
HERE = "test_probing_measuring"


def workload(name, build):
    return Workload(
        name=name,
        title=name,
        build=build,
        input_shape=lambda batch, seconds: (batch, 1000),
        target_shape=lambda batch, seconds: (1,),
        loss=lambda network, inputs, targets: network(inputs).sum(),
        narrows=False,
    )


class Fails(nn.Linear):
    """Raises an error in one of its forward passes."""

    def __init__(self, error, at=1):
        super().__init__(1000, 500, bias=False)
        self.error, self.left = error, at

    def forward(self, inputs):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return super().forward(inputs)


def kill_this_process(width):
    os.kill(os.getpid(), signal.SIGKILL)


LINEAR = workload("linear", lambda width: nn.Linear(1000, 500, bias=False))
KILLED = workload("killed", kill_this_process)
FAILING = workload("failing", lambda width: Fails(ValueError("not my input")))


def test_the_peak_of_an_optimizer_step_is_as_counted_by_hand():
    peak = measure(LINEAR, ON_CPU).peak
    # Weights, gradients, Adam's two averages, and the root of one of them before and after it is divided.
    assert 6 * WEIGHTS <= peak < 6 * WEIGHTS + SMALL


def test_memory_is_that_of_a_step_with_the_optimizers_state_already_there():
    batch = 10_000
    peak = measure(LINEAR, Setting(batch, segment=1.0, device="cpu")).peak
    # The worst moment is the first: inputs are drawn and shifted. Adam's averages are there from an earlier step only.
    expected = 3 * WEIGHTS + 2 * batch * 1000 * 4
    assert expected <= peak < expected + SMALL


def test_a_forward_pass_has_neither_gradients_nor_state():
    peak = measure(LINEAR, Setting(4, segment=1.0, device="cpu", training=False)).peak
    assert WEIGHTS < peak < 1.1 * WEIGHTS


def test_what_this_process_holds_already_does_not_count():
    held = torch.zeros(3_000_000)
    assert measure(LINEAR, ON_CPU).peak < held.nbytes + WEIGHTS


def test_each_timed_step_is_there_and_the_rest_says_where_it_was_measured():
    result = measure(LINEAR, Setting(4, segment=1.0, device="cuda"), device="cpu", repeats=4)
    assert (result.outcome, result.model, result.threads) == ("measured", "linear", torch.get_num_threads())
    assert result.setting == ON_CPU
    assert len(result.seconds) == 4
    assert min(result.seconds) == result.least <= result.typical <= max(result.seconds)
    assert json.loads(json.dumps(result.as_dict()))["setting"]["batch"] == 4


def test_what_does_not_fit_is_not_started():
    never = workload("never", lambda width: pytest.fail("it was started"))
    result = measure(never, ON_CPU, expected=2**60)
    assert result.outcome.startswith("not run: needs 1073741824.0 GiB, ")
    assert result.outcome.endswith(" GiB are free")
    assert result.peak is None and result.typical is None and result.least is None


@pytest.mark.parametrize(
    "build",
    [
        lambda width: Fails(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
        lambda width: nn.Linear(2**25, 2**25),
    ],
)
def test_running_out_of_memory_is_an_outcome(build):
    result = measure(workload("large", build), ON_CPU)
    assert (result.outcome, result.peak, result.seconds) == ("out of memory", None, ())


def test_a_peak_is_kept_where_memory_runs_out_only_later():
    third = workload("third", lambda width: Fails(torch.OutOfMemoryError("no more"), at=3))
    result = measure(third, ON_CPU)
    assert (result.outcome, result.seconds) == (TIMELESS, ())
    assert result.peak >= 6 * WEIGHTS


def test_other_errors_are_errors():
    with pytest.raises(ValueError, match="not my input"):
        measure(FAILING, ON_CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_nothing_to_measure_on_one():
    with pytest.raises(SepnbError, match="no GPU here"):
        measure(LINEAR, ON_CPU, device="cuda")


def test_a_process_of_its_own_measures_the_same():
    there = measure_apart(f"{HERE}:LINEAR", ON_CPU, repeats=2)
    here = measure(LINEAR, ON_CPU)
    assert (there.outcome, there.peak, len(there.seconds)) == ("measured", here.peak, 2)
    assert there.threads == here.threads


def test_errors_of_another_process_come_back():
    with pytest.raises(ValueError, match="not my input"):
        measure_apart(f"{HERE}:FAILING", ON_CPU)
    with pytest.raises(SepnbError, match="no model 'demucs_v9'"):
        measure_apart("demucs_v9", ON_CPU)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is killed that way on Windows")
def test_a_process_that_is_killed_is_an_outcome():
    result = measure_apart(f"{HERE}:KILLED", ON_CPU)
    assert (result.model, result.setting, result.outcome) == (f"{HERE}:KILLED", ON_CPU, "killed: out of memory")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_blocks_are_rounded_and_reserved():
    result = measure(LINEAR, ON_CPU, device="cuda")
    assert result.outcome == "measured" and len(result.seconds) == 3
    # Weights, gradients and Adam's averages at least; at most some temporaries and cuBLAS's workspace more.
    assert 4 * WEIGHTS <= result.peak <= result.reserved < 4 * WEIGHTS + 100 * 2**20
