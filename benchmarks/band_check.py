"""Do the band's stems overlap as those of real songs do, and how fast is it?  python -m benchmarks band_check

Scores two estimates that need no model on songs of consecutive seeds: the ideal ratio mask (power ratio, 2048 points,
hop 512) and the mixture divided by the number of stems. Prints the median over songs of the median over one-second
frames of BSSEval v4's SDR beside what the two reach on MUSDB18's test set.
"""

import os
import time

import numpy as np
import torch
from tqdm.auto import tqdm

from sepnb import spectral
from sepnb.band import render_song
from sepnb.metrics import frame_sdr
from sepnb.processes import side_by_side

# SDR in dB. IRM2: median over the tracks of sigsep's oracle in the SiSEC 2018 set-up; MIX: system MIX of SiSEC 2018.
TARGETS = {
    "IRM, α = 2": {"drums": 8.5, "bass": 7.1, "other": 7.9, "vocals": 9.4},
    "mixture ÷ 4": {"drums": 1.3, "bass": 0.7, "other": 1.2, "vocals": 1.1},
}
TOLERANCE = {"IRM, α = 2": 3.0, "mixture ÷ 4": 1.5}
SONGS, SECONDS, SCORED_SECONDS = 20, 24.0, 8.0


def ideal_ratio_mask(stems: np.ndarray) -> np.ndarray:
    """Estimates (sources, channels, samples) of the oracle that weighs each bin of the mixture by |S|² / Σ|S|²."""
    spectra = spectral.stft(torch.from_numpy(stems))
    masks = spectral.ratio_masks(spectra.abs(), power=2.0)
    return spectral.istft(masks * spectra.sum(dim=0), samples=stems.shape[-1]).numpy()


def score_song(seed: int) -> dict[str, np.ndarray]:
    """The median SDR of each stem of one song, for both estimates: name -> (sources,)."""
    song = render_song(seed, SECONDS)
    start = round((SECONDS - SCORED_SECONDS) / 2 * song.rate)
    stems = song.stems[..., start : start + round(SCORED_SECONDS * song.rate)]
    shared = np.broadcast_to(stems.sum(axis=0) / len(stems), stems.shape)
    estimates = {"IRM, α = 2": ideal_ratio_mask(stems), "mixture ÷ 4": shared}
    return {name: np.nanmedian(frame_sdr(stems, made, song.rate), axis=1) for name, made in estimates.items()}


def speed(songs: int = 6, seconds: float = 30.0) -> float:
    """Seconds of music rendered in one second of processor time, that of all threads together."""
    render_song(0, 5.0)  # imports and plans of the Fourier transforms
    began = time.process_time()
    for seed in range(songs):
        render_song(seed, seconds)
    return songs * seconds / (time.process_time() - began)


def main() -> None:
    """Print the table and the speed."""
    print(f"The band renders {speed():.0f} seconds of music in a second of one core")
    scored = tqdm(side_by_side(score_song, range(SONGS), os.cpu_count() or 1), total=SONGS, unit="song")
    scores = [score for _, score in scored]
    print(f"{'estimate':<12} {'stem':<7} {'band':>6} {'MUSDB18':>8} {'spread':>7}   median SDR, dB, {SONGS} songs")
    for estimate, targets in TARGETS.items():
        songs = np.array([score[estimate] for score in scores])
        for index, (stem, target) in enumerate(targets.items()):
            median = np.nanmedian(songs[:, index])
            verdict = "" if abs(median - target) <= TOLERANCE[estimate] else f"  beyond ±{TOLERANCE[estimate]} dB"
            print(f"{estimate:<12} {stem:<7} {median:6.2f} {target:8.1f} {np.nanstd(songs[:, index]):7.2f}{verdict}")
