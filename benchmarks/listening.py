"""Listening: how far auto-EQ brings real stems towards each other, and how well shifted and stretched ones are in tune.

There is no peer here; what is printed are distances, cents and samples on the real clips, and how long it takes.
"""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks import REAL
from benchmarks.table import RESULTS
from sepnb import audio
from sepnb.files import write_json
from sepnb.listening.equalizer_fit import TARGET_CURVES, match_spectrum
from sepnb.listening.pitch import cents_higher, shift_pitch, stretch_time

STEMS = ("vocals", "drums", "bass", "other", "mixture")
STREAMS = ("mixture", "drums", "bass", "other", "vocals")  # of a .stem.mp4
PITCHED = ("vocals", "bass", "other", "mixture")  # drums have no pitch to measure
SEMITONES = (-12, -5, 3, 12)
FACTORS = (0.8, 1.25)


def main() -> None:
    """Print both tables and write build/bench/listening.json."""
    songs = _songs()
    if len(songs) < 2:
        print(f"listening: cannot run: the real clips are not in {REAL} (set SEPNB_REAL)")
        return
    fits, pitch = _auto_eq(songs), _in_tune(songs)
    write_json(RESULTS / "listening.json", {"auto_eq": fits, "pitch": pitch})


def _songs() -> dict[str, dict[str, np.ndarray]]:
    """Stems by song, all at 44.1 kHz."""
    found = {}
    for folder in sorted((REAL / "musdb18hq" / "test").glob("*")):
        found[folder.name] = {stem: audio.read(folder / f"{stem}.wav")[0] for stem in STEMS}
    for file in sorted((REAL / "musdb18" / "train").glob("*.stem.mp4")):
        found[file.name.removesuffix(".stem.mp4")] = dict(zip(STREAMS, audio.read_stems(file)[0], strict=True))
    song = REAL / "songs" / "test.mp3"
    if song.exists():
        found[song.name] = {"mixture": audio.read(song)[0]}
    return found


def _auto_eq(songs: dict[str, dict[str, np.ndarray]], rate: int = 44100) -> list[dict]:
    """The same stem of one song to another's, both ways, and every stem to every target curve."""
    rows = []
    for name, stems in songs.items():
        for stem, sound in stems.items():
            references = {other: theirs[stem] for other, theirs in songs.items() if other != name and stem in theirs}
            for label, reference in {**references, **{curve: curve for curve in TARGET_CURVES}}.items():
                begin = time.perf_counter()
                match = match_spectrum(sound, reference, rate)
                seconds = time.perf_counter() - begin
                rows.append(
                    {
                        "stem": stem,
                        "from": name,
                        "to": label,
                        "third octaves": int(match.counted.sum()),
                        "before dB": match.before_db,
                        "after dB": match.after_db,
                        "ratio": match.after_db / match.before_db,
                        "seconds": seconds,
                    }
                )
    _print("Auto-EQ, 8 bands within ±12 dB: spectral distance to the target (dB RMS over third octaves)", rows)
    ratios = [row["ratio"] for row in rows]
    halved = sum(ratio <= 0.5 for ratio in ratios)
    print(
        f"  {halved} of {len(rows)} at least halved; ratio {np.median(ratios):.2f} in the median, {max(ratios):.2f} at "
        f"worst; {np.median([row['seconds'] for row in rows]):.1f} s a fit in the median"
    )
    return rows


def _in_tune(songs: dict[str, dict[str, np.ndarray]], rate: int = 44100) -> list[dict]:
    """Cents off and samples too many, of shifts and stretches; 'back' is a shift and its reverse."""
    rows = []
    for name, stems in songs.items():
        for stem in (stem for stem in PITCHED if stem in stems):
            sound = stems[stem]
            length = sound.shape[1]
            for semitones in SEMITONES:
                begin = time.perf_counter()
                shifted = shift_pitch(sound, rate, semitones)
                seconds = time.perf_counter() - begin
                off = cents_higher(shifted, sound, rate, 100 * semitones) - 100 * semitones
                back = cents_higher(shift_pitch(shifted, rate, -semitones), sound, rate)
                rows.append(_tuning(name, stem, f"{semitones:+d} semitones", off, back, shifted, length, rate, seconds))
            for factor in FACTORS:
                begin = time.perf_counter()
                longer = stretch_time(sound, rate, factor)
                seconds = time.perf_counter() - begin
                off = cents_higher(longer, sound, rate)
                back = cents_higher(stretch_time(longer, rate, 1 / factor), sound, rate)
                expected = round(length * factor)
                rows.append(_tuning(name, stem, f"{factor:g} × as long", off, back, longer, expected, rate, seconds))
    _print("Pitch and time: cents off, there and back again, and samples too many", rows)
    worst = max(abs(row["cents off"]) for row in rows)
    print(
        f"  at worst {worst:.1f} cents off; {np.median([row['s per s'] for row in rows]):.0f} seconds of stereo "
        f"a second in the median"
    )
    print(_onsets(rate))
    return rows


def _tuning(
    song: str, stem: str, what: str, off: float, back: float, made: np.ndarray, length: int, rate: int, seconds: float
) -> dict:
    return {
        "stem": stem,
        "song": song,
        "what": what,
        "cents off": off,
        "back": back,
        "too many": made.shape[1] - length,
        "s per s": made.shape[1] / rate / seconds,
    }


def _onsets(rate: int) -> str:
    """Where clicks end up, in a sentence: nothing else has an onset that is known to the sample."""
    clicks = np.array([0.2, 0.7, 1.3, 1.9])
    sound = np.zeros((1, round(2.2 * rate)), np.float32)
    sound[0, np.round(clicks * rate).astype(int)] = 0.9
    changed = [(shift_pitch(sound, rate, semitones), 1.0) for semitones in SEMITONES]
    changed += [(stretch_time(sound, rate, factor), factor) for factor in (0.5, *FACTORS, 2.0)]
    late = []
    for made, factor in changed:
        for click in clicks * factor:
            start = round((click - 0.05) * rate)
            late.append((start + int(np.argmax(np.abs(made[0, start : start + round(0.1 * rate)])))) / rate - click)
    return f"  clicks lie within {1000 * np.abs(late).max():.2f} ms of their place, shifted or stretched"


def _print(title: str, rows: Sequence[dict]) -> None:
    print(f"\n{title}")
    texts = [list(rows[0])] + [
        [f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for text in texts:
        print("  " + "  ".join(word.ljust(width) for word, width in zip(text, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
