"""The table of scores has a row per system, track, target and frame; what cannot be scored is left out and said."""

import os

import numpy as np
import pandas as pd
import pytest
from songs import RATE, noise, song

from sepnb import audio
from sepnb.errors import DownloadError, SepnbError
from sepnb.evaluation import SCORES, evaluate, local, pairs, scoring, systems
from sepnb.metrics import frame_sdr, medians
from sepnb.models import UNet, UNetConfig, save
from sepnb.tracks import find_tracks


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("songs")
    for number, name in enumerate(("a", "b")):
        song(root / "test" / name, number, ("vocals", "accompaniment"), seconds=3, channels=1)
    return find_tracks(root)


class Half:
    """Half the mixture for each of its sources."""

    rate = RATE

    def __init__(self, name="half", sources=("vocals", "accompaniment")):
        self.name, self.sources = name, sources

    def __call__(self, mixture, rate):
        return dict.fromkeys(self.sources, mixture / 2)


class Deaf(Half):
    """Gives vocals alone."""

    def __init__(self):
        super().__init__("deaf", ("vocals",))


def test_a_row_for_everything(tracks):
    scores = evaluate(["silence", "mixture/n", "irm2"], tracks)
    assert list(scores.columns) == ["system", "track", "target", "frame", "SDR", "ISR", "SIR", "SAR", "SI-SDR"]
    assert len(scores) == 3 * 2 * 2 * 3
    keys = scores[["track", "system", "target"]].drop_duplicates()
    assert keys.head(3).values.tolist() == [
        ["a", "silence", "vocals"],
        ["a", "silence", "accompaniment"],
        ["a", "mixture ÷ N", "vocals"],
    ]
    table = medians(scores)
    assert list(table.index) == ["silence", "mixture ÷ N", "IRM2"]
    assert (table.loc["silence"] == 0).all()
    assert (table.loc["IRM2"] > table.loc["mixture ÷ N"]).all()
    assert scores.attrs["left_out"] == []


def test_si_sdr_does_not_hear_the_level_and_is_undefined_where_bsseval_is(tmp_path):
    stems = song(tmp_path / "test" / "a", 0, ("vocals", "accompaniment"), seconds=3)
    stems[0, :, :RATE] = 0
    audio.write(tmp_path / "test" / "a" / "vocals.wav", stems[0], RATE)
    scores = evaluate(["mixture", "mixture/n", "silence"], find_tracks(tmp_path))
    whole, half, silence = (group for _, group in scores.groupby("system", sort=False))
    assert whole["SDR"].isna().tolist() == [True, False, False] * 2
    assert (whole["SDR"].dropna().to_numpy() < half["SDR"].dropna().to_numpy()).all()
    np.testing.assert_allclose(whole["SI-SDR"], half["SI-SDR"], atol=1e-5)
    assert whole["SI-SDR"].isna().tolist() == [True, False, False] * 2
    assert silence["SI-SDR"].isna().all()


def test_processes_give_the_same_table_in_the_same_order(tracks):
    names = ["mixture/n", "irm1"]
    one, two = evaluate(names, tracks), evaluate(names, tracks, workers=2)
    # The mixture holds nothing but the stems: its SAR is that of rounding, some 300 dB, and differs with the threads.
    for scores in (one, two):
        scores[[*SCORES]] = scores[[*SCORES]].clip(upper=80)
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-6)


def test_the_middle_seconds_alone(tracks):
    scores = evaluate(["mixture"], tracks, seconds=1.0)
    assert scores.frame.unique().tolist() == [0]
    middle = tracks[0].middle(1.0)
    expected = frame_sdr(middle.stems(), np.stack([middle.mixture()] * 2), RATE)[:, 0]
    np.testing.assert_allclose(scores[scores.track == "a"].SDR, expected, atol=1e-6)


def test_stems_are_matched_by_name_and_summed(tracks):
    """A system of four stems on a karaoke data set: the three beside the vocals are its accompaniment."""
    four = Half("four", ("drums", "bass", "other", "vocals"))
    scores = evaluate([four], tracks[:1])
    mixture = tracks[0].mixture()
    answers = np.stack([{"vocals": 0.5, "accompaniment": 1.5}[name] * mixture for name in tracks.sources])
    expected = frame_sdr(tracks[0].stems(), answers, RATE)
    assert scores.target.unique().tolist() == list(tracks.sources)
    np.testing.assert_allclose(scores.SDR, expected.ravel(), atol=1e-5)


def test_a_system_of_two_stems_is_scored_on_the_rest_of_four(tmp_path):
    song(tmp_path / "test" / "a", 0, ("drums", "bass", "other", "vocals"), seconds=2, channels=1)
    track = find_tracks(tmp_path)[0]
    scores = evaluate([Half("two", ("vocals", "instrumental"))], [track])
    assert scores.target.unique().tolist() == ["vocals", "accompaniment"]
    rest = track.stems()[:3].sum(axis=0, keepdims=True)
    expected = frame_sdr(rest, track.mixture()[None] / 2, RATE)
    np.testing.assert_allclose(scores[scores.target == "accompaniment"].SDR, expected[0], atol=1e-5)


