"""The loading benchmark reads what it says it reads."""

import numpy as np
import pytest
import soundfile

from sepnb import audio
from sepnb.loading import as_stem_files, chunks_per_second
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
