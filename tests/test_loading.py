"""Loading is measured where it says, and songs in stem files are those that were put in."""

import numpy as np
import pytest
import soundfile

from sepnb import audio
from sepnb.band import make_band
from sepnb.batches import Augment, Batches
from sepnb.errors import TrackError
from sepnb.loading import aac_residual, as_stem_files, chunks_per_second
from sepnb.store import prepare
from sepnb.tracks import find_tracks

RATE = 44100


@pytest.fixture
def tracks(tmp_path):
    rng = np.random.default_rng(0)
    for subset in ("train", "test"):
        folder = tmp_path / "wav" / subset / f"{subset} song"
        folder.mkdir(parents=True)
        for stem in ("drums", "bass", "other", "vocals"):
            soundfile.write(folder / f"{stem}.wav", rng.normal(0, 0.05, (RATE, 2)), RATE)
    return find_tracks(tmp_path / "wav")


def test_stem_files_hold_mixture_and_stems_and_are_made_once(tracks, tmp_path):
    encoded = as_stem_files(tracks, tmp_path / "mp4")
    assert [(track.name, track.subset) for track in encoded] == [("train song", "train"), ("test song", "test")]
    streams, _ = audio.read_stems(encoded[0].files[0])
    assert len(streams) == 5
    # AAC codes noise poorly; that the first stream is the mixture shows all the same.
    similar = [np.corrcoef(streams[0, 0], other)[0, 1] for other in (streams[1:, 0].sum(axis=0), streams[1, 0])]
    assert similar[0] > 0.9 > 0.7 > similar[1]
    made = encoded[0].files[0].stat().st_mtime_ns
    assert as_stem_files(tracks, tmp_path / "mp4")[0].files[0].stat().st_mtime_ns == made


@pytest.fixture(scope="module")
def band(tmp_path_factory):
    """A song for training and one for validation, which AAC codes as it does music."""
    folder = tmp_path_factory.mktemp("band")
    return find_tracks(make_band(folder, subsets={"train": 1, "valid": 1}, seconds=2.5, progress=False))


def test_stems_out_of_aac_are_close_and_in_time(band, tmp_path):
    table = aac_residual(band, tmp_path)
    assert list(table["source"][:5]) == ["mixture", "drums", "bass", "other", "vocals"]
    assert set(table["track"]) == {track.name for track in band} and len(table) == 10
    assert (table["delay"] == 0).all()
    assert table["residual"].between(-60, -15).all()
    assert table["longer"].between(0, 1024).all()


def test_a_delay_and_a_change_are_measured(band, tmp_path):
    track = band[0]
    as_stem_files([track], tmp_path)
    copy = tmp_path / track.subset / f"{track.name}.stem.mp4"
    stems = np.concatenate([track.mixture()[None], track.stems()])
    late = np.pad(stems, ((0, 0), (0, 0), (700, 0)))[..., :-700]
    late[2] = stems[2] / 2  # the bass: in time, at half its level
    late[4] = np.pad(stems[4], ((0, 0), (0, 300)))[..., 300:]
    audio.write_stems(copy, late, track.rate)
    table = aac_residual([track], tmp_path).set_index("source")
    assert table["delay"].to_dict() == {"mixture": 700, "drums": 700, "bass": 0, "other": 700, "vocals": -300}
    assert table.loc["bass", "residual"] == pytest.approx(-6.0, abs=0.2)
    assert table.loc["drums", "residual"] > 0


def test_a_silent_stem_has_no_residual(tmp_path):
    for stem in ("drums", "bass", "other", "vocals"):
        sound = np.zeros((2, RATE), np.float32)
        if stem == "drums":
            sound[:] = 0.1 * np.sin(np.arange(RATE) / 20)
        audio.write(tmp_path / "song" / f"{stem}.wav", sound, RATE)
    table = aac_residual(find_tracks(tmp_path / "song"), tmp_path / "mp4").set_index("source")
    assert table.loc["vocals", ["residual", "delay"]].isna().all()
    assert table.loc["drums", "residual"] < -20


def test_files_of_another_excerpt_and_other_sources_are_refused(band, tmp_path):
    as_stem_files([band[0].middle(1.5)], tmp_path / "mp4")
    with pytest.raises(TrackError, match="made of another excerpt"):
        aac_residual(band[:1], tmp_path / "mp4")
    for stem in ("vocals", "accompaniment"):
        audio.write(tmp_path / "two" / f"{stem}.wav", np.full((1, 800), 0.1, np.float32), 8000)
    with pytest.raises(TrackError, match="has the sources .*accompaniment.*a stem file has"):
        as_stem_files(find_tracks(tmp_path / "two"), tmp_path / "mp4")


def test_stores_of_both_kinds_give_the_same_batches_but_for_the_coding(band, tmp_path):
    encoded = as_stem_files(band, tmp_path / "mp4")
    assert [track.subset for track in encoded] == [track.subset for track in band] == ["train", "valid"]
    stores = [prepare(tracks, tmp_path / name, progress=False).store for tracks, name in ((band, "a"), (encoded, "b"))]
    assert stores[0].sources == stores[1].sources
    for entry, other in zip(stores[0].entries, stores[1].entries, strict=True):
        assert (entry.name, entry.subset) == (other.name, other.subset)
        assert other.samples == entry.samples
        original, decoded = stores[0].read(entry.name), stores[1].read(entry.name)
        wrong = 10 * np.log10(np.square(decoded - original).sum((1, 2)) / np.square(original).sum((1, 2)))
        assert (wrong < -15).all()
    one, two = (next(Batches(store, 1.0, 8, augment=Augment(), threads=1)) for store in stores)
    wrong = (two - one).square().sum(dim=(0, 2, 3)) / one.square().sum(dim=(0, 2, 3))
    assert (wrong < 0.032).all()  # −15 dB: the same chunks, coded


def test_every_place_gives_a_rate_and_counts_only_what_was_loaded(tracks, tmp_path, monkeypatch):
    store = prepare(tracks, tmp_path / "store").store
    assert chunks_per_second(store, seconds=0.2, budget=0.1) > 0
    assert chunks_per_second(tracks, seconds=3.0, budget=0.1) > 0  # longer than the songs: what there is

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    read = type(tracks[0]).stems

    def slow(self, start, duration):
        clock.now += 0.5
        return read(self, start, duration)

    monkeypatch.setattr("sepnb.loading.time", clock)
    monkeypatch.setattr(type(tracks[0]), "stems", slow)
    assert chunks_per_second(tracks, seconds=0.2, budget=10.0) == pytest.approx(2.0)
