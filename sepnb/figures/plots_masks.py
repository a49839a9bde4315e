"""From spectrogram to mask to estimate: what a masking network does, in four pictures. Arrays in, axes out."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from sepnb.errors import SepnbError
from sepnb.figures.style import frequency_axis, in_print_style, subplots
from sepnb.spectral import stft

COLUMNS = 1000  # more frames than a printed panel can show are averaged


@in_print_style
def mask_panels(
    mixture: np.ndarray,
    mask: np.ndarray | torch.Tensor,
    stem: np.ndarray,
    rate: int,
    axes: Sequence[Axes] | None = None,
    *,
    hop: int,
    name: str = "stem",
    fmin: float = 40.0,
    fmax: float | None = None,
    span: float = 60.0,
    start: float = 0.0,
) -> np.ndarray:
    """The mixture's spectrogram, a mask, their product and the true stem's spectrogram, on the same axes.

    `mixture`, `stem`: audio (channels, samples). `mask`: (channels, bins, frames) of the STFT of `sepnb.spectral` with
    `hop`, whose window is 2 × (bins − 1) long; of a complex mask the magnitude is shown. Bins are drawn as wide as they
    are, mean over channels (of the power; of the mask). The three spectrograms share one scale, in dB below the loudest
    point of the mixture, down to `span` dB. `name` is the stem's; `start`: where in the song the audio begins, in
    seconds. Returns the four axes, side by side at text width; `axes` of that number are drawn into where given.

    Raises SepnbError where the shapes do not belong together.
    """
    mask = torch.as_tensor(mask).detach().cpu()
    if mask.ndim != 3 or np.shape(mixture) != np.shape(stem):
        raise SepnbError(
            f"a mask (channels, bins, frames), a mixture and a stem of one shape are needed; there are "
            f"{tuple(mask.shape)}, {np.shape(mixture)} and {np.shape(stem)}"
        )
    n_fft = 2 * (mask.shape[1] - 1)
    of_mixture, of_stem = (stft(torch.as_tensor(np.ascontiguousarray(sound)), n_fft, hop) for sound in (mixture, stem))
    if of_mixture.shape != mask.shape:
        raise SepnbError(
            f"the mask is {tuple(mask.shape)}, the mixture's spectrogram with hop {hop} is {tuple(of_mixture.shape)}: "
            "give the mask that was made for this excerpt, and the hop of the network"
        )
    own = axes is None
    if own:
        _, axes = subplots(1, 4, "text", 2.3, sharex=True, sharey=True)
    axes = np.asarray(axes, dtype=object).ravel()
    # A frame is drawn around its centre, a bin around its frequency.
    frames = np.maximum((np.arange(mask.shape[2] + 1) - 0.5) * hop, 0)
    edges = np.clip((np.arange(mask.shape[1] + 1) - 0.5) * rate / n_fft, 1, rate / 2)  # a logarithm has no 0
    powers = [_mean(spectrum.abs().square()) for spectrum in (of_mixture, mask * of_mixture, of_stem)]
    loudest = float(powers[0].max()) or 1.0
    levels = [10 * np.log10(np.maximum(power / loudest, 10 ** (-span / 10))) for power in powers]
    pictures = [levels[0], _mean(mask.abs()), *levels[1:]]
    titles = ("mixture", f"mask for {name}", "mixture × mask", f"{name}, true")
    times = start + np.unique(np.append(frames[:: _stride(mask.shape[2])], frames[-1])) / rate
    meshes: list[QuadMesh] = []
    for place, (ax, picture, title) in enumerate(zip(axes, pictures, titles, strict=True)):
        look = {"vmin": 0, "vmax": 1, "cmap": "cividis"} if place == 1 else {"vmin": -span, "vmax": 0}
        meshes.append(ax.pcolormesh(times, edges, picture, rasterized=True, **look))
        frequency_axis(ax, "y", fmin, fmax or rate / 2)
        ax.set_xlim(start, start + np.shape(mixture)[-1] / rate)
        ax.set_title(title)
        ax.set_xlabel("time (s)")
        ax.set_ylabel("frequency (Hz)" if place == 0 or not own else "")
        if own and place:
            ax.tick_params(labelleft=False)
    words = ("level (dB, 0 = loudest)", "share kept")
    for mesh, ax, label in (
        (meshes[0], axes[0], words[0]),
        (meshes[1], axes[1], words[1]),
        (meshes[2], list(axes[2:]), words[0]),
    ):
        bar = axes[0].figure.colorbar(mesh, ax=ax, location="bottom", pad=0.03, fraction=0.06, aspect=18)
        bar.set_label(label)
        bar.outline.set_linewidth(0.4)
    return axes


def _stride(frames: int) -> int:
    return -(-frames // COLUMNS)


def _mean(picture: torch.Tensor) -> np.ndarray:
    """Mean over channels (channels, bins, frames), and over neighbouring frames where there are too many: (bins, …)."""
    picture = picture.mean(dim=0).numpy()
    borders = np.arange(0, picture.shape[1], _stride(picture.shape[1]))
    return np.add.reduceat(picture, borders, axis=1) / np.diff(np.append(borders, picture.shape[1]))
