"""Scores in the JSON format of museval, one file a track, so that they can be compared with those of SiSEC."""

import json
import math
from pathlib import Path
from typing import Any

import sepnb
from sepnb.evaluation.pairs import PairScores
from sepnb.files import write_text

MUSEVAL_SCORES = ("SDR", "SIR", "SAR", "ISR")
WINDOW = HOP = 1.0  # seconds, museval's defaults


def museval_scores(scores: PairScores) -> dict[str, Any]:
    """What museval's TrackStore holds for a track: five decimals, and NaN for what is infinite, as it writes them."""
    targets = []
    for row, target in enumerate(scores.targets):
        frames = [
            {
                "time": frame * HOP,
                "duration": WINDOW,
                "metrics": {name: _rounded(scores.frames[name][row, frame]) for name in MUSEVAL_SCORES},
            }
            for frame in range(scores.frames["SDR"].shape[1])
        ]
        targets.append({"name": target, "frames": frames})
    return {"targets": targets, "museval_version": f"0.4 (as computed by sepnb {sepnb.__version__})"}


def write_museval(path: Path, scores: PairScores) -> None:
    """Write the scores of one track; museval finds them as SYSTEM/test/TRACK.json and names the track by the file."""
    write_text(path, json.dumps(museval_scores(scores), indent=2) + "\n")


def _rounded(value: float) -> float:
    return round(float(value), 5) if math.isfinite(value) else math.nan
