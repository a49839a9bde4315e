"""Files that somebody else chose: what is taken is what was asked for, what is not is refused in a sentence."""

import struct

import av
import numpy as np
import pytest
import soundfile
from songs import noise

from benchmarks.bad_uploads import film_without_sound
from sepnb import audio, containers
from sepnb.errors import AudioError
from sepnb.listening.uploads import Upload, UploadLimits, look_at, read_upload, safe_name, safe_title

RATE = 8000


def write(path, sound, rate=RATE, subtype="PCM_16"):
    soundfile.write(path, np.asarray(sound).T, rate, subtype=subtype)
    return path


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("song.mp3", "song"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("...hidden.wav", "hidden"),
        ("<script>alert(1)</script>.mp3", "script-"),
        ("évident – naïve.flac", "évident – naïve"),
        ("evil\u202e3pm.exe", "evil3pm.exe"),
        ("line\nbreak\x00.wav", "linebreak"),
        ("CON.wav", "_CON"),
        ("", "song"),
        (".mp3", "song"),
        ("🎵.mp3", "song"),
        ("Mr. Blue.mp3", "Mr. Blue"),
        ("Symphony No.5", "Symphony No.5"),
        ("Symphony No.5.FLAC", "Symphony No.5"),
        ("song.stem.mp4", "song"),
        ("song.mp3.wav", "song.mp3"),
    ],
)
def test_a_name_is_safe_to_show_and_to_call_a_file_by(name, shown):
    assert safe_name(name) == shown


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("AC/DC - Thunder", "AC-DC - Thunder"),
        ("Symphony No.5", "Symphony No.5"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("line\nbreak\u202e", "linebreak"),
        ("aux", "_aux"),
        ("…", "song"),
    ],
)
def test_a_title_stays_whole_and_is_safe(title, shown):
    assert safe_title(title) == shown


def test_a_long_name_is_cut_in_characters_and_bytes():
    assert safe_name("x" * 300 + ".wav") == "x" * 80
    assert safe_name("x" + "音" * 300) == "x" + "音" * 39  # three bytes each


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_whatever_is_a_song_is_taken(tmp_path, subtype, channels, rate):
    sound = noise(0, 2.0, channels, rate)
    taken = read_upload(write(tmp_path / "song.wav", sound, rate, subtype))
    assert isinstance(taken, Upload)
    assert (taken.rate, taken.duration, taken.whole, taken.note) == (rate, 2.0, 2.0, "")
    np.testing.assert_array_equal(taken.audio, sound)
    assert taken.audio.dtype == np.float32


def test_an_excerpt_is_that_part_of_the_file(tmp_path):
    sound = noise(1, 5.0)
    taken = read_upload(write(tmp_path / "song.wav", sound), start=1.5, duration=2.0)
    np.testing.assert_array_equal(taken.audio, sound[:, 12000:28000])
    assert (taken.start, taken.duration, taken.whole) == (1.5, 2.0, 5.0)


def test_a_long_file_gives_its_beginning_and_says_so(tmp_path):
    taken = read_upload(write(tmp_path / "song.wav", noise(2, 5.0)), UploadLimits(seconds=3.0))
    assert taken.duration == 3.0
    assert taken.note == "The first 3 s of 5 s were taken."


def test_an_excerpt_beyond_the_end_is_shorter_and_says_so(tmp_path):
    taken = read_upload(write(tmp_path / "song.wav", noise(3, 5.0)), start=3.0, duration=10.0)
    assert taken.duration == 2.0
    assert taken.note == "The file ends after 2.0 s of the 10 s asked for."


def refused(path, **options):
    with pytest.raises(AudioError) as caught:
        read_upload(path, **options)
    return str(caught.value)


