"""Separators × tracks → one tidy table of scores."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from sepnb.errors import SepnbError
from sepnb.evaluation.local import Local
from sepnb.evaluation.pairs import LeftOut, Pair, PairScores
from sepnb.evaluation.results import Results
from sepnb.evaluation.systems import System, source_of
from sepnb.separators import Bindable, Separator
from sepnb.tracks import Track


def evaluate(
    separators: Iterable[Separator | Bindable | str | Path],
    tracks: Sequence[Track],
    seconds: float | None = None,
    workers: int = 1,
    out: Path | str | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Score every separator on every track: a row per system, track, target and frame.

    Columns: system, track, target, frame (1-second windows, counted from 0), SDR, ISR, SIR, SAR (see `bss_eval`) and
    SI-SDR (see `frame_si_sdr`) in dB. Rows stand track by track in the order given, and there system by system.

    Parameters
    ----------
    separators
        Separators, baselines and oracles (which are bound to each track), folders of estimates made elsewhere
        (`EstimatesFolder`), or names and paths that `load_separator` knows: those are loaded when their turn comes.
    tracks
        From `find_tracks`. Stems are matched with a track's sources by name: see `mapping.map_sources`.
    seconds
        Score the middle of each track only. Numbers are then quick, and rough.
    workers
        Processes that score. Separating stays in this process.
    out
        A folder (see `sepnb.evaluation.results`). Each pair of system and track is written to it when it is finished; a
        run that was stopped goes on from there. A finished pair is scored again only where what it depended on has
        changed (the system's settings and weights, the track's files, `seconds`, the metrics), and a warning says so.
    scheduler
        Address of a dask.distributed scheduler, as in "tcp://10.0.0.1:8786": each pair is one task for its workers,
        which load the separators and read the tracks themselves, so files must lie there under the same paths.
    device
        Where networks that are given by name run, "cpu" or "cuda"; with a scheduler, on its workers.

    A system that cannot be loaded (its weights are not there and cannot be fetched), a track that cannot be read and a
    pair that fails are left out with a warning, the others go on; `attrs["left_out"]` of the table lists them as
    dicts of system, track and reason. Raises SepnbError where two systems or two tracks have one name, and where
    nothing at all could be scored.
    """
    sources, tracks = [source_of(item) for item in separators], list(tracks)
    if not sources or not tracks:
        raise SepnbError("nothing to score: no separators or no tracks were given")
    _refuse_doubles([track.name for track in tracks], "tracks")
    results = Results(out) if out is not None else None
    left_out: list[LeftOut] = []

    def leave_out(left: LeftOut) -> None:
        if left not in left_out:  # an unreadable track fails with each system
            left_out.append(left)
            warnings.warn(str(left), stacklevel=3)

    with _place(scheduler, workers, device) as place:
        systems = []
        for source in sources:
            try:
                systems.append(System(source, place.describe(source)))
            except (SepnbError, OSError) as error:
                leave_out(LeftOut(source if isinstance(source, str) else source.name, None, str(error)))
        _refuse_doubles([system.name for system in systems], "systems")
        pairs = _pairs(systems, tracks, seconds)
        done = _finished(pairs, results) if results else {}
        waiting = [pair for pair in pairs if pair.number not in done]
        with tqdm(total=len(pairs), initial=len(done), desc="scoring", unit="song") as bar:
            for pair, scores in place.score(waiting):
                if isinstance(scores, LeftOut):
                    leave_out(scores)
                else:
                    done[pair.number] = scores
                    if results:
                        results.keep(pair, scores)
                bar.update()
    scored = [(pair, done[pair.number]) for pair in sorted(pairs, key=lambda pair: pair.number) if pair.number in done]
    if results:
        results.finish(scored, left_out)
    if not scored:
        raise SepnbError("nothing could be scored: " + "; ".join(map(str, left_out)))
    table = pd.concat([scores.table(p.system.name, p.track.name) for p, scores in scored], ignore_index=True)
    table.attrs["left_out"] = [dict(vars(left)) for left in left_out]
    return table


def _place(scheduler: str | None, workers: int, device: str) -> Local:
    if scheduler is None:
        return Local(workers, device)
    from sepnb.evaluation.cluster import Cluster

    return Cluster(scheduler, device)


def _pairs(systems: Sequence[System], tracks: Sequence[Track], seconds: float | None) -> list[Pair]:
    """All pairs, in the order of work: a system is loaded once, does all tracks, and makes room for the next."""
    cut = [track if seconds is None else track.middle(seconds) for track in tracks]
    return [
        Pair(place * len(systems) + number, system, track)
        for number, system in enumerate(systems)
        for place, track in enumerate(cut)
    ]


def _finished(pairs: Sequence[Pair], results: Results) -> dict[int, PairScores]:
    done, again = {}, Counter()
    for pair in pairs:
        scores, why = results.finished(pair)
        if scores is not None:
            done[pair.number] = scores
        elif why:
            again[pair.system.name, why] += 1
    for (system, why), count in again.items():
        tracks = "1 track" if count == 1 else f"{count} tracks"
        warnings.warn(f"{system} is scored again on {tracks}, for what it depended on has changed: {why}", stacklevel=3)
    return done


def _refuse_doubles(names: Sequence[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        hint = "a run goes by its folder's name, so rename one" if what == "systems" else "give each one name"
        raise SepnbError(f"two {what} are called {twice[0]!r}, and the table could not tell them apart: {hint}")
