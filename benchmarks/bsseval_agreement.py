"""How far our BSSEval is from museval's: the largest difference in dB, case by case.

    python -m benchmarks.bsseval_agreement            made signals, and the real clips where they are
    python -m benchmarks.bsseval_agreement --clips    the real clips only

Counted are the frames where museval is below 80 dB; `inf` says that the two disagree about what is not a number or
what lies above. Takes minutes, nearly all of them museval's. The last column is museval against itself with the
sources in another order, which should change nothing: it says how much of museval's own value is rounding.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bsseval_cases import CASES, ESTIMATES, deviation, museval_scores
from sepnb import audio
from sepnb.metrics import bss_eval

REAL = Path(os.environ.get("SEPNB_REAL", Path(__file__).resolve().parents[2] / "shared" / "real"))
STEMS = ("drums", "bass", "other", "vocals")


def clips() -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Name, references, estimates and rate of what is made from the real clips."""
    wav = REAL / "musdb18hq" / "test" / "Mu - Too Bright"
    aac = REAL / "musdb18" / "train" / "Music Delta - 80s Rock.stem.mp4"
    songs = {}
    if wav.is_dir():
        songs["WAV"] = np.stack([audio.read(wav / f"{stem}.wav")[0] for stem in STEMS])
    if aac.is_file():
        decoded = audio.read_stems(aac)[0][1:]
        songs["AAC rounded to 16 bits"] = np.round(decoded * 32768) / 32768
        songs["AAC in float32"] = decoded
    for name, stems in songs.items():
        for kind in ("mixture", "noise", "leaking"):
            yield f"clip, {name}, {kind}", stems, ESTIMATES[kind](stems, np.random.default_rng(1)), 44100
    if "WAV" in songs:
        centred = np.broadcast_to(songs["WAV"].mean(axis=1, keepdims=True), songs["WAV"].shape)
        yield (
            "clip, WAV made dual-mono, leaking",
            centred,
            ESTIMATES["leaking"](centred, np.random.default_rng(1)),
            44100,
        )


def scores(references: np.ndarray, estimates: np.ndarray, rate: int, **settings: object) -> np.ndarray:
    """Ours, in the form of `museval_scores`."""
    ours = bss_eval(references, estimates, rate, **settings)
    return np.stack([ours.sdr, ours.isr, ours.sir, ours.sar])


def main(arguments: tuple[str, ...] = ()) -> int:
    """Print the table."""
    print(f"{'largest difference in dB':<44}    SDR      ISR      SIR      SAR   museval, sources reversed")
    for case in () if "--clips" in arguments else CASES:
        references, estimates = case.signals()
        window = {"window": case.window, "hop": case.window or 1.0, "mode": case.mode}
        _show(case.name, deviation(scores(references, estimates, case.rate, **window), case.museval()))
    for name, references, estimates, rate in clips():
        theirs = museval_scores(references, estimates, rate)
        reversed_order = museval_scores(references[::-1], estimates[::-1], rate)[:, ::-1]
        _show(name, deviation(scores(references, estimates, rate), theirs), deviation(reversed_order, theirs).max())
    return 0


def _show(name: str, differences: np.ndarray, own: float | None = None) -> None:
    print(f"{name:<44}", *(f"{value:8.0e}" for value in differences), "" if own is None else f"{own:12.0e}", flush=True)


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