def test_a_system_without_the_tracks_sources_is_named(tracks):
    with (
        pytest.warns(UserWarning, match="deaf on a is left out"),
        pytest.raises(SepnbError, match="deaf gives vocals, not the accompaniment that 'a' has"),
    ):
        evaluate([Deaf()], tracks[:1])


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_a_system_that_fails_does_not_stop_the_others(tracks):
    scores = evaluate([Deaf(), "silence"], tracks)
    assert scores.system.unique().tolist() == ["silence"]
    left_out = scores.attrs["left_out"]
    assert [(left["system"], left["track"]) for left in left_out] == [("deaf", "a"), ("deaf", "b")]


def test_weights_that_are_not_there_leave_a_system_out(tracks, monkeypatch):
    load = systems.load_separator

    def offline(name, device):
        if name == "htdemucs":
            raise DownloadError("the weights of htdemucs are not here, and there is no network: put them in /weights")
        return load(name, device)

    monkeypatch.setattr(systems, "load_separator", offline)
    with pytest.warns(UserWarning, match="htdemucs is left out: the weights of htdemucs are not here"):
        scores = evaluate(["htdemucs", "silence"], tracks)
    assert scores.system.unique().tolist() == ["silence"]
    (left,) = scores.attrs["left_out"]
    assert left["system"] == "htdemucs"
    assert left["track"] is None
    assert "put them in /weights" in left["reason"]


