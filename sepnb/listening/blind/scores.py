"""Scores of the very excerpts that listeners heard, to be set beside their ratings."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.evaluation.pairs import references_of
from sepnb.listening.blind.items import ANCHOR, Item
from sepnb.metrics import bss_eval, si_sar, si_sdr, si_sir
from sepnb.tracks import Track


def item_scores(
    items: Sequence[Item], song: Track, estimates: Mapping[str, Mapping[str, np.ndarray]], *, anchor: bool = False
) -> pd.DataFrame:
    """Every system on each item of a song, and with `anchor` the mixture: columns system, track, target, scores in dB.

    `song` and `estimates` as they were given to `make_items`. SDR, ISR, SIR and SAR (BSSEval v4) are medians over
    frames of a second, SI-SDR, SI-SIR and SI-SAR are of the whole excerpt. Where a system does not give all stems of
    the song, what it leaves of the mixture is scored as one more stem, since interference and artefacts are told apart
    by all that sounds. The mixture has no artefacts, so its SAR and SI-SAR are NaN. Items that begin at one place take
    less time than those that do not. Raises SepnbError where an item is of another song.
    """
    stems, mixture = dict(zip(song.sources, references_of(song), strict=True)), song.mixture()
    sounds = {**estimates, ANCHOR: dict.fromkeys(stems, mixture)}
    known: dict[tuple[str, int, int], pd.DataFrame] = {}
    rows = []
    for item in items:
        if item.track != song.name:
            raise SepnbError(f"{item.name!r} is no item of {song.name!r}")
        first = round(item.start * song.rate)
        last = first + round(item.seconds * song.rate)
        for system in (*item.systems, ANCHOR) if anchor else item.systems:
            if (system, first, last) not in known:
                cut = np.s_[:, first:last]
                given = {name: audio[cut] for name, audio in sounds[system].items() if name in stems}
                known[system, first, last] = _scores(
                    {name: stem[cut] for name, stem in stems.items()}, given, song.rate
                )
            found = known[system, first, last].loc[item.target]
            if system == ANCHOR:
                found = found.drop(["SAR", "SI-SAR"])
            rows.append({"system": system, "track": item.track, "target": item.target, **found})
    return pd.DataFrame(rows)


def _scores(stems: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], rate: int) -> pd.DataFrame:
    """Scores (columns) of the stems that a system gives (rows)."""
    references, estimates = [stems[name] for name in given], list(given.values())
    if left := [stem for name, stem in stems.items() if name not in given]:
        references.append(np.sum(left, axis=0))
        estimates.append(np.sum(list(stems.values()), axis=0) - np.sum(estimates, axis=0))
    pair = np.stack(references), np.stack(estimates)
    bss = bss_eval(*pair, rate)
    found = {"SDR": bss.sdr, "ISR": bss.isr, "SIR": bss.sir, "SAR": bss.sar}
    table = {name: [_median(frames) for frames in values] for name, values in found.items()}
    table |= {"SI-SDR": si_sdr(*pair), "SI-SIR": si_sir(*pair), "SI-SAR": si_sar(*pair)}
    return pd.DataFrame(table).iloc[: len(given)].set_axis(list(given))


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan
