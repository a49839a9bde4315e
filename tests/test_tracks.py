"""Tracks are found in every layout; broken ones are left out and named; what is wrong with the audio is told."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepnb import audio, musdb18
from sepnb.errors import TrackError
from sepnb.track_checks import RESIDUAL_LIMIT_DB, check_track, check_tracks
from sepnb.tracks import Track, find_tracks

RATE = 8000
FOUR = ("drums", "bass", "other", "vocals")


def noise(seed: int, channels: int = 2, samples: int = RATE, level: float = 0.1) -> np.ndarray:
    """Audio that 16 bits hold exactly."""
    drawn = np.random.default_rng(seed).uniform(-level, level, (channels, samples))
    return (np.rint(drawn * 32768) / 32768).astype(np.float32)


def song(
    folder: Path,
    sources: tuple[str, ...] = FOUR,
    *,
    mixture: bool | np.ndarray = True,
    suffix: str = ".wav",
    rate: int = RATE,
    **shape: int,
) -> dict[str, np.ndarray]:
    """Write a song's folder and return what is in it."""
    stems = {name: noise(seed, **shape) for seed, name in enumerate(sources)}
    if mixture is not False:
        stems["mixture"] = sum(stems.values()) if mixture is True else mixture
    for name, stem in stems.items():
        audio.write(folder / f"{name}{suffix}", stem, rate)
    return stems


def stem_file(path: Path, streams: int = 5) -> None:
    stems = np.stack([noise(seed, samples=4096) for seed in range(1, streams)])
    audio.write_stems(path, np.concatenate([stems.sum(axis=0, keepdims=True), stems]), 44100)


def one(root: Path, **options: object) -> Track:
    (track,) = find_tracks(root, **options)
    return track


# --- layouts ---------------------------------------------------------------------------------------------------------


def test_musdb18hq_layout_with_the_split_of_musdb(tmp_path):
    song(tmp_path / "train" / "A - One")
    song(tmp_path / "train" / "Leaf - Summerghost")
    song(tmp_path / "test" / "B - Two")
    tracks = find_tracks(tmp_path)
    assert [(track.name, track.subset) for track in tracks] == [
        ("A - One", "train"),
        ("Leaf - Summerghost", "valid"),
        ("B - Two", "test"),
    ]
    assert [track.name for track in find_tracks(tmp_path, "train")] == ["A - One"]
    assert tracks.subset("test")[0] is tracks["B - Two"]
    assert tracks.sources == FOUR and tracks.left_out == ()


