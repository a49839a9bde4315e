"""A folder to one archive and back: whole, checked, and never half there."""

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sepnb import archive as archives
from sepnb.archive import pack, unpack
from sepnb.errors import ArchiveError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    (folder / "train").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "train" / "A – Ünïcode song.i16").write_bytes(np.random.default_rng(0).bytes(3_000_000))
    (folder / "empty").touch()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_packed_comes_back(folder, tmp_path):
    packed = pack(folder, tmp_path / "drive" / "store.zip")
    assert sorted(path.name for path in packed.parent.iterdir()) == ["store.zip", "store.zip.sha256"]
    assert packed.stat().st_size > 3_000_000  # stored, not compressed
    assert content(unpack(packed, tmp_path / "local" / "store")) == content(folder)


def test_the_sum_beside_it_is_what_sha256sum_reads(folder, tmp_path):
    packed = pack(folder, tmp_path / "store.zip")
    digest, name = (tmp_path / "store.zip.sha256").read_text().split()
    assert (digest, name) == (archives.digest(packed, "sha256", progress=False), "store.zip")


def test_partial_files_stay_behind(folder, tmp_path):
    (folder / ".partial-1-x").write_bytes(b"half")
    (folder / "train" / ".partial-song").mkdir()
    (folder / "train" / ".partial-song" / "drums").write_bytes(b"half")
    back = unpack(pack(folder, tmp_path / "store.zip"), tmp_path / "back")
    assert set(content(back)) == {"manifest.json", "train/A – Ünïcode song.i16", "empty"}


@pytest.mark.parametrize("sum_is_there", [True, False])
@pytest.mark.parametrize("damage", ["cut short", "one bit"])
def test_a_torn_archive_is_told_and_leaves_nothing(folder, tmp_path, damage, sum_is_there):
    packed = pack(folder, tmp_path / "store.zip")
    data = bytearray(packed.read_bytes())
    if damage == "cut short":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 1
    packed.write_bytes(data)
    if not sum_is_there:
        (tmp_path / "store.zip.sha256").unlink()
    with pytest.raises(ArchiveError, match=r"store\.zip is torn"):
        unpack(packed, tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith("sha256")) == [
        "store",
        "store.zip",
    ]


def test_a_failed_packing_leaves_the_archive_that_was_there(folder, tmp_path, monkeypatch):
    packed = pack(folder, tmp_path / "store.zip")
    before = packed.read_bytes()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives, "_copy", full)
    with pytest.raises(ArchiveError, match=r"store\.zip cannot be written \(No space left on device"):
        pack(folder, packed)
    monkeypatch.undo()
    assert packed.read_bytes() == before
    assert content(unpack(packed, tmp_path / "back")) == content(folder)


def test_packing_anew_replaces_archive_and_sum(folder, tmp_path):
    packed = pack(folder, tmp_path / "store.zip")
    (folder / "manifest.json").write_text('{"songs": 2}', encoding="utf-8")
    assert content(unpack(pack(folder, packed), tmp_path / "back")) == content(folder)


def test_packing_that_is_killed_before_the_sum_is_written_can_be_unpacked(folder, tmp_path, monkeypatch):
    packed = pack(folder, tmp_path / "store.zip")
    (folder / "manifest.json").write_text('{"songs": 2}', encoding="utf-8")

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archives, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            pack(folder, packed)
    assert content(unpack(packed, tmp_path / "back")) == content(folder)


def test_an_archive_that_is_whole_but_not_the_one_packed_is_told(folder, tmp_path):
    packed = pack(folder, tmp_path / "store.zip")
    with zipfile.ZipFile(packed, "w") as other:
        other.writestr("manifest.json", "another")
    with pytest.raises(ArchiveError, match="not what was packed"):
        unpack(packed, tmp_path / "back")


def test_a_folder_that_is_there_is_not_overwritten(folder, tmp_path):
    packed = pack(folder, tmp_path / "store.zip")
    with pytest.raises(ArchiveError, match="already there and not empty"):
        unpack(packed, folder)
    (tmp_path / "empty").mkdir()
    assert content(unpack(packed, tmp_path / "empty")) == content(folder)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(ArchiveError, match="is not a folder"):
        pack(tmp_path / "nothing", tmp_path / "x.zip")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ArchiveError, match="holds no files"):
        pack(tmp_path / "nothing", tmp_path / "x.zip")
    with pytest.raises(ArchiveError, match=r"x\.zip is not there"):
        unpack(tmp_path / "x.zip", tmp_path / "y")
    with pytest.raises(ArchiveError, match=r"ends in \.zip"):
        pack(tmp_path / "nothing", tmp_path / "x.tar")


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        out.writestr("good", b"1")
        out.writestr(name, b"!")
    with pytest.raises(ArchiveError, match="would land outside"):
        unpack(tmp_path / "x.zip", tmp_path / "inner" / "folder")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.zip"]
