"""Downloads from a server that drops connections, serves damaged files, ignores ranges, or changes its mind."""

import errno
import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loopback import Resource, Server, loopback

from sepnb import audio, downloads, find_tracks
from sepnb.downloads import BLOCK, fetch
from sepnb.errors import DownloadError
from sepnb.musdb_downloads import BASE_VARIABLE, download_musdb7, download_musdb18hq

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with loopback() as running:
        running.files["data.bin"] = Resource(CONTENT)
        yield running


def get(server: Server, path: Path, **options: object) -> Path:
    return fetch(server.url("data.bin"), path, progress=False, pause=0.001, **options)


def test_a_file_comes_whole_and_is_not_fetched_twice(server, tmp_path):
    path = get(server, tmp_path / "deep" / "data.bin", sha256=SHA256, md5=hashlib.md5(CONTENT).hexdigest())
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["data.bin"]
    get(server, path, sha256=SHA256)
    assert len(server.asked) == 1


def test_a_dropped_connection_is_taken_up_where_it_broke_off(server, tmp_path):
    server.files["data.bin"].drops = [5 * BLOCK + 7, 3 * BLOCK + 7]
    assert get(server, tmp_path / "data.bin", sha256=SHA256).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={5 * BLOCK}-", f"bytes={8 * BLOCK}-"]


