"""Audio files: every format whole and in excerpts, and clear about what is wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY
from songs import music

from sepnb import audio
from sepnb.errors import AudioError

SECONDS = 5.0
EXCERPTS = [(0.0, 0.5), (0.013, 0.2), (0.7, 1.0), (2.1234, 0.7), (3.0, None), (4.9, 3.0)]


def encode(
    path: Path, sound: np.ndarray, codec: str, container: str, writing: dict | None = None, **coding: str
) -> None:
    """Write what `audio.write` does not: other codecs, containers and settings, at 44.1 kHz."""
    with av.open(str(path), "w", format=container, options=writing or {}) as file:
        stream = file.add_stream(codec, rate=44100, options=coding)
        stream.layout = "stereo"
        stream.format = "s16p" if codec == "alac" else "fltp"
        if codec == "alac":
            sound = np.rint(sound * 2**15).astype(np.int16)
        for begin in range(0, sound.shape[1], 1024):
            block = np.ascontiguousarray(sound[:, begin : begin + 1024])
            frame = av.AudioFrame.from_ndarray(block, format=stream.format.name, layout="stereo")
            frame.sample_rate, frame.pts = 44100, begin
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def noisy() -> np.ndarray:
    return music() + 0.1 * np.random.default_rng(1).standard_normal((2, round(SECONDS * 44100))).astype(np.float32)


# The kinds of file that the course may meet: what they are called, and how one is made.
WITHOUT_INDEX = {"write_xing": "0"}
MAKERS = {
    "song.wav": lambda path: audio.write(path, music(), 44100),
    "floats.wav": lambda path: audio.write(path, music(), 44100, "32f"),
    "mono at 16 kHz.wav": lambda path: audio.write(path, music(1, 16000), 16000, "24"),
    "five channels.wav": lambda path: audio.write(path, music(5, 48000), 48000),
    "song.flac": lambda path: audio.write(path, music(), 44100, "24"),
    "song.mp3": lambda path: audio.write(path, music(), 44100),
    "mono at 8 kHz.mp3": lambda path: audio.write(path, music(1, 8000), 8000),
    "32 kbit a second.mp3": lambda path: encode(path, music(), "libmp3lame", "mp3", b="32000"),
    "variable without index.mp3": lambda path: encode(
        path, music(), "libmp3lame", "mp3", WITHOUT_INDEX, flags="+qscale", global_quality="236"
    ),
    "raw.aac": lambda path: encode(path, music(), "aac", "adts", b="128000"),
    "song.m4a": lambda path: encode(path, music(), "aac", "ipod", b="192000", aac_pns="0"),
    "noise substitution.m4a": lambda path: encode(path, noisy(), "aac", "ipod", b="48000", aac_pns="1"),
    "lossless.m4a": lambda path: encode(path, music(), "alac", "ipod"),
    "clock of milliseconds.mka": lambda path: encode(path, music(), "aac", "matroska", b="128000"),
    "song.ogg": lambda path: soundfile.write(path, music().T, 44100),
    "song.stem.mp4": lambda path: audio.write_stems(path, np.stack([music(seed=seed) for seed in range(3)]), 44100),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The path of a file of each kind, made once."""
    folder = tmp_path_factory.mktemp("audio")

    def make(kind: str) -> Path:
        path = folder / kind
        if not path.exists():
            MAKERS[kind](path)
        return path

    return make


@pytest.fixture
def cut(made, tmp_path):
    """A copy of a file of some kind, of which only a share is left."""

    def cut(kind: str, share: float) -> Path:
        content = made(kind).read_bytes()
        path = tmp_path / kind
        path.write_bytes(content[: round(share * len(content))])
        return path

    return cut


@pytest.mark.parametrize("kind", MAKERS)
def test_an_excerpt_is_the_same_slice_of_the_whole(made, kind):
    path = made(kind)
    whole, rate = audio.read_stems(path)
    assert whole.dtype == np.float32
    assert whole.shape[-1] >= SECONDS * rate
    for start, duration in EXCERPTS:
        excerpt, _ = audio.read_stems(path, start, duration)
        first = round(start * rate)
        last = None if duration is None else first + round(duration * rate)
        np.testing.assert_array_equal(excerpt, whole[..., first:last], err_msg=f"{start} s, {duration} s")
    np.testing.assert_array_equal(audio.read(path)[0], whole[0])


