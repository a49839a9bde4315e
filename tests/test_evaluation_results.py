"""What an evaluation leaves on disk, and how a stopped one goes on: nothing is done twice that still stands."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
from counting import Counting, digest
from songs import song

from sepnb.errors import DownloadError, SepnbError
from sepnb.evaluation import evaluate, fingerprints, systems
from sepnb.models import UNet, UNetConfig, save
from sepnb.tracks import find_tracks

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(NAMES):
        song(tmp_path / "songs" / "test" / name, number, seconds=1, channels=1)
    return tmp_path / "songs"


@pytest.fixture
def counting(tmp_path):
    return Counting(tmp_path / "marks")


def quietly(*arguments, **options):
    """Evaluate, and fail on any warning: nothing is left out, nothing is done again."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return evaluate(*arguments, **options)


def test_the_folder_holds_tables_parts_and_a_summary(root, counting, tmp_path):
    out = tmp_path / "out"
    table = quietly([counting, "mixture/n"], find_tracks(root), out=out)
    written = pd.read_csv(out / "scores.csv")
    pd.testing.assert_frame_equal(written, table, check_dtype=False, rtol=0, atol=1e-9)
    songs = pd.read_csv(out / "tracks.csv")
    assert list(songs.columns[:3]) == ["system", "track", "target"]
    assert len(songs) == 2 * 4 * 2
    assert songs[["uSDR", "SI-SAR"]].notna().all().all()
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "| counting    |" in readme
    assert "are to come" not in readme
    assert json.loads((out / "left_out.json").read_text()) == {"left_out": []}
    parts = sorted(path.relative_to(out).as_posix() for path in (out / "parts").rglob("*.json"))
    assert parts == [f"parts/{system}/test/{name}.json" for system in ("counting", "mixture ÷ N") for name in NAMES]


def test_a_finished_pair_is_not_done_again_and_scores_the_same(root, counting, tmp_path):
    first = quietly([counting], find_tracks(root), out=tmp_path / "out")
    second = quietly([counting], find_tracks(root), out=tmp_path / "out")
    pd.testing.assert_frame_equal(first, second)  # to the last bit
    assert sorted(counting.done().values()) == [1, 1, 1, 1]


def test_a_new_system_or_track_is_all_that_is_done(root, counting, tmp_path):
    tracks, out = find_tracks(root), tmp_path / "out"
    quietly([counting], tracks[:2], out=out)
    table = quietly(["silence", counting], tracks, out=out)
    assert len(table) == 2 * 4 * 2
    assert sorted(counting.done().values()) == [1, 1, 1, 1]


def test_another_setting_is_scored_again_and_said(root, counting, tmp_path):
    quietly([counting], find_tracks(root), out=tmp_path / "out")
    counting.settings["shifts"] = 2
    with pytest.warns(UserWarning, match="counting is scored again on 4 tracks.*: shifts was None, is 2"):
        evaluate([counting], find_tracks(root), out=tmp_path / "out")
    assert sorted(counting.done().values()) == [2, 2, 2, 2]
    quietly([counting], find_tracks(root), out=tmp_path / "out")


def test_other_seconds_are_scored_again(root, counting, tmp_path):
    song(root / "test" / "a", 0, seconds=3, channels=1)
    tracks = find_tracks(root)[:1]
    assert len(quietly([counting], tracks, out=tmp_path / "out")) == 6
    with pytest.warns(UserWarning, match="samples was 24000, is 8000"):
        assert len(evaluate([counting], tracks, seconds=1.0, out=tmp_path / "out")) == 2


def test_a_changed_file_is_scored_again_and_a_copied_one_is_not(root, counting, tmp_path):
    quietly([counting], find_tracks(root), out=tmp_path / "out")
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved, copy_function=shutil.copyfile)  # another place and time, the same content
    quietly([counting], find_tracks(moved), out=tmp_path / "out")
    song(moved / "test" / "b", 77, seconds=1, channels=1)
    with pytest.warns(UserWarning, match="scored again on 1 track, .*: the file .*drums.wav"):
        evaluate([counting], find_tracks(moved), out=tmp_path / "out")
    assert sorted(counting.done().values()) == [1, 1, 1, 1, 1]  # the fifth is the new song


def test_new_metrics_score_everything_again(root, counting, tmp_path, monkeypatch):
    quietly([counting], find_tracks(root), out=tmp_path / "out")
    now = fingerprints.METRICS_VERSION
    monkeypatch.setattr(fingerprints, "METRICS_VERSION", now + 1)
    with pytest.warns(UserWarning, match=f"metrics was {now}, is {now + 1}"):
        evaluate([counting], find_tracks(root), out=tmp_path / "out")


