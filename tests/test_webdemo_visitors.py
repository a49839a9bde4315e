"""The web demo's visitors: a folder each, one job at a time, and nothing left behind."""

import os
import threading
import time

import pytest
from filelock import FileLock

from sepnb.errors import SepnbError

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
from demos import LIMITS, visitors  # noqa: F401

from sepnb.webdemo import DemoLimits
from sepnb.webdemo.visitors import LOCK, Visitors


def test_each_visitor_has_a_folder_that_cannot_be_guessed(visitors):  # noqa: F811
    with visitors.working("one") as one, visitors.working("two") as two:
        assert one.folder != two.folder
        assert len(one.folder.name) >= 32
        assert one.folder.is_dir()
    with visitors.working("one") as again:
        assert again is one
    for key in (None, "", "x" * 1000, 7):
        with pytest.raises(SepnbError, match="works from the demo's page"), visitors.working(key):
            pass


def test_a_visitor_has_one_job_at_a_time(visitors):  # noqa: F811
    with (
        visitors.working("one"),
        pytest.raises(SepnbError, match="something running already"),
        visitors.working("one"),
    ):
        pass
    with visitors.working("one"):
        pass


def order_of_two(visitors, light=False, stopped=False):  # noqa: F811
    """Which of two jobs of one visitor ends first, where the second comes while the first, perhaps stopped, runs."""
    ended = []

    def second():
        with visitors.working("one", light=light):
            ended.append("second")

    with visitors.working("one", light=light) as one:
        assert not stopped or visitors.stop("one")
        waiting = threading.Thread(target=second)
        waiting.start()
        while one.busy < 2:
            time.sleep(0.01)
        ended.append("first")
    waiting.join(60)
    return ended


def test_light_jobs_of_a_visitor_wait_for_each_other_but_not_for_a_long_one(visitors):  # noqa: F811
    assert order_of_two(visitors, light=True) == ["first", "second"]
    with (
        visitors.working("one"),
        pytest.raises(SepnbError, match="something running already"),
        visitors.working("one", light=True),
    ):
        pass


def test_a_job_waits_for_the_end_of_one_that_was_stopped(visitors):  # noqa: F811
    assert order_of_two(visitors, stopped=True) == ["first", "second"]
    with visitors.working("one") as one:
        assert not one.stop.is_set()


def test_folders_go_after_some_time_but_not_under_a_job(tmp_path):
    now = [0.0]
    kept = Visitors(LIMITS, tmp_path, clock=lambda: now[0])
    with kept.working("idle") as idle:
        pass
    with kept.working("busy") as busy:
        now[0] = LIMITS.keep_seconds - 1
        kept.sweep()
        assert idle.folder.is_dir()
        now[0] += 2
        kept.sweep()
        assert not idle.folder.exists()
        assert busy.folder.is_dir()
    kept.close()
    assert not kept.root.exists()


def test_who_leaves_is_stopped_and_may_come_back_for_a_while(tmp_path):
    """A phone that sleeps drops its connection, too."""
    now = [0.0]
    kept = Visitors(LIMITS, tmp_path, clock=lambda: now[0])
    with kept.working("one") as visitor:
        kept.leave("one")
        assert visitor.stop.is_set()
    with kept.working("one") as again:
        assert again is visitor
        assert not again.stop.is_set()
    now[0] = LIMITS.keep_seconds - 1
    kept.leave("one")
    now[0] += LIMITS.keep_seconds - 1
    kept.sweep()
    assert visitor.folder.is_dir()
    now[0] += 2
    kept.sweep()
    assert not visitor.folder.exists()
    kept.leave("nobody")
    kept.close()


def test_a_stop_is_for_a_job_that_runs(visitors):  # noqa: F811
    assert not visitors.stop("one")
    with visitors.working("one"):
        assert visitors.stop("one")
    assert not visitors.stop("one")
    assert not visitors.stop(None)


def test_looking_up_a_visitor_makes_none_and_takes_no_turn(visitors):  # noqa: F811
    assert visitors.find("one") is None
    assert not list(visitors.rooms.iterdir())
    with visitors.working("one") as visitor:
        assert visitors.find("one") is visitor
    assert visitors.find(None) is None


def test_visitors_are_bounded_and_who_made_nothing_makes_room(tmp_path):
    kept = Visitors(DemoLimits(visitors=2), tmp_path)
    with kept.working("one") as one:
        one.made = "a take"
    with kept.working("two"):
        pass
    with kept.working("three") as three:
        assert kept.find("two") is None
        with pytest.raises(SepnbError, match="as many visitors as it takes"), kept.working("four"):
            pass
    assert {path.name for path in kept.rooms.iterdir()} == {one.folder.name, three.folder.name}
    kept.close()


def test_old_uploads_go_and_new_ones_stay(visitors):  # noqa: F811
    for name, age in (("old", LIMITS.upload_seconds + 60), ("waits", LIMITS.keep_seconds + 60), ("new", 0)):
        path = visitors.uploads / name / "song.wav"
        path.parent.mkdir()
        path.write_bytes(b"x")
        for entry in (path, path.parent):
            os.utime(entry, (time.time() - age,) * 2)
    for name, age in (("broken off", LIMITS.upload_seconds + 60), ("coming", 0)):  # Gradio leaves such as plain files
        path = visitors.uploads / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
    visitors.sweep()
    assert {entry.name for entry in visitors.uploads.iterdir()} == {"waits", "new", "coming"}


def test_folders_of_servers_that_died_are_removed_and_of_those_that_run_are_not(tmp_path):
    for name in ("run-dead", "run-alive"):
        (tmp_path / name / "visitors").mkdir(parents=True)
    with FileLock(tmp_path / "run-alive" / LOCK):
        visitors = Visitors(LIMITS, tmp_path)
        assert {entry.name for entry in tmp_path.glob("run-*")} == {"run-alive", visitors.root.name}
        visitors.close()


def test_a_full_disk_is_said(tmp_path):
    kept = Visitors(DemoLimits(disk_bytes=1000), tmp_path)
    kept.check_room()
    (kept.songs / "large").write_bytes(b"x" * 2000)
    with pytest.raises(SepnbError, match="disk space is used up"):
        kept.check_room()
    kept.close()
