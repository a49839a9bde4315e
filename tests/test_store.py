"""A store holds what the tracks hold, and only songs that are whole, whatever happens while it is made."""

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from songs import RATE, SOURCES, noise, quietly, song

from sepnb import audio
from sepnb.errors import StoreError
from sepnb.store import Store
from sepnb.tracks import find_tracks

# --- what is in it ---------------------------------------------------------------------------------------------------


def test_16_bit_songs_come_back_exactly(root, tmp_path):
    store = quietly(root, tmp_path / "store").store
    assert (store.rate, store.channels, store.sources, len(store)) == (RATE, 2, SOURCES, 3)
    assert {entry.gains for entry in store.entries} == {(1.0, 1.0)}
    for track in find_tracks(root):
        np.testing.assert_array_equal(store.read(track.name), track.stems())
    assert store.seconds == pytest.approx(4.5)
    assert store.nbytes == 4.5 * RATE * 2 * 2 * 2


def test_a_piece_of_some_sources_is_read(root, tmp_path):
    store = quietly(root, tmp_path / "store").store
    piece = store.read("B - Two", start=100, samples=50, sources=("vocals", "drums"))
    np.testing.assert_array_equal(piece, find_tracks(root)["B - Two"].stems()[::-1, :, 100:150])
    assert piece.dtype == np.float32
    with pytest.raises(StoreError, match="12000 samples"):
        store.read("B - Two", start=11_990, samples=11)
    with pytest.raises(StoreError, match="no source bass"):
        store.read(0, sources=("bass",))
    with pytest.raises(StoreError, match="no song is named 'D'"):
        store.read("D")


def test_the_manifest_is_readable_by_people(root, tmp_path):
    quietly(root, tmp_path / "store")
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["settings"]["rate"] == RATE
    assert manifest["settings"]["sources"] == list(SOURCES)
    first = manifest["songs"][0]
    assert (first["name"], first["subset"], first["samples"]) == ("C - Three", "test", 2 * RATE)
    assert [file["name"] for file in first["origin"]["files"]] == ["mixture.wav", "drums.wav", "vocals.wav"]
    assert first["origin"]["sources"] == {"drums": ["drums.wav"], "vocals": ["vocals.wav"]}
    assert len(first["files"][0]["sha256"]) == 64


def test_a_stem_beyond_full_scale_is_stored_with_a_gain_instead_of_clipped(tmp_path):
    hot = noise(0, level=1.7)
    audio.write(tmp_path / "t" / "S" / "drums.wav", hot, RATE, subtype="32f")
    audio.write(tmp_path / "t" / "S" / "vocals.wav", noise(1), RATE, subtype="32f")
    store = quietly(tmp_path / "t", tmp_path / "store").store
    gain = store.entries[0].gains[0]
    assert 1.69 < gain < 1.71
    assert store.entries[0].gains[1] == 1.0
    assert np.abs(store.read(0)[0] - hot).max() <= 0.501 * gain / 32768


def test_full_scale_of_16_bits_needs_no_gain(tmp_path):
    edge = np.tile(np.array([-1.0, 32767 / 32768], np.float32), (2, 100))
    audio.write(tmp_path / "t" / "S" / "drums.wav", edge, RATE)
    audio.write(tmp_path / "t" / "S" / "vocals.wav", edge, RATE)
    store = quietly(tmp_path / "t", tmp_path / "store").store
    assert store.entries[0].gains == (1.0, 1.0)
    np.testing.assert_array_equal(store.read(0)[0], edge)


def test_float16_holds_what_float16_can(root, tmp_path):
    store = quietly(root, tmp_path / "store", dtype="float16").store
    expected = find_tracks(root)["A - One"].stems().astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(store.read("A - One"), expected)


def test_samples_that_are_no_numbers_are_refused(root, tmp_path):
    bad = noise(0)
    bad[0, 7] = np.nan
    soundfile.write(root / "train" / "A - One" / "drums.wav", bad.T, RATE, subtype="FLOAT")
    prepared = quietly(root, tmp_path / "store")
    assert [left.name for left in prepared.left_out] == ["train/A - One"]
    assert "not finite" in prepared.left_out[0].reason


