"""Estimates made elsewhere are scored as they lie, and what is not as the track is is mended with a note or refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
from songs import RATE, noise, song

from sepnb import audio
from sepnb.errors import SepnbError
from sepnb.evaluation import EstimatesFolder, evaluate
from sepnb.metrics import frame_sdr
from sepnb.tracks import find_tracks


@pytest.fixture
def track(tmp_path):
    song(tmp_path / "songs" / "test" / "a", 1, seconds=3)
    return find_tracks(tmp_path / "songs")[0]


def lay(folder, stems, rate=RATE, suffix=".wav"):
    for name, stem in stems.items():
        audio.write(folder / f"{name}{suffix}", stem, rate)


def answers(track):
    """Estimates that 16 bits hold, not far from the stems."""
    return {name: track.stem(name) / 2 + noise(5, seconds=3) / 4 for name in track.sources}


@pytest.mark.parametrize("place", ["net/a", "net/test/a"])
def test_a_folder_is_scored_like_any_other_system(track, tmp_path, place):
    stems = answers(track)
    lay(tmp_path / place, stems, suffix=".flac")
    scores = evaluate([EstimatesFolder.open(tmp_path / "net"), "mixture/n"], [track])
    assert scores.system.unique().tolist() == ["net", "mixture ÷ N"]
    expected = frame_sdr(track.stems(), np.stack([stems[name] for name in track.sources]), RATE)
    np.testing.assert_allclose(scores[scores.system == "net"].SDR, expected.ravel(), atol=1e-2)  # 16 bits


def test_whole_estimates_are_cut_where_the_track_is(track, tmp_path):
    stems = answers(track)
    lay(tmp_path / "net" / "a", stems)
    scores = evaluate([EstimatesFolder.open(tmp_path / "net")], [track], seconds=1.0)
    middle = track.middle(1.0)
    cut = slice(RATE, 2 * RATE)
    expected = frame_sdr(middle.stems(), np.stack([stems[name][:, cut] for name in track.sources]), RATE)
    np.testing.assert_allclose(scores.SDR, expected.ravel(), atol=1e-2)


def test_six_stems_elsewhere_become_four(tmp_path):
    song(tmp_path / "songs" / "test" / "a", 1, ("drums", "bass", "other", "vocals"), seconds=1, channels=1)
    track = find_tracks(tmp_path / "songs")[0]
    parts = {"Drums": "drums", "Bass": "bass", "Vocals": "vocals"}
    lay(tmp_path / "net" / "a", {name: track.stem(stem) * 0.9 for name, stem in parts.items()})
    lay(tmp_path / "net" / "a", dict.fromkeys(("other", "guitar", "piano"), track.stem("other") * 0.3))
    scores = evaluate([EstimatesFolder.open(tmp_path / "net")], [track])
    assert scores.target.tolist() == ["drums", "bass", "other", "vocals"]
    np.testing.assert_allclose(scores.SDR, 20, atol=0.05)  # a tenth is missing of each


@pytest.mark.parametrize(("change", "note"), [(400, "cut by 400"), (-400, "padded by 400")])
def test_an_end_that_is_off_by_a_moment_is_mended_with_a_note(track, tmp_path, change, note):
    stems = answers(track)
    stems["drums"] = np.pad(stems["drums"], ((0, 0), (0, change))) if change > 0 else stems["drums"][:, :change]
    lay(tmp_path / "net" / "a", stems)
    bound = EstimatesFolder.open(tmp_path / "net").bind(track)
    assert bound.notes == (f"drums.wav was {note} samples at its end",)
    assert all(stem.shape == (2, 3 * RATE) for stem in bound.stems)


def test_another_rate_is_resampled_and_mono_laid_on_all_channels(track, tmp_path):
    stems = answers(track)
    lay(tmp_path / "net" / "a", {"vocals": stems["vocals"]})
    lay(tmp_path / "net" / "a", {"drums": audio.resample(stems["drums"][:1], RATE, 2 * RATE)}, 2 * RATE)
    bound = EstimatesFolder.open(tmp_path / "net").bind(track)
    assert bound.notes == ("drums.wav was resampled from 16000 Hz", "drums.wav is mono and was laid on 2 channels")
    drums = bound(track.mixture(), RATE)["drums"]
    np.testing.assert_array_equal(drums[0], drums[1])
    assert np.corrcoef(drums[0], stems["drums"][0])[0, 1] > 0.95  # noise up to its last hertz


def test_what_cannot_be_mended_is_refused_by_name(track, tmp_path):
    stems = answers(track)
    lay(tmp_path / "short" / "a", {name: stem[:, :RATE] for name, stem in stems.items()})
    with pytest.raises(SepnbError, match="drums.wav lasts 1.000 s and the track 3.000 s"):
        EstimatesFolder.open(tmp_path / "short").bind(track)
    lay(tmp_path / "surround" / "a", {name: np.repeat(stem, 3, axis=0) for name, stem in stems.items()})
    with pytest.raises(SepnbError, match="has 6 channels; the track has 2"):
        EstimatesFolder.open(tmp_path / "surround").bind(track)
    lay(tmp_path / "twice" / "a", stems)
    lay(tmp_path / "twice" / "a", stems, suffix=".flac")
    with pytest.raises(SepnbError, match=r"several files of one stem: drums.flac, drums.wav"):
        EstimatesFolder.open(tmp_path / "twice").bind(track)
    with pytest.raises(SepnbError, match="nowhere is not a folder of estimates"):
        EstimatesFolder.open(tmp_path / "nowhere")


def test_a_track_without_estimates_is_left_out_with_the_reason(track, tmp_path):
    song(tmp_path / "songs" / "test" / "b", 2, seconds=3)
    lay(tmp_path / "net" / "a", answers(track))
    with pytest.warns(UserWarning, match="net on b is left out: no estimates of 'b' in"):
        scores = evaluate([EstimatesFolder.open(tmp_path / "net")], find_tracks(tmp_path / "songs"))
    assert scores.track.unique().tolist() == ["a"]


def test_a_new_estimate_is_scored_again(track, tmp_path):
    stems = answers(track)
    lay(tmp_path / "net" / "a", stems)
    system, out = EstimatesFolder.open(tmp_path / "net"), tmp_path / "out"
    before = evaluate([system], [track], out=out)
    lay(tmp_path / "net" / "a", {"vocals": stems["vocals"] * 0.9})
    with pytest.warns(UserWarning, match="net is scored again on 1 track.*vocals.wav"):
        after = evaluate([system], [track], out=out)
    assert (before.SDR != after.SDR).tolist() == (before.target == "vocals").tolist()


def test_estimates_that_are_as_they_were_are_not_read_again(track, tmp_path, monkeypatch):
    """The track's vocals.wav and the estimates' vocals.wav are two files."""
    lay(tmp_path / "net" / "a", answers(track))
    system, out = EstimatesFolder.open(tmp_path / "net"), tmp_path / "out"
    first = evaluate([system], [track], out=out)
    monkeypatch.setattr(EstimatesFolder, "bind", lambda *_: pytest.fail("estimates were read again"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        second = evaluate([system], [track], out=out)
    pd.testing.assert_frame_equal(first, second)


def test_a_stem_of_the_track_that_changed_is_told_from_its_estimate(track, tmp_path):
    lay(tmp_path / "net" / "a", answers(track))
    system, out = EstimatesFolder.open(tmp_path / "net"), tmp_path / "out"
    evaluate([system], [track], out=out)
    audio.write(tmp_path / "songs" / "test" / "a" / "vocals.wav", noise(77, seconds=3), RATE)
    with pytest.warns(UserWarning, match="has changed: the file vocals.wav of the track$"):
        evaluate([system], [track], out=out)
