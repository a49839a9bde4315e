"""Auto-EQ: an equaliser that brings the long-term spectrum of a stem near another's, or near a target curve.

The fit is gradient descent (Adam) through the closed-form response of the bands: frequency, gain and q of each are
moved until the spectrum that comes out lies nearest to the target's. Several starts descend at once and the best is
taken. The distance that is reported is measured on audio that really went through the filter.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import scipy.signal
import torch
from torch import Tensor

from sepnb.errors import SepnbError
from sepnb.listening.checking import checked_audio, checked_rate
from sepnb.listening.equalizer import LARGEST_GAIN, Band, Equalizer, coefficients, half_angle, power_response
from sepnb.spectral import band_levels, band_power

# Tilts in dB an octave of the level in third octaves. Pink noise has as much power in each, so "pink" is flat here
# and falls by 3 dB an octave in power density, as recorded music roughly does.
TARGET_CURVES = {"pink": 0.0, "warm": -1.5, "bright": 1.5}
# A third octave that lies further below the loudest one is left out: it is hardly heard beside the others, and what is
# in it is often hiss or what a codec left, which no equaliser should dig out.
FLOOR = 40.0  # dB
LOWEST_Q = 0.3
HIGHEST_Q = {"low_shelf": 1.0, "peaking": 6.0, "high_shelf": 1.0}  # a sharp shelf is a hump beside a dip
STARTS = 6
POINTS = 6  # of the response in each third octave
SHORTEST = 0.25  # seconds


@dataclass(frozen=True)
class Match:
    """What `match_spectrum` found; levels (bands,) in dB over third-octave `centres` (bands,) in Hz."""

    equalizer: Equalizer
    before_db: float  # spectral distance to the target before, and of the audio that went through the equaliser
    after_db: float
    centres: np.ndarray
    source: np.ndarray  # dBFS
    filtered: np.ndarray  # dBFS, measured on the filtered audio
    target: np.ndarray  # moved up or down as a whole to the source's level
    counted: np.ndarray  # bool: the bands that the distances are taken over


def long_term_spectrum(audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Third-octave centres (bands,) in Hz and levels (bands,) in dBFS of audio (channels, samples)."""
    centres, levels = band_levels(np.asarray(audio)[None], rate)
    return centres, levels[0]


