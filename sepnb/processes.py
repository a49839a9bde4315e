"""Work on many things side by side, in processes of their own."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from sepnb.errors import SepnbError

Job = TypeVar("Job")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[tuple[Job, Result]]:
    """Yield each job with its result as they finish; with one worker, in order and in this process.

    `work` is a function of a module (not of a script or notebook); jobs and results can be pickled. Jobs are drawn as
    they are needed, a few ahead, so they may be made on the way. When the caller stops early or `work` raises, jobs
    that have not begun are dropped. Raises SepnbError if a process dies.
    """
    if workers <= 1:
        for job in jobs:
            yield job, work(job)
        return
    # Fresh processes ("spawn"): forking one that runs threads, as a notebook or torch does, can hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    waiting = iter(jobs)
    running: dict[Future[Result], Job] = {}

    def start(count: int) -> None:
        for job in islice(waiting, count):
            with main_without_file():
                running[pool.submit(work, job)] = job

    try:
        start(2 * workers)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                start(1)
                yield job, future.result()
    except BrokenProcessPool as error:
        raise SepnbError(
            "a worker process died, perhaps for want of memory: run the same again with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def main_without_file() -> Iterator[None]:
    """Keep fresh processes from running the user's script again, which they do to have the functions defined there.

    `work` is not defined there, and a script without `if __name__ == "__main__":` would start itself over and over.
    """
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__spec__", "__file__")}
    main.__spec__ = main.__file__ = None
    try:
        yield
    finally:
        vars(main).update(kept)


def _begin() -> None:
    """Set up a worker process: one thread of arithmetic, Ctrl-C left to its parent, and an end when the parent ends."""
    # Read when numpy is loaded, which is later: workers of as many threads as there are cores would share each core.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers, and a pool's workers would wait for work forever."""
    parent_process().join()
    os._exit(1)
