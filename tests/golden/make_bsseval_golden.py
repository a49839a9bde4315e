"""Make the golden file that test_bsseval.py compares with: museval's scores of the seeded cases.

    python -m tests.golden.make_bsseval_golden

Takes a minute or two. The signals come again from their seeds (benchmarks/bsseval_cases.py), so only scores are kept.
"""

from pathlib import Path

import numpy as np

from benchmarks.bsseval_cases import QUICK_CASES

GOLDEN = Path(__file__).with_name("bsseval_museval.npz")


def main() -> None:
    """Score every case that the tests use with museval, and write."""
    scores = {}
    for case in QUICK_CASES:
        scores[case.name] = case.museval()
        print(f"{case.name}: {scores[case.name].shape}", flush=True)
    np.savez_compressed(GOLDEN, **scores)
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")


if __name__ == "__main__":
    main()
