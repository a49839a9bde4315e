"""Freed memory is kept where the C library can be told to: page faults are paid once, not for every block."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from sepnb.training.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
def test_a_block_freed_is_a_block_kept():
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < 0.2 * faults("leave")
