"""The one interface of everything that separates."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from sepnb.audio import resample
from sepnb.errors import SepnbError
from sepnb.tracks import Track


@runtime_checkable
class Separator(Protocol):
    """A system that splits a mixture into named stems.

    Calling it with a mixture (channels, samples) and its rate in Hz gives a dict from source name to audio of the same
    shape and rate as the mixture. A separator may have `settings`, a dict of what its results depend on besides the
    mixture: see `describe`.
    """

    name: str
    sources: tuple[str, ...]
    rate: int

    def __call__(self, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]: ...


@runtime_checkable
class Bindable(Protocol):
    """A baseline or oracle that needs to know the track before it can separate it."""

    name: str

    def bind(self, track: Track) -> Separator: ...


def describe(separator: Separator | Bindable) -> dict[str, Any]:
    """What a separator is and what its results depend on: plain values that JSON can hold.

    Name, sources and rate (where it has them before it is bound), and its settings: digest of the weights, segment,
    overlap, shifts, seed, as the family has them. Equal descriptions mean equal results on one machine.
    """
    described: dict[str, Any] = {"name": separator.name}
    if isinstance(separator, Separator):
        described |= {"sources": list(separator.sources), "rate": separator.rate}
    return described | dict(getattr(separator, "settings", {}))


def separate(separator: Separator, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """Separate a mixture of any rate: resampled to the separator's rate and back where they differ.

    `mixture` is float32 (channels, samples), `rate` in Hz; the stems come back in the mixture's shape and rate.
    Raises SepnbError where the mixture is not (channels, samples).
    """
    if mixture.ndim != 2:
        raise SepnbError(f"a mixture is (channels, samples); this one has shape {mixture.shape}")
    if rate == separator.rate:
        return separator(mixture, rate)
    stems = separator(resample(mixture, rate, separator.rate), separator.rate)
    return {name: _fit(resample(stem, separator.rate, rate), mixture.shape[-1]) for name, stem in stems.items()}


def _fit(audio: np.ndarray, samples: int) -> np.ndarray:
    # Resampling there and back can gain or lose a sample at the end.
    return np.pad(audio[..., :samples], ((0, 0), (0, max(0, samples - audio.shape[-1]))))
