"""The table of scores has a row per system, track, target and frame, and medians as the field takes them."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from sepnb.errors import SepnbError
from sepnb.evaluation import evaluate
from sepnb.metrics import medians
from sepnb.tracks import find_tracks

RATE = 8000


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        folder = root / "test" / name
        folder.mkdir(parents=True)
        for stem in ("vocals", "accompaniment"):
            soundfile.write(folder / f"{stem}.wav", rng.normal(0, 0.1, (4 * RATE, 2)), RATE)
    return find_tracks(root)


def test_a_row_for_everything(tracks):
    scores = evaluate(["silence", "mixture/n", "irm2"], tracks)
    assert list(scores.columns) == ["system", "track", "target", "frame", "SDR", "ISR", "SIR", "SAR"]
    assert len(scores) == 3 * 2 * 2 * 4
    table = medians(scores)
    assert list(table.index) == ["silence", "mixture ÷ N", "IRM2"]
    assert (table.loc["silence"] == 0).all()
    assert (table.loc["IRM2"] > table.loc["mixture ÷ N"]).all()


def test_processes_give_the_same_table_in_the_same_order(tracks):
    systems = ["mixture/n", "irm1"]
    one, two = evaluate(systems, tracks), evaluate(systems, tracks, workers=2)
    # The mixture holds nothing but the stems: its SAR is that of rounding, some 300 dB, and differs with the threads.
    np.testing.assert_array_equal(one.SAR > 80, two.SAR > 80)
    pd.testing.assert_frame_equal(one.drop(columns="SAR"), two.drop(columns="SAR"))
    pd.testing.assert_series_equal(one.SAR.clip(upper=80), two.SAR.clip(upper=80))


def test_the_middle_seconds_alone(tracks):
    scores = evaluate(["mixture"], tracks, seconds=2.0)
    assert sorted(scores.frame.unique()) == [0, 1]


def test_a_system_without_the_tracks_sources_is_named(tracks):
    class Deaf:
        name, sources, rate = "deaf", ("vocals",), RATE

        def __call__(self, mixture, rate):
            return {"vocals": mixture}

    with pytest.raises(SepnbError, match="deaf gives vocals, not the accompaniment that 'a' has"):
        evaluate([Deaf()], tracks)


def test_less_than_a_window_is_said(tracks):
    with pytest.raises(SepnbError, match="0.5 s hold no window to score"):
        evaluate(["silence"], tracks, seconds=0.5)


def test_nothing_to_score_is_said(tracks):
    with pytest.raises(SepnbError, match="nothing to score"):
        evaluate([], tracks)
