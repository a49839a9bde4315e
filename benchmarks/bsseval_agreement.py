"""How far our BSSEval is from museval's: the largest difference in dB, case by case.

    python -m benchmarks.bsseval_agreement            made signals, and the real clips where they are
    python -m benchmarks.bsseval_agreement --clips    the real clips only

Counted are the frames where museval is below 80 dB; `inf` says that the two disagree about what is not a number or
what lies above. Takes minutes, nearly all of them museval's. The last column is museval against itself with the
sources in another order, which should change nothing: it says how much of museval's own value is rounding. Below it
stands what rounding to 16 bits does to references that were decoded from AAC.
"""

import sys
from collections.abc import Iterator

import numpy as np

from benchmarks import REAL
from benchmarks.bsseval_cases import CASES, ESTIMATES, deviation, museval_scores
from sepnb import audio
from sepnb.evaluation.pairs import references_of
from sepnb.metrics import bss_eval
from sepnb.separators import load_separator
from sepnb.tracks import find_tracks

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
    _show_rounding()
    return 0


def _show_rounding() -> None:
    """What rounding references decoded from AAC to 16 bits is worth: SIR of a small Demucs, medians over frames."""
    model, song = REAL / "weights" / "tiny_demucs" / "af9a0947", REAL / "musdb18"
    if not (model.parent.is_dir() and song.is_dir()):
        return
    (track,) = find_tracks(song)
    stems = load_separator(model)(track.mixture(), track.rate)
    stems["other"] = stems["other"] + stems.pop("guitars")
    estimates = np.stack([stems[source] for source in track.sources])
    print(f"\n{'SIR in dB, small Demucs, AAC clip':<44}", *(f"{source:>8}" for source in track.sources))
    for name, references in (("as floats", track.stems()), ("in 16 bits", references_of(track))):
        for side, evaluated in (("museval", museval_scores), ("ours", scores)):
            sir = np.nanmedian(evaluated(references, estimates, track.rate)[2], axis=1)
            print(f"{f'{side}, references {name}':<44}", *(f"{value:8.1f}" for value in sir), flush=True)


def _show(name: str, differences: np.ndarray, own: float | None = None) -> None:
    print(f"{name:<44}", *(f"{value:8.0e}" for value in differences), "" if own is None else f"{own:12.0e}", flush=True)


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
