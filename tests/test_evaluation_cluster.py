"""Scoring on a cluster gives the same rows; a worker that is killed costs nothing but time."""

import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from counting import Counting, digest
from songs import song

from sepnb.errors import DownloadError, SepnbError
from sepnb.evaluation import SCORES, cluster, evaluate
from sepnb.models import UNet, UNetConfig, save
from sepnb.tracks import find_tracks

distributed = pytest.importorskip("distributed")
NAMES = "abcdefgh"


@pytest.fixture(scope="module")
def local_cluster():
    """Two worker processes of one thread each, on this machine."""
    # They import `counting` from the folder of the tests.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", host="127.0.0.1"
        ) as started:
            yield started


@pytest.fixture
def tracks(tmp_path):
    for number, name in enumerate(NAMES):
        song(tmp_path / "songs" / "test" / name, number, seconds=1, channels=1)
    return find_tracks(tmp_path / "songs")


def same(one: pd.DataFrame, two: pd.DataFrame) -> None:
    """Within 1e-6 dB; what is beyond 80 dB is rounding."""
    one, two = (table.assign(**table[[*SCORES]].clip(upper=80)) for table in (one, two))
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-6)


def test_the_same_rows_as_on_this_machine(local_cluster, tracks, tmp_path):
    """A network by its folder, names, and an object: same rows, same order, within a millionth of a decibel."""
    track = tracks[0]
    save(UNet(UNetConfig(sources=track.sources, channels=1, rate=track.rate, width=4)), tmp_path / "small")
    systems = ["mixture/n", str(tmp_path / "small"), Counting(tmp_path / "marks"), "irm2"]
    here = evaluate(systems, tracks[:3])
    there = evaluate(systems, tracks[:3], scheduler=local_cluster.scheduler_address)
    assert here.system.nunique() == 4
    same(here, there)


def test_a_worker_killed_half_way_costs_nothing_but_time(local_cluster, tracks, tmp_path):
    """SIGKILL one of two workers: all rows come, and nothing that was finished by then is separated again."""
    counting, out = Counting(tmp_path / "marks", pause=0.4), tmp_path / "out"
    with distributed.Client(local_cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)
    finished, killed = set(), []

    def kill() -> None:
        patience = time.monotonic() + 60
        while len(finished) < 3 and time.monotonic() < patience:
            time.sleep(0.02)
            finished.update(path.stem for path in out.glob("parts/counting/test/[!.]*.json"))
        victim = next(iter(pids.values()))
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killer = Thread(target=kill)
    killer.start()
    there = evaluate([counting], tracks, out=out, scheduler=local_cluster.scheduler_address)
    killer.join()
    assert killed
    assert 3 <= len(finished) < len(NAMES)
    assert there.attrs["left_out"] == []
    done = counting.done()
    for track in tracks:
        times = done[digest(track.mixture())]
        assert times == 1 if track.name in finished else times >= 1
    assert sum(done.values()) <= len(NAMES) + 1  # but for the one that the dead worker was at
    same(evaluate([Counting(tmp_path / "other marks")], tracks), there)


def test_what_is_left_out_comes_back_as_a_reason(local_cluster, tracks, tmp_path):
    (tmp_path / "songs" / "test" / "b" / "drums.wav").write_bytes(b"torn")
    with pytest.warns(UserWarning) as warned:
        table = evaluate(
            ["silence", tmp_path / "no such run", Counting(tmp_path / "marks", sources=("vocals",))],
            tracks[:2],
            scheduler=local_cluster.scheduler_address,
        )
    assert table.track.unique().tolist() == ["a"]
    said = " | ".join(str(warning.message) for warning in warned)
    assert "no such run is left out: no separator" in said
    assert "b is left out: " in said
    assert "counting on a is left out: counting gives vocals, not the drums" in said
    assert len(table.attrs["left_out"]) == 3


def test_a_folder_with_new_weights_is_loaded_again(local_cluster, tracks, tmp_path):
    """Workers outlive runs, and keep separators: not those of a folder that holds other weights now."""
    track, address = tracks[0], local_cluster.scheduler_address
    config = UNetConfig(sources=track.sources, channels=1, rate=track.rate, width=4)
    save(UNet(config), tmp_path / "small")
    before = evaluate([tmp_path / "small"], tracks[:1], scheduler=address)
    save(UNet(config), tmp_path / "small")
    after = evaluate([tmp_path / "small"], tracks[:1], scheduler=address)
    same(evaluate([tmp_path / "small"], tracks[:1]), after)
    assert not before.SDR.equals(after.SDR)


def test_relative_paths_mean_the_same_to_workers_in_other_folders(local_cluster, tracks, tmp_path, monkeypatch):
    track = tracks[0]
    save(UNet(UNetConfig(sources=track.sources, channels=1, rate=track.rate, width=4)), tmp_path / "small")
    expected = evaluate([tmp_path / "small"], tracks[:2])
    monkeypatch.chdir(tmp_path)
    there = evaluate(["small"], find_tracks("songs")[:2], scheduler=local_cluster.scheduler_address)
    same(expected, there)


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_an_error_that_nobody_foresaw_is_a_reason_too(local_cluster, tracks, tmp_path):
    """An OSError of a task is no loss of the cluster."""
    (tmp_path / "marks").write_text("a file, where a folder is to be made")
    table = evaluate(["silence", Counting(tmp_path / "marks")], tracks[:2], scheduler=local_cluster.scheduler_address)
    assert table.system.unique().tolist() == ["silence"]
    assert [left["track"] for left in sorted(table.attrs["left_out"], key=lambda left: left["track"])] == ["a", "b"]
    assert all(left["reason"].startswith("FileExistsError: ") for left in table.attrs["left_out"])


def test_what_cannot_be_sent_is_said(local_cluster, tracks, tmp_path):
    counting = Counting(tmp_path / "marks")
    counting.settings["lock"] = "open"
    counting.stream = (number for number in range(3))  # no generator can be pickled
    with pytest.raises(SepnbError, match="counting cannot be sent to other machines"):
        evaluate([counting], tracks, scheduler=local_cluster.scheduler_address)


def test_a_missing_package_is_named(tracks, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SepnbError, match=r'pip install "sepnb\[cluster\]"'):
        evaluate(["silence"], tracks, scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_that_does_not_answer_is_said(tracks, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with pytest.raises(SepnbError, match="no scheduler answers at tcp://127.0.0.1:1"):
        evaluate(["silence"], tracks, scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_without_workers_is_said(tracks, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with (
        distributed.LocalCluster(
            n_workers=0, dashboard_address=":0", processes=False, protocol="tcp", host="127.0.0.1"
        ) as empty,
        pytest.raises(SepnbError, match="has no workers: start some with `dask worker"),
    ):
        evaluate(["silence"], tracks, scheduler=empty.scheduler_address)


def test_a_download_error_travels():
    """What a worker raises comes back pickled."""
    import pickle

    assert str(pickle.loads(pickle.dumps(DownloadError("not here")))) == "not here"