@pytest.mark.parametrize("kind", MAKERS)
def test_info_says_what_reading_gives(made, kind):
    path = made(kind)
    whole, rate = audio.read_stems(path)
    told = audio.info(path)
    assert (told.streams, told.channels, told.samples) == whole.shape
    assert told.rate == rate
    assert told.duration == whole.shape[-1] / rate


def test_the_noise_substitution_file_is_one(made):
    """Where an AAC file has it, decoding from the middle alone is not exact; else the case above tests nothing."""
    path = made("noise substitution.m4a")
    whole, rate = audio.read(path)
    with av.open(str(path)) as container:
        container.seek(2 * rate, stream=container.streams.audio[0])
        frames = list(container.decode(audio=0))[40:]
    jumped = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    first = frames[0].pts
    assert np.abs(jumped - whole[:, first : first + jumped.shape[1]]).max() > 1e-4


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [(".wav", "16", 2**-15), (".wav", "24", 2**-23), (".flac", "16", 2**-15), (".flac", "24", 2**-23)],
)
def test_integer_formats_round_to_the_nearest_step(tmp_path, suffix, subtype, step):
    sound = music(seconds=0.5)
    audio.write(tmp_path / f"a{suffix}", sound, 44100, subtype)
    back, rate = audio.read(tmp_path / f"a{suffix}")
    assert rate == 44100
    assert np.abs(back - sound).max() <= step / 2 * 1.001
    # What is on the steps already comes back to the bit, however often it is written.
    audio.write(tmp_path / f"b{suffix}", back, 44100, subtype)
    np.testing.assert_array_equal(audio.read(tmp_path / f"b{suffix}")[0], back)


def test_float_wav_keeps_everything(tmp_path):
    sound = 3 * music(3, seconds=0.2)
    audio.write(tmp_path / "a.wav", sound, 8000, "32f")
    np.testing.assert_array_equal(audio.read(tmp_path / "a.wav")[0], sound)


@pytest.mark.parametrize("rate", [44100, 16000])
def test_mp3_keeps_length_place_and_level(tmp_path, rate):
    sound = music(rate=rate, seconds=2)
    audio.write(tmp_path / "a.mp3", sound, rate)
    back, _ = audio.read(tmp_path / "a.mp3")
    assert back.shape == sound.shape
    assert np.sum((back - sound) ** 2) < 0.01 * np.sum(sound**2)
    assert np.sum(back * sound) / np.sum(sound**2) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("rate", "channels", "samples"), [(44100, 2, 88200), (16000, 1, 12345), (44100, 2, 1025)])
def test_stems_keep_order_and_place(tmp_path, rate, channels, samples):
    stems = np.stack([music(channels, rate, 2, seed)[:, :samples] for seed in range(3)])
    audio.write_stems(tmp_path / "a.stem.mp4", stems, rate)
    back, back_rate = audio.read_stems(tmp_path / "a.stem.mp4")
    assert back_rate == rate
    assert samples <= back.shape[-1] < samples + 1024
    for stem, stem_back in zip(stems, back, strict=True):
        assert np.sum((stem_back[:, :samples] - stem) ** 2) < 0.05 * np.sum(stem**2)


def test_clipping_is_told(tmp_path):
    sound = np.array([[0.0, 1.0, -1.0, 1.5, -2.0]])
    with pytest.warns(UserWarning, match=r"2 of 5 samples are beyond ±1 \(peak 2\.000\)") as caught:
        audio.write(tmp_path / "a.wav", sound, 44100)
    assert caught[0].filename == __file__
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], [[0, 1, -1, 1, -1]], atol=1e-4)


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (16000, 44100), (48000, 44100)])
def test_an_excerpt_at_another_rate_is_a_slice_of_the_whole_at_that_rate(tmp_path, old, new):
    audio.write(tmp_path / "a.wav", music(rate=old), old, "32f")
    whole, rate = audio.read(tmp_path / "a.wav", rate=new)
    assert rate == new
    assert whole.shape == (2, round(SECONDS * new))
    for start, duration in EXCERPTS:
        excerpt, _ = audio.read(tmp_path / "a.wav", start, duration, rate=new)
        first = round(start * new)
        expected = whole[:, first : None if duration is None else first + round(duration * new)]
        assert excerpt.shape == expected.shape
        np.testing.assert_allclose(excerpt, expected, atol=2e-6)


