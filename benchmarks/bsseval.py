"""BSSEval of four sources at 44.1 kHz: ours beside museval, in time, in peak memory and on a GPU."""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from benchmarks.bsseval_cases import deviation, museval_scores
from benchmarks.table import Row, show
from sepnb.metrics import bss_eval

RATE = 44100
MEBI = 1 << 20
LENGTHS = (("30 s, stereo", 30.0, False), ("30 s, dual-mono", 30.0, True), ("4 min, stereo", 240.0, False))


def main() -> None:
    """Print the table. Each side runs in a process of its own, one after the other, so that its peak is its own."""
    rows = []
    for what, seconds, dual_mono in LENGTHS:
        ours, theirs = (_measured(side, seconds, dual_mono) for side in ("ours", "museval"))
        apart = deviation(np.array(ours["scores"]), np.array(theirs["scores"])).max()
        rows.append(Row(f"{what}, apart by {apart:.0e} dB", "s", ours["seconds"], "museval", theirs["seconds"], True))
        rows.append(Row(f"{what}, peak memory", "MiB", ours["peak"], "museval", theirs["peak"], True))
        if torch.cuda.is_available():
            cuda = _measured("cuda", seconds, dual_mono)
            apart = deviation(np.array(cuda["scores"]), np.array(theirs["scores"])).max()
            what = f"{what}, {torch.cuda.get_device_name()}, apart by {apart:.0e} dB"
            rows.append(Row(what, "s", cuda["seconds"], "museval", theirs["seconds"], True))
    show("bsseval", "BSSEval v4 of four sources at 44.1 kHz (less is better)", rows)


def signals(seconds: float, dual_mono: bool) -> tuple[np.ndarray, np.ndarray]:
    """References and leaking, noisy estimates, float32 (4, 2, samples)."""
    rng = np.random.default_rng(3)
    references = 0.1 * rng.standard_normal((4, 2, round(seconds * RATE)), np.float32)
    references[..., 1:] += references[..., :-1]  # less at high frequencies, as in music
    if dual_mono:
        references[:, 1] = references[:, 0]
    noise = 0.02 * rng.standard_normal(references.shape, np.float32)
    return references, 0.9 * references + 0.1 * references[::-1] + noise


def score(side: str, references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """SDR, ISR, SIR and SAR (4, sources, frames) by `ours`, by ours on `cuda`, or by `museval`."""
    if side == "museval":
        return museval_scores(references, estimates, RATE)
    ours = bss_eval(references, estimates, RATE, device="cuda" if side == "cuda" else None)
    return np.stack([ours.sdr, ours.isr, ours.sir, ours.sar])


def _measured(side: str, seconds: float, dual_mono: bool) -> dict:
    asked = json.dumps([side, seconds, dual_mono])
    command = [sys.executable, "-m", "benchmarks.bsseval", asked]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _measure(side: str, seconds: float, dual_mono: bool) -> None:
    score(side, *signals(2.0, dual_mono=False))  # pays for imports and start-up
    references, estimates = signals(seconds, dual_mono)
    began = time.perf_counter()
    scores = score(side, references, estimates)
    taken = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBI
    print(json.dumps({"seconds": taken, "peak": peak, "scores": scores.tolist()}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _measure(*json.loads(sys.argv[1]))
    else:
        main()
