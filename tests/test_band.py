"""The synthetic band: songs that differ, repeat to the sample, sum exactly, and overlap as music does."""

import json
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from benchmarks.band_check import TARGETS, TOLERANCE, ideal_ratio_mask
from sepnb.band import compose, make_band, render_song
from sepnb.band.bass import PATTERNS, bass_line
from sepnb.band.song import MODES, PROGRESSIONS, STYLES
from sepnb.band.voice import SINGERS, write_melody
from sepnb.errors import SepnbError
from sepnb.metrics import frame_sdr

SOURCES = ("drums", "bass", "other", "vocals")


@pytest.fixture(scope="module")
def songs() -> list:
    """One short song of each style."""
    return [render_song(seed, 16.0, 22050) for seed in range(len(STYLES))]


def test_a_song_is_the_same_every_time_and_another_for_every_seed(songs):
    again = render_song(3, 16.0, 22050)
    assert np.array_equal(again.stems, songs[3].stems)
    for source in range(len(SOURCES)):
        assert not np.array_equal(songs[3].stems[source], songs[4].stems[source])


def test_songs_differ_in_what_a_listener_would_notice():
    scores = [compose(seed, 20.0) for seed in range(30)]
    assert len({score.name for score in scores}) >= 29
    assert len({score.tempo for score in scores}) >= 25
    assert max(score.tempo for score in scores) > 1.6 * min(score.tempo for score in scores)
    assert len({str(score.key) for score in scores}) >= 12
    assert {score.style for score in scores} == set(STYLES)
    assert len({tuple(bar.degree for bar in score.bars) for score in scores}) >= 25
    for timbre in ("kit", "bass", "groove", "others"):
        assert len({getattr(score, timbre) for score in scores}) >= 4, timbre


def test_a_song_has_the_shape_and_scale_it_promises(songs):
    for song in songs:
        assert song.sources == SOURCES
        assert song.stems.shape == (4, 2, 16 * 22050)
        assert song.stems.dtype == np.float32
        on_grid = song.stems.astype(np.float64) * 32768
        assert np.array_equal(on_grid, np.rint(on_grid))
        assert 0.85 < np.abs(song.mixture).max() < 1.0
        assert np.array_equal(song.mixture, song.stems.astype(np.float64).sum(axis=0))


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_every_rate_gives_a_song_of_the_same_length(rate):
    song = render_song(7, 5.0, rate)
    assert song.stems.shape == (4, 2, 5 * rate)
    assert song.score == compose(7, 5.0)
    assert all(np.abs(stem).max() > 0.02 for stem in song.stems)


def test_all_stems_sound_in_every_ten_seconds_after_the_intro():
    song = render_song(10, 40.0, 16000)
    intro = sum(bar.section == "intro" for bar in song.score.bars)
    first = song.score.bars[intro].start
    while first + 10.0 <= song.score.seconds:
        heard = song.stems[..., int(first * song.rate) : int((first + 10.0) * song.rate)]
        levels = 10 * np.log10(np.square(heard).mean(axis=(1, 2)) + 1e-12)
        assert levels.min() > levels.max() - 15.0, (first, levels)
        first += 5.0


@pytest.mark.parametrize("seed", range(6))
def test_a_snippet_of_two_seconds_has_all_stems(seed):
    assert np.abs(render_song(seed, 2.0, 8000).stems).max(axis=(1, 2)).min() > 0.02


def test_the_voice_rests_between_phrases_and_in_the_intro():
    score = compose(5, 40.0)
    melody = write_melody(score, SINGERS["tenor"], np.random.default_rng(0))
    assert melody[0].start > 0.9 * next(bar.start for bar in score.bars if bar.section != "intro")
    gaps = [after.start - before.end for before, after in pairwise(melody)]
    assert sum(gap > 0.25 for gap in gaps) >= 3
    assert min(gaps) > -0.1


def test_bass_and_melody_keep_to_the_key():
    for seed in range(12):
        score = compose(seed, 20.0)
        pitches = [syllable.pitch for syllable in write_melody(score, SINGERS["alto"], score.rng("any"))]
        for bar, following in pairwise(score.bars):
            for pattern in PATTERNS["funky"]:
                pitches += [pitch for _, _, pitch in bass_line(score, bar, following, pattern)]
        assert {pitch % 12 for pitch in pitches} <= set(score.key.classes())


def test_chords_sound_in_the_key(songs):
    """Energy near the semitones of the scale outweighs by far that near the five others."""
    for song in songs:
        power = np.abs(np.fft.rfft(song.stems[SOURCES.index("other")].mean(axis=0))) ** 2
        hertz = np.fft.rfftfreq(song.stems.shape[-1], 1 / song.rate)
        heard = (hertz > 80) & (hertz < 250)  # higher up, the partials of a note leave its scale
        semitone = 69 + 12 * np.log2(hertz[heard] / 440)
        near = np.abs(semitone - np.rint(semitone)) < 0.25
        inside = np.isin(np.rint(semitone) % 12, song.score.key.classes())
        assert power[heard][near & inside].sum() > 8 * power[heard][near & ~inside].sum(), song.name


def test_chords_are_never_diminished():
    for mode, progressions in PROGRESSIONS.items():
        scale = [*MODES[mode], *(12 + step for step in MODES[mode])]
        for degree in {degree for progression in progressions for degree in progression}:
            assert scale[degree + 4] - scale[degree] == 7, (mode, degree)