def test_other_rates_and_channel_counts_are_brought_to_those_of_most_tracks(root, tmp_path):
    song(root / "train" / "D - Mono", 5, channels=1)
    song(root / "train" / "E - Fast", 6, rate=2 * RATE)
    store = quietly(root, tmp_path / "store").store
    mono = store.read("D - Mono")
    np.testing.assert_array_equal(mono[:, 0], mono[:, 1])
    np.testing.assert_array_equal(mono[:, :1], find_tracks(root)["D - Mono"].stems())
    expected = audio.resample(find_tracks(root)["E - Fast"].stems(), 2 * RATE, RATE)
    assert store.read("E - Fast").shape == (2, 2, RATE)
    assert np.abs(store.read("E - Fast") - expected).max() <= 0.501 / 32768
    narrow = quietly(root, tmp_path / "mono", rate=RATE // 2, channels=1).store
    assert (narrow.rate, narrow.read("A - One").shape) == (RATE // 2, (2, 1, RATE // 2))


def test_tracks_with_other_sources_are_left_out_and_named(root, tmp_path):
    song(tmp_path / "other" / "X", 9, sources=("guitar", "vocals"))
    tracks = [*find_tracks(root), *find_tracks(tmp_path / "other")]
    prepared = quietly(tracks, tmp_path / "store")
    assert len(prepared.made) == 3
    assert prepared.left_out[0].name == "train/X"
    assert "it has vocals, guitar where" in prepared.left_out[0].reason
    assert "train/X: it has vocals, guitar" in prepared.report()


# --- excerpts --------------------------------------------------------------------------------------------------------


def test_the_loudest_excerpt_is_where_the_mixture_is_loudest(tmp_path):
    stems = np.stack([noise(seed, seconds=6.0, level=0.05) for seed in (1, 2)])
    loud = slice(round(2.3 * RATE), round(4.3 * RATE))
    stems[0, :, loud] *= 4
    # Loud stems that cancel each other do not make a loud mixture.
    stems[0, :, :RATE] += 0.5
    stems[1, :, :RATE] -= 0.5
    for name, stem in zip(SOURCES, stems, strict=True):
        audio.write(tmp_path / "t" / "S" / f"{name}.wav", stem, RATE)
    store = quietly(tmp_path / "t", tmp_path / "store", excerpt=2).store
    assert store.entries[0].start == pytest.approx(2.3)
    np.testing.assert_array_equal(store.read(0), np.rint(stems[..., loud] * 32768).astype(np.float32) / 32768)


@pytest.mark.parametrize(("at", "start"), [("centre", 0.75), (0.25, 0.25), (9.0, 1.5)])
def test_an_excerpt_from_a_given_place_is_read_without_the_rest(root, tmp_path, at, start, monkeypatch):
    monkeypatch.setattr("sepnb.tracks.Track.mixture", lambda *_: pytest.fail("the mixture was decoded"))
    store = quietly(root, tmp_path / "store", excerpt=0.5, at=at).store
    whole = find_tracks(root)["C - Three"].stems()
    first = round(start * RATE)
    np.testing.assert_array_equal(store.read("C - Three"), whole[..., first : first + RATE // 2])
    assert store.entries[store.index("C - Three")].start == start


def test_a_song_that_is_shorter_than_the_excerpt_is_whole(root, tmp_path):
    store = quietly(root, tmp_path / "store", excerpt=1.5).store
    assert {entry.name: entry.samples / RATE for entry in store.entries} == {
        "A - One": 1.0,
        "B - Two": 1.5,
        "C - Three": 1.5,
    }


# --- a second run ----------------------------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of all files: what any writing would alter."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_does_nothing(root, tmp_path):
    first = quietly(root, tmp_path / "store")
    before = files_of(tmp_path / "store")
    second = quietly(root, tmp_path / "store")
    assert (len(first.made), first.kept, second.made, len(second.kept)) == (3, (), (), 3)
    assert files_of(tmp_path / "store") == before
    assert "0 made now, 3 kept" in second.report()
    assert json.loads(json.dumps(second.as_dict()))["kept"] == ["C - Three", "A - One", "B - Two"]


def test_a_changed_song_is_made_anew_and_the_others_are_kept(root, tmp_path):
    before = quietly(root, tmp_path / "store").store.fingerprint
    changed = song(root / "train" / "A - One", 77)
    prepared = quietly(root, tmp_path / "store")
    assert (prepared.made, prepared.kept) == (("A - One",), ("C - Three", "B - Two"))
    np.testing.assert_array_equal(prepared.store.read("A - One"), changed)
    assert prepared.store.fingerprint != before


def test_a_song_that_was_only_touched_is_kept(root, tmp_path):
    quietly(root, tmp_path / "store")
    os.utime(root / "train" / "A - One" / "drums.wav")
    assert quietly(root, tmp_path / "store").made == ()
    before = files_of(tmp_path / "store")
    quietly(root, tmp_path / "store")
    assert files_of(tmp_path / "store") == before, "the new time should have been remembered"


def test_corrected_names_make_songs_anew(tmp_path):
    stems = song(tmp_path / "t" / "S", 1, sources=("a", "b"))
    quietly(tmp_path / "t", tmp_path / "store", names={"a": "drums", "b": "vocals"})
    prepared = quietly(tmp_path / "t", tmp_path / "store", names={"b": "drums", "a": "vocals"})
    assert prepared.made == ("S",)
    np.testing.assert_array_equal(prepared.store.read("S", sources=("drums",))[0], stems[1])


def test_songs_that_are_no_longer_among_the_tracks_stay(root, tmp_path):
    quietly(root, tmp_path / "store")
    shutil.rmtree(root / "train" / "A - One")
    prepared = quietly(root, tmp_path / "store")
    assert prepared.others == ("A - One",)
    assert len(prepared.store) == 3


def test_other_settings_are_refused_with_the_difference(root, tmp_path):
    quietly(root, tmp_path / "store", excerpt=1, at="centre")
    with pytest.raises(StoreError, match=r"excerpt=1\.0 \(asked now: 0\.5\).*give another folder"):
        quietly(root, tmp_path / "store", excerpt=0.5, at="centre")
    with pytest.raises(StoreError, match="dtype='int16'"):
        quietly(root, tmp_path / "store", excerpt=1, at="centre", dtype="float16")


def test_a_folder_with_other_things_is_left_alone(root, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds other files"):
        quietly(root, tmp_path / "thesis")
    with pytest.raises(StoreError, match="holds other files"):
        quietly(root, root)


@pytest.mark.parametrize(
    "options", [{"dtype": "int8"}, {"format": "zip"}, {"excerpt": 0}, {"excerpt": 1, "at": "end"}, {"at": -1.0}]
)
def test_settings_that_make_no_sense_are_refused(root, tmp_path, options):
    with pytest.raises(StoreError):
        quietly(root, tmp_path / "store", **options)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_unreadable_song_is_left_out_and_made_once_it_is_mended(root, tmp_path):
    path = root / "train" / "A - One" / "drums.wav"
    good = path.read_bytes()
    tracks = find_tracks(root)
    path.write_bytes(b"RIFF of nothing")
    prepared = quietly(tracks, tmp_path / "store")
    assert [left.name for left in prepared.left_out] == ["train/A - One"]
    assert str(path) in prepared.left_out[0].reason
    assert len(prepared.store) == 2
    path.write_bytes(good)
    assert quietly(tracks, tmp_path / "store").made == ("A - One",)


def test_a_song_that_became_unreadable_stays_as_it_was(root, tmp_path):
    tracks = find_tracks(root)
    before = quietly(tracks, tmp_path / "store").store.fingerprint
    (root / "train" / "A - One" / "drums.wav").write_bytes(b"RIFF of nothing")
    prepared = quietly(tracks, tmp_path / "store")
    assert [left.name for left in prepared.left_out] == ["train/A - One"]
    assert prepared.store.fingerprint == before


def test_nothing_usable_is_an_error(root, tmp_path):
    tracks = find_tracks(root)
    for path in root.rglob("drums.wav"):
        path.write_bytes(b"RIFF of nothing")
    with pytest.raises(StoreError, match="none of the 3 tracks"):
        quietly(tracks, tmp_path / "store")


@pytest.mark.parametrize("format", ["store", "wav"])
def test_a_disk_that_is_full_is_told_and_what_was_made_is_kept(root, tmp_path, format):
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    tracks = sorted(find_tracks(root), key=lambda track: track.samples)
    # No file may be as large as the longest song's: the kernel refuses to write on, as it does on a full disk.
    limit = {"store": 100_000, "wav": 50_000}[format]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot write C - Three .*MB are free.*finished are kept"):
            quietly(tracks, out, format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    prepared = quietly(tracks, out, format=format)
    assert (prepared.made, prepared.kept) == (("C - Three",), ("A - One", "B - Two"))
    assert not list(out.glob(".partial*"))


def test_torn_missing_and_altered_files_are_named(root, tmp_path):
    store = quietly(root, tmp_path / "store").store
    path = tmp_path / "store" / "train" / "A - One" / "stems.npy"
    content = path.read_bytes()
    store.verify()
    path.write_bytes(content[:-1])
    with pytest.raises(StoreError, match=r"A - One.*torn.*prepare"):
        Store(tmp_path / "store")
    path.unlink()
    with pytest.raises(StoreError, match=r"A - One.stems\.npy is missing"):
        Store(tmp_path / "store")
    path.write_bytes(content[:-9] + b"\x01" + content[-8:])
    with pytest.raises(StoreError, match=r"A - One.stems\.npy is damaged"):
        Store(tmp_path / "store").verify()
    path.unlink()
    assert quietly(root, tmp_path / "store").made == ("A - One",)
    assert path.read_bytes() == content


def test_what_is_no_store_is_told(tmp_path):
    with pytest.raises(StoreError, match="not a chunk store"):
        Store(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 1, "songs": [')
    with pytest.raises(StoreError, match="damaged"):
        Store(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 99}')
    with pytest.raises(StoreError, match="version 99"):
        Store(tmp_path)


# --- the WAV copy ----------------------------------------------------------------------------------------------------


def test_a_wav_copy_is_laid_out_as_musdb18hq_and_found_as_such(root, tmp_path):
    song(root / "train" / "Leaf - Summerghost", 8)  # musdb takes it for validation
    prepared = quietly(root, tmp_path / "copy", format="wav")
    before, after = find_tracks(root), find_tracks(tmp_path / "copy")
    assert [(track.subset, track.name) for track in after] == [(track.subset, track.name) for track in before]
    assert after["Leaf - Summerghost"].subset == "valid"
    assert (tmp_path / "copy" / "train" / "Leaf - Summerghost" / "mixture.wav").is_file()
    for mine, theirs in zip(after, before, strict=True):
        np.testing.assert_array_equal(mine.stems(), theirs.stems())
        np.testing.assert_array_equal(mine.mixture(), theirs.mixture())
    assert soundfile.info(after[0].files[0]).subtype == "PCM_16"
    with pytest.raises(StoreError, match="plain WAV copy"):
        _ = prepared.store
    assert len(quietly(root, tmp_path / "copy", format="wav").kept) == 4


def test_a_wav_copy_says_what_it_clipped(tmp_path):
    hot = noise(0, level=0.5)
    hot[0, :5] = 1.5
    audio.write(tmp_path / "t" / "S" / "drums.wav", hot, RATE, subtype="32f")
    audio.write(tmp_path / "t" / "S" / "vocals.wav", np.zeros_like(hot), RATE, subtype="32f")
    prepared = quietly(tmp_path / "t", tmp_path / "copy", format="wav", excerpt=0.5, at=0.0)
    assert prepared.clipped == {"S": 10}, "five in drums, five in the sum"
    assert "S: 10 samples were beyond full scale" in prepared.report()
    assert find_tracks(tmp_path / "copy")["S"].duration == 0.5


# --- real clips ------------------------------------------------------------------------------------------------------


def test_a_real_wav_song_comes_back_exactly(real, tmp_path):
    store = quietly(real / "musdb18hq", tmp_path / "store").store
    track = find_tracks(real / "musdb18hq")["Mu - Too Bright"]
    assert store.sources == ("drums", "bass", "other", "vocals")
    np.testing.assert_array_equal(store.read("Mu - Too Bright"), track.stems())


def test_a_real_stem_file_comes_back_within_half_a_step(real, tmp_path):
    store = quietly(real / "musdb18", tmp_path / "store").store
    stems = find_tracks(real / "musdb18")["Music Delta - 80s Rock"].stems()
    gains = np.array(store.entries[0].gains)
    error = np.abs(store.read(0).astype(np.float64) - stems).max(axis=(1, 2))
    assert (error <= 0.501 * gains / 32768).all()
    cut = quietly(real / "musdb18", tmp_path / "cut", excerpt=2.0, at="centre").store
    first = round(cut.entries[0].start * 44100)
    np.testing.assert_array_equal(cut.read(0), store.read(0, first, 2 * 44100))
