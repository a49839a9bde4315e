"""Decoding a `.stem.mp4`, whole and a few seconds of it: sepnb.audio against stempeg, which calls ffmpeg."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import REAL
from benchmarks.table import Row, missing_programs, seconds_alone, seconds_side_by_side, show
from sepnb import audio

CLIP = REAL / "musdb18" / "train" / "Music Delta - 80s Rock.stem.mp4"
SONG_SECONDS = 60.0
ROUNDS = 5


def main() -> None:
    """Print the table; needs the ffmpeg program for the peer's column."""
    with tempfile.TemporaryDirectory() as folder:
        short = CLIP
        name = f"MUSDB18 excerpt, {audio.info(CLIP).duration:.1f} s" if CLIP.exists() else "made clip, 7.0 s"
        if not CLIP.exists():
            short = _make_stems(Path(folder) / "short.stem.mp4", 7.0)
        song = _make_stems(Path(folder) / "song.stem.mp4", SONG_SECONDS)
        rows = [
            _row(f"{name}, whole", short, 0.0, None),
            _row(f"made song, {SONG_SECONDS:.0f} s, whole", song, 0.0, None),
            _row("made song, 3 s from its middle", song, SONG_SECONDS / 2, 3.0),
        ]
    show("stem_decoding", "Five AAC streams decoded, seconds (less is better)", rows)


def _row(what: str, path: Path, start: float, duration: float | None) -> Row:
    def ours() -> np.ndarray:
        return audio.read_stems(path, start, duration)[0]

    why_not = missing_programs("ffmpeg", "ffprobe")
    if why_not:
        return Row(what, "s", seconds_alone(ours, ROUNDS), "stempeg", None, less_is_better=True, why_not=why_not)
    import stempeg

    def theirs() -> np.ndarray:
        # float32, so that neither side converts more than the other
        return stempeg.read_stems(str(path), start=start or None, duration=duration, dtype=np.float32)[0]

    peers = theirs().transpose(0, 2, 1)
    difference = np.abs(ours()[..., : peers.shape[-1]] - peers).max()  # FFmpeg 9 leaves out the last frame's padding
    if difference > 1e-6:
        raise SystemExit(f"{what}: ours and stempeg differ by {difference:.1e}, so their times mean nothing")
    mine, peer = seconds_side_by_side(ours, theirs, ROUNDS)
    return Row(what, "s", mine, "stempeg", peer, less_is_better=True)


def _make_stems(path: Path, seconds: float) -> Path:
    """A stem file of four stems of tones and noise with their sum in front."""
    rng = np.random.default_rng(0)
    rate = 44100
    time = np.arange(round(seconds * rate)) / rate
    stems = np.empty((4, 2, len(time)), np.float32)
    for stem in stems:
        beat = np.exp(-4 * np.mod(time * rng.uniform(1, 4), 1))
        tones = sum(np.sin(2 * np.pi * rng.uniform(60, 2000) * time) for _ in range(4))
        stem[:] = beat * (0.04 * tones + 0.02 * rng.standard_normal((2, len(time))))
    audio.write_stems(path, np.concatenate([stems.sum(axis=0, keepdims=True), stems]), rate)
    return path


if __name__ == "__main__":
    main()
