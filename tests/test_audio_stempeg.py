"""Real files: stems as stempeg reads them, and excerpts that are slices of the whole."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from songs import music

from sepnb import audio

GOLDEN = Path(__file__).parent / "golden" / "stempeg_80s_rock.npz"


@pytest.fixture
def rock(real) -> Path:
    return real / "musdb18" / "train" / "Music Delta - 80s Rock.stem.mp4"


def test_the_real_stem_file_is_read_as_stempeg_reads_it(rock):
    golden = np.load(GOLDEN)
    stems, rate = audio.read_stems(rock)
    assert stems.shape == tuple(golden["shape"])
    assert rate == golden["rate"]
    assert np.abs(stems[:, :, :: int(golden["stride"])] - golden["samples"]).max() < 1e-6
    assert np.abs(stems[:, :, -1] - golden["last"]).max() < 1e-6
    np.testing.assert_allclose(np.sum(stems.astype(np.float64) ** 2, axis=2), golden["energy"], rtol=1e-6)


def test_every_sample_is_stempegs(rock, tmp_path):
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        pytest.skip("stempeg needs the ffmpeg and ffprobe programs, which are not on PATH")
    import stempeg

    ours = tmp_path / "ours.stem.mp4"
    audio.write_stems(ours, np.stack([music(seed=seed) for seed in range(2)]), 44100)
    for path in (rock, ours):
        theirs, rate = stempeg.read_stems(str(path))
        theirs = theirs.transpose(0, 2, 1)
        stems, our_rate = audio.read_stems(path)
        assert our_rate == rate
        # FFmpeg 9 leaves out the padding of the last frame; those before it, and the golden file, have it.
        assert 0 <= stems.shape[-1] - theirs.shape[-1] < 1024
        assert np.abs(stems[..., : theirs.shape[-1]] - theirs).max() < 1e-6


def test_excerpts_of_real_files(rock, real):
    for path in (rock, real / "songs" / "test.mp3", real / "musdb18hq" / "test" / "Mu - Too Bright" / "mixture.wav"):
        whole, rate = audio.read_stems(path)
        for start, duration in [(0.5, 1), (3.3, 2.2), (6.5, None)]:
            first = round(start * rate)
            expected = whole[..., first : None if duration is None else first + round(duration * rate)]
            np.testing.assert_array_equal(audio.read_stems(path, start, duration)[0], expected)
