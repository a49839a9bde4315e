"""Pairs on many machines: one task each for the workers of a dask.distributed cluster.

A worker loads a separator once and keeps it, reads the track, separates and scores; the scores come back, and whoever
asked for them writes them. When a worker dies, the scheduler gives its tasks to another.

Workers need sepnb in the same version, and tracks (and runs or folders of weights given by path) under the same
paths. Start one with `dask worker tcp://ADDRESS --nthreads 1`, on a machine with a GPU one for each. On one thread
the outputs of a network differ in the last bits from those on several: the scores do so beyond the sixth decimal.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from sepnb.errors import SepnbError
from sepnb.evaluation.pairs import Failure, Pair, PairScores, attempt, score_stems, separate_pair
from sepnb.evaluation.systems import Loader, description_of
from sepnb.separators import Bindable, Separator, load_separator
from sepnb.track_folders import Part
from sepnb.tracks import Track

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 30  # seconds for a scheduler to answer, and for it to have a worker
RETRIES = 2  # of a task that raised something unforeseen, such as a machine out of memory

# One of each in a worker process. Its threads score side by side, but separate one after the other.
_load = Loader(keep=2)
_separating = Lock()


class Cluster:
    """A dask.distributed cluster by its scheduler's address; networks run on `device` of each worker.

    Raises SepnbError where the package is missing, the scheduler does not answer, or it has no worker.
    """

    def __init__(self, address: str, device: str = "cpu") -> None:
        self._device = device
        self._client = _connect(address)
        self._sent: dict[int, Future] = {}  # separators that are objects, by id

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._sent.clear()
        self._client.close()

    def describe(self, source: Separator | Bindable | str) -> dict[str, Any] | Failure:
        """What a system is, or why it cannot be loaded: a name or path is asked of a worker, which loads it."""
        if not isinstance(source, str):
            return attempt(description_of, source)
        return _outcome(self._client.submit(_describe, source, self._device, pure=False))

    def score(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, PairScores | Failure]]:
        """Each pair with its scores, or why it has none, as they finish; each once."""
        from distributed import as_completed

        pairs = list(pairs)
        if not pairs:
            return
        run = uuid.uuid4().hex[:8]  # tasks of another run have other keys, though they do the same
        tasks = {self._submit(run, pair): pair for pair in pairs}
        try:
            for future in as_completed(list(tasks), loop=self._client.loop):
                pair = tasks.pop(future)
                yield pair, _outcome(future)
                future.release()
        finally:
            self._client.cancel(list(tasks))

    def _submit(self, run: str, pair: Pair) -> "Future":
        key = f"sepnb-{run}-{pair.number}"
        arguments = (
            self._send(pair.system.source),
            self._device,
            _text(pair.system.description),
            _anywhere(pair.track),
        )
        return self._client.submit(_score, *arguments, key=key, pure=False, retries=RETRIES, priority=-pair.number)

    def _send(self, source: Separator | Bindable | str) -> "Separator | Bindable | str | Future":
        """A separator that is an object travels once, as a task of its own that another worker can do again."""
        if isinstance(source, str):
            return source
        if id(source) not in self._sent:
            try:
                self._sent[id(source)] = self._client.submit(_keep, source, pure=False)
            except Exception as error:  # distributed raises what pickling raises, which may be anything
                raise SepnbError(
                    f"{source.name} cannot be sent to other machines ({error}): give it by its name or path"
                ) from error
        return self._sent[id(source)]


def _connect(address: str) -> "Client":
    try:
        from distributed import Client
    except ImportError as error:
        raise SepnbError('scoring on a cluster needs dask.distributed: pip install "sepnb[cluster]"') from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SepnbError(
            f"no scheduler answers at {address} ({error}): start one with `dask scheduler`, which prints its address"
        ) from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        client.close()
        raise SepnbError(f"{address} has no workers: start some with `dask worker {address} --nthreads 1`") from error
    return client


def _outcome(future: "Future") -> Any:
    """What a task gave, or why it failed. Raises SepnbError where the cluster is lost."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        return Failure(f"workers died over it, perhaps for want of memory ({error})")
    except Exception as error:
        if future.status == "error":  # the task raised it, and again when it was tried again
            return Failure.of(error)
        raise SepnbError(
            "the cluster was lost: what is finished stands where a folder was given, run the same again"
        ) from error


def _describe(source: str, device: str) -> dict[str, Any] | Failure:
    """What a separator is, or why it cannot be loaded: as a value, as below."""
    # Loaded anew even if there is one from an earlier run: the file may hold newer weights.
    try:
        with _separating:
            separator = load_separator(source, device)
            description = description_of(separator)
            _load.keep(separator, source, device, _text(description))
    except SepnbError as error:
        return Failure.of(error)
    return description


def _keep(separator: Separator | Bindable) -> Separator | Bindable:
    return separator


def _score(source: Separator | Bindable | str, device: str, known: str, track: Track) -> PairScores | Failure:
    """One pair, whole, on a worker. What a user can mend comes back as a value: the task is not to be tried again."""
    try:
        with _separating:
            separator = _load(source, device, known)
            if _text(description_of(separator)) != known:
                raise SepnbError(f"{source} is not the same on all workers: other weights, or another version of sepnb")
            stems = separate_pair(separator, track)
        return score_stems(stems)
    except SepnbError as error:
        return Failure.of(error)


def _anywhere(track: Track) -> Track:
    """The track with its files by full paths: workers stand in other folders."""

    def full(part: Part) -> Part:
        return replace(part, path=part.path.resolve())

    parts = tuple(tuple(full(part) for part in parts) for parts in track.parts.values())
    mixture = track._mixture  # nobody else asks for it without reading it
    return replace(track, _parts=parts, _mixture=None if mixture is None else full(mixture))


def _text(description: dict[str, Any]) -> str:
    return json.dumps(description, sort_keys=True)
