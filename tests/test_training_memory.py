"""Freed memory is kept where the C library can be told to: page faults are paid once, not for every block."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
import torch
from sepnb.training.memory import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
with freed_memory_kept(torch.device("cpu")):
    faults()
    print(before, faults(), end=" ")
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
def test_a_block_freed_is_a_block_kept_until_the_end():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before, kept, after = map(int, done.stdout.split())
    assert kept < 0.2 * before
    assert after > 0.8 * before
