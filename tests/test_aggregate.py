"""Medians as the field takes them, and what a system gains over the mixture."""

import numpy as np
import pandas as pd
import pytest

from sepnb.errors import SepnbError
from sepnb.metrics import common_targets, improvement, medians, track_medians


def table(frames: dict[tuple[str, str, str], list[float]]) -> pd.DataFrame:
    """Frames by (system, track, target)."""
    rows = [(*key, frame, value) for key, values in frames.items() for frame, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["system", "track", "target", "frame", "SDR"])


def test_medians_are_over_tracks_of_medians_over_frames():
    frames = {"a": [1.0, 2.0, 30.0], "b": [4.0, np.nan, 6.0], "c": [8.0, 8.0, 8.0]}
    scores = table({("net", track, "vocals"): values for track, values in frames.items()})
    assert medians(scores).loc["net", "vocals"] == 5.0
    assert track_medians(scores)["SDR"].tolist() == [2.0, 5.0, 8.0]


def test_medians_keep_published_rows_that_have_no_track():
    ours = pd.DataFrame({"system": "net", "track": ["a", "b"], "target": "vocals", "frame": 0, "SDR": [1.0, 3.0]})
    theirs = pd.DataFrame({"system": ["paper"], "target": ["vocals"], "SDR": [6.5]})
    both = medians(pd.concat([ours, theirs]))
    assert both["vocals"].to_dict() == {"net": 2.0, "paper": 6.5}


def test_improvement_is_a_difference_a_track():
    scores = table(
        {
            ("mixture", "a", "vocals"): [-5.0, -4.0, -3.0],
            ("net", "a", "vocals"): [0.0, 2.0, 9.0],
            ("mixture", "b", "vocals"): [-10.0],
            ("net", "b", "vocals"): [1.0],
        }
    )
    gained = improvement(scores)
    assert list(gained.columns) == ["system", "track", "target", "SDRi"]
    assert gained[gained.system == "net"]["SDRi"].tolist() == [6.0, 11.0]
    assert medians(gained, "SDRi")["vocals"].to_dict() == {"mixture": 0.0, "net": 8.5}


def test_improvement_is_undefined_where_the_mixture_was_not_scored():
    scores = table({("mixture", "a", "vocals"): [-5.0], ("net", "a", "accompaniment"): [3.0]})
    assert improvement(scores).set_index("system")["SDRi"].isna().to_dict() == {"mixture": False, "net": True}


def test_improvement_over_what_is_not_there_is_refused():
    with pytest.raises(SepnbError, match="no scores of 'mixture' to measure from: score it too; there are net"):
        improvement(table({("net", "a", "vocals"): [1.0]}))


def test_targets_of_a_few_systems_alone_are_not_averaged_over():
    rows = [(system, target) for system in ("a", "b", "c") for target in ("drums", "vocals")]
    rows += [("two stems", "vocals"), ("two stems", "accompaniment")]
    scores = pd.DataFrame(rows, columns=["system", "target"]).assign(SDR=1.0)
    assert common_targets(scores) == ["drums", "vocals"]
    assert common_targets(scores[scores.system == "two stems"]) == ["vocals", "accompaniment"]
