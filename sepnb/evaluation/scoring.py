"""Separators × tracks → one tidy table of scores."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tqdm.auto import tqdm

from sepnb.errors import SepnbError
from sepnb.evaluation.local import Local
from sepnb.evaluation.pairs import Failure, LeftOut, Pair, PairScores, attempt
from sepnb.evaluation.results import Results
from sepnb.evaluation.systems import System, description_of, early_name, source_of
from sepnb.separators import Bindable, Separator
from sepnb.tracks import Track

if TYPE_CHECKING:
    from sepnb.evaluation.cluster import Cluster


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
        Processes that score. Separating stays in this process. Where one dies, the rest is scored in this process too.
    out
        A folder (see `sepnb.evaluation.results`). Each pair of system and track is written to it when it is finished; a
        run that was stopped goes on from there. A finished pair is scored again only where what it depended on has
        changed (the system's settings and weights, the track's files, `seconds`, the metrics), and a warning says so.
    scheduler
        Address of a dask.distributed scheduler, as in "tcp://10.0.0.1:8786": each pair is one task for its workers,
        which load the separators and read the tracks themselves, so files must lie there under the same full paths.
    device
        Where networks that are given by name run, "cpu" or "cuda"; with a scheduler, on its workers.

    A system that cannot be loaded (its weights are not there and cannot be fetched), a track that cannot be read and a
    pair that fails, for whatever reason, are left out with a warning, the others go on; `attrs["left_out"]` of the
    table lists them as dicts of system, track, reason and details: a traceback where the reason was not foreseen.
    `attrs["notes"]` says what was done to estimates before they were scored (stems summed, lengths mended). What
    was finished before of a system that cannot be loaded now stays in the table. A run that is interrupted writes the
    tables of what it has. Raises SepnbError where two systems or two tracks have one name (two systems for which that
    is seen only when they are loaded: the second is left out), where a cluster is lost, and where nothing at all could
    be scored.
    """
    sources, tracks = [source_of(item) for item in separators], list(tracks)
    if not sources or not tracks:
        raise SepnbError("nothing to score: no separators or no tracks were given")
    _refuse_doubles([track.name for track in tracks], "tracks")
    _refuse_doubles([early_name(source) for source in sources], "systems")
    cut = [track if seconds is None else track.middle(seconds) for track in tracks]
    results = Results(out) if out is not None else None
    with tqdm(total=len(sources) * len(cut), desc="scoring", unit="pair") as bar:
        run = _Run(sources, cut, results, bar)
        try:
            with _place(scheduler, workers, device) as place:
                for pair, outcome in place.score(run.waiting(place)):
                    run.take(pair, outcome)
        finally:
            run.finish()
    if not run.scored:
        raise SepnbError("nothing could be scored: " + "; ".join(map(str, run.left_out)))
    table = pd.concat([scores.table(p.system.name, p.track.name) for p, scores in run.scored], ignore_index=True)
    table.attrs["left_out"] = [dict(vars(left)) for left in run.left_out]
    notes = (f"{pair.system.name}: {note}" for pair, scores in run.scored for note in scores.notes)
    table.attrs["notes"] = list(dict.fromkeys(notes))
    return table


def _place(scheduler: str | None, workers: int, device: str) -> "Local | Cluster":
    if scheduler is None:
        return Local(workers, device)
    from sepnb.evaluation.cluster import Cluster

    return Cluster(scheduler, device)


