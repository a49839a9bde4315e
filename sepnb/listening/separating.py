"""Separating while somebody waits: how far it is, how long it will take, and a way to stop."""

import time
from collections.abc import Callable

import numpy as np

from sepnb.errors import SepnbError
from sepnb.separators.base import Separator
from sepnb.separators.streaming import separate_in_blocks

# done, total and left in seconds: of music, of music, and of waiting (None while nothing is known)
Report = Callable[[float, float, float | None], None]


class Stopped(SepnbError):
    """Somebody said stop; nothing went wrong."""


def separate_with_progress(
    separator: Separator,
    mixture: np.ndarray,
    rate: int,
    report: Report = lambda done, total, left: None,
    should_stop: Callable[[], bool] = lambda: False,
    time_limit: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, np.ndarray]:
    """As `sepnb.separate`, and between blocks tells how far it is and looks whether to go on.

    `mixture` is float32 (channels, samples) at `rate` Hz, and so are the stems. `report` gets the seconds of music done
    and in all, and an estimate of the seconds left to wait (None at first); a separator that does not stream reports
    its beginning and its end. `should_stop` is asked, and `time_limit` in seconds looked at, before the first and after
    every block. Raises Stopped, or SepnbError when the time is over.
    """
    samples = mixture.shape[-1]
    total = samples / rate
    began = clock()

    def look(done: float) -> None:
        if should_stop():
            raise Stopped(f"stopped after {done:.0f} of {total:.0f} s")
        spent = clock() - began
        if time_limit is not None and spent > time_limit and done < total:
            raise SepnbError(
                f"{separator.name} was stopped after {time_limit:g} s, with {done:.0f} of {total:.0f} s of music done: "
                "take a shorter excerpt, or a smaller model"
            )
        report(done, total, spent * (total - done) / done if done else None)

    look(0.0)
    stems: np.ndarray | None = None
    filled = 0
    for block in separate_in_blocks(separator, mixture, rate):
        if stems is None:
            stems = np.empty((*block.shape[:-1], samples), np.float32)
        stems[..., filled : filled + block.shape[-1]] = block
        filled += block.shape[-1]
        look(min(filled / rate, total))
    if stems is None or filled != samples:
        raise SepnbError(f"{separator.name} gave {filled} of {samples} samples: there is nothing to hear")
    return dict(zip(separator.sources, stems, strict=True))


def in_words(seconds: float | None) -> str:
    """Time left as one says it: "about 40 s left", "about 3 min left"; nothing where it is not known."""
    if seconds is None:
        return ""
    if seconds >= 100:
        return f"about {seconds / 60:.0f} min left"
    return f"about {max(1, round(seconds, -1 if seconds > 20 else 0)):.0f} s left"
