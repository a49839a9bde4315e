"""Loudness is what the standard and another meter say, and matched sounds are equally loud."""

import warnings
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from sepnb import audio as audio_files
from sepnb.errors import SepnbError
from sepnb.listening.loudness import loudness, match_loudness

RATE = 48000


def sine(level: float, seconds: float = 3.0, rate: int = RATE, channels: int = 2, hertz: float = 1000.0) -> np.ndarray:
    """A sine whose peaks are at `level` dBFS."""
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def noise(seconds: float = 3.0, rate: int = RATE, channels: int = 2, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))).astype(np.float32)


def ffmpeg_loudness(audio: np.ndarray, rate: int) -> float:
    """Integrated loudness by FFmpeg's ebur128 filter, an implementation that shares nothing with ours."""
    layout = {1: "mono", 2: "stereo"}[len(audio)]
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout, time_base=Fraction(1, rate)),
        graph.add("ebur128", "metadata=1"),
        graph.add("abuffersink"),
    ).configure()

    def pulled() -> Iterator[float]:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if "lavfi.r128.I" in frame.metadata:
                yield float(frame.metadata["lavfi.r128.I"])

    said = []
    for begin in range(0, audio.shape[1], rate // 10):
        piece = np.ascontiguousarray(audio[:, begin : begin + rate // 10])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, begin
        graph.push(frame)
        said += pulled()
    graph.push(None)
    return [*said, *pulled()][-1]


# Signals and readings of EBU Tech 3341 (2016), table 1: which meters that comply give, within 0.1 LU.
@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_signals_of_the_broadcasters_read_as_they_say(levels, expected):
    signal = np.concatenate([sine(level, seconds) for level, seconds in levels], axis=-1)
    assert loudness(signal, RATE) == pytest.approx(expected, abs=0.1)


def test_five_channels_have_the_weights_of_the_standard():
    front, centre, surround = (sine(level, 20, channels=1) for level in (-28, -24, -30))  # EBU Tech 3341, signal 6
    signal = np.concatenate([front, front, centre, surround, surround])
    assert loudness(signal, RATE) == pytest.approx(-23.0, abs=0.1)


def test_one_channel_at_full_scale_has_minus_three():
    assert loudness(sine(0, channels=1, hertz=997), RATE) == pytest.approx(-3.01, abs=0.02)  # BS.1770-4, annex 1


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_another_meter_reads_the_same_at_any_rate(rate, channels):
    signal = noise(4.37, rate, channels) * np.linspace(0.01, 1, round(4.37 * rate), dtype=np.float32)
    # At 8 kHz the other meter's way to 48 kHz takes a little off the top.
    assert loudness(signal, rate) == pytest.approx(ffmpeg_loudness(signal, rate), abs=0.1 if rate < 22050 else 0.03)


def test_another_meter_reads_the_same_of_real_songs(real):
    clips = [audio_files.read(path) for path in sorted((real / "musdb18hq").rglob("*.wav"))]
    clips.append(audio_files.read(real / "songs" / "test.mp3"))
    assert len(clips) == 6
    for clip, rate in clips:
        assert loudness(clip, rate) == pytest.approx(ffmpeg_loudness(clip, rate), abs=0.02)


def test_silence_is_infinitely_quiet_and_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loudness(np.zeros((2, RATE), np.float32), RATE) == -np.inf
        assert loudness(sine(-90), RATE) == -np.inf  # below the absolute gate
        assert loudness(np.zeros((1, 1), np.float32), RATE) == -np.inf


@pytest.mark.parametrize("samples", [480, 4800, 19199, 19200, 19201, 24000])
def test_what_is_shorter_than_a_block_is_measured_as_a_whole(samples):
    assert loudness(sine(-20)[:, :samples], RATE) == pytest.approx(-20, abs=0.3)


def test_a_piece_of_a_block_at_the_end_does_not_count():
    signal = sine(-20, 1.0)
    assert loudness(np.pad(signal, ((0, 0), (0, 4799))), RATE) == loudness(signal, RATE)


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (np.zeros((6, RATE)), RATE, "up to 5 channels, not for 6"),
        (np.zeros(RATE), RATE, r"must have the shape \(channels, samples\) with samples in it, not \(48000,\)"),
        (np.zeros((2, 0)), RATE, r"\(2, 0\)"),
        (np.zeros((1, 4000)), 2000, "cannot be measured at 2000 Hz"),
        (np.full((1, RATE), np.nan), RATE, "no numbers"),
    ],
)
def test_what_has_no_loudness_is_refused(audio, rate, message):
    with pytest.raises(SepnbError, match=message):
        loudness(audio, rate)


def test_matched_sounds_have_the_target_by_another_meter_too():
    sounds = {"sine": sine(-30), "noise": noise() * 3, "mono": noise(channels=1, seed=1)}
    matched, gains = match_loudness(sounds, RATE)
    for name, audio in matched.items():
        assert ffmpeg_loudness(audio, RATE) == pytest.approx(-23.0, abs=0.05)
        np.testing.assert_allclose(audio, sounds[name] * 10 ** (gains[name] / 20), rtol=1e-5)
        assert audio.dtype == np.float32


def test_all_are_lowered_alike_where_one_would_peak():
    click = sine(-40, 4)
    click[:, ::12000] = 0.5
    matched, _ = match_loudness({"click": click, "noise": noise()}, RATE)
    levels = [loudness(audio, RATE) for audio in matched.values()]
    assert np.ptp(levels) < 0.1
    assert levels[0] < -24
    assert 20 * np.log10(np.abs(matched["click"]).max()) == pytest.approx(-1.0, abs=0.01)


def test_near_the_gate_loudness_moves_by_more_than_the_gain_and_is_matched_all_the_same():
    # At this level the second half is below -70 LUFS and does not count; raised, it does.
    uneven = np.concatenate([sine(-68, 2), sine(-74, 2)], axis=-1)
    plain = -23 - loudness(uneven, RATE)
    assert abs(loudness(uneven * 10 ** (plain / 20), RATE) + 23) > 0.5
    matched, _ = match_loudness({"uneven": uneven, "noise": noise()}, RATE)
    assert loudness(matched["uneven"], RATE) == pytest.approx(-23, abs=0.05)


def test_silence_stays_silent():
    silence = np.zeros((2, RATE), np.float32)
    matched, gains = match_loudness({"nothing": silence, "hiss": sine(-95), "noise": noise()}, RATE)
    assert gains["nothing"] == gains["hiss"] == 0.0
    np.testing.assert_array_equal(matched["nothing"], silence)
    np.testing.assert_array_equal(matched["hiss"], sine(-95))
    assert match_loudness({"nothing": silence}, RATE)[1] == {"nothing": 0.0}


def test_what_cannot_be_matched_is_named():
    spike = np.zeros((1, 3 * RATE), np.float32)
    spike[:, RATE] = 0.9  # louder than this it may not be, and so it has -58 LUFS at most
    with pytest.raises(SepnbError, match="'spike' cannot be brought to"):
        match_loudness({"spike": spike, "noise": noise()}, RATE, peak=-60)
