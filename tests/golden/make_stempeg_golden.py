"""Make the golden file that test_audio.py compares with: what stempeg reads from a stem file.

    python tests/golden/make_stempeg_golden.py "…/Music Delta - 80s Rock.stem.mp4"

Needs stempeg and the ffmpeg program. Music is not to be redistributed, so the file holds every 997th sample, the
lengths and the energies: enough to notice a shift by one sample, too little to listen to.
"""

import sys
from pathlib import Path

import numpy as np

STRIDE = 997
GOLDEN = Path(__file__).with_name("stempeg_80s_rock.npz")


def main(clip: str) -> None:
    import stempeg

    stems, rate = stempeg.read_stems(clip, dtype=np.float32)
    stems = stems.transpose(0, 2, 1)
    np.savez_compressed(
        GOLDEN,
        shape=stems.shape,
        rate=rate,
        stride=STRIDE,
        samples=stems[:, :, ::STRIDE],
        last=stems[:, :, -1],
        energy=np.sum(stems.astype(np.float64) ** 2, axis=2),
    )
    print(f"{GOLDEN}: {stems.shape} at {rate:.0f} Hz, {GOLDEN.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
