"""Published figures are the published ones, each with its source."""

import pandas as pd
import pytest

from sepnb.published import published_medians


def test_every_figure_has_a_source_and_every_system_four_stems():
    table = published_medians()
    assert list(table.columns) == ["system", "target", "SDR", "source"]
    assert table.source.str.len().min() > 5
    stems = table.groupby("system").target.agg(lambda targets: sorted(targets))
    assert set(map(tuple, stems)) == {("bass", "drums", "other", "vocals")}


def test_the_trivial_baseline_and_the_report_are_there_as_they_were_published():
    table = published_medians("mixture ÷ 4", "student report's U-Net").set_index(["system", "target"]).SDR
    assert table["mixture ÷ 4"].to_dict() == {"drums": 1.33, "bass": 0.67, "other": 1.16, "vocals": 1.12}
    assert table["student report's U-Net"].to_dict() == {"drums": 2.18, "bass": 0.88, "other": -0.29, "vocals": 1.30}


def test_medians_agree_with_the_collection_they_come_from(real):
    collected = pd.read_csv(real / "published" / "musdb18_test_medians.csv").set_index(["system", "target"]).SDR
    ours = published_medians().set_index(["system", "target"]).SDR
    shared = collected.index.intersection(ours.index)
    assert len(shared) > 30
    assert (collected[shared] - ours[shared]).abs().max() < 0.006


def test_an_unknown_system_is_a_key_error():
    with pytest.raises(KeyError):
        published_medians("Spleter")
