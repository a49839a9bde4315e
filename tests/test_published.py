"""Published figures are the published ones, each with its source."""

import pandas as pd
import pytest

from sepnb.metrics import medians
from sepnb.published import published_medians, published_tracks


def test_every_figure_has_a_source_and_every_system_four_stems():
    table = published_medians()
    assert list(table.columns) == ["system", "target", "SDR", "trained_on", "source"]
    assert table.source.str.len().min() > 5 and table.trained_on.str.len().min() > 5
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


def test_it_is_said_who_had_more_songs_than_musdb18():
    trained_on = published_medians().groupby("system").trained_on.first()
    assert trained_on["Open-Unmix"] == "MUSDB18 train"
    assert trained_on["HT Demucs fine-tuned"] == "MUSDB18-HQ train and 800 more songs"
    assert trained_on["UMX-L"] == trained_on["Spleeter 4 stems"] == "private songs"
    assert trained_on["MMDenseLSTM"].endswith("804 more songs")
    oracles = ["IRM1", "IRM2", "multichannel Wiener oracle"]
    assert set(trained_on[oracles]) == {"nothing: an oracle"}


def test_songs_have_four_stems_and_four_scores_in_each_system():
    table = published_tracks()
    assert list(table.columns) == ["system", "track", "target", "SDR", "ISR", "SIR", "SAR", "trained_on", "source"]
    assert len(table) == 14 * 50 * 4 and table.track.nunique() == 50
    assert not table.isna().any().any()
    assert (table.groupby(["system", "track"]).target.agg(tuple) == ("drums", "bass", "other", "vocals")).all()


def test_medians_of_the_songs_are_the_published_medians():
    ours = medians(published_tracks()).stack()
    listed = published_medians().set_index(["system", "target"]).SDR
    assert (ours - listed[ours.index]).abs().max() < 0.006


def test_songs_agree_with_the_collection_they_come_from(real):
    collected = pd.read_csv(real / "published" / "musdb18_test_per_track.csv")
    collected["system"] = collected.system.replace({"MIX": "mixture ÷ 4", "MWF": "multichannel Wiener oracle"})
    keys, scores = ["system", "track", "target"], ["SDR", "ISR", "SIR", "SAR"]
    collected = collected.set_index(keys)
    ours = published_tracks(targets=("bass", "drums", "other", "vocals", "accompaniment")).set_index(keys)
    assert len(ours) == len(collected)
    assert ours[scores].equals(collected.loc[ours.index, scores])
    assert (ours.source == collected.source[ours.index]).all()


def test_systems_and_targets_can_be_chosen():
    table = published_tracks("TAK1", "IRM2", targets=("vocals", "accompaniment"))
    assert list(table.system.unique()) == ["TAK1", "IRM2"] and list(table.target.unique()) == [
        "vocals",
        "accompaniment",
    ]
    assert list(published_tracks("Open-Unmix", targets=("vocals", "accompaniment")).target.unique()) == ["vocals"]
    with pytest.raises(KeyError):
        published_tracks("SCNet")  # whose medians alone are published


def test_an_unknown_system_is_a_key_error():
    with pytest.raises(KeyError):
        published_medians("Spleter")
