"""Scores in museval's format: its own classes read them, and they say what the table says."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from songs import song

from sepnb import audio
from sepnb.evaluation import EstimatesFolder, evaluate
from sepnb.evaluation.museval_json import museval_scores
from sepnb.evaluation.pairs import PairScores
from sepnb.metrics import medians
from sepnb.tracks import find_tracks


@pytest.fixture
def aggregate(monkeypatch) -> ModuleType:
    """museval.aggregate, without the package's own import, which needs the ffmpeg program."""
    package = Path(importlib.util.find_spec("museval").submodule_search_locations[0])
    stand_in = ModuleType("museval")
    stand_in.__path__ = [str(package)]
    monkeypatch.setitem(sys.modules, "museval", stand_in)
    monkeypatch.delitem(sys.modules, "museval.aggregate", raising=False)
    return importlib.import_module("museval.aggregate")


def pair_scores(**frames: list[list[float]]) -> PairScores:
    arrays = {name: np.array(frames.get(name, [[1.0, 2.0]])) for name in ("SDR", "ISR", "SIR", "SAR", "SI-SDR")}
    return PairScores(("vocals",), arrays, {"uSDR": np.zeros(1), "SI-SAR": np.zeros(1)})


def test_musevals_own_store_reads_them_and_finds_the_same_medians(aggregate, tmp_path):
    for number, name in enumerate(("A - One", "B - Two")):
        song(tmp_path / "songs" / "test" / name, number, ("vocals", "accompaniment"), seconds=2, channels=1)
    table = evaluate(["silence", "irm2"], find_tracks(tmp_path / "songs"), out=tmp_path / "out")
    methods = aggregate.MethodStore()
    for folder in sorted((tmp_path / "out" / "museval").iterdir()):
        methods.add_eval_dir(folder)
    theirs = methods.agg_frames_tracks_scores().unstack("target").xs("SDR", level="metric")
    ours = medians(table).loc[theirs.index, theirs.columns]
    assert list(theirs.index) == ["IRM2", "silence"]
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert set(methods.df["track"]) == {"A - One", "B - Two"}


def test_they_keep_to_musevals_schema(aggregate):
    store = aggregate.TrackStore("song")
    store.scores = museval_scores(pair_scores())
    store.validate()
    assert store.df.query("metric == 'SDR'")["score"].tolist() == [1.0, 2.0]


def test_five_decimals_and_not_a_number_for_infinity():
    (target,) = museval_scores(pair_scores(SDR=[[1.23456789, np.inf]], SIR=[[np.nan, -np.inf]]))["targets"]
    first, second = (frame["metrics"] for frame in target["frames"])
    assert first["SDR"] == 1.23457
    assert np.isnan([second["SDR"], first["SIR"], second["SIR"]]).all()
    assert [frame["time"] for frame in target["frames"]] == [0.0, 1.0]


def test_the_same_structure_as_musevals_published_regression_file(real, tmp_path):
    """museval's own result, of its estimates on its song, key for key, and its SDR.

    The other ratios hang on the rounding of these references (AAC leaves their system nearly singular): test_bsseval.
    """
    published = json.loads((real / "published" / "museval - Music Delta - 80s Rock.json").read_text())
    track = find_tracks(real / "musdb18")[0]
    np.random.seed(0)  # noqa: NPY002 -- museval drew from the global generator
    for name in ("vocals", "accompaniment"):
        drawn = np.random.random((track.samples, track.channels)).T  # noqa: NPY002
        audio.write(tmp_path / "random" / track.name / f"{name}.wav", drawn, track.rate, "32f")
    evaluate([EstimatesFolder.open(tmp_path / "random")], [track], out=tmp_path / "out")
    (path,) = (tmp_path / "out" / "museval" / "random").rglob("*.json")
    assert path.relative_to(tmp_path / "out" / "museval" / "random").as_posix() == f"train/{track.name}.json"
    ours = json.loads(path.read_text())

    def structure(value):
        if isinstance(value, dict):
            return {key: structure(inner) for key, inner in value.items()}
        return [structure(inner) for inner in value] if isinstance(value, list) else None

    assert structure(ours["targets"]) == structure(published["targets"])
    for mine, theirs in zip(ours["targets"], published["targets"], strict=True):
        assert mine["name"] == theirs["name"]
        for frame, expected in zip(mine["frames"], theirs["frames"], strict=True):
            assert (frame["time"], frame["duration"]) == (expected["time"], expected["duration"])
            assert frame["metrics"]["SDR"] == pytest.approx(expected["metrics"]["SDR"], abs=0.001)
