"""Make wiener_norbert.npz: multichannel Wiener filtering of known sources by the package norbert.

Run with norbert 0.2.1 and scipy in an environment of its own:

    python -m venv /tmp/norbert && /tmp/norbert/bin/pip install norbert==0.2.1
    /tmp/norbert/bin/python tests/golden/make_wiener_golden.py

One iteration of norbert's expectation maximization, begun with the true sources, is the oracle filter. The sources are
noise through random mixing gains; the first is the same in all channels (dead centre).
"""

from pathlib import Path

import norbert
import numpy as np
from scipy.signal import istft, stft

N_FFT, HOP, SAMPLES, SOURCES = 256, 128, 2400, 3


def stems(channels: int) -> np.ndarray:
    """Noise (sources, channels, samples), the first source dead centre, the last silent at first."""
    rng = np.random.default_rng(channels)
    dry = rng.normal(0, 0.1, (SOURCES, 1, SAMPLES)) * np.linspace([0.2, 1, 0.5], [1, 0.3, 0.5], SAMPLES).T[:, None]
    gains = rng.uniform(0.2, 1, (SOURCES, channels, 1))
    gains[0] = 0.7
    room = rng.normal(0, 0.02, (SOURCES, channels, SAMPLES))
    room[0] = 0
    made = dry * gains + room
    made[-1, :, :800] = 0
    return made.astype(np.float32)


def main() -> None:
    """Write the stems and what norbert makes of their sum, for one, two and three channels."""
    golden = {}
    for channels in (1, 2, 3):
        true = stems(channels)
        spectra = [
            stft(each.astype(np.float64), nperseg=N_FFT, noverlap=N_FFT - HOP)[2] for each in [true.sum(0), *true]
        ]
        # scipy divides by the sum of the window; norbert's regularization wants the plain transform.
        scale = N_FFT / 2
        mixture, *sources = (scale * spectrum.transpose(2, 1, 0) for spectrum in spectra)  # (frames, bins, channels)
        filtered, _, _ = norbert.expectation_maximization(np.stack(sources, -1), mixture, iterations=1, eps=1e-20)
        audio = istft(filtered.transpose(3, 2, 1, 0) / scale, nperseg=N_FFT, noverlap=N_FFT - HOP)[1][..., :SAMPLES]
        golden[f"stems{channels}"] = true
        golden[f"estimates{channels}"] = audio.astype(np.float32)
    np.savez_compressed(Path(__file__).with_name("wiener_norbert.npz"), **golden)


if __name__ == "__main__":
    main()
