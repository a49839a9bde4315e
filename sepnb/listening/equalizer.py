"""A parametric equaliser: a few bands, each a biquad, with its response in closed form and as a filter of audio."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import scipy.signal

from sepnb.errors import SepnbError
from sepnb.listening.checking import checked_audio, checked_rate

KINDS = ("peaking", "low_shelf", "high_shelf")
LARGEST_GAIN = 24.0  # dB; more than that is no tone control but another sound
Q_RANGE = (0.1, 20.0)  # from nearly seven octaves wide to a fourteenth of an octave
_TINY = 1e-30


@dataclass(frozen=True)
class Band:
    """One band: a bell around `frequency`, or a shelf whose middle lies there.

    Raises SepnbError for values that make no filter.
    """

    kind: str = "peaking"  # peaking, low_shelf or high_shelf
    frequency: float = 1000.0  # Hz
    gain: float = 0.0  # dB, at the bell's top or on the shelf's plain
    q: float = math.sqrt(0.5)  # sharpness; a shelf above 0.71 overshoots before it is flat

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SepnbError(f"a band is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {self.kind!r}")
        for name in ("frequency", "gain", "q"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
                raise SepnbError(f"a band's {name} must be a number, not {value!r}")
            object.__setattr__(self, name, float(value))
        if self.frequency <= 0:
            raise SepnbError(f"a band's frequency must be above 0 Hz, not {self.frequency:g}")
        if abs(self.gain) > LARGEST_GAIN:
            raise SepnbError(f"a band's gain must lie within ±{LARGEST_GAIN:g} dB, not {self.gain:g}")
        if not Q_RANGE[0] <= self.q <= Q_RANGE[1]:
            raise SepnbError(f"a band's q must lie between {Q_RANGE[0]:g} and {Q_RANGE[1]:g}, not {self.q:g}")


@dataclass(frozen=True)
class Equalizer:
    """Bands one after the other; an equaliser without bands changes nothing."""

    bands: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple(self.bands))

    def response_db(self, frequencies: np.ndarray, rate: int) -> np.ndarray:
        """Gain in dB at `frequencies` (any shape, Hz) of audio at `rate`, in closed form.

        Raises SepnbError where a band lies at or above rate / 2.
        """
        phi = half_angle(np.asarray(frequencies, dtype=np.float64), rate)
        total = np.zeros_like(phi)
        for band in self._checked(rate):
            total += 10 * np.log10(np.maximum(power_response(_biquad(band, rate), phi), _TINY))
        return total

    def sections(self, rate: int) -> np.ndarray:
        """Second-order sections (bands, 6) as scipy.signal takes them, normalised to a0 = 1."""
        rows = [np.array(_biquad(band, rate)) for band in self._checked(rate)]
        return np.array([row / row[3] for row in rows]).reshape(-1, 6)

    def filter(self, audio: np.ndarray, rate: int) -> np.ndarray:
        """Audio (channels, samples) through the bands, float32, of whatever level comes out: it may pass ±1."""
        audio, rate = checked_audio(audio, "the audio to equalise"), checked_rate(rate)
        if not self.bands:
            return audio.copy()
        # float64 inside: a low band's poles lie so near to 1 that float32 would add noise.
        filtered = scipy.signal.sosfilt(self.sections(rate), audio.astype(np.float64), axis=-1)
        return filtered.astype(np.float32)

    def apply(self, audio: np.ndarray, rate: int) -> np.ndarray:
        """Audio (channels, samples) through the bands, lowered as a whole where it would clip.

        `without_clipping(equalizer.filter(audio, rate))` says by how much as well.
        """
        return without_clipping(self.filter(audio, rate))[0]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `from_dict` is the way back."""
        return {"bands": [asdict(band) for band in self.bands]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Equalizer":
        """The equaliser that `as_dict` wrote down. Raises SepnbError for what is none."""
        bands = values.get("bands") if isinstance(values, Mapping) else None
        if not isinstance(bands, (list, tuple)):
            raise SepnbError('an equaliser is written as {"bands": [...]}, with a list of bands')
        known = {field.name for field in fields(Band)}
        for band in bands:
            if not isinstance(band, Mapping) or set(band) - known:
                raise SepnbError(f"a band has {', '.join(sorted(known))} and nothing else, not {band!r}")
        return cls(tuple(Band(**band) for band in bands))

    def _checked(self, rate: int) -> tuple[Band, ...]:
        for band in self.bands:
            if band.frequency >= rate / 2:
                raise SepnbError(
                    f"a band at {band.frequency:g} Hz is out of reach: at {rate} Hz audio ends at {rate / 2:g} Hz"
                )
        return self.bands


def without_clipping(audio: np.ndarray) -> tuple[np.ndarray, float]:
    """Audio lowered as a whole so that no sample passes ±1, and by how many dB it was lowered (0 where it fitted)."""
    peak = float(np.abs(audio).max(initial=0.0))
    if peak <= 1.0:
        return audio, 0.0
    # Half a step of 16 bits below full scale: rounding must not bring the peak above it again.
    return audio * np.float32((1 - 2**-16) / peak), 20 * math.log10(peak / (1 - 2**-16))


# What follows is arithmetic only, so that torch tensors go through it as numbers do: the fit descends along it.


def half_angle(frequencies: Any, rate: int) -> Any:
    """φ = sin²(ω / 2) of numpy frequencies in Hz, which `power_response` is written in."""
    return np.sin(np.pi * frequencies / rate) ** 2


def coefficients(kind: str, cosine: Any, sine: Any, root: Any, q: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """b0, b1, b2, a0, a1, a2 of a biquad, from cos and sin of its frequency ω and `root` = 10^(gain / 40).

    The formulas of Robert Bristow-Johnson's Audio EQ Cookbook (https://www.w3.org/TR/audio-eq-cookbook/).
    """
    alpha = sine / (2 * q)
    if kind == "peaking":
        return 1 + alpha * root, -2 * cosine, 1 - alpha * root, 1 + alpha / root, -2 * cosine, 1 - alpha / root
    up, down, slope = root + 1, root - 1, 2 * root**0.5 * alpha
    side = 1 if kind == "low_shelf" else -1  # a high shelf is a low one with the spectrum turned round
    return (
        root * (up - side * down * cosine + slope),
        side * 2 * root * (down - side * up * cosine),
        root * (up - side * down * cosine - slope),
        up + side * down * cosine + slope,
        -side * 2 * (down + side * up * cosine),
        up + side * down * cosine - slope,
    )


def power_response(biquad: tuple[Any, Any, Any, Any, Any, Any], phi: Any) -> Any:
    """|H|² of a biquad at φ = sin²(ω / 2): the form of the Cookbook that keeps its digits at low frequencies."""
    b0, b1, b2, a0, a1, a2 = biquad
    return _polynomial(b0, b1, b2, phi) / _polynomial(a0, a1, a2, phi)


def _polynomial(c0: Any, c1: Any, c2: Any, phi: Any) -> Any:
    return (c0 + c1 + c2) ** 2 - 4 * (c0 * c1 + 4 * c0 * c2 + c1 * c2) * phi + 16 * c0 * c2 * phi**2


def _biquad(band: Band, rate: int) -> tuple[float, float, float, float, float, float]:
    omega = 2 * math.pi * band.frequency / rate
    return coefficients(band.kind, math.cos(omega), math.sin(omega), 10 ** (band.gain / 40), band.q)
