"""What a browser is sent: the samples as they were, or as near as fits, and never more than it can take."""

import io
import json

import numpy as np
import pytest
import soundfile
from songs import noise

from sepnb.errors import SepnbError
from sepnb.figures.style import stem_color
from sepnb.listening.encoding import checked, encode, match_db, mixer_config, mp3_bytes, mp3_level, mp3_size

RATE = 44100


def decoded(data: bytes) -> tuple[np.ndarray, int]:
    audio, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return audio.T, rate


def two_systems(seconds: float = 0.5, channels: int = 2, rate: int = RATE) -> dict:
    stems = {name: noise(seed, seconds, channels, rate) for seed, name in enumerate(("drums", "vocals"))}
    return {"truth": stems, "network": {name: audio / 2 for name, audio in stems.items()}}


def test_flac_gives_back_every_sample_of_16_bits():
    extremes = np.float32([[-1.0, 32767 / 32768, 0.0, 1 / 32768] * 2000])
    systems = {"truth": {"extremes": extremes, "noise": noise(0, 8000 / RATE, 1, RATE)}}
    encoded = encode(systems, RATE)
    assert encoded.scale == 1.0
    for sound, audio in zip(encoded.sounds, systems["truth"].values(), strict=True):
        back, rate = decoded(sound.data)
        assert (rate, sound.mime) == (RATE, "audio/flac")
        np.testing.assert_array_equal(back, audio)


def test_what_would_clip_is_scaled_alike_and_the_scale_is_told():
    systems = {"a": {"loud": 4 * noise(0, 0.5), "soft": noise(1, 0.5)}, "b": {"loud": 2 * noise(2, 0.5)}}
    systems["a"]["loud"][0, 0] = -4.0
    encoded = encode(systems, 8000)
    assert encoded.scale == pytest.approx(32767 / 32768 / 4)
    for sound in encoded.sounds:
        back, _ = decoded(sound.data)
        np.testing.assert_allclose(back / encoded.scale, systems[sound.system][sound.stem], atol=2.1 / 32768)


def test_what_is_too_large_as_flac_becomes_mp3_at_the_best_rate_that_fits():
    systems = two_systems(4.0)
    as_flac = encode(systems, RATE)
    assert as_flac.note == f"FLAC, {as_flac.size / 1e6:.1f} MB"
    for limit, kbits in ((450_000, 192), (300_000, 128), (220_000, 96)):
        encoded = encode(systems, RATE, limit)
        assert encoded.note.startswith(f"MP3, {kbits} kbit/s")
        assert {sound.mime for sound in encoded.sounds} == {"audio/mpeg"}
        assert encoded.size <= limit < as_flac.size
        assert encoded.scale == mp3_level(RATE, 2, kbits) <= 1.01
    assert [(sound.system, sound.stem) for sound in encoded.sounds] == [
        (system, stem) for system in systems for stem in systems[system]
    ]


@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 48000), (2, 22050), (1, 8000)])
def test_an_mp3_has_the_size_and_level_expected(channels, rate):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * rate) / rate)
    data = mp3_bytes(np.float32([tone] * channels), rate, 128)
    assert len(data) <= mp3_size((channels, 4 * rate), rate, 128)
    assert len(data) == pytest.approx(mp3_size((channels, 4 * rate), rate, 128), rel=0.2)
    back, back_rate = decoded(data)
    assert len(back) == channels
    assert back_rate >= 32000
    middle = back[:, back_rate : 3 * back_rate] / mp3_level(rate, channels, 128)
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.002)


def test_too_much_is_refused_with_what_would_fit(monkeypatch):
    with pytest.raises(
        SepnbError, match=r"4 sounds of 4 s take 0 MB even as MP3.*excerpt of about 1 s, or fewer systems"
    ):
        encode(two_systems(4.0), RATE, 100_000)
    with pytest.raises(SepnbError, match="more than 0 MB as FLAC, and MP3 has no 6 channels: pick an excerpt"):
        encode({"truth": {"surround": noise(0, 1.0, 6)}}, 8000, 10_000)
    monkeypatch.setattr("sepnb.listening.encoding.LARGEST_DECODED", 1_000_000)
    with pytest.raises(SepnbError, match="in the browser's memory"):
        encode(two_systems(4.0), RATE)


