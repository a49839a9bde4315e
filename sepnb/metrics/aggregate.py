"""Many scores in few numbers, as the field reports them."""

import pandas as pd


def medians(scores: pd.DataFrame, metric: str = "SDR") -> pd.DataFrame:
    """Scores as the literature sums them up: median over tracks of the median over frames; systems × targets, in dB.

    Columns: system, target, the metric, and track and frame where there are several; NaN frames do not count. Rows that
    are medians already, as published ones, have no track.
    """
    by = [column for column in ("system", "target", "track") if column in scores]
    of_tracks = scores.groupby(by, sort=False, dropna=False)[metric].median()
    return of_tracks.groupby(["system", "target"], sort=False).median().unstack("target")
