"""Files in, files of stems out: whole, tagged, as the song was, and none in another's place."""

import json
from pathlib import Path

import numpy as np
import pytest
from songs import noise

from sepnb import audio
from sepnb.errors import SepnbError
from sepnb.models import UNet, UNetConfig, save
from sepnb.separators import load_separator, separate
from sepnb.separators.base import describe
from sepnb.separators.files import separate_file, separate_files, song_names

RATE = 8000


@pytest.fixture
def separator(tmp_path):
    """A U-Net of two sources, small and untrained."""
    save(UNet(UNetConfig(sources=("drums", "vocals"), rate=RATE, n_fft=512, hop=256, width=4)), tmp_path / "run")
    return load_separator(tmp_path / "run").with_options(segment=0.5)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_stems_lie_where_they_should_and_say_what_made_them(separator, tmp_path, format):
    audio.write(tmp_path / "song.wav", noise(0, 1.2), RATE)
    ((file, paths),) = separate_files(separator, [tmp_path / "song.wav"], tmp_path / "out", format)
    assert file == tmp_path / "song.wav"
    assert paths == [tmp_path / "out" / "run" / "song" / f"{name}.{format}" for name in ("drums", "vocals")]
    tags = audio.tags(paths[1])
    assert (tags["title"], tags["album"]) == ("song – vocals", "run")
    comment = json.loads(tags["comment"])
    assert comment == {"stem": "vocals", "of": "song.wav", "separated by": describe(separator)}
    assert comment["separated by"]["segment"] == 0.5
    assert len(comment["separated by"]["weights"]) == 16


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 2), (RATE, 1), (11025, 2), (44100, 1)])
def test_stems_in_files_are_those_in_memory_with_rate_channels_and_length_of_the_song(
    separator, tmp_path, rate, channels
):
    song = noise(1, 1.7, channels=channels, rate=rate)
    audio.write(tmp_path / "song.wav", song, rate)
    for path in separate_file(separator, tmp_path / "song.wav", tmp_path / "stems"):
        stem, stem_rate = audio.read(path)
        assert (stem.shape, stem_rate) == (song.shape, rate)
        np.testing.assert_allclose(stem, separate(separator, song, rate)[path.stem], atol=2e-5)


def test_a_song_that_fails_leaves_no_stems_and_the_others_go_on(separator, tmp_path):
    (tmp_path / "words.wav").write_text("These are words.")
    audio.write(tmp_path / "three.wav", noise(2, 0.5, channels=3), RATE)
    audio.write(tmp_path / "good.wav", noise(3, 0.5), RATE)
    files = [tmp_path / name for name in ("words.wav", "three.wav", "good.wav")]
    words, three, good = (made for _, made in separate_files(separator, files, tmp_path / "out"))
    assert isinstance(words, SepnbError)
    assert "words.wav" in str(words)
    assert isinstance(three, SepnbError)
    assert "three.wav: run was trained on 2 channels; this mixture has 3" in str(three)
    assert sorted(path.name for path in (tmp_path / "out" / "run").rglob("*.wav")) == ["drums.wav", "vocals.wav"]
    assert not list((tmp_path / "out").rglob(".partial*"))
    assert all(path.parent.name == "good" for path in good)


def test_songs_of_one_name_get_folders_of_their_own(separator, tmp_path):
    songs = [noise(4, 0.3), noise(5, 0.3)]
    for folder, song in zip("ab", songs, strict=True):
        audio.write(tmp_path / folder / "x.wav", song, RATE)
    files = [tmp_path / "a" / "x.wav", tmp_path / "b" / "x.wav"]
    made = [paths for _, paths in separate_files(separator, files, tmp_path / "out")]
    assert [paths[0].parent.name for paths in made] == ["x", "x (2)"]
    for paths, song in zip(made, songs, strict=True):
        stem = separate(separator, song, RATE)["drums"]
        np.testing.assert_allclose(audio.read(paths[0])[0], stem, atol=2e-5)


def test_names_of_songs():
    files = [Path(name) for name in ("a/Song.wav", "b/song.mp3", "song.stem.mp4", "song (2).wav", "x.y.flac")]
    assert song_names(files) == ["Song", "song (2)", "song (3)", "song (2) (2)", "x.y"]


def test_a_mixture_in_a_songs_folder_goes_by_the_folder():
    files = [Path("set/test/A - One/mixture.wav"), Path("set/test/B - Two/mixture.wav")]
    assert song_names(files) == ["A - One", "B - Two"]


def test_a_separator_that_does_not_stream_and_whose_name_is_no_file_name(tmp_path):
    class Plain:
        name, sources, rate = "half / half", ("a/b",), RATE

        def __call__(self, mixture, rate):
            return {"a/b": mixture / 2}

    song = noise(6, 0.5)
    audio.write(tmp_path / "song.wav", song, RATE)
    ((_, (path,)),) = separate_files(Plain(), [tmp_path / "song.wav"], tmp_path / "out")
    assert path == tmp_path / "out" / "half - half" / "song" / "a-b.wav"
    np.testing.assert_allclose(audio.read(path)[0], song / 2, atol=2e-5)