@pytest.mark.parametrize(
    ("systems", "rate", "said"),
    [
        ({}, 8000, "nothing to mix"),
        (noise(0), 8000, "stems come as {stem: audio} or .*, not as ndarray"),
        ({"a": {}}, 8000, "'a' has no stems"),
        ({"a": {"x": noise(0)}, "b": noise(0)}, 8000, "'b' has no stems: give {stem: audio"),
        ({"a": {"x": {"y": noise(0)}}}, 8000, "'x' of 'a' is a dict and no audio"),
        ({"x": noise(0), 3: noise(1)}, 8000, "3 is not a name"),
        ({"x": noise(0), " ": noise(1)}, 8000, "' ' is not a name"),
        (
            {"x": noise(0)[0]},
            8000,
            r"'x' of 'mix' must have the shape .* with samples in it, not \(8000,\)",
        ),
        ({"x": noise(0).T}, 8000, r"\(8000, 2\), which is \(samples, channels\): transpose it"),
        ({"x": noise(0, channels=9)}, 8000, "'x' of 'mix' has 9 channels: the mixer takes 8 at most"),
        ({"x": np.ones((2, 100), int)}, 8000, "'x' of 'mix' is int64: audio is floating point"),
        ({"x": noise(0) * np.nan}, 8000, "no numbers"),
        ({"a": {"x": noise(0)}, "b": {"y": noise(0, 0.5)}}, 8000, "'x' of 'a' has 2 × 8000, 'y' of 'b' has 2 × 4000"),
        ({"x": noise(0), "y": noise(0, channels=1)}, 8000, "'y' of 'mix' has 1 × 8000$"),
        ({"x": noise(0)}, 0, "0 Hz is not a rate"),
        ({"x": noise(0)}, 44100.5, "44100.5 Hz is not a rate"),
    ],
)
def test_what_cannot_be_mixed_is_refused_with_a_sentence(systems, rate, said):
    with pytest.raises(SepnbError, match=said):
        checked(systems, rate)


def test_plain_stems_are_one_system_of_float32():
    found = checked({"x": noise(0).astype(np.float64)}, np.int64(8000))
    assert list(found) == ["mix"]
    assert found["mix"]["x"].dtype == np.float32


def test_levels_are_matched_to_the_reference_by_loudness_and_within_bounds():
    systems = two_systems(1.0)
    systems["faint"] = {"drums": systems["truth"]["drums"] / 100, "vocals": np.zeros((2, RATE), np.float32)}
    systems["other names"] = {"accompaniment": systems["truth"]["drums"]}
    matches = match_db(systems, RATE)
    assert matches["truth"] == {"drums": 0.0, "vocals": 0.0}
    assert matches["network"] == pytest.approx({"drums": 6.02, "vocals": 6.02}, abs=0.05)
    assert matches["faint"] == {"drums": 20.0, "vocals": 0.0}
    assert matches["other names"] == {"accompaniment": 0.0}
    assert match_db(systems, RATE, "network")["truth"] == pytest.approx({"drums": -6.02, "vocals": -6.02}, abs=0.05)
    with pytest.raises(SepnbError, match="no system 'x' to match the others to; there are truth, network"):
        match_db(systems, RATE, "x")


def test_the_description_is_plain_json_and_complete():
    systems = two_systems() | {"pair": {"vocals": noise(5, 0.5, rate=RATE), "<b>rest</b>": noise(6, 0.5, rate=RATE)}}
    encoded = encode(systems, RATE)
    config = mixer_config(
        systems, RATE, encoded, strip=False, urls={sound.id: f"/{sound.id}" for sound in encoded.sounds}
    )
    assert json.loads(json.dumps(config, allow_nan=False)) == config
    assert (config["rate"], config["samples"], config["channels"]) == (RATE, RATE // 2, 2)
    assert config["stems"] == [
        {"name": name, "colour": stem_color(name)} for name in ("drums", "vocals", "<b>rest</b>")
    ]
    assert [system["stems"] for system in config["systems"]][-1] == ["vocals", "<b>rest</b>"]
    assert [sound["url"] for sound in config["sounds"]] == [f"/s{number}" for number in range(6)]
    assert sum(sound["bytes"] for sound in config["sounds"]) == encoded.size
    assert (config["blind"], config["strip"], config["scale"]) == (False, False, 1.0)


def test_the_description_of_a_blind_mixer_does_not_tell_which_is_which():
    sound = noise(0, 1.0)
    systems = {"A": {"sound": sound}, "B": {"sound": sound / 3}, "X": {"sound": sound / 3}}
    config = mixer_config(systems, 8000, encode(systems, 8000), blind=True)
    assert [system["match_db"] for system in config["systems"]] == [{"sound": 0.0}] * 3
    assert {frozenset(sound) for sound in config["sounds"]} == {frozenset(("id", "system", "stem", "mime"))}