def test_a_track_reads_what_is_in_its_files(tmp_path):
    written = song(tmp_path / "train" / "A")
    track = one(tmp_path)
    assert (track.rate, track.channels, track.samples, track.duration) == (RATE, 2, RATE, 1.0)
    np.testing.assert_array_equal(track.mixture(), written["mixture"])
    np.testing.assert_array_equal(track.stems(), np.stack([written[name] for name in FOUR]))
    np.testing.assert_array_equal(track.stem("bass", 0.25, 0.5), written["bass"][:, RATE // 4 : 3 * RATE // 4])
    assert track.stems(0.5, 0.25).shape == (4, 2, RATE // 4) and track.stems().dtype == np.float32
    assert sorted(path.name for path in track.files) == sorted(f"{name}.wav" for name in [*FOUR, "mixture"])
    assert pickle.loads(pickle.dumps(track)) == track
    with pytest.raises(TrackError, match="no source 'piano'; it has drums, bass, other, vocals"):
        track.stem("piano")


def test_stem_files(tmp_path):
    for name in ("train/A", "test/B"):
        stem_file(tmp_path / f"{name}.stem.mp4")
    tracks = find_tracks(tmp_path)
    assert [(track.name, track.subset, track.sources) for track in tracks] == [
        ("A", "train", FOUR),
        ("B", "test", FOUR),
    ]
    streams, rate = audio.read_stems(tmp_path / "train" / "A.stem.mp4")
    np.testing.assert_array_equal(tracks["A"].mixture(), streams[0])
    np.testing.assert_array_equal(tracks["A"].stems(), streams[1:])
    np.testing.assert_array_equal(tracks["A"].stem("vocals"), streams[musdb18.stream_names().index("vocals")])
    assert tracks["A"].rate == rate == 44100
    assert tracks["A"].files == (tmp_path / "train" / "A.stem.mp4",)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_a_folder_of_two_stems_in_mono(tmp_path, suffix):
    for name in ("vocals", "accompaniment"):
        (tmp_path / "song").mkdir(exist_ok=True)
        path = tmp_path / "song" / f"{name}{suffix}"
        if suffix == ".m4a":
            audio.write_stems(path, noise(1, channels=1, samples=16000)[np.newaxis], 16000)
        else:
            audio.write(path, noise(1, channels=1, samples=16000), 16000)
    track = one(tmp_path)
    assert (track.sources, track.channels, track.rate, track.subset) == (("vocals", "accompaniment"), 1, 16000, "train")
    assert not track.has_mixture
    np.testing.assert_allclose(track.mixture(), track.stem("vocals") + track.stem("accompaniment"), atol=1e-7)
    assert abs(track.duration - 1) < 0.2


def test_names_are_mapped_by_the_caller(tmp_path):
    written = song(tmp_path / "A", ("Vox", "guitar", "keys", "drums", "click"), mixture=False)
    track = one(tmp_path, names={"vox": "vocals", "Guitar": "other", "keys": "other", "click": None})
    assert track.sources == ("drums", "other", "vocals")
    np.testing.assert_array_equal(track.stem("vocals"), written["Vox"])
    np.testing.assert_allclose(track.stem("other"), written["guitar"] + written["keys"], atol=1e-7)
    assert "click.wav" not in [path.name for path in track.files]


def test_streams_are_mapped_too(tmp_path):
    stem_file(tmp_path / "A.stem.mp4")
    two = one(tmp_path, names={"drums": "accompaniment", "bass": "accompaniment", "other": "accompaniment"})
    assert two.sources == ("vocals", "accompaniment")
    np.testing.assert_allclose(two.stem("accompaniment"), one(tmp_path).stems()[:3].sum(axis=0), atol=1e-6)


def test_a_stem_file_with_other_streams_must_be_explained(tmp_path):
    stem_file(tmp_path / "A.stem.mp4", streams=3)
    with pytest.raises(TrackError, match=r'3 audio streams, not the five.*names=\{"1": "vocals"'):
        find_tracks(tmp_path)
    assert one(tmp_path, names={"1": "vocals", "2": "accompaniment"}).sources == ("vocals", "accompaniment")


@pytest.mark.parametrize("level, subset", [("valid", "valid"), ("validation", "valid"), ("Test", "test")])
def test_folders_name_the_subset(tmp_path, level, subset):
    song(tmp_path / level / "A")
    assert one(tmp_path).subset == subset
    assert one(tmp_path / level).subset == subset
    assert one(tmp_path / level / "A").subset == subset


def test_a_data_set_with_its_own_validation_folder_keeps_its_split(tmp_path):
    song(tmp_path / "train" / "Leaf - Summerghost")
    song(tmp_path / "valid" / "A")
    assert find_tracks(tmp_path)["Leaf - Summerghost"].subset == "train"


def test_one_song_alone(tmp_path):
    song(tmp_path / "My song")
    stem_file(tmp_path / "other" / "Two.stem.mp4")
    assert one(tmp_path / "My song").name == "My song"
    assert one(tmp_path / "other" / "Two.stem.mp4").name == "Two"


def test_files_that_are_not_tracks_do_not_disturb(tmp_path):
    song(tmp_path / "train" / "A")
    (tmp_path / "train" / "A" / "._drums.wav").write_bytes(b"a resource fork")
    (tmp_path / "train" / "A" / "readme.txt").write_text("hello")
    (tmp_path / "train" / ".partial-B").mkdir()
    audio.write(tmp_path / "train" / ".partial-B" / "drums.wav", noise(0), RATE)
    audio.write(tmp_path / "demo.wav", noise(0), RATE)
    (tmp_path / "notes").mkdir()
    assert one(tmp_path).sources == FOUR and not find_tracks(tmp_path).left_out


def test_sums_of_stems_are_not_stems_unless_the_caller_says_so(tmp_path):
    song(tmp_path / "A", (*FOUR, "accompaniment", "linear_mixture"), mixture=False)
    assert one(tmp_path).sources == FOUR
    two = one(tmp_path, names={"accompaniment": "accompaniment", "drums": None, "bass": None, "other": None})
    assert two.sources == ("vocals", "accompaniment")


def test_nothing_to_find_is_told_with_the_layouts(tmp_path):
    with pytest.raises(TrackError, match="is not there"):
        find_tracks(tmp_path / "missing")
    with pytest.raises(TrackError, match=r"no tracks in .*\n.*layouts understood(.|\n)*NAME\.stem\.mp4"):
        find_tracks(tmp_path)
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(TrackError, match="layouts understood"):
        find_tracks(tmp_path / "file.txt")
    song(tmp_path / "unpacked" / "train" / "A")
    with pytest.raises(TrackError, match=r"There are some in .*unpacked: did you mean that"):
        find_tracks(tmp_path)


def test_a_subset_that_is_empty_or_unknown(tmp_path):
    song(tmp_path / "train" / "A")
    with pytest.raises(TrackError, match=r"no track .* subset 'test'; there are 1 track"):
        find_tracks(tmp_path, "test")
    with pytest.raises(TrackError, match="no subset is called 'dev'"):
        find_tracks(tmp_path, "dev")
    assert len(find_tracks(tmp_path).subset("test")) == 0


# --- broken tracks ---------------------------------------------------------------------------------------------------


def reason(root: Path) -> str:
    """Why the track named Broken was left out, beside two that are good."""
    song(root / "train" / "Good 1")
    song(root / "train" / "Good 2")
    tracks = find_tracks(root)
    assert [track.name for track in tracks] == ["Good 1", "Good 2"]
    assert [left.name for left in tracks.left_out] == ["train/Broken"]
    assert "train/Broken" in tracks.report() and "2 train" in tracks.report()
    with pytest.raises(TrackError, match=r"'Broken' .*left out"):
        tracks["Broken"]
    return tracks.left_out[0].reason


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    song(tmp_path / "train" / "Broken")
    return tmp_path / "train" / "Broken"


def test_a_missing_stem(broken, tmp_path):
    (broken / "vocals.wav").unlink()
    assert reason(tmp_path) == "it has no vocals; most tracks here have bass, drums, other, vocals"


def test_a_stem_too_many(broken, tmp_path):
    audio.write(broken / "piano.wav", noise(9), RATE)
    assert "also has piano" in reason(tmp_path)


def test_an_unreadable_stem(broken, tmp_path):
    (broken / "bass.wav").write_bytes(b"this is no audio" * 100)
    assert "bass.wav" in reason(tmp_path)


def test_stems_that_differ_in_length(broken, tmp_path):
    audio.write(broken / "bass.wav", noise(1, samples=RATE - 1), RATE)
    assert reason(tmp_path).startswith("its files differ: 7999 samples in bass.wav; 8000 samples in drums.wav")


def test_stems_that_differ_in_rate(broken, tmp_path):
    audio.write(broken / "bass.wav", noise(1), 2 * RATE)
    assert "16000 Hz in bass.wav" in reason(tmp_path)


def test_stems_that_differ_in_channels(broken, tmp_path):
    audio.write(broken / "bass.wav", noise(1, channels=1), RATE)
    assert "1 channels in bass.wav" in reason(tmp_path)


def test_a_mixture_without_stems(broken, tmp_path):
    for name in FOUR:
        (broken / f"{name}.wav").unlink()
    assert "no stems" in reason(tmp_path)


def test_a_stem_in_two_formats(broken, tmp_path):
    audio.write(broken / "bass.flac", noise(1), RATE)
    assert "several files named bass" in reason(tmp_path)


def test_a_stem_file_that_is_cut_short(tmp_path):
    stem_file(tmp_path / "train" / "Good.stem.mp4")
    whole = (tmp_path / "train" / "Good.stem.mp4").read_bytes()
    (tmp_path / "train" / "Bad.stem.mp4").write_bytes(whole[:200])
    tracks = find_tracks(tmp_path)
    assert [track.name for track in tracks] == ["Good"]
    assert [left.name for left in tracks.left_out] == ["train/Bad.stem.mp4"]


def test_one_song_in_two_subsets_is_a_leak(tmp_path):
    for level in ("train", "test"):
        song(tmp_path / level / "A")
    tracks = find_tracks(tmp_path)
    assert [(track.name, track.subset) for track in tracks] == [("A", "test")]
    assert tracks.left_out[0].name == "train/A" and "already there: test/A" in tracks.left_out[0].reason


def test_of_two_songs_the_one_with_the_stems_of_musdb_is_whole(tmp_path):
    song(tmp_path / "A", FOUR[:3])
    song(tmp_path / "B")
    assert one(tmp_path).name == "B"


def test_if_all_are_broken_the_reasons_are_in_the_error(broken, tmp_path):
    (broken / "bass.wav").write_bytes(b"no audio")
    with pytest.raises(TrackError, match=r"none of the 1 track(.|\n)*train/Broken: .*bass\.wav"):
        find_tracks(tmp_path)


# --- what is wrong with the audio ------------------------------------------------------------------------------------


def test_a_good_track_has_no_problems(tmp_path):
    song(tmp_path / "A")
    check = check_track(one(tmp_path))
    assert check.ok and check.residual_db < -80 and len(check.residual_db_per_channel) == 2
    assert check.peak == pytest.approx(np.abs(one(tmp_path).mixture()).max())


def test_a_mixture_that_is_off_in_one_channel(tmp_path):
    stems = song(tmp_path / "A", mixture=False)
    mixture = sum(stems.values())
    mixture[1] *= 0.5  # what is missing is as large as what is there: 0 dB
    audio.write(tmp_path / "A" / "mixture.wav", mixture, RATE)
    check = check_track(one(tmp_path))
    left, right = check.residual_db_per_channel
    assert left < -80 and right == pytest.approx(0, abs=0.01)
    assert check.residual_db == pytest.approx(10 * np.log10(0.25 / 1.25), abs=0.2)  # white noise, equally loud
    (problem,) = check.problems
    assert "not the sum" in problem and "only the right channel is off" in problem and "exact, 0.0 dB" in problem


@pytest.mark.parametrize("level, is_told", [(-30.0, False), (-20.0, True)])
def test_the_noise_of_a_codec_is_no_problem(tmp_path, level, is_told):
    assert -30 < RESIDUAL_LIMIT_DB < -20
    stems = song(tmp_path / "A", mixture=False)
    mixture = sum(stems.values())
    audio.write(tmp_path / "A" / "mixture.wav", mixture * np.float32(1 + 10 ** (level / 20)), RATE, "24")
    check = check_track(one(tmp_path))
    assert check.residual_db == pytest.approx(level - 20 * np.log10(1 + 10 ** (level / 20)), abs=0.01)
    assert bool(check.problems) == is_told


def test_silence(tmp_path):
    song(tmp_path / "A", mixture=False)
    audio.write(tmp_path / "A" / "vocals.wav", np.zeros((2, RATE), np.float32), RATE)
    one_sided = noise(7)
    one_sided[0] = 0
    audio.write(tmp_path / "A" / "bass.wav", one_sided, RATE)
    check = check_track(one(tmp_path))
    assert check.silent == ("vocals",) and check.dead_channels == (("bass", 0),)
    assert check.problems == ("vocals is silent", "channel 0 of bass is silent")
    assert np.isnan(check.residual_db)


def test_a_silent_mixture(tmp_path):
    song(tmp_path / "A", mixture=np.zeros((2, RATE), np.float32))
    check = check_track(one(tmp_path))
    assert check.problems == ("mixture is silent",) and np.isnan(check.residual_db)


def test_clipping_counts_runs_of_three(tmp_path):
    stems = song(tmp_path / "A", ("drums", "vocals"), mixture=False)
    clipped = stems["drums"]
    clipped[0, 100:102] = 1  # a peak that touches full scale
    clipped[0, 200:203] = 1
    clipped[1, -5:] = -1
    audio.write(tmp_path / "A" / "drums.wav", clipped, RATE)
    check = check_track(one(tmp_path))
    assert ("drums", 2) in check.clipped
    assert "drums clips in 2 places" in check.problems


def test_a_dc_offset(tmp_path):
    song(tmp_path / "A", ("vocals",), mixture=False)
    audio.write(tmp_path / "A" / "vocals.wav", noise(0) + 0.05, RATE)
    check = check_track(one(tmp_path))
    assert check.dc_offset == pytest.approx(0.05, abs=0.002)
    assert check.problems == (f"the mixture has a DC offset of {check.dc_offset:.3f} of full scale",)


def test_a_table_with_a_row_a_track_and_none_is_fatal(tmp_path):
    for name in ("A", "B", "C"):
        song(tmp_path / "train" / name)
    tracks = find_tracks(tmp_path)
    (tmp_path / "train" / "B" / "bass.wav").write_bytes(b"gone bad since")
    table = check_tracks(tracks, workers=2).set_index("track")
    assert list(table.index) == ["A", "B", "C"]
    assert table.loc["A", "problems"] == "" and table.loc["A", "residual_db_worst_channel"] < -80
    assert "cannot be decoded" in table.loc["B", "problems"] and "bass.wav" in table.loc["B", "problems"]
    assert np.isnan(table.loc["B", "duration"])


# --- real clips ------------------------------------------------------------------------------------------------------


def test_real_clips(real):
    (stems,) = find_tracks(real / "musdb18")
    (wavs,) = find_tracks(real / "musdb18hq")
    assert (stems.name, stems.subset, stems.sources) == ("Music Delta - 80s Rock", "train", FOUR)
    assert (wavs.name, wavs.subset, wavs.sources) == ("Mu - Too Bright", "test", FOUR)
    for track in (stems, wavs):
        check = check_track(track)
        assert check.problems == ()
        assert -35 < check.residual_db < -30  # AAC's noise; these WAV excerpts were decoded from it
        assert all(-35 < db < -30 for db in check.residual_db_per_channel)


def test_what_is_known_of_musdb():
    assert len(musdb18.validation_tracks()) == 14
    assert musdb18.stream_names() == ("mixture", *FOUR)
    assert musdb18.composites()["accompaniment"] == {"drums", "bass", "other"}
    assert musdb18.sample_url().startswith("https://") and musdb18.sample_url().endswith(".zip")


def test_a_cut_is_a_track_of_its_own(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "train" / "song"
    folder.mkdir(parents=True)
    for name in ("bass", "drums", "mixture"):
        soundfile.write(folder / f"{name}.wav", rng.uniform(-0.5, 0.5, 8000), 1000)
    whole = find_tracks(tmp_path)[0]
    cut = whole.cut(2.0, 3.0)
    assert (cut.duration, cut.samples) == (3.0, 3000)
    np.testing.assert_array_equal(cut.stems(), whole.stems()[..., 2000:5000])
    np.testing.assert_array_equal(cut.mixture(1.0, 0.5), whole.mixture()[..., 3000:3500])
    np.testing.assert_array_equal(cut.stem("bass", start=2.5, duration=9.0), whole.stem("bass")[..., 4500:5000])
    np.testing.assert_array_equal(cut.cut(1.0, 1.0).mixture(), whole.mixture()[..., 3000:4000])
    np.testing.assert_array_equal(whole.middle(2.0).mixture(), whole.mixture()[..., 3000:5000])
    assert whole.middle(99.0).samples == whole.samples
    with pytest.raises(TrackError, match=r"8\.0 s long; there is no 1 s from 8 s"):
        whole.cut(8.0, 1.0)