def counted_bands(levels: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Which bands both spectra (bands,) have something in: within 40 dB of the loudest band of each."""
    heard = levels >= levels.max() - FLOOR
    return heard if reference is None else heard & (reference >= reference.max() - FLOOR)


def spectral_distance(levels: np.ndarray, reference: np.ndarray, counted: np.ndarray | None = None) -> float:
    """How differently two sounds are coloured: RMS difference in dB of two spectra (bands,), whatever their level.

    The mean difference is taken off first, so that one sound at two volumes is at distance 0. `counted` says which
    bands take part, the same ones for any two distances that are compared; where it is None, `counted_bands` says.
    """
    counted = counted_bands(levels, reference) if counted is None else counted
    difference = (levels - reference)[counted]
    return float(np.sqrt(np.mean((difference - difference.mean()) ** 2)))


def match_spectrum(
    audio: np.ndarray,
    reference: np.ndarray | str,
    rate: int,
    *,
    bands: int = 8,
    max_gain: float = 12.0,
    steps: int = 300,
    seed: int = 0,
    reference_rate: int | None = None,
) -> Match:
    """Fit an equaliser that gives audio (channels, samples) the long-term spectrum of `reference`.

    `reference` is other audio (channels, samples), of `reference_rate` where that is not `rate`, or the name of a
    target curve ("pink", "warm", "bright"). No band, and no place of the whole curve, is beyond ±`max_gain` dB. The
    outer two bands are shelves, the others bells. Same input and seed, same result. Takes a second or two.
    Raises SepnbError for silence, very short audio, an unknown curve, or settings out of range.
    """
    if not isinstance(bands, int | np.integer) or not 2 <= bands <= 16:
        raise SepnbError(f"a fit needs 2 to 16 bands, not {bands}")
    if not 0 < max_gain <= LARGEST_GAIN:
        raise SepnbError(f"max_gain must lie above 0 and be at most {LARGEST_GAIN:g} dB, not {max_gain:g}")
    if steps < 1:
        raise SepnbError(f"a fit needs at least one step, not {steps}")
    centres, source = _checked_spectrum(audio, rate, "the audio to equalise")
    if isinstance(reference, str):
        if reference not in TARGET_CURVES:
            raise SepnbError(
                f"there is no target curve {reference!r}: choose {', '.join(TARGET_CURVES)}, or give audio"
            )
        target = TARGET_CURVES[reference] * np.log2(centres / 1000)
        counted = counted_bands(source)
    else:
        _, target = _checked_spectrum(reference, reference_rate or rate, "the reference")
        common = min(len(source), len(target))  # a lower rate ends earlier
        centres, source, target = centres[:common], source[:common], target[:common]
        counted = counted_bands(source, target)
    if counted.sum() < 3:
        raise SepnbError("the two sounds share hardly any range of frequencies: choose a reference more like it")
    target = target + np.mean((source - target)[counted])
    with _one_thread():
        found = _descend(audio, rate, centres, source - target, counted, bands, max_gain, steps, seed)
    equalizer = _within(found, max_gain, rate)
    filtered = long_term_spectrum(equalizer.filter(audio, rate), rate)[1][: len(centres)]
    before = spectral_distance(source, target, counted)
    after = spectral_distance(filtered, target, counted)
    return Match(equalizer, before, after, centres, source, filtered, target, counted)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The tensors are small: threads would spend their time waiting for each other, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _checked_spectrum(audio: np.ndarray, rate: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    audio, rate = checked_audio(audio, what), checked_rate(rate)
    if audio.shape[1] < SHORTEST * rate:
        raise SepnbError(f"{what} is {audio.shape[1] / rate:.2g} s long: its spectrum needs at least {SHORTEST:g} s")
    if not np.any(audio):
        raise SepnbError(f"{what} is silent: there is no spectrum to match")
    return long_term_spectrum(audio, rate)


def _descend(
    audio: np.ndarray,
    rate: int,
    centres: np.ndarray,
    too_loud: np.ndarray,
    counted: np.ndarray,
    bands: int,
    max_gain: float,
    steps: int,
    seed: int,
) -> Equalizer:
    """Bands that take `too_loud` (source minus target, dB, in each third octave) away, by gradient descent."""
    frequencies, shares = _inside_bands(audio, rate, centres)
    phi, shares = torch.from_numpy(half_angle(frequencies, rate)), torch.from_numpy(shares)
    use = torch.from_numpy(np.flatnonzero(counted))
    base = torch.from_numpy(too_loud[counted])
    heard = centres[counted]
    lowest, highest = heard[0], min(heard[-1], 0.45 * rate)
    widest = torch.from_numpy(_q_span(bands))
    # Bounds are kept by the form of the parameters: a tanh for the gain, sigmoids for log frequency and log q.
    free = [torch.tensor(start, requires_grad=True) for start in _starts(heard, too_loud[counted], bands, seed)]

    def settings() -> tuple[Tensor, Tensor, Tensor]:
        place, gain, sharpness = free
        frequency = lowest * torch.exp(torch.sigmoid(place) * math.log(highest / lowest))
        q = LOWEST_Q * torch.exp(torch.sigmoid(sharpness) * widest)
        return frequency, max_gain * torch.tanh(gain), q

    def losses() -> Tensor:
        response = _response(*settings(), phi, rate)  # (starts, points), powers of ten
        passed = (shares * 10 ** response.unflatten(1, shares.shape)).sum(dim=2)  # of each third octave's power
        remains = base + 10 * torch.log10(passed[:, use] + 1e-30)
        distance = (remains - remains.mean(dim=1, keepdim=True)).square().mean(dim=1)
        beyond = torch.relu(10 * response.abs() - max_gain).square().mean(dim=1)
        return distance + 100 * beyond  # dear enough that the curve stays within its bound to a fraction of a dB

    optimizer = torch.optim.Adam(free, lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        losses().sum().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        best = int(losses().argmin())
        chosen = [values[best].tolist() for values in settings()]
    found = [Band(kind, *values) for kind, *values in zip(_kinds(bands), *chosen, strict=True)]
    return Equalizer(tuple(sorted(found, key=lambda band: band.frequency)))


def _response(frequency: Tensor, gain: Tensor, q: Tensor, phi: Tensor, rate: int) -> Tensor:
    """log10 of |H|² (starts, points) of all bands together; the settings are (starts, bands)."""
    omega = 2 * math.pi * frequency[..., None] / rate
    parts = torch.cos(omega), torch.sin(omega), 10 ** (gain[..., None] / 40), q[..., None]
    ends = (("low_shelf", slice(0, 1)), ("peaking", slice(1, -1)), ("high_shelf", slice(-1, None)))
    return sum(
        torch.log10(power_response(coefficients(kind, *(part[:, which] for part in parts)), phi)).sum(dim=1)
        for kind, which in ends
    )


def _kinds(bands: int) -> list[str]:
    return ["low_shelf", *["peaking"] * (bands - 2), "high_shelf"]


def _q_span(bands: int) -> np.ndarray:
    """How far the q of each band may go up from the lowest, as a logarithm (bands,)."""
    return np.log([HIGHEST_Q[kind] / LOWEST_Q for kind in _kinds(bands)])


def _starts(
    heard: np.ndarray, too_loud: np.ndarray, bands: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free parameters (starts, bands) to descend from: bands spread evenly, then moved about and sharper or wider.

    Gains begin at half of what the smoothed difference asks for.
    """
    rng = np.random.default_rng(seed)
    moved = np.vstack([np.zeros(bands), rng.uniform(-0.5, 0.5, (STARTS - 1, bands))])
    place = np.clip((np.arange(bands) + 0.5 + moved) / bands, 0.02, 0.98)
    q = np.append(1.4, np.exp(rng.uniform(np.log(0.7), np.log(3.0), STARTS - 1)))[:, None]
    sharpness = np.clip(np.log(q / LOWEST_Q) / _q_span(bands), 0.02, 0.8)
    smooth = np.convolve(np.pad(too_loud, 1, "edge"), np.ones(3) / 3, "valid")
    wanted = -np.interp(place, np.log(heard / heard[0]) / np.log(heard[-1] / heard[0]), smooth)
    return _logit(place), np.arctanh(np.clip(wanted / 24, -0.6, 0.6)), _logit(sharpness)


def _logit(share: np.ndarray) -> np.ndarray:
    return np.log(share / (1 - share))


def _inside_bands(audio: np.ndarray, rate: int, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (bands * points,) inside the third octaves, and which share of a band's power lies about each.

    Music has lines, not plains: a narrow bell beside the line of a band does not touch its level.
    """
    edges = centres[0] * 10 ** (np.arange(len(centres) * POINTS + 1) / (10 * POINTS) - 0.05)
    window = min(audio.shape[-1], 2 ** round(np.log2(0.4 * rate)))  # as band_levels has it
    bins, density = scipy.signal.welch(audio, rate, nperseg=window, detrend=False)
    power = band_power(density.mean(axis=0), bins, edges).reshape(len(centres), POINTS)
    total = power.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, power / np.where(total > 0, total, 1.0), 1 / POINTS)
    return np.sqrt(edges[:-1] * edges[1:]), shares


def _within(equalizer: Equalizer, max_gain: float, rate: int) -> Equalizer:
    """The equaliser with all gains scaled down until its whole curve keeps to ±max_gain, where it does not yet."""
    everywhere = np.geomspace(5.0, 0.4999 * rate, 2000)
    while (peak := float(np.abs(equalizer.response_db(everywhere, rate)).max())) > max_gain:
        share = 0.999 * max_gain / peak
        equalizer = Equalizer(tuple(replace(band, gain=band.gain * share) for band in equalizer.bands))
    return equalizer
