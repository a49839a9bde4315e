"""Many scores in few numbers, as the field reports them."""

import pandas as pd

from sepnb.errors import SepnbError


def medians(scores: pd.DataFrame, metric: str = "SDR") -> pd.DataFrame:
    """Scores as the literature sums them up: median over tracks of the median over frames; systems × targets, in dB.

    Columns: system, target, the metric, and track and frame where there are several; NaN frames do not count. Rows that
    are medians already, as published ones, have no track.
    """
    return track_medians(scores, metric).groupby(["system", "target"], sort=False)[metric].median().unstack("target")


def common_targets(scores: pd.DataFrame) -> list[str]:
    """The targets that more than half of the systems were scored on, in the order of the table: those to average over.

    Systems of two stems among systems of four have a target of their own (accompaniment), and a mean over other targets
    is another number.
    """
    systems = scores.groupby("target", sort=False)["system"].nunique()
    return [target for target, count in systems.items() if 2 * count > scores["system"].nunique()]


def track_medians(scores: pd.DataFrame, metric: str = "SDR") -> pd.DataFrame:
    """Each track's score, the median over its frames, in dB: columns system, track, target and the metric.

    `scores` as `medians` takes them. NaN frames do not count; a track with no other is NaN.
    """
    by = [column for column in ("system", "track", "target") if column in scores]
    return scores.groupby(by, sort=False, dropna=False)[metric].median().reset_index()


def improvement(scores: pd.DataFrame, over: str = "mixture", metric: str = "SDR") -> pd.DataFrame:
    """What each system gains over the mixture ("SDRi"): columns system, track, target and the metric with an i, in dB.

    A track's score minus the score of the system `over` on the same track and target, a score being the median over the
    frames; `medians(improvement(scores), "SDRi")` sums it up. That is how SI-SDRi is reported: a difference an
    utterance, then the average. The mixture as it is stands well below 0 dB of SDR, so SDRi flatters; measured from
    the mixture divided by the number of sources (`over="mixture ÷ N"`), it tells what was learnt.

    NaN for a track or target that `over` was not scored on (a two-stem system beside a mixture scored on four stems).
    Raises SepnbError where `over` is not in the table at all.
    """
    table = track_medians(scores, metric)
    base = table[table["system"] == over]
    if base.empty:
        there = ", ".join(map(str, scores["system"].unique()))
        raise SepnbError(f"no scores of {over!r} to measure from: score it too; there are {there}")
    by = [column for column in ("track", "target") if column in table]
    base = base.rename(columns={metric: "of the mixture"}).drop(columns="system")
    joined = table.merge(base, on=by, how="left")
    joined[f"{metric}i"] = joined[metric] - joined.pop("of the mixture")
    return joined.drop(columns=metric)
