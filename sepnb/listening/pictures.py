"""Spectrograms as PNG bytes, drawn in any thread and without touching the figures that a notebook has open."""

import io
import threading
from collections.abc import Mapping

import numpy as np

from sepnb import audio

# Hz. What lies above is not heard, and at 192 kHz the spectra of a minute in five sounds would take 2 GB.
HIGHEST_RATE, DRAWN_RATE = 48_000, 44_100

# matplotlib's style is global: of two threads that draw, one would take the other's away.
DRAWING = threading.Lock()


def spectrograms_png(sounds: Mapping[str, np.ndarray], rate: int, columns: int = 2, start: float = 0.0) -> bytes:
    """A spectrogram for each sound (channels, samples), all on one scale of decibels; `start` in s as in the song.

    Above a rate of 48 kHz the picture ends at 22 kHz.
    """
    from matplotlib.figure import Figure

    from sepnb.figures import print_style, spectrogram_grid

    drawn = rate if rate <= HIGHEST_RATE else DRAWN_RATE
    stems = np.stack([audio.resample(sound, rate, drawn) for sound in sounds.values()])
    rows = -(-len(sounds) // columns)
    with DRAWING, print_style():
        figure = Figure(figsize=(3.5 * columns, 1.45 * rows + 0.4), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
        axes = [grid[place] for place in range(rows * columns)]
        for empty in axes[len(sounds) :]:
            empty.axis("off")
        used = axes[: len(sounds)]
        spectrogram_grid(stems, drawn, list(sounds), used, start=start)
        for place, ax in enumerate(used):
            lowest, first = place + columns >= len(used), place % columns == 0
            ax.tick_params(labelbottom=lowest, labelleft=first)
            ax.set_xlabel("time (s)" if lowest else "")
            ax.set_ylabel("frequency (Hz)" if first else "")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=160)
    return file.getvalue()