def test_resampling_keeps_tones_and_removes_what_does_not_fit():
    time = np.arange(44100) / 44100
    low, high = np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 9000 * time)
    stems = np.stack([low, high])[:, np.newaxis].astype(np.float32)
    resampled = audio.resample(stems, 44100, 16000)
    assert resampled.shape == (2, 1, 16000)
    assert resampled.dtype == np.float32
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(resampled[0, 0, 500:-500], expected[500:-500], atol=1e-4)
    assert np.abs(resampled[1, 0, 500:-500]).max() < 1e-4


def test_no_program_is_needed():
    """All formats once more in a process that finds no program on its PATH."""
    code = (
        "import sys, tempfile, pathlib, numpy as np\n"
        "from sepnb import audio\n"
        "assert 'av' not in sys.modules and 'torch' not in sys.modules, 'import sepnb.audio is to stay light'\n"
        "folder = pathlib.Path(tempfile.mkdtemp())\n"
        "sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8000))\n"
        "for name in ('a.wav', 'a.flac', 'a.mp3'):\n"
        "    audio.write(folder / name, sound, 16000)\n"
        "    assert audio.read(folder / name)[0].shape == sound.shape\n"
        "audio.write_stems(folder / 'a.stem.mp4', sound[None], 16000)\n"
        "assert audio.read_stems(folder / 'a.stem.mp4')[0].shape[:2] == (1, 2)\n"
    )
    environment = {**os.environ, "PATH": "", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


# --- what is wrong with a file ---------------------------------------------------------------------------------------


def expect_error(path: Path, message: str, **arguments) -> None:
    """Reading fails, and the error has the file's name and the message."""
    with pytest.raises(AudioError, match=message) as caught:
        audio.read(path, **arguments)
    assert str(path) in str(caught.value)


def test_files_that_are_not_audio(tmp_path):
    expect_error(tmp_path / "none.wav", "there is no such file")
    expect_error(tmp_path, "is a folder")
    (tmp_path / "empty.wav").touch()
    expect_error(tmp_path / "empty.wav", "is empty")
    for name in ("text.mp3", "text.wav", "text.stem.mp4"):
        (tmp_path / name).write_text("This is not music.\n" * 500)
        expect_error(tmp_path / name, "not audio in a known format")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{song}\n#EXT-X-ENDLIST\n"),
        ("list.wav", "ffconcat version 1.0\nfile {song}\n"),
    ],
)
def test_a_list_of_files_is_no_way_to_them(made, tmp_path, name, text):
    """FFmpeg would open what a playlist names, anywhere on the machine."""
    song = shutil.copy(made("raw.aac"), tmp_path / "song.aac")
    path = tmp_path / name
    path.write_text(text.format(song=song.name))
    with av.open(str(path)) as container:
        assert container.streams.audio, "a list that FFmpeg does not follow tests nothing"
    expect_error(path, "not audio in a known format")
    with pytest.raises(AudioError, match="not audio in a known format"):
        audio.info(path)