def test_a_damaged_part_is_scored_again_and_said(root, counting, tmp_path):
    quietly([counting], find_tracks(root), out=tmp_path / "out")
    (tmp_path / "out" / "parts" / "counting" / "test" / "c.json").write_text('{"system": "coun')
    with pytest.warns(UserWarning, match="c.json is damaged"):
        evaluate([counting], find_tracks(root), out=tmp_path / "out")
    assert sorted(counting.done().values()) == [1, 1, 1, 2]


def test_what_fails_is_tried_again_the_next_time(root, tmp_path):
    (root / "test" / "b" / "drums.wav").rename(tmp_path / "away.wav")
    tracks = find_tracks(root, names={"drums": "drums"})
    assert [left.name for left in tracks.left_out] == ["test/b"]
    (tmp_path / "away.wav").rename(root / "test" / "b" / "drums.wav")
    tracks = find_tracks(root)
    good = (root / "test" / "b" / "drums.wav").read_bytes()
    (root / "test" / "b" / "drums.wav").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="b is left out"):
        table = evaluate(["silence"], tracks, out=tmp_path / "out")
    assert table.track.unique().tolist() == ["a", "c", "d"]
    assert json.loads((tmp_path / "out" / "left_out.json").read_text())["left_out"][0]["track"] == "b"
    (root / "test" / "b" / "drums.wav").write_bytes(good)
    assert quietly(["silence"], tracks, out=tmp_path / "out").track.unique().tolist() == list(NAMES)


SCRIPT = """
import sys
from pathlib import Path
from counting import Counting
from sepnb.evaluation import evaluate
from sepnb.tracks import find_tracks
root, marks, out = map(Path, sys.argv[1:])
evaluate([Counting(marks, pause=0.4)], find_tracks(root), out=out)
"""


def test_a_run_that_is_killed_goes_on_where_it_was(root, tmp_path):
    """SIGKILL half-way: parts that stand are whole, none of them is done again, the table is that of one run."""
    out, marks = tmp_path / "out", tmp_path / "marks"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(root), str(marks), str(out)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1]) as run:
        patience = time.monotonic() + 60
        while len(list(out.glob("parts/*/*/[!.]*.json"))) < 2:
            assert run.poll() is None, run.stderr.read().decode()
            assert time.monotonic() < patience
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    assert not (out / "scores.csv").exists()
    tracks = find_tracks(root)
    finished = {path.stem for path in out.glob("parts/*/*/[!.]*.json")}
    assert 2 <= len(finished) < 4
    counting = Counting(marks)
    table = quietly([counting], tracks, out=out)
    done = counting.done()
    for track in tracks:
        times = done[digest(track.mixture())]
        assert times == 1 if track.name in finished else times in (1, 2)
    whole = evaluate([Counting(tmp_path / "other marks")], tracks)
    # Another process has other threads; the SAR of a mixture, some 300 dB, is rounding noise.
    for scores in (table, whole):
        scores["SAR"] = scores["SAR"].clip(upper=80)
    pd.testing.assert_frame_equal(table, whole, rtol=0, atol=1e-6)


def test_a_file_in_the_way_is_named(root, tmp_path):
    (tmp_path / "scores.csv").write_text("")
    with pytest.raises(SepnbError, match="scores.csv is a file; scores are written to a folder"):
        evaluate(["silence"], find_tracks(root), out=tmp_path / "scores.csv")


def test_names_that_no_file_can_have_are_kept_apart(root, tmp_path):
    systems_of_odd_names = [Counting(tmp_path / "marks", name=name) for name in ("a/b", "a:b", "a-b", "AUX")]
    tracks = find_tracks(root)[:1]
    first = quietly(systems_of_odd_names, tracks, out=tmp_path / "out")
    second = quietly(systems_of_odd_names, tracks, out=tmp_path / "out")
    pd.testing.assert_frame_equal(first, second)
    assert list(Counting(tmp_path / "marks").done().values()) == [4]
    folders = sorted(path.name for path in (tmp_path / "out" / "museval").iterdir())
    assert [folder[:3] for folder in folders] == ["_AU", "a-b", "a-b", "a-b"]


def test_the_summary_has_two_decimals_and_says_what_is_infinite_or_undefined(root, tmp_path):
    def perfect(mixture, rate):
        return dict(zip(track.sources, track.stems(), strict=True))

    track = find_tracks(root)[0]
    system = Counting(tmp_path / "marks", name="perfect|one")
    system.__class__ = type("Perfect", (Counting,), {"__call__": lambda self, mixture, rate: perfect(mixture, rate)})
    quietly([system, "silence"], [track], out=tmp_path / "out")
    rows = [line.replace(" ", "") for line in (tmp_path / "out" / "README.md").read_text("utf-8").splitlines()]
    assert "|silence|0.00|0.00|" in rows
    assert "|silence|–|–|" in rows
    assert any(row.startswith("|perfect\\|one|") and "∞" in row for row in rows)