class _Run:
    """Where an evaluation stands: what is done, what is left out, what waits."""

    def __init__(
        self, sources: Sequence[Separator | Bindable | str], tracks: Sequence[Track], results: Results | None, bar: tqdm
    ) -> None:
        self.left_out: list[LeftOut] = []
        self.not_tried = len(sources) * len(tracks)
        self._sources, self._tracks, self._results, self._bar = sources, tracks, results, bar
        self._done: dict[int, tuple[Pair, PairScores]] = {}
        self._names: set[str] = set()
        self._not_come_to = list(enumerate(sources))

    @property
    def scored(self) -> list[tuple[Pair, PairScores]]:
        """What the table holds, in its order."""
        return [self._done[number] for number in sorted(self._done)]

    def waiting(self, place: "Local | Cluster") -> Iterator[Pair]:
        """The pairs that are to be scored, in the order of work: a system does all tracks and makes room for the next.

        Each system is loaded when it is come to, and what is finished of it is looked up.
        """
        for number, source in enumerate(self._sources):
            description = place.describe(source)
            self._not_come_to.pop(0)
            if isinstance(description, Failure):
                self._go_without(number, source, description)
            elif description["name"] in self._names:
                self._leave_out_system(source, Failure(_one_name(description["name"])))
            else:
                self._names.add(description["name"])
                yield from self._unfinished(self._pairs(number, System(source, description)))

    def take(self, pair: Pair, outcome: PairScores | Failure) -> None:
        """What came of a pair."""
        if isinstance(outcome, Failure):
            self._leave_out(LeftOut.because(outcome, pair))
        else:
            self._done[pair.number] = pair, outcome
            if self._results:
                self._results.keep(pair, outcome)
        self._count(1)

    def finish(self) -> None:
        """Write the tables; in a run that is stopped also of what stands of the systems that it did not come to."""
        if not self._results or self.not_tried == len(self._sources) * len(self._tracks):
            return
        for number, source in self._not_come_to:
            self._take_kept(number, source)
        self._results.finish(self.scored, self.left_out, self.not_tried)

    def _pairs(self, number: int, system: System) -> list[Pair]:
        return [Pair(place * len(self._sources) + number, system, track) for place, track in enumerate(self._tracks)]

    def _unfinished(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Take what is finished, and say why the rest is scored again where it was scored before."""
        if not self._results:
            return list(pairs)
        waiting, again = [], Counter()
        for pair in pairs:
            scores, why = self._results.finished(pair)
            if scores is not None:
                self._done[pair.number] = pair, scores
                continue
            waiting.append(pair)
            if why:
                again[why] += 1
        self._count(len(pairs) - len(waiting))
        for why, count in again.items():
            tracks = "1 track" if count == 1 else f"{count} tracks"
            said = f"is scored again on {tracks}, for what it depended on has changed: {why}"
            self._warn(f"{pairs[0].system.name} {said}")
        return waiting

    def _go_without(self, number: int, source: Separator | Bindable | str, failure: Failure) -> None:
        """A system cannot be loaded: its scores from an earlier run stand, as what it was then."""
        name, finished = self._take_kept(number, source)
        if not finished:
            self._leave_out_system(source, failure)
            return
        stands = "its scores of an earlier run stand, of what it was then"
        if finished == len(self._tracks):
            self._warn(f"{name} cannot be loaded, {stands}: {failure.reason}")
            return
        reason = f"{failure.reason} (on {finished} of {len(self._tracks)} tracks {stands})"
        self._leave_out(LeftOut(name, None, reason, failure.details))
        self._count(len(self._tracks) - finished)

    def _take_kept(self, number: int, source: Separator | Bindable | str) -> tuple[str, int]:
        """Take what is finished of a system without loading it: its name, and how many tracks."""
        if isinstance(source, str):
            known = self._results.description(source) if self._results else None
        else:
            known = attempt(description_of, source)
        if not isinstance(known, dict) or known["name"] in self._names or not self._results:
            return "", 0
        found = [(pair, self._results.finished(pair)[0]) for pair in self._pairs(number, System(source, known))]
        finished = {pair.number: (pair, scores) for pair, scores in found if scores is not None}
        self._done |= finished
        if finished:
            self._names.add(known["name"])
        self._count(len(finished))
        return known["name"], len(finished)

    def _leave_out_system(self, source: Separator | Bindable | str, failure: Failure) -> None:
        name = source if isinstance(source, str) else source.name
        self._leave_out(LeftOut(name, None, failure.reason, failure.details))
        self._count(len(self._tracks))

    def _leave_out(self, left: LeftOut) -> None:
        if left not in self.left_out:  # an unreadable track fails with each system
            self.left_out.append(left)
            self._warn(str(left))

    def _warn(self, said: str) -> None:
        self._bar.clear()  # the warning is not to stand behind the bar, on its line
        warnings.warn(said, stacklevel=2)

    def _count(self, pairs: int) -> None:
        self.not_tried -= pairs
        self._bar.update(pairs)


def _refuse_doubles(names: Sequence[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice and what == "systems":
        raise SepnbError(_one_name(twice[0]))
    if twice:
        raise SepnbError(
            f"two {what} are called {twice[0]!r}, and the table could not tell them apart: give each one name"
        )


def _one_name(system: str) -> str:
    return (
        f"two systems are called {system!r}, and the table could not tell them apart: a run goes by its folder's name, "
        "so rename one"
    )
