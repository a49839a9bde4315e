"""Files are whole or not there."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from sepnb import files
from sepnb.errors import SepnbError
from sepnb.files import checksum, file_name, read_json, write_json, write_text, written_whole


def test_a_file_lands_whole_under_its_name_and_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "größe")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "größe"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_failure_half_way_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "scores.csv", "old")
    with pytest.raises(RuntimeError), written_whole(tmp_path / "scores.csv") as partial:
        assert partial.suffix == ".csv"
        partial.write_text("half")
        raise RuntimeError
    assert (tmp_path / "scores.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_what_is_flushed_may_be_written_and_its_folder_follows(tmp_path, monkeypatch):
    """Windows refuses to flush a file that is open for reading only."""
    fcntl = pytest.importorskip("fcntl")
    flushed, real = [], os.fsync

    def fsync(handle):
        flushed.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "x", "x")
    assert flushed == [os.O_RDWR, os.O_RDONLY]  # the file, then the folder with its new name


def test_a_folder_that_does_not_let_itself_be_flushed_is_no_failure(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(handle):
        if os.fstat(handle).st_ino == tmp_path.stat().st_ino:
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "x", "x")
    assert (tmp_path / "x").read_text() == "x"


def test_on_windows_a_file_that_is_being_read_is_replaced_a_little_later(tmp_path, monkeypatch):
    write_text(tmp_path / "x", "old")
    real, tries = Path.replace, []

    def busy(path, target):
        tries.append(path)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "in use")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    write_text(tmp_path / "x", "new")
    assert len(tries) == 3
    assert (tmp_path / "x").read_text() == "new"


def test_json_comes_back_and_damage_is_named(tmp_path):
    write_json(tmp_path / "x.json", {"name": "größe", "list": [1, 2.5, None]})
    assert read_json(tmp_path / "x.json") == {"name": "größe", "list": [1, 2.5, None]}
    (tmp_path / "x.json").write_text('{"name": ')
    with pytest.raises(SepnbError, match="x.json is not readable JSON"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text(json.dumps([1]))
    with pytest.raises(SepnbError, match="holds a JSON list, not an object"):
        read_json(tmp_path / "x.json")


def test_checksum_is_that_of_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    assert checksum(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()
    assert checksum(tmp_path / "x", "md5") == hashlib.md5(b"abc" * 1000).hexdigest()


@pytest.mark.parametrize("name", ["PR - Oh No", "mixture ÷ N", "Æther (feat. Ö)", "x.y", "console", "com10", "a_b-c"])
def test_readable_names_stay(name):
    assert file_name(name) == name == file_name(name, distinct=True)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("AC/DC", "AC-DC"),
        ("half \\ half", "half - half"),
        ('Who? "Me": <a|b>*', "Who- -Me-- -a-b--"),
        ("line\nbreak", "line-break"),
        ("..", "_"),
        ("", "_"),
        (" ", "_"),
        ("...And So On. ", "And So On"),
        ("AUX", "_AUX"),
        ("con.txt", "_con.txt"),
        ("nul ", "_nul"),
        ("Com1", "_Com1"),
        ("LPT9.tar.gz", "_LPT9.tar.gz"),
    ],
)
def test_names_that_some_system_does_not_take_are_changed(name, safe):
    assert file_name(name) == safe
    assert file_name(safe) == safe
    assert file_name(name, distinct=True).startswith(f"{safe}-")


def test_names_that_become_one_are_told_apart_where_that_is_asked():
    names = ["a/b", "a-b", "a:b", "..", "...", "con.", "con", "", "_"]
    assert len({file_name(name, distinct=True) for name in names}) == len(names)
    assert file_name("\udcff/", distinct=True)  # a byte that is no UTF-8, as Linux allows in names
