"""Time-frequency tools: an STFT pair and ratio masks (torch), and how loud, how coloured and how overlapped stems are.

The STFT pair and the masks take and return torch tensors, so that networks can use them. The analyses (`levels`,
`band_levels`, `overlap`) take float32 numpy stems of shape (sources, channels, samples), as the readers give them.
"""

from dataclasses import dataclass

import numpy as np
import scipy.signal
import torch

from sepnb.errors import SepnbError

# -------------------------------------------------------------------------------- the STFT and its inverse


def stft(audio: torch.Tensor, n_fft: int = 2048, hop: int = 512) -> torch.Tensor:
    """Short-time Fourier transform of audio (..., samples) as complex (..., bins, frames), Hann window.

    bins = n_fft // 2 + 1; frame k is centred on sample k * hop, and frames = 1 + ceil(samples / hop), so that every
    sample lies between two frame centres and `istft` can rebuild even the last one. Outside the audio there is silence.
    Raises SepnbError where the windows would not overlap enough to be inverted, or there is no audio.
    """
    _check_window(n_fft, hop)
    samples = audio.shape[-1]
    if samples == 0:
        raise SepnbError("stft: the audio has no samples; check the excerpt that was read")
    to_next_frame = -samples % hop
    padded = torch.nn.functional.pad(audio, (0, to_next_frame))
    flat = padded.reshape(-1, padded.shape[-1])  # torch.stft knows one batch axis only
    window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    spectrogram = torch.stft(flat, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    return spectrogram.reshape(*audio.shape[:-1], *spectrogram.shape[-2:])


def istft(spectrogram: torch.Tensor, hop: int = 512, samples: int | None = None) -> torch.Tensor:
    """Inverse of `stft`: complex (..., bins, frames) to audio (..., samples), exact to rounding.

    `samples` cuts the result to the length the audio had; without it the result reaches to the last frame's centre.
    """
    bins, frames = spectrogram.shape[-2:]
    n_fft = 2 * (bins - 1)
    _check_window(n_fft, hop)
    flat = spectrogram.reshape(-1, bins, frames)
    window = torch.hann_window(n_fft, dtype=spectrogram.real.dtype, device=spectrogram.device)
    longest = (frames - 1) * hop
    length = longest if samples is None else samples
    if length > longest:
        raise SepnbError(
            f"istft: {frames} frames with a hop of {hop} hold {longest} samples, not the {length} asked for"
        )
    audio = torch.istft(flat, n_fft, hop, window=window, length=length)
    return audio.reshape(*spectrogram.shape[:-2], length)


def _check_window(n_fft: int, hop: int) -> None:
    if n_fft < 4 or n_fft % 2:
        raise SepnbError(f"stft: n_fft is {n_fft}, but must be an even number of at least 4")
    if not 1 <= hop <= n_fft // 2:
        raise SepnbError(
            f"stft: hop is {hop}, but must lie between 1 and n_fft / 2 = {n_fft // 2} to be inverted exactly"
        )


# ------------------------------------------------------------------------------------------------------------- masks


def ratio_masks(magnitudes: torch.Tensor, power: float = 2.0) -> torch.Tensor:
    """Ratio masks |S_i|^power / sum_j |S_j|^power of source magnitudes (..., sources, channels, bins, frames).

    Masks have the shape of `magnitudes`, lie in [0, 1] and sum to 1 over the sources, also where all are silent (equal
    shares there). With the true sources, power 1 is the oracle that SiSEC 2018 calls IRM1, power 2 is its IRM2.
    """
    loudest = magnitudes.amax(dim=-4, keepdim=True)
    # Divided by the loudest first: small magnitudes would underflow when they are raised to the power.
    relative = torch.where(loudest > 0, magnitudes / loudest.clamp_min(torch.finfo(magnitudes.dtype).tiny), 1.0)
    weights = relative**power
    return weights / weights.sum(dim=-4, keepdim=True)


def apply_masks(masks: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """Masks (..., sources, channels, bins, frames) times a mixture's STFT (..., channels, bins, frames)."""
    return masks * mixture.unsqueeze(-4)


# ------------------------------------------------------------------------------------------------- analyses of stems


@dataclass(frozen=True)
class Levels:
    """Levels of each stem, arrays (sources,) in dB; silence is -inf (and its crest factor NaN)."""

    rms: np.ndarray  # dBFS: 0 dB is a root mean square of 1.0, so that a full-scale sine has -3.01
    peak: np.ndarray  # dBFS: 0 dB is a sample of magnitude 1.0
    crest: np.ndarray  # peak minus RMS: high for drums, low for a sustained pad


def levels(stems: np.ndarray) -> Levels:
    """RMS level, sample peak and crest factor of stems (sources, channels, samples), over all channels together."""
    stems = np.asarray(stems)
    mean_power = np.mean(np.square(stems, dtype=np.float64), axis=(1, 2))
    peak = np.max(np.abs(stems), axis=(1, 2)).astype(np.float64)
    rms_db, peak_db = _decibels(mean_power), _decibels(peak**2)
    crest = np.full(len(stems), np.nan)
    np.subtract(peak_db, rms_db, out=crest, where=mean_power > 0)
    return Levels(rms_db, peak_db, crest)


def band_levels(stems: np.ndarray, rate: int, lowest: float = 25.0) -> tuple[np.ndarray, np.ndarray]:
    """Long-term average spectrum of stems (sources, channels, samples) in third-octave bands.

    Returns the bands' centres in Hz (bands,), spaced as in IEC 61260 (10 bands a decade, 1 kHz among them) from about
    `lowest` Hz to the highest that fits below rate / 2, and levels in dBFS (sources, bands), mean over channels. The
    levels of the bands add up (as powers) to the RMS level. Welch's method with Hann windows of about 0.4 s.
    """
    stems = np.asarray(stems)
    first, last = round(10 * np.log10(lowest / 1000)), int(np.floor(10 * np.log10(rate / 2 / 1000) - 0.5))
    centres = 1000 * 10 ** (np.arange(first, last + 1) / 10)
    edges = np.append(centres * 10**-0.05, centres[-1] * 10**0.05)
    window = min(stems.shape[-1], 2 ** round(np.log2(0.4 * rate)))
    frequencies, density = scipy.signal.welch(stems, rate, nperseg=window, detrend=False)
    power = density.mean(axis=1) * rate / window  # (sources, bins): mean over channels, power in each bin
    return centres, _decibels(band_power(power, frequencies, edges))


def band_power(power: np.ndarray, frequencies: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Power (..., bins) at evenly spaced `frequencies`, gathered into the bands between `edges` (bands + 1,).

    A bin across an edge is shared in proportion, so bands narrower than a bin are smooth as well.
    """
    step = frequencies[1] - frequencies[0]
    bin_edges = np.append(frequencies - step / 2, frequencies[-1] + step / 2)
    below = np.concatenate([np.zeros((*power.shape[:-1], 1)), np.cumsum(power, axis=-1, dtype=np.float64)], axis=-1)
    # Linear interpolation of the running sum at the band edges, along the last axis.
    place = np.interp(edges, bin_edges, np.arange(len(bin_edges)))
    left = np.minimum(place.astype(int), len(bin_edges) - 2)
    share = place - left
    at_edges = below[..., left] * (1 - share) + below[..., left + 1] * share
    return np.maximum(np.diff(at_edges, axis=-1), 0.0)


@dataclass(frozen=True)
class Overlap:
    """How much stems share time-frequency bins; fractions of a stem's energy, NaN for a silent stem."""

    dominant: np.ndarray  # (sources,): energy of i in bins where i holds more than half of the stems' energy
    disjointness: np.ndarray  # (sources,): W-disjoint orthogonality of that binary mask: 1 = alone, 0 or less = buried
    covered: np.ndarray  # (sources, sources): [i, j]: energy of i in bins where j is at least as loud; diagonal NaN


def overlap(stems: np.ndarray, n_fft: int = 2048, hop: int = 512) -> Overlap:
    """How much stems (sources, channels, samples) overlap in time and frequency, that is, why masks have a ceiling.

    A mask hands each bin of the mixture to the sources by weight: where a source is not dominant, it comes with the
    others' phase and leakage. `dominant` is the preserved-signal ratio of the 0 dB binary mask of Yilmaz and Rickard
    (Blind separation of speech mixtures via time-frequency masking, 2004), and `disjointness` their W-disjoint
    orthogonality: that ratio minus the energy which the mask lets through from the others, over the stem's energy.
    Unlike theirs, the interference is the sum of the other stems' energies, without the phases between them.
    """
    sources, channels = stems.shape[:2]
    energy, kept, leaked = np.zeros(sources), np.zeros(sources), np.zeros(sources)
    covered = np.zeros((sources, sources))
    for channel in range(channels):  # one channel at a time: a whole song's STFTs would fill a small machine
        power = torch.stack([_power(stem[channel], n_fft, hop) for stem in stems])  # (sources, bins, frames)
        total = power.sum(dim=0)
        for i in range(sources):
            mine = power[i] > total - power[i]
            energy[i] += _sum(power[i])
            kept[i] += _sum(power[i][mine])
            leaked[i] += _sum((total - power[i])[mine])
            for j in range(sources):
                if j != i:
                    covered[i, j] += _sum(power[i][power[j] >= power[i]])
    energy[energy == 0] = np.nan
    np.fill_diagonal(covered, np.nan)
    return Overlap(kept / energy, (kept - leaked) / energy, covered / energy[:, None])


def _power(audio: np.ndarray, n_fft: int, hop: int) -> torch.Tensor:
    spectrogram = stft(torch.as_tensor(np.ascontiguousarray(audio)), n_fft, hop)
    return spectrogram.real.square() + spectrogram.imag.square()


def _sum(values: torch.Tensor) -> float:
    return float(values.sum(dtype=torch.float64))


def _decibels(power: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # silence is -inf, on purpose
        return 10 * np.log10(power)
