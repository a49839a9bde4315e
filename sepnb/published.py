"""Scores that others published, to put beside ours."""

from collections.abc import Sequence
from importlib.resources import files

import pandas as pd

SCORES = ["SDR", "ISR", "SIR", "SAR"]
STEMS = ("drums", "bass", "other", "vocals")


def published_medians(*systems: str) -> pd.DataFrame:
    """Published SDR on MUSDB18 test, BSSEval v4, median over tracks of the median over frames, in dB.

    Columns: system, target, SDR, trained_on, source. `trained_on` says what a system has learned from, so that one can
    see which had more songs than others; none of these has seen the test songs. With names, those systems alone, in the
    order given; KeyError for one that is not in the table. Each row names where its figure comes from.
    """
    return _chosen(_with_facts(_table("medians")), systems)


def published_tracks(*systems: str, targets: Sequence[str] = STEMS) -> pd.DataFrame:
    """Published SDR, ISR, SIR and SAR of each of the 50 songs of MUSDB18 test, BSSEval v4, median over frames, in dB.

    Columns: system, track, target, SDR, ISR, SIR, SAR, trained_on, source: a table like that of `sepnb.evaluate`,
    without frames. There are fewer systems than in `published_medians`, under the same names. With names, those systems
    alone, in the order given; KeyError for one without figures by track. `targets` may name "accompaniment" as well,
    which some of them have.
    Source: SiSEC 2018 (Stöter, Liutkus, Ito, LVA/ICA 2018) and the result files in the history of the Demucs project.
    """
    wide = _table("tracks").set_index(["system", "track"])  # a column for each target and score, "drums SDR"
    parts = [
        wide[[f"{target} {score}" for score in SCORES]].set_axis(SCORES, axis="columns").assign(target=target)
        for target in targets
    ]
    tidy = pd.concat(parts).dropna(subset=SCORES, how="all").loc[wide.index.unique()].reset_index()
    return _chosen(_with_facts(tidy[["system", "track", "target", *SCORES]]), systems)


def _table(name: str) -> pd.DataFrame:
    with (files("sepnb") / "tables" / f"published_{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _with_facts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what each system was trained on and where its figures stand."""
    return table.merge(_table("systems"), on="system", how="left", validate="many_to_one")


def _chosen(table: pd.DataFrame, systems: tuple[str, ...]) -> pd.DataFrame:
    if not systems:
        return table
    groups = dict(list(table.groupby("system", sort=False)))
    return pd.concat([groups[system] for system in systems], ignore_index=True)