def test_a_later_call_goes_on_from_the_part(server, tmp_path):
    server.files["data.bin"].drops = [5 * BLOCK]
    with pytest.raises(DownloadError, match=rf"{5 * BLOCK:,} bytes are kept in .*data\.bin\.part"):
        get(server, tmp_path / "data.bin", retries=0)
    assert not (tmp_path / "data.bin").exists()
    assert get(server, tmp_path / "data.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.asked[-1][1] == f"bytes={5 * BLOCK}-"


def test_a_part_that_was_complete_is_only_checked_and_renamed(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(downloads._Part, "land", lambda part: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get(server, tmp_path / "data.bin")
    assert get(server, tmp_path / "data.bin", sha256=SHA256).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_without_ranges_it_begins_again(server, tmp_path):
    resource = server.files["data.bin"]
    resource.ranges, resource.drops = False, [400_000]
    assert get(server, tmp_path / "data.bin", sha256=SHA256).read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "tags, changed",
    [(('"1"', '"2"'), CONTENT[::-1]), ((None, None), CONTENT[::-1] + b"longer")],
    ids=["told by its tag", "told by its length"],
)
def test_a_file_that_changed_on_the_server_is_not_patched_together(server, tmp_path, tags, changed):
    resource = server.files["data.bin"]
    resource.tag = tags[0]
    resource.drops = [500_000]
    with pytest.raises(DownloadError):
        get(server, tmp_path / "data.bin", retries=0)
    resource.content, resource.tag = changed, tags[1]
    assert get(server, tmp_path / "data.bin").read_bytes() == changed


def test_a_file_that_became_shorter_is_fetched_anew(server, tmp_path):
    resource = server.files["data.bin"]
    resource.tag, resource.drops = None, [500_000]
    with pytest.raises(DownloadError):
        get(server, tmp_path / "data.bin", retries=0)
    resource.content = CONTENT[:300_000]
    assert get(server, tmp_path / "data.bin").read_bytes() == resource.content


def test_a_corrupted_file_is_deleted_and_named(server, tmp_path):
    damaged = bytearray(CONTENT)
    damaged[123_456] ^= 1
    server.files["data.bin"].content = bytes(damaged)
    with pytest.raises(DownloadError, match=f"data.bin: what came is not what was promised .*{SHA256}"):
        get(server, tmp_path / "data.bin", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_on_disk_is_fetched_again(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    assert get(server, tmp_path / "data.bin", sha256=SHA256).read_bytes() == CONTENT


def test_a_wrong_address_is_not_tried_twice(server, tmp_path):
    with pytest.raises(DownloadError, match=r"nothing\.bin: the server answers 404"):
        fetch(server.url("nothing.bin"), tmp_path / "x", progress=False, pause=0.001)
    assert len(server.asked) == 1


def test_errors_of_the_server_are_waited_out(server, tmp_path):
    server.files["data.bin"].statuses = [500, 503]
    assert get(server, tmp_path / "data.bin").read_bytes() == CONTENT


def test_it_gives_up_when_nothing_comes_any_more(server, tmp_path):
    server.files["data.bin"].statuses = [500] * 10
    with pytest.raises(DownloadError, match=r"500 .*3 times in a row"):
        get(server, tmp_path / "data.bin", retries=2)
    assert len(server.asked) == 3


def test_attempts_that_bring_something_do_not_count(server, tmp_path):
    server.files["data.bin"].drops = [100_000] * 9
    assert get(server, tmp_path / "data.bin", retries=1, sha256=SHA256).read_bytes() == CONTENT


def test_a_server_that_promises_more_than_it_has(server, tmp_path):
    resource = server.files["data.bin"]
    resource.told_length, resource.ranges = len(CONTENT) + 5, False
    with pytest.raises(DownloadError, match="the connection broke off"):
        get(server, tmp_path / "data.bin", retries=1)
    assert not (tmp_path / "data.bin").exists()


def test_no_server_is_told(tmp_path):
    with loopback() as gone:
        pass
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(gone.url("data.bin"), tmp_path / "data.bin", progress=False, retries=1, pause=0.001)


def test_a_full_disk_is_told_and_what_came_is_kept(server, tmp_path, monkeypatch):
    server.files["data.bin"].drops = [5 * BLOCK]
    with pytest.raises(DownloadError):
        get(server, tmp_path / "data.bin", retries=0)
    nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda folder: nearly_full)
    with pytest.raises(
        DownloadError,
        match=rf"data\.bin cannot be written \(No space left on device.* {len(CONTENT) - 5 * BLOCK:,} bytes",
    ):
        get(server, tmp_path / "data.bin")
    assert (tmp_path / "data.bin.part").stat().st_size == 5 * BLOCK


# --- data sets -------------------------------------------------------------------------------------------------------

VALIDATION = "Leaf - Summerghost"  # one of musdb's fourteen
TRAIN = [f"Artist {letter} - Song" for letter in "ABCDEFGH"]
TEST = [f"Tester {letter} - Song" for letter in "ABC"]


def wav(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(-9000, 9000, (1000, 2), dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, noise, 44100, format="WAV")
    return file.getvalue()


def musdb_zip(prefix: str = "", extra: dict[str, bytes] | None = None, stored: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as out:
        for number, song in enumerate([f"train/{name}" for name in [*TRAIN, VALIDATION]] + [f"test/{n}" for n in TEST]):
            for stem in ("mixture", "drums", "bass", "other", "vocals"):
                out.writestr(f"{prefix}{song}/{stem}.wav", wav(number))
        for name, content in (extra or {}).items():
            out.writestr(name, content)
    return file.getvalue()


def subsets(folder: Path) -> dict[str, list[str]]:
    tracks = find_tracks(folder)
    return {name: [track.name for track in tracks.subset(name)] for name in ("train", "valid", "test")}


@pytest.mark.parametrize("prefix", ["", "musdb18hq/"])
def test_songs_come_out_of_the_remote_zip(server, tmp_path, prefix):
    junk = {f"__MACOSX/{prefix}train/{TRAIN[0]}/._drums.wav": b"junk", f"{prefix}README.md": b"read me"}
    server.files["musdb18hq.zip"] = Resource(musdb_zip(prefix, junk))
    folder = download_musdb18hq(tmp_path / "hq", songs=3, base=server.base, progress=False)
    found = subsets(folder)
    assert (len(found["train"]), found["valid"], len(found["test"])) == (3, [VALIDATION], 1)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        f"{stem}.wav" for stem in ("mixture", "drums", "bass", "other", "vocals")
    }
    assert all(wanted for _, wanted in server.asked)


def test_more_songs_contain_the_fewer_and_only_these_are_fetched(server, tmp_path):
    server.files["musdb18hq.zip"] = Resource(musdb_zip())
    few = subsets(download_musdb18hq(tmp_path / "hq", songs=2, base=server.base, progress=False))["train"]
    marked = tmp_path / "hq" / "train" / few[0] / "mixture.wav"
    before = marked.stat().st_mtime_ns
    server.asked.clear()
    more = subsets(download_musdb18hq(tmp_path / "hq", songs=4, base=server.base, progress=False))["train"]
    assert set(few) < set(more) and len(more) == 4
    assert marked.stat().st_mtime_ns == before
    server.asked.clear()
    download_musdb18hq(tmp_path / "hq", songs=4, base=server.base, progress=False)
    assert len(server.asked) == 1  # the list of songs


def test_a_song_whose_connection_drops_is_fetched_again(server, tmp_path):
    resource = Resource(musdb_zip(stored=True))
    server.files["musdb18hq.zip"] = resource
    resource.drops = [10**9, 10**9, 2000, 10**9, 1000]
    folder = download_musdb18hq(tmp_path / "hq", songs=2, base=server.base, progress=False, pause=0.001)
    assert resource.drops == []
    assert len(subsets(folder)["train"]) == 2
    for path in folder.rglob("*.wav"):
        assert audio.read(path)[0].shape == (2, 1000)


def test_songs_that_landed_stay_when_the_server_dies(server, tmp_path):
    resource = Resource(musdb_zip(stored=True))
    server.files["musdb18hq.zip"] = resource
    resource.drops = [10**9] * 9 + [100] * 9
    with pytest.raises(DownloadError, match=r"3 times in a row.* The songs that are there are kept"):
        download_musdb18hq(tmp_path / "hq", songs=4, base=server.base, progress=False, retries=2, pause=0.001)
    landed = [path for path in (tmp_path / "hq").glob("*/*") if not path.name.startswith(".")]
    assert landed and all(len(list(song.iterdir())) == 5 for song in landed)
    resource.drops = []
    folder = download_musdb18hq(tmp_path / "hq", songs=4, base=server.base, progress=False)
    assert len(subsets(folder)["train"]) == 4
    assert not list(folder.rglob(".partial-*"))


def test_a_damaged_song_is_told_and_does_not_land(server, tmp_path):
    content = bytearray(musdb_zip(stored=True))
    for song in TRAIN:  # whichever is chosen first
        content[content.index(f"train/{song}/vocals.wav".encode()) + 500] ^= 1
    server.files["musdb18hq.zip"] = Resource(bytes(content))
    with pytest.raises(DownloadError, match=r"vocals\.wav cannot be fetched: Bad CRC-32"):
        download_musdb18hq(
            tmp_path / "hq", songs=1, test_songs=0, valid_songs=0, base=server.base, progress=False, pause=0.001
        )
    assert not list((tmp_path / "hq").glob("train/[!.]*"))


def test_a_server_without_ranges_is_told_in_a_sentence(server, tmp_path):
    server.files["musdb18hq.zip"] = Resource(musdb_zip(), ranges=False)
    with pytest.raises(DownloadError, match="does not give out parts of files"):
        download_musdb18hq(tmp_path / "hq", songs=1, base=server.base, progress=False)


def test_songs_from_a_wrong_address(server, tmp_path):
    with pytest.raises(DownloadError, match=r"musdb18hq\.zip.*404"):
        download_musdb18hq(tmp_path / "hq", songs=1, base=server.base, progress=False)


def test_a_song_that_would_land_elsewhere_is_refused(server, tmp_path):
    server.files["musdb18hq.zip"] = Resource(musdb_zip(extra={"train/../evil.wav": b"!"}))
    with pytest.raises(DownloadError, match="would land outside"):
        download_musdb18hq(tmp_path / "hq", songs=1, base=server.base, progress=False)


def test_the_whole_of_musdb18hq_has_its_published_checksum(server, tmp_path, monkeypatch):
    server.files["musdb18hq.zip"] = Resource(musdb_zip())
    with pytest.raises(DownloadError, match="baac80d0483c61d7"):
        download_musdb18hq(tmp_path / "hq", base=server.base, progress=False)
    monkeypatch.setattr(
        "sepnb.musdb_downloads.MUSDB18HQ_SHA256", hashlib.sha256(server.files["musdb18hq.zip"].content).hexdigest()
    )
    folder = download_musdb18hq(tmp_path / "hq", base=server.base, progress=False)
    assert len(find_tracks(folder)) == len(TRAIN) + 1 + len(TEST)
    assert [path.name for path in tmp_path.iterdir()] == ["hq"]


def test_some_songs_are_not_taken_for_all(server, tmp_path):
    server.files["musdb18hq.zip"] = Resource(musdb_zip())
    folder = download_musdb18hq(tmp_path / "hq", songs=1, base=server.base, progress=False)
    with pytest.raises(DownloadError, match="not empty"):
        download_musdb18hq(folder, base=server.base, progress=False)


def sample_zip(extra: dict[str, bytes] | None = None) -> bytes:
    stems = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 2, 4410)).astype(np.float32)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for level in ("train", "test"):
            out.writestr(f"{level}/A - {level}.stem.mp4", _stem_file(stems))
        for name, content in (extra or {}).items():
            out.writestr(name, content)
    return file.getvalue()


def _stem_file(stems: np.ndarray) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.stem.mp4"
        audio.write_stems(path, stems, 44100)
        return path.read_bytes()


def test_the_seven_second_set(server, tmp_path, monkeypatch):
    resource = Resource(sample_zip())
    resource.drops = [len(resource.content) // 2]
    server.files["MUSDB18-7-STEMS.zip"] = resource
    monkeypatch.setenv(BASE_VARIABLE, server.base + "/")
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    folder = download_musdb7(tmp_path / "musdb7", progress=False)
    assert subsets(folder) == {"train": ["A - train"], "valid": [], "test": ["A - test"]}
    assert [path.name for path in tmp_path.iterdir()] == ["musdb7"]
    asked = len(server.asked)
    download_musdb7(tmp_path / "musdb7", progress=False)
    assert len(server.asked) == asked == 2


def test_a_corrupted_seven_second_set_is_deleted(server, tmp_path):
    content = bytearray(sample_zip())
    content[2000] ^= 1
    server.files["MUSDB18-7-STEMS.zip"] = Resource(bytes(content))
    with pytest.raises(DownloadError, match=r"MUSDB18-7-STEMS\.zip.*torn"):
        download_musdb7(tmp_path / "musdb7", base=server.base, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_that_leads_out_of_its_folder_is_refused(server, tmp_path):
    server.files["MUSDB18-7-STEMS.zip"] = Resource(sample_zip({"train/../../evil.stem.mp4": b"!"}))
    with pytest.raises(DownloadError, match="would land outside"):
        download_musdb7(tmp_path / "inner" / "musdb7", base=server.base, progress=False)
    assert not (tmp_path / "evil.stem.mp4").exists() and not (tmp_path / "inner" / "evil.stem.mp4").exists()


def test_a_disk_that_fills_up_while_songs_come(server, tmp_path, monkeypatch):
    server.files["musdb18hq.zip"] = Resource(musdb_zip())

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sepnb.musdb_downloads.extract", full)
    with pytest.raises(DownloadError, match=r"hq cannot be written \(No space left on device"):
        download_musdb18hq(tmp_path / "hq", songs=1, base=server.base, progress=False)
