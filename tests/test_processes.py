"""Work side by side gives every result, draws jobs as it goes, and needs nothing of the user's script."""

import math
import os
import subprocess
import sys

import pytest

from sepnb.errors import SepnbError
from sepnb.processes import side_by_side


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_comes_back_with_its_result(workers):
    results = dict(side_by_side(math.factorial, range(9), workers))
    assert results == {number: math.factorial(number) for number in range(9)}


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 5)])
def test_jobs_are_drawn_as_they_are_needed(workers, ahead):
    drawn = []

    def jobs():
        for number in range(50):
            drawn.append(number)
            yield number

    results = side_by_side(math.factorial, jobs(), workers)
    next(results)
    assert len(drawn) <= ahead
    results.close()


def test_an_error_of_the_work_is_the_callers():
    with pytest.raises(ValueError, match="not defined for negative"):
        list(side_by_side(math.factorial, [-1, 1], 2))


def test_a_worker_that_dies_is_told_in_a_sentence():
    with pytest.raises(SepnbError, match="a worker process died"):
        list(side_by_side(os._exit, [1], 2))


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom sepnb.processes import side_by_side\n"
        "print('started')\nprint(sorted(result for _, result in side_by_side(math.factorial, range(4), 2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["started", "[1, 1, 2, 6]"]


def test_workers_use_one_thread_each():
    assert dict(side_by_side(os.getenv, ["OMP_NUM_THREADS"], 2)) == {"OMP_NUM_THREADS": "1"}