def test_bad_files_are_refused_in_sentences_without_the_servers_folders(tmp_path):
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    (folder / "lyrics.mp3").write_text("These are words, and no song.\n" * 100)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "folder.wav").mkdir()
    write(folder / "short.wav", noise(0, 0.5))
    write(folder / "silent.wav", np.zeros((2, 3 * RATE)))
    write(folder / "six.wav", noise(0, 2.0, 6))
    write(folder / "slow.wav", noise(0, 2.0, 1, 2000), 2000)
    write(folder / "nan.wav", np.full((1, 2 * RATE), np.nan, np.float32), subtype="FLOAT")
    whole = write(folder / "torn.wav", noise(0, 4.0))
    whole.write_bytes(whole.read_bytes()[:-40000])
    flac = folder / "torn.flac"
    audio.write(flac, noise(0, 4.0), RATE)
    flac.write_bytes(flac.read_bytes()[:20000])
    said = {path.name: refused(path) for path in folder.iterdir()}
    for name, wanted in {
        "lyrics.mp3": "lyrics: ",
        "empty.wav": "empty: is empty (0 bytes)",
        "folder.wav": "is a folder",
        "short.wav": "lasts 0.50 s; 1 s or more are needed",
        "silent.wav": "is silent there",
        "six.wav": "has 6 channels; at most 2 are taken",
        "slow.wav": "has a rate of 2000 Hz",
        "nan.wav": "not finite",
        "torn.wav": "cut short",
        "torn.flac": "torn: ",
    }.items():
        assert wanted in said[name], name
    assert not any("secret-folder" in text or str(tmp_path) in text for text in said.values())
    assert "there is no such file" in refused(folder / "missing.wav")


def test_a_file_too_large_is_refused_before_it_is_opened(tmp_path):
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(201_000_000)  # no audio at all, and sparse
    assert "is 201 MB, more than the 200 MB that are taken" in refused(path)


def test_an_hour_is_refused_by_its_header_where_songs_are_taken(tmp_path):
    hour = 3600 * RATE
    path = tmp_path / "evening.wav"
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + hour) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE, 1, 8) + b"data" + struct.pack("<I", hour))
        file.truncate(44 + hour)
    assert look_at(path).duration == 3600
    limits = UploadLimits(song_seconds=900)
    assert "lasts 60 min, more than the 15 min that are taken" in refused(path, limits=limits)
    taken = read_upload(path, start=1800, duration=10)  # eight bits of nothing are full scale below the middle
    assert (taken.duration, taken.whole) == (10.0, 3600.0)


@pytest.mark.parametrize(
    ("start", "duration", "said"),
    [
        (-1, 2, "an excerpt cannot start at -1 s"),
        (float("nan"), 2, "cannot start at nan s"),
        (9, 2, "an excerpt cannot start at 9 s: the file ends at 3.00 s"),
        (0, 0.1, "an excerpt cannot last 0.1 s: take from 1 to 300 s"),
        (0, 1e9, "an excerpt cannot last 1e+09 s"),
        (0, float("nan"), "cannot last nan s"),
    ],
)
def test_an_excerpt_that_cannot_be_is_refused(tmp_path, start, duration, said):
    path = write(tmp_path / "song.wav", noise(0, 3.0))
    assert said in refused(path, start=start, duration=duration)


def test_a_film_without_sound_is_refused(tmp_path):
    path = tmp_path / "film.mp4"
    film_without_sound(path)
    said = refused(path)
    assert said.startswith("film: ")
    assert "audio" in said


def test_the_visitors_name_is_shown_instead_of_a_temporary_one(tmp_path):
    (tmp_path / "tmpx1y2z3").write_bytes(b"")
    assert refused(tmp_path / "tmpx1y2z3", name="My <b>song</b>").startswith("My -b-song--b-: is empty")


def test_a_song_is_called_as_the_caller_calls_it(tmp_path):
    taken = read_upload(write(tmp_path / "tmpx1y2z3.wav", noise(0, 2.0)), name="AC/DC - No.5")
    assert taken.name == "AC-DC - No.5"


def test_a_stream_that_says_no_length_is_counted_no_further_than_songs_are_taken(tmp_path, monkeypatch):
    path = tmp_path / "stream.aac"
    with av.open(path, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "mono"
        block = noise(0, 1024 / RATE, 1)
        for number in range(600):  # 77 s
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    decoded = []
    take = containers._Track.take
    monkeypatch.setattr(containers._Track, "take", lambda *given: decoded.append(take(*given)))
    assert "lasts more than the 10 s that are taken" in refused(path, limits=UploadLimits(song_seconds=10))
    assert len(decoded) < 100
    assert read_upload(path, start=70, duration=5).duration == 5


def test_a_real_mp3_is_taken(real):
    taken = read_upload(real / "songs" / "test.mp3", start=2, duration=3)
    assert (taken.name, taken.rate, taken.duration) == ("test", 44100, 3.0)
    assert np.abs(taken.audio).max() > 0.05
