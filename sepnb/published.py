"""Scores that others published, to put beside ours."""

from importlib.resources import files

import pandas as pd


def published_medians(*systems: str) -> pd.DataFrame:
    """Published SDR on MUSDB18 test, BSSEval v4, median over tracks of the median over frames, in dB.

    Columns: system, target, SDR, source. With names, those systems alone, in the order given; KeyError for one that is
    not in the table. Each row names where its figure comes from.
    """
    with (files("sepnb") / "tables" / "published_medians.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    if not systems:
        return table
    groups = dict(list(table.groupby("system", sort=False)))
    return pd.concat([groups[system] for system in systems], ignore_index=True)
