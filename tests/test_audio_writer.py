"""Audio is written block by block as it is at once, with tags that can be read back, whole or not at all.

What cannot be written is refused.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY
from songs import noise

from sepnb import audio
from sepnb.errors import AudioError, SepnbError

TAGS = {
    "title": "Sóng № 1 – vocals",
    "artist": "The Band",
    "album": "htdemucs",
    "comment": json.dumps({"weights": "0123456789abcdef " * 8, "segment": 7.8, "of": 'a "song"; x=y\\z.wav'}),
}


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block", [1, 777, 5000])
def test_blocks_give_the_file_that_the_whole_gives(tmp_path, name, channels, block):
    sound = noise(0, 0.5, channels=channels)
    audio.write(tmp_path / "whole" / name, sound, 8000)
    with audio.Writer(tmp_path / "blocks" / name, 8000, channels) as writer:
        for begin in range(0, sound.shape[-1], block):
            writer.write(sound[:, begin : begin + block])
    assert (tmp_path / "blocks" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "16"), ("a.wav", "32f"), ("a.flac", "24"), ("a.mp3", "16")])
def test_tags_come_back_and_the_sound_is_as_without(tmp_path, name, subtype):
    sound = noise(1, 0.5)
    with audio.Writer(tmp_path / name, 8000, 2, subtype, tags=TAGS) as writer:
        writer.write(sound)
    assert audio.tags(tmp_path / name) == TAGS
    audio.write(tmp_path / "plain" / name, sound, 8000, subtype)
    np.testing.assert_array_equal(audio.read(tmp_path / name)[0], audio.read(tmp_path / "plain" / name)[0])
    assert audio.info(tmp_path / name).samples == audio.info(tmp_path / "plain" / name).samples
    assert audio.tags(tmp_path / "plain" / name) == {}


def test_a_tag_that_not_every_format_has_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"a\.wav: cannot write the tag mood: use title, artist, album, comment"):
        audio.Writer(tmp_path / "a.wav", 8000, 2, tags={"mood": "blue"})


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path, name, before):
    if before is not None:
        (tmp_path / name).write_bytes(before)
    with pytest.raises(KeyError), audio.Writer(tmp_path / name, 8000, 2) as writer:
        writer.write(noise(2, 0.1))
        raise KeyError("the caller's own")
    assert [path.name for path in tmp_path.iterdir()] == ([] if before is None else [name])
    assert before is None or (tmp_path / name).read_bytes() == before


def test_samples_beyond_full_scale_are_counted_over_all_blocks_and_said_once(tmp_path):
    with pytest.warns(UserWarning, match=r"a\.wav: 3 of 12 samples are beyond ±1 \(peak 1\.500\)") as caught:  # noqa: SIM117
        with audio.Writer(tmp_path / "a.wav", 8000, 1) as writer:
            for values in ([0.5, 1.25, -0.5, 0], [0, 0, 0, 0], [1.5, -1.25, 1, -1]):
                writer.write(np.array([values], np.float32))
    assert len(caught) == 1
    assert np.abs(audio.read(tmp_path / "a.wav")[0]).max() <= 1


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((1, 10)), "cannot write 1 channels to a file of 2"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
        (np.zeros((2, 3), np.int16), "int16"),
        (np.full((2, 4), np.inf), "8 of 8 samples are not finite"),
    ],
)
def test_a_block_that_cannot_be_written_names_the_file_and_leaves_none(tmp_path, block, message):
    path = tmp_path / "a.flac"
    with pytest.raises(AudioError, match=rf"a\.flac: .*{message}"), audio.Writer(path, 8000, 2) as writer:
        writer.write(noise(3, 0.1))
        writer.write(block)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "rate", "channels", "message"),
    [
        ("a.ogg", 8000, 2, "use .wav, .flac or .mp3"),
        ("a.mp3", 96000, 2, "no rate of 96000 Hz"),
        ("a.mp3", 44100, 3, "one or two channels, not 3"),
        ("a.wav", 0, 2, "0 Hz is not a rate"),
    ],
)
def test_a_form_that_cannot_be_written_is_said_before_anything_is(tmp_path, name, rate, channels, message):
    with pytest.raises(AudioError, match=message), audio.Writer(tmp_path / name, rate, channels):
        pytest.fail("the block was entered")
    assert not list(tmp_path.iterdir())


def test_tags_of_a_file_from_elsewhere_and_of_none(tmp_path):
    with soundfile.SoundFile(tmp_path / "theirs.flac", "w", 8000, 1) as file:
        file.title, file.genre = "Theirs", "rock"
        file.write(np.zeros(100))
    assert audio.tags(tmp_path / "theirs.flac") == {"title": "Theirs"}
    with pytest.raises(SepnbError, match="there is no such file"):
        audio.tags(tmp_path / "nowhere.wav")


@pytest.mark.parametrize(
    ("name", "sound", "rate", "subtype", "message"),
    [
        ("a.xyz", np.zeros((2, 10)), 44100, "16", "cannot write .xyz: use .wav, .flac or .mp3"),
        ("a", np.zeros((2, 10)), 44100, "16", "without a suffix"),
        ("a.wav", np.zeros((2, 10)), 44100, "8", "subtype '8': use one of 16, 24, 32f"),
        ("a.flac", np.zeros((2, 10)), 44100, "32f", "subtype '32f': use one of 16, 24"),
        ("a.wav", np.zeros(10), 44100, "16", r"shape \(10,\): it must be \(channels, samples\)"),
        ("a.wav", np.zeros((1000, 2)), 44100, "16", r"shape \(1000, 2\): it must be \(channels, samples\)"),
        ("a.wav", np.zeros((2, 0)), 44100, "16", r"shape \(2, 0\)"),
        ("a.wav", np.zeros((2, 10), int), 44100, "16", "cannot write int64"),
        ("a.wav", np.full((1, 10), np.nan), 44100, "16", "10 of 10 samples are not finite"),
        ("a.wav", np.array([[0, np.inf]]), 44100, "32f", "1 of 2 samples are not finite"),
        ("a.wav", np.zeros((2, 10)), 0, "16", "0 Hz is not a rate"),
        ("a.mp3", np.zeros((5, 10)), 44100, "16", "one or two channels, not 5"),
        ("a.mp3", np.zeros((2, 10)), 96000, "16", "no rate of 96000 Hz; resample to one of 8000"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, sound, rate, subtype, message):
    with pytest.raises(AudioError, match=message) as caught:
        audio.write(tmp_path / name, sound, rate, subtype)
    assert str(tmp_path / name) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_stems_that_cannot_be_written(tmp_path):
    for name, stems, message in [
        ("a.wav", np.zeros((2, 2, 10)), "cannot write stems to .wav"),
        ("a.stem.mp4", np.zeros((2, 10)), r"shape \(2, 10\): it must be \(streams, channels, samples\)"),
        ("a.stem.mp4", np.zeros((2, 6, 10)), "one or two channels, not 6"),
    ]:
        with pytest.raises(AudioError, match=message):
            audio.write_stems(tmp_path / name, stems, 44100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.stem.mp4"])
def test_a_full_disk_leaves_the_old_file(tmp_path, name):
    """A limit on the size of files stands in for a disk that fills up while writing."""
    path = tmp_path / name
    path.write_bytes(b"old")
    code = (
        "import resource, sys, numpy as np\n"
        "from sepnb import audio, containers\n"
        "from sepnb.errors import AudioError\n"
        "path = sys.argv[1]\n"
        "sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 200_000))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    audio.write_stems(path, sound[None], 44100) if path.endswith('mp4') else audio.write(path, sound, 44100)\n"
        "except AudioError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, check=True, capture_output=True, text=True
    )
    assert str(path) in done.stdout
    assert "written" in done.stdout
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"old"