def test_the_bass_is_low_the_hats_are_high_and_the_voice_between():
    song = render_song(0, 16.0, 44100)
    hertz = np.fft.rfftfreq(song.stems.shape[-1], 1 / song.rate)

    def share(source: str, low: float, high: float) -> float:
        power = np.abs(np.fft.rfft(song.stems[SOURCES.index(source)].mean(axis=0))) ** 2
        return power[(hertz >= low) & (hertz < high)].sum() / power.sum()

    assert share("bass", 0, 250) > 0.5
    assert share("vocals", 120, 4000) > 0.8
    assert share("vocals", 4000, 16000) > 1e-4
    assert share("drums", 8000, 16000) > 1e-3


def test_stems_overlap_about_as_much_as_those_of_real_songs():
    """The cheap form of `python -m benchmarks.band_check`: plain frame-wise SDR, a song of each style."""
    songs = [render_song(seed, 14.0) for seed in range(6)]
    excerpts = [song.stems[..., 4 * song.rate : 12 * song.rate] for song in songs]
    estimates = {
        "IRM, α = 2": ideal_ratio_mask,
        "mixture ÷ 4": lambda stems: np.broadcast_to(stems.mean(axis=0), stems.shape),
    }
    for name, estimate in estimates.items():
        medians = [np.nanmedian(frame_sdr(stems, estimate(stems), 44100), axis=1) for stems in excerpts]
        for stem, median in zip(SOURCES, np.median(medians, axis=0), strict=True):
            assert abs(median - TARGETS[name][stem]) < TOLERANCE[name], (name, stem, median)


def test_wav_folders_have_the_layout_of_musdb18_hq_and_sum_exactly(tmp_path):
    out = make_band(tmp_path / "band", songs=3, seconds=4.0, rate=16000, progress=False)
    tracks = sorted(path for path in out.glob("*/*") if path.is_dir())
    assert [path.parent.name for path in tracks].count("train") == 2
    assert [path.parent.name for path in tracks].count("test") == 1
    for track in tracks:
        files = {path.stem: soundfile.read(path, dtype="int16") for path in track.iterdir()}
        assert set(files) == {"mixture", *SOURCES}
        assert {rate for _, rate in files.values()} == {16000}
        total = sum(files[name][0].astype(np.int64) for name in SOURCES)
        assert np.array_equal(total, files["mixture"][0])
    written = json.loads((out / "band.json").read_text())
    first = written["songs"][0]
    rendered = render_song(first["seed"], 4.0, 16000)
    assert rendered.name == first["name"]
    drums, _ = soundfile.read(out / first["subset"] / first["name"] / "drums.wav", dtype="int16")
    assert np.array_equal(drums.T, rendered.stems[0] * 32768)


def test_subsets_are_counted_by_the_caller(tmp_path):
    out = make_band(tmp_path, subsets={"test": 1, "train": 2, "valid": 1}, seconds=2.0, rate=8000, progress=False)
    assert {path.name: len(list(path.iterdir())) for path in out.iterdir() if path.is_dir()} == {
        "train": 2, "valid": 1, "test": 1,
    }  # fmt: skip


def test_stem_mp4_holds_mixture_and_stems(tmp_path):
    from sepnb import audio

    out = make_band(tmp_path, songs=1, seconds=3.0, format="stem.mp4", progress=False)
    (path,) = out.glob("train/*.stem.mp4")
    stems, rate = audio.read_stems(path)
    assert rate == 44100
    assert stems.shape[:2] == (5, 2)
    rendered = render_song(0, 3.0).with_mixture()
    for got, wanted in zip(stems[..., : 3 * rate], rendered, strict=True):
        assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.95


def test_workers_make_the_same_files(tmp_path):
    alone = make_band(tmp_path / "a", songs=2, seconds=2.0, rate=8000, progress=False)
    together = make_band(tmp_path / "b", songs=2, seconds=2.0, rate=8000, workers=2, progress=False)
    files = [path.relative_to(alone) for path in alone.rglob("*.wav")]
    assert len(files) == 10
    for path in files:
        assert (alone / path).read_bytes() == (together / path).read_bytes()


def test_a_second_run_keeps_what_is_whole_and_makes_what_is_missing(tmp_path):
    settings = {"songs": 2, "seconds": 2.0, "rate": 8000, "progress": False}
    out = make_band(tmp_path / "band", **settings)
    kept, lost = (path for path in sorted(out.glob("*/*")) if path.is_dir())
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    for path in lost.iterdir():
        path.unlink()
    lost.rename(lost.with_name(f".partial-{lost.name}"))  # as a run that was killed leaves it
    make_band(out, **settings)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    assert len(list(lost.iterdir())) == 5
    assert not list(out.rglob(".partial*"))


def test_a_folder_with_something_else_is_refused(tmp_path):
    out = make_band(tmp_path / "band", songs=1, seconds=2.0, rate=8000, progress=False)
    with pytest.raises(SepnbError, match=r"other settings \(rate, seed\)"):
        make_band(out, songs=1, seconds=2.0, seed=1, rate=16000, progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("not a band")
    with pytest.raises(SepnbError, match="holds no band"):
        make_band(tmp_path / "mine", songs=1, progress=False)
    (out / "band.json").write_text("{}")
    with pytest.raises(SepnbError, match="not a band's manifest"):
        make_band(out, songs=1, seconds=2.0, rate=8000, progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"songs": 0}, "0 songs"),
        ({"songs": -3}, "songs"),
        ({"subsets": {"training": 2}}, "no subset 'training'"),
        ({"subsets": {"train": -2}}, "songs"),
        ({"format": "mp3"}, "no format 'mp3'"),
        ({"seed": -1}, "seed is -1"),
        ({"seconds": 0.5}, "too short"),
        ({"rate": 100}, "100 Hz"),
        ({"workers": 0}, "0 workers"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(SepnbError, match=message):
        make_band(tmp_path / "band", progress=False, **settings)
    assert not (tmp_path / "band").exists()