def test_files_are_not_opened_again_while_size_and_time_stand(root, counting, tmp_path, monkeypatch):
    quietly([counting], find_tracks(root), out=tmp_path / "out")
    monkeypatch.setattr(fingerprints, "_digest", lambda *_: pytest.fail("a file was read"))
    quietly([counting], find_tracks(root), out=tmp_path / "out")


def test_a_large_file_is_known_by_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "PIECE", 100)
    file = fingerprints.Needed("track", "x.wav", tmp_path / "x.wav")
    content = bytes(range(200)) * 10

    def same_after(change: int) -> bool:
        file.path.write_bytes(content)
        os.utime(file.path, ns=(1, 1))
        (before,) = fingerprints.marks([file])
        file.path.write_bytes(content[:change] + b"\xff" + content[change + 1 :])
        return not fingerprints.changed_files([before], [file])

    assert not any(same_after(place) for place in (0, 99, 960, 1040, 1900, 1999))
    assert same_after(500)  # what `changed_files` says that it does not see


@pytest.mark.parametrize(
    "part",
    [
        [],
        {"scores": {}},
        {"scores": {"drums": {"SDR": [1.0]}}},
        {"scores": "SDR"},
        {"scores": None, "notes": 3},
        {"depends_on": []},
        {"files": [1]},
        "ragged",
    ],
)
def test_a_part_of_another_form_is_scored_again_and_said(root, counting, tmp_path, part):
    out, tracks = tmp_path / "out", find_tracks(root)[:2]
    before = quietly([counting], tracks, out=out)
    path = out / "parts" / "counting" / "test" / "b.json"
    whole = json.loads(path.read_text())
    if part == "ragged":
        whole["scores"]["drums"]["SIR"].append(1.0)
        part = whole
    path.write_text(json.dumps({**whole, **part} if isinstance(part, dict) else part))
    with pytest.warns(UserWarning, match="b.json is damaged"):
        after = evaluate([counting], tracks, out=out)
    pd.testing.assert_frame_equal(before, after)
    assert sorted(counting.done().values()) == [1, 2]


def no_weights(name, device):
    raise DownloadError("no network")


def test_what_is_finished_stays_when_the_weights_are_gone(root, tmp_path, monkeypatch):
    tracks, out = find_tracks(root), tmp_path / "out"
    save(UNet(UNetConfig(sources=tracks.sources, channels=1, rate=tracks[0].rate, width=4)), tmp_path / "net")
    before = quietly(["silence", tmp_path / "net"], tracks[:2], out=out)
    load = systems.load_separator
    monkeypatch.setattr(
        systems,
        "load_separator",
        lambda name, device: no_weights(name, device) if "net" in name else load(name, device),
    )
    with pytest.warns(UserWarning, match="net cannot be loaded, its scores of an earlier run stand.*: no network"):
        after = evaluate(["silence", tmp_path / "net"], tracks[:2], out=out)
    pd.testing.assert_frame_equal(before, after)
    assert after.attrs["left_out"] == []
    assert set(pd.read_csv(out / "scores.csv").system) == {"silence", "net"}
    with pytest.warns(
        UserWarning, match=r"net is left out: no network \(on 2 of 4 tracks its scores of an earlier run"
    ):
        more = evaluate(["silence", tmp_path / "net"], tracks, out=out)
    assert more.groupby("system").track.nunique().to_dict() == {"net": 2, "silence": 4}


def test_each_system_is_loaded_once_and_when_its_turn_comes(root, tmp_path, monkeypatch):
    happened = []
    load = systems.load_separator
    monkeypatch.setattr(systems, "load_separator", lambda *given: happened.append(given[0]) or load(*given))
    separate_pair = evaluate.__globals__["Local"]._separate
    monkeypatch.setattr(
        evaluate.__globals__["Local"],
        "_separate",
        lambda self, pair: happened.append(pair.track.name) or separate_pair(self, pair),
    )
    quietly(["silence", "mixture"], find_tracks(root)[:2])
    assert happened == ["silence", "a", "b", "mixture", "a", "b"]


def test_an_interrupted_run_lists_what_it_has(root, counting, tmp_path):
    class Interrupted(Counting):
        def __call__(self, mixture, rate):
            if len(self.done()) == 2:
                raise KeyboardInterrupt
            return super().__call__(mixture, rate)

    tracks, out = find_tracks(root), tmp_path / "out"
    quietly(["silence", "mixture"], tracks[:1], out=out)
    with pytest.raises(KeyboardInterrupt):
        evaluate(["silence", Interrupted(tmp_path / "other marks"), "mixture"], tracks, out=out)
    written = pd.read_csv(out / "scores.csv").groupby("system").track.nunique().to_dict()
    # Of the last, which it did not come to, what was finished before.
    assert written == {"silence": 4, "counting": 2, "mixture": 1}
    assert "5 pairs of system and track are to come" in (out / "README.md").read_text("utf-8")
