"""Weights are fetched once, checked every time, and asked for in a sentence where they cannot be had."""

import hashlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Resource, Server, loopback

from sepnb import downloads
from sepnb.downloads import BLOCK
from sepnb.errors import DownloadError
from sepnb.weights import BASE_VARIABLE, FOLDER_VARIABLE, WeightFile, identity, weights_folder

CONTENT = np.random.default_rng(0).bytes(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://weights.example/records/7/drums.pth?download=1"
REMOTE = "records/7/drums.pth?download=1"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    with loopback() as running:
        monkeypatch.setenv(BASE_VARIABLE, running.base + "/")
        running.files[REMOTE] = Resource(CONTENT)
        yield running


def test_the_folder_is_the_users_cache_unless_said_otherwise(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert weights_folder() == Path("/home/someone/.cache/sepnb/weights")
    monkeypatch.setenv(FOLDER_VARIABLE, "~/elsewhere")
    assert weights_folder() == Path("/home/someone/elsewhere")


def test_a_file_is_called_by_the_last_part_of_its_address_or_by_its_name(server):
    assert WeightFile(URL).path == weights_folder() / "drums.pth"
    assert WeightFile(URL, name="umx/drums.pth").path == weights_folder() / "umx" / "drums.pth"


def test_without_a_mirror_the_published_address_is_asked(server, monkeypatch):
    monkeypatch.delenv(BASE_VARIABLE)
    assert WeightFile(URL).address == URL


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8].upper()], ids=["whole digest", "its beginning"])
def test_a_file_is_fetched_once(server, sha256):
    weights = WeightFile(URL, sha256)
    assert not weights.cached
    assert weights.fetch(progress=False).read_bytes() == CONTENT
    assert weights.cached
    assert weights.fetch(progress=False) == weights.path
    assert server.asked == [(REMOTE, None)]


def test_the_whole_digest_comes_with_the_file_whether_fetched_or_cached(server):
    for _ in range(2):
        assert WeightFile(URL, SHA256[:8]).fetch_with_digest(progress=False) == (WeightFile(URL).path, SHA256)


def test_settings_name_weights_by_sixteen_digits_a_file():
    assert identity([SHA256, "ab" * 32]) == f"{SHA256[:16]}+abababababababab"


def test_a_dropped_connection_is_taken_up_where_it_broke_off(server):
    server.files[REMOTE].drops = [2 * BLOCK + 5]
    assert WeightFile(URL, SHA256[:8]).fetch(progress=False).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={2 * BLOCK}-"]


def test_a_later_call_goes_on_where_the_first_gave_up(server):
    resource = server.files[REMOTE]
    resource.drops = [2 * BLOCK, 0, 0, 0]
    with pytest.raises(DownloadError, match="are kept"):
        WeightFile(URL, SHA256).fetch(progress=False)
    assert not WeightFile(URL).cached
    assert WeightFile(URL, SHA256).fetch(progress=False).read_bytes() == CONTENT
    assert server.asked[-1][1] == f"bytes={2 * BLOCK}-"


@pytest.mark.parametrize("length", [8, 64])
def test_wrong_content_is_refused_and_deleted(server, length):
    server.files[REMOTE].content = CONTENT[::-1]
    weights = WeightFile(URL, SHA256[:length])
    with pytest.raises(DownloadError, match=f"drums.pth.*what came is not what was promised .*{SHA256[:length]}"):
        weights.fetch(progress=False)
    assert not [path for path in weights_folder().iterdir() if not path.name.startswith(".")]


def test_a_tampered_file_is_refused_not_used(server):
    weights = WeightFile(URL, SHA256[:8])
    path = weights.fetch(progress=False)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DownloadError, match=r"drums\.pth is not the file that was published: .* Delete it"):
        weights.fetch(progress=False)
    path.unlink()
    assert weights.fetch(progress=False).read_bytes() == CONTENT


def test_without_a_published_digest_the_first_copy_counts(server):
    weights = WeightFile(URL)
    path = weights.fetch(progress=False)
    assert Path(f"{path}.sha256").read_text() == f"{SHA256}  drums.pth\n"
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(DownloadError, match="is not the file that first came"):
        weights.fetch(progress=False)
    path.unlink()
    server.files[REMOTE].content = CONTENT[::-1]  # the server has another file now
    with pytest.raises(DownloadError, match="what came is not what was promised"):
        weights.fetch(progress=False)


def test_a_copy_put_there_by_hand_is_taken_and_noted(server):
    weights = WeightFile(URL)
    weights.path.parent.mkdir(parents=True)
    weights.path.write_bytes(CONTENT)
    assert weights.fetch(progress=False).read_bytes() == CONTENT
    assert Path(f"{weights.path}.sha256").read_text().startswith(SHA256)
    assert not server.asked


def test_offline_the_message_names_file_address_and_folder(server, monkeypatch):
    with loopback() as gone:
        monkeypatch.setenv(BASE_VARIABLE, gone.base)
    with pytest.raises(DownloadError) as error:
        WeightFile(URL).fetch(progress=False)
    message = str(error.value)
    assert "the weights drums.pth are not on this machine" in message
    assert "cannot be reached" in message
    assert f"put the file from {URL} into {weights_folder()}" in message


def test_a_folder_that_cannot_be_written_is_said(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="set SEPNB_WEIGHTS to a folder"):
        WeightFile(URL).fetch(progress=False)


def _fetch() -> None:
    WeightFile(URL, SHA256).fetch(progress=False)


def test_processes_that_want_the_same_file_wait_for_one_download(server):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fetch) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert server.asked == [(REMOTE, None)]
