"""What one takes home: stems come back exactly, the mix is as the faders are, and a page says what made them."""

import math
import zipfile

import numpy as np
import pytest
from songs import noise

from sepnb import audio
from sepnb.errors import SepnbError
from sepnb.listening.bundle import Origin, common_scale, write_bundle, write_stem

RATE = 8000
STEMS = {name: noise(seed, 2.0) for seed, name in enumerate(("vocals", "drums"))}
ORIGIN = Origin("A song", "band-unet", {"overlap": 0.25}, ("Shifted by +2 semitones.",))


def unpacked(path, folder):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
        return archive.namelist()


@pytest.mark.parametrize("format", ["flac", "wav"])
def test_stems_and_mix_come_back_exactly(tmp_path, format):
    path = write_bundle(tmp_path / "a.zip", STEMS, RATE, ORIGIN, {"vocals": -math.inf}, format)
    names = unpacked(path, tmp_path / "out")
    inside = "A song - band-unet"
    assert names == [
        f"{inside}/{name}" for name in (f"vocals.{format}", f"drums.{format}", f"mix.{format}", "README.txt")
    ]
    for name, stem in {**STEMS, "mix": STEMS["drums"]}.items():
        found, rate = audio.read(tmp_path / "out" / inside / f"{name}.{format}")
        assert rate == RATE
        np.testing.assert_array_equal(found, stem)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "out"] == ["a.zip"]


def test_the_mix_is_as_the_faders_are(tmp_path):
    path = write_bundle(tmp_path / "a.zip", STEMS, RATE, ORIGIN, {"vocals": -6.0, "drums": 0.0})
    unpacked(path, tmp_path)
    mixed, _ = audio.read(tmp_path / "A song - band-unet" / "mix.flac")
    np.testing.assert_allclose(mixed, STEMS["vocals"] * 10 ** (-6 / 20) + STEMS["drums"], atol=1 / 32768)


def test_the_readme_says_what_made_them(tmp_path):
    path = write_bundle(tmp_path / "a.zip", STEMS, RATE, ORIGIN, {"vocals": -math.inf, "drums": 3})
    unpacked(path, tmp_path)
    said = (tmp_path / "A song - band-unet" / "README.txt").read_text()
    for part in (
        "A song\n",
        "2.0 s at 8000 Hz, separated by band-unet (toy U-Net",
        "Licence of the model's weights: MIT.",
        "Shifted by +2 semitones.",
        "mix: vocals off, drums +3.0 dB.",
        '{"overlap": 0.25}',
    ):
        assert part in said
    assert "lowered by" not in said


def test_stems_that_would_clip_are_lowered_together(tmp_path):
    stems = {"loud": STEMS["vocals"] * 10, "soft": STEMS["drums"]}
    path = write_bundle(tmp_path / "a.zip", stems, RATE, ORIGIN)
    unpacked(path, tmp_path)
    folder = tmp_path / "A song - band-unet"
    loud, soft = (audio.read(folder / f"{name}.flac")[0] for name in stems)
    scale = common_scale(stems)
    assert 0.4 < scale < 0.6
    np.testing.assert_allclose(loud, stems["loud"] * scale, atol=1 / 32768)
    np.testing.assert_allclose(soft, stems["soft"] * scale, atol=1 / 32768)
    assert f"lowered by {-20 * math.log10(scale):.1f} dB together" in (folder / "README.txt").read_text()


def test_names_of_any_kind_stay_inside_the_zip_and_apart(tmp_path):
    names = ("../../evil", "Vocals", "vocals", "mix", "a/b", "")
    stems = {name: noise(seed, 1.0) for seed, name in enumerate(names)}
    path = write_bundle(tmp_path / "a.zip", stems, RATE, Origin("/etc/pass\u0000wd", "../m", {}))
    listed = unpacked(path, tmp_path / "out")
    assert len({name.lower() for name in listed}) == len(names) + 2
    assert {name.count("/") for name in listed} == {1}
    assert not any(".." in name.split("/") or name.startswith("/") for name in listed)
    assert (tmp_path / "out" / listed[0]).is_file()


def test_a_bundle_is_whole_or_not_there(tmp_path):
    stems = {"good": STEMS["vocals"], "bad": np.full_like(STEMS["drums"], np.nan)}
    with pytest.raises(SepnbError, match="not finite"):
        write_bundle(tmp_path / "a.zip", stems, RATE, ORIGIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stems", "gains", "format", "said"),
    [
        ({}, {}, "flac", "there are no stems to write"),
        (STEMS, {}, "exe", "no format 'exe'"),
        (STEMS, {"vocals": math.nan}, "flac", "a fader cannot stand at vocals nan dB"),
        (STEMS, {"vocals": math.inf}, "flac", "a fader cannot stand at vocals inf dB"),
        (STEMS, {"flute": 0.0}, "flac", "no stem flute"),
        ({"a": noise(0, 1.0), "b": noise(0, 2.0)}, {}, "flac", "different lengths or channels"),
    ],
)
def test_what_cannot_be_bundled_is_said(tmp_path, stems, gains, format, said):
    with pytest.raises(SepnbError, match=said):
        write_bundle(tmp_path / "a.zip", stems, RATE, ORIGIN, gains, format)


def test_a_stem_is_written_block_by_block_and_tagged(tmp_path, monkeypatch):
    monkeypatch.setattr("sepnb.listening.bundle.BLOCK", 1000)
    path = write_stem(tmp_path / "v.flac", STEMS["vocals"], RATE, title="A song – vocals")
    np.testing.assert_array_equal(audio.read(path)[0], STEMS["vocals"])
    assert audio.tags(path)["title"] == "A song – vocals"
