"""Files are whole or not there."""

import hashlib
import json

import pytest

from sepnb.errors import SepnbError
from sepnb.files import checksum, read_json, write_json, write_text, written_whole


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