@pytest.mark.parametrize(
    ("name", "container", "codec", "rate"),
    [
        ("a.wma", "asf", "wmav2", 44100),
        ("a.opus", "opus", "libopus", 48000),
        ("a.webm", "webm", "libopus", 48000),
        ("a.mkv", "matroska", "aac", 44100),
        ("a.avi", "avi", "libmp3lame", 44100),
        ("a.mov", "mov", "pcm_s16le", 44100),
        ("a.aiff", "aiff", "pcm_s16be", 44100),
        ("a.w64", "w64", "pcm_s16le", 44100),
        ("a.caf", "caf", "pcm_s16le", 44100),
        ("a.ts", "mpegts", "aac", 44100),
    ],
)
def test_what_people_have_beside_those_is_read(tmp_path, name, container, codec, rate):
    path = tmp_path / name
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, options={"b": "128000"})
        stream.layout = "stereo"
        stream.codec_context.open()
        step = stream.codec_context.frame_size or 1024
        fitting = av.AudioResampler(format=stream.format.name, layout="stereo", rate=rate)
        for begin in range(0, rate // step * step, step):
            block = np.ascontiguousarray(music(rate=rate, seconds=1.0)[:, begin : begin + step])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate, begin
            for fitted in fitting.resample(frame):
                file.mux(stream.encode(fitted))
        file.mux(stream.encode(None))
    sound, found = audio.read(path)
    assert found == rate
    assert abs(sound.shape[-1] / rate - 1) < 0.1
    assert np.std(sound) > 0.05
    assert audio.info(path).samples == sound.shape[-1]


def test_counting_a_stream_without_a_length_ends_where_it_is_told(made):
    whole = audio.info(made("raw.aac"))
    assert audio.info(made("raw.aac"), most=60.0) == whole
    counted = audio.info(made("raw.aac"), most=2.0)
    assert 2.0 < counted.duration < 2.1
    assert audio.info(made("song.m4a"), most=60.0) == audio.info(made("song.m4a"))
    assert audio.info(made("song.m4a"), most=2.0).duration > 2.0
    assert audio.info(made("song.wav"), most=2.0).duration == SECONDS


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_name_with_a_colon_is_a_file(made, tmp_path, monkeypatch):
    shutil.copy(made("song.mp3"), tmp_path / "http: live.mp3")
    monkeypatch.chdir(tmp_path)
    assert audio.info("http: live.mp3") == audio.info(made("song.mp3"))


def test_a_stream_in_an_unknown_codec(made, tmp_path):
    path = tmp_path / "a.mka"
    path.write_bytes(made("clock of milliseconds.mka").read_bytes().replace(b"A_AAC", b"A_XYZ"))
    expect_error(path, "its sound is in an unknown codec")


def test_a_film_without_sound(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    expect_error(path, "no audio stream")


@pytest.mark.parametrize("kind", ["song.wav", "song.flac", "song.mp3", "song.m4a", "song.stem.mp4"])
@pytest.mark.parametrize("share", [0.01, 0.6])
def test_a_file_that_was_cut_short(cut, kind, share):
    expect_error(cut(kind, share), "cut short|damaged")


def test_a_file_that_was_cut_short_with_its_index_in_front(tmp_path):
    path = tmp_path / "song.m4a"
    encode(path, music(), "aac", "ipod", {"movflags": "+faststart"}, b="192000")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    expect_error(path, r"cut short.* 2\.\d\d s")
    with pytest.raises(AudioError, match="cut short"):
        audio.info(path)
    assert audio.read(path, 0.5, 1.0)[0].shape == (2, 44100), "what is there can still be read"


def test_a_wav_of_unknown_length_is_read(cut):
    """What was written to a pipe has the largest number in its header instead of a length."""
    path = cut("song.wav", 1.0)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert audio.read(path)[0].shape == (2, round(SECONDS * 44100))


def test_a_damaged_packet(cut):
    path = cut("song.m4a", 1.0)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20000] = b"\xff" * 20000
    path.write_bytes(content)
    expect_error(path, r"damaged: decoding stops at \d+\.\d+ s")


@pytest.mark.parametrize("kind", ["song.wav", "song.m4a"])
@pytest.mark.parametrize("rate", [None, 16000])
def test_excerpts_that_are_not_there(made, kind, rate):
    path = made(kind)
    expect_error(path, "cannot start at -1 s", start=-1, rate=rate)
    expect_error(path, "cannot start at 60.0 s: the audio ends at 5.", start=60.0, rate=rate)
    expect_error(path, "cannot start at nan s", start=float("nan"), rate=rate)
    expect_error(path, "cannot last 0 s", duration=0, rate=rate)
    expect_error(path, "cannot last -2 s", start=1, duration=-2, rate=rate)
    expect_error(path, "0 Hz is not a rate", rate=0)


def test_streams_that_are_not_stems_of_one_song(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        for layout in ("stereo", "mono"):
            container.add_stream("aac", rate=44100).layout = layout
        for stream in container.streams.audio:
            silence = np.zeros((stream.codec_context.layout.nb_channels, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout=stream.codec_context.layout.name)
            frame.sample_rate, frame.pts = 44100, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="differ in channels or rate"):
        audio.read_stems(path)
    assert audio.read(path)[0].shape[0] == 2


def test_flac_that_does_not_say_how_long_it_is(tmp_path):
    """As an encoder leaves it that writes to a pipe."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 30000)).astype(np.float32)
    path = tmp_path / "piped.flac"
    audio.write(path, noise, 44100)
    whole, _ = audio.read(path)
    header = bytearray(path.read_bytes())
    header[21] &= 0xF0  # the number of samples: the last 36 bits before the checksum
    header[22:26] = bytes(4)
    path.write_bytes(header)
    assert audio.info(path).samples == 30000
    np.testing.assert_array_equal(audio.read(path)[0], whole)