def test_an_unreadable_track_leaves_that_track_out_once(tmp_path):
    for name in ("a", "b"):
        song(tmp_path / "test" / name, 1, seconds=2, channels=1)
    tracks = find_tracks(tmp_path)
    (tmp_path / "test" / "a" / "drums.wav").write_bytes(b"no more audio")
    with pytest.warns(UserWarning, match="^a is left out: .*drums.wav"):
        scores = evaluate(["silence", "mixture"], tracks)
    assert scores.track.unique().tolist() == ["b"]
    assert [(left["system"], left["track"]) for left in scores.attrs["left_out"]] == [(None, "a")]


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        (lambda mixture: {"vocals": mixture}, "says that it gives vocals, accompaniment, and gave vocals"),
        (lambda mixture: dict.fromkeys(("vocals", "accompaniment"), mixture[:, 1:]), r"in shape \(1, 23999\)"),
        (lambda mixture: dict.fromkeys(("vocals", "accompaniment"), mixture * np.nan), "that are not numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_answers_that_cannot_be_scored_are_said(tracks, stems, message):
    class Odd(Half):
        def __call__(self, mixture, rate):
            return stems(mixture)

    with pytest.raises(SepnbError, match=message):
        evaluate([Odd()], tracks[:1])


def test_stems_without_a_place_are_noted(tracks, tmp_path):
    evaluate([Half("crowded", ("vocals", "accompaniment", "crowd"))], tracks[:1], out=tmp_path)
    assert "crowded on a: not scored, the track has no such source: crowd" in (tmp_path / "README.md").read_text()


def test_two_systems_or_tracks_of_one_name_are_refused(tracks):
    with pytest.raises(SepnbError, match="two systems are called 'half'"):
        evaluate([Half(), Half()], tracks)
    with pytest.raises(SepnbError, match="two tracks are called 'a'"):
        evaluate(["silence"], [tracks[0], tracks[0].middle(1)])


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_less_than_a_window_is_said(tracks):
    with pytest.raises(SepnbError, match="0.5 s hold no window to score"):
        evaluate(["silence"], tracks, seconds=0.5)


def test_nothing_to_score_is_said(tracks):
    with pytest.raises(SepnbError, match="nothing to score"):
        evaluate([], tracks)


def test_a_long_list_of_names_is_loaded_one_at_a_time(tracks, monkeypatch):
    """Fifteen networks at once do not fit a small GPU: the one before makes room."""
    alive, most = set(), []

    class Big(Half):
        def __init__(self, name):
            super().__init__(name)
            alive.add(name)
            most.append(len(alive))

        def __del__(self):
            alive.discard(self.name)

    monkeypatch.setattr(systems, "load_separator", lambda name, device: Big(name))
    scores = scoring.evaluate(["one", "two", "three"], tracks[:1])
    assert scores.system.unique().tolist() == ["one", "two", "three"]
    assert max(most) == 1


def test_another_rate_comes_back_at_the_tracks_own(tmp_path):
    song(tmp_path / "test" / "a", 0, ("vocals", "accompaniment"), rate=2 * RATE, seconds=2, channels=1)
    scores = evaluate([Half()], find_tracks(tmp_path))
    assert len(scores) == 4
    assert scores.SDR.notna().all()


def test_the_last_part_of_a_second_is_not_scored(tmp_path):
    for name in ("vocals", "accompaniment"):
        audio.write(tmp_path / "test" / "a" / f"{name}.wav", noise(len(name), seconds=2.9, channels=1), RATE)
    assert evaluate(["silence"], find_tracks(tmp_path)).frame.max() == 1


class Broken(Half):
    """Raises what no one foresaw."""

    def __init__(self):
        super().__init__("broken")

    def __call__(self, mixture, rate):
        raise ZeroDivisionError("float division")


def test_an_error_that_nobody_foresaw_leaves_one_system_out(tracks):
    with pytest.warns(UserWarning, match="broken on a is left out: ZeroDivisionError: float division"):
        scores = evaluate([Broken(), "silence"], tracks[:1])
    assert scores.system.unique().tolist() == ["silence"]
    left = scores.attrs["left_out"][0]
    assert (left["system"], left["track"], left["reason"]) == ("broken", "a", "ZeroDivisionError: float division")
    assert "in __call__" in left["details"]  # where it happened


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_an_error_in_loading_or_in_a_metric_is_left_out_too(tracks, monkeypatch):
    load = systems.load_separator

    def odd(name, device):
        if name == "htdemucs":
            raise RuntimeError("no kernel image")
        return load(name, device)

    monkeypatch.setattr(systems, "load_separator", odd)
    scores = evaluate(["htdemucs", "silence"], tracks)
    assert [left["reason"] for left in scores.attrs["left_out"]] == ["RuntimeError: no kernel image"]
    score = pairs.bss_eval

    def singular(references, estimates, rate):
        if estimates.any():
            raise np.linalg.LinAlgError("singular matrix")
        return score(references, estimates, rate)

    monkeypatch.setattr(pairs, "bss_eval", singular)
    scores = evaluate(["mixture", "silence"], tracks)
    assert scores.system.unique().tolist() == ["silence"]
    assert {left["reason"] for left in scores.attrs["left_out"]} == {"LinAlgError: singular matrix"}


def test_an_interruption_is_no_reason_to_leave_out(tracks):
    class Interrupted(Half):
        def __call__(self, mixture, rate):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([Interrupted()], tracks)


def dies(job):
    """In place of scoring: ends a process of the pool, not the one that the test runs in."""
    if os.getpid() != PARENT:
        os._exit(1)
    return SCORE(job)


PARENT, SCORE = int(os.environ.setdefault("SEPNB_TEST_PARENT", str(os.getpid()))), local._score


def test_a_process_that_dies_leaves_nothing_out(tracks, monkeypatch):
    expected = evaluate(["mixture/n", "irm1"], tracks)
    monkeypatch.setattr(local, "_score", dies)
    with pytest.warns(UserWarning, match="a process that scores died"):
        scores = evaluate(["mixture/n", "irm1"], tracks, workers=2)
    pd.testing.assert_frame_equal(scores, expected)
    assert scores.attrs["left_out"] == []


def test_two_runs_of_one_name_are_refused_before_anything_is_done(tracks, tmp_path):
    for folder in ("one", "two"):
        save(UNet(UNetConfig(sources=tracks.sources, channels=1, rate=RATE, width=4)), tmp_path / folder / "net")
    with pytest.raises(SepnbError, match="two systems are called 'net'"):
        evaluate(["silence", tmp_path / "one" / "net", tmp_path / "two" / "net"], tracks)


def test_two_names_that_turn_out_to_be_one_leave_the_second_out(tracks):
    with pytest.warns(UserWarning, match="mixture/n is left out: two systems are called 'mixture ÷ N'"):
        scores = evaluate([Half("mixture ÷ N"), "mixture/n", "silence"], tracks)
    assert scores.system.unique().tolist() == ["mixture ÷ N", "silence"]


def test_paths_are_sent_in_full_and_names_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "silence").mkdir()
    (tmp_path / "demucs").mkdir()
    (tmp_path / "demucs" / "abc-123.th").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert systems.source_of("run") == systems.source_of("~/run") == str(tmp_path / "run")
    assert systems.source_of("demucs/abc") == str(tmp_path / "demucs" / "abc")
    assert systems.source_of("IRM2") == "irm2"
    assert systems.source_of("silence") == "silence"
    assert systems.source_of("nowhere") == "nowhere"


def test_stems_that_are_summed_are_noted(tracks):
    class Five:
        name, sources, rate = "five", ("drums", "bass", "other", "vocals", "piano"), RATE

        def __call__(self, mixture, rate):
            return dict.fromkeys(self.sources, mixture / 5)

    scores = evaluate([Five()], tracks)
    assert scores.attrs["notes"] == ["five: accompaniment is the sum of drums, bass, other, piano"]
