"""Plots of sound: waveforms, spectrograms, and where in a song an excerpt lies. Arrays in, axes out; no files."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.image import AxesImage
from matplotlib.scale import InvertedLogTransform
from matplotlib.transforms import IdentityTransform, blended_transform_factory

from sepnb.figures.style import INK, frequency_axis, in_print_style, own_axes, stem_color, subplots
from sepnb.spectral import band_power, stft

# What a printed column can show; more would only make the files heavier.
COLUMNS = 1000
ROWS = 240


@in_print_style
def waveforms(stems: np.ndarray, rate: int, names: Sequence[str], ax: Axes | None = None, start: float = 0.0) -> Axes:
    """Stems (sources, channels, samples) below each other against time, all on one scale.

    Each is drawn as its envelope, the lowest and highest sample of all channels at each of some 1000 places, so that
    a song of minutes is a small PDF. `start`: where in the song the stems begin, in seconds.
    """
    ax = own_axes(ax, height=0.45 * len(names) + 0.6)
    time, low, high = _envelope(np.asarray(stems))
    largest = max(float(np.abs(low).max()), float(np.abs(high).max())) or 1.0
    for lane, name in enumerate(names):
        middle = -lane
        ax.fill_between(
            start + time / rate,
            middle + 0.46 * low[lane] / largest,
            middle + 0.46 * high[lane] / largest,
            color=stem_color(name),
            linewidth=0.3,  # keeps a silent or very quiet stem visible as a line
        )
    ax.set_yticks(-np.arange(len(names)), labels=names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-len(names) + 0.5, 0.5)
    ax.set_xlim(start, start + stems.shape[-1] / rate)
    ax.set_xlabel("time (s)")
    ax.set_ylabel(f"amplitude (each lane ±{largest:.2g})")
    ax.spines["left"].set_visible(False)
    return ax


def _envelope(stems: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (in samples) and the lowest and highest sample (sources, places) around them."""
    samples = stems.shape[-1]
    borders = np.unique(np.linspace(0, samples, min(COLUMNS, samples) + 1).astype(int))
    low = np.minimum.reduceat(stems.min(axis=1), borders[:-1], axis=-1)
    high = np.maximum.reduceat(stems.max(axis=1), borders[:-1], axis=-1)
    return (borders[:-1] + borders[1:]) / 2, low, high


@in_print_style
def spectrogram(
    audio: np.ndarray,
    rate: int,
    ax: Axes | None = None,
    *,
    fmin: float = 40.0,
    fmax: float | None = None,
    n_fft: int = 4096,
    span: float = 80.0,
    start: float = 0.0,
) -> Axes:
    """Spectrogram of audio (channels, samples) or (samples,) on a logarithmic frequency axis, mean over channels.

    Levels in dB below the loudest point, down to `span` dB. `fmax` is half the rate where it is None; `start` is where
    in the song the audio begins, in seconds. The picture is rasterised, text and axes stay vectors.
    """
    ax = own_axes(ax, height=2.1)
    edges = _row_edges(fmin, fmax or rate / 2)
    power = _log_power(audio, rate, edges, n_fft)
    picture = _draw(ax, power, edges, (start, start + np.shape(audio)[-1] / rate), float(power.max()), span)
    _label_bar(ax.figure.colorbar(picture, ax=ax, pad=0.02, aspect=18))
    return ax


@in_print_style
def spectrogram_grid(
    stems: np.ndarray,
    rate: int,
    names: Sequence[str],
    axes: Sequence[Axes] | None = None,
    *,
    columns: int = 2,
    fmin: float = 40.0,
    fmax: float | None = None,
    n_fft: int = 4096,
    span: float = 80.0,
    start: float = 0.0,
) -> np.ndarray:
    """A spectrogram for each of stems (sources, channels, samples), all on one scale with one colour bar.

    `names` become the titles; the rest as for `spectrogram`. Returns the axes as a flat array, in the order of `names`;
    with `axes` given, those are drawn into (one for each name).
    """
    own = axes is None
    spare: Sequence[Axes] = ()
    if own:
        rows = -(-len(names) // columns)
        width = "text" if columns > 1 else "column"
        _, grid = subplots(rows, columns, width, 1.35 * rows + 0.5, sharex=True, sharey=True, squeeze=False)
        axes, spare = grid.flat[: len(names)], grid.flat[len(names) :]
        for empty in spare:
            empty.axis("off")
    axes = np.asarray(axes, dtype=object).ravel()
    edges = _row_edges(fmin, fmax or rate / 2)
    powers = [_log_power(stem, rate, edges, n_fft) for stem in stems]
    loudest = max(float(power.max()) for power in powers)
    seconds = (start, start + stems.shape[-1] / rate)
    for place, (ax, power, name) in enumerate(zip(axes, powers, names, strict=True)):
        picture = _draw(ax, power, edges, seconds, loudest, span)
        ax.set_title(name)
        if own:  # labels on the outer panels only; the lowest of a column may have an empty place below it
            lowest, first = place + columns >= len(names), place % columns == 0
            ax.tick_params(labelbottom=lowest, labelleft=first, left=first)
            ax.set_xlabel("time (s)" if lowest else "")
            ax.set_ylabel("frequency (Hz)" if first else "")
    if len(spare):  # an empty place is where the colour bar costs no width
        place = spare[0].inset_axes([0.05, 0.5, 0.9, 0.1])
        _label_bar(spare[0].figure.colorbar(picture, cax=place, orientation="horizontal"))
    else:
        _label_bar(axes[0].figure.colorbar(picture, ax=list(axes), pad=0.02, aspect=30))
    return axes


def _draw(
    ax: Axes, power: np.ndarray, edges: np.ndarray, seconds: tuple[float, float], loudest: float, span: float
) -> AxesImage:
    level = 10 * np.log10(np.maximum(power / (loudest or 1.0), 10 ** (-span / 10)))
    return log_frequency_image(ax, level, (edges[0], edges[-1]), seconds, few=_height(ax) < 1.2, vmin=-span, vmax=0)


def log_frequency_image(
    ax: Axes,
    values: np.ndarray,
    hertz: tuple[float, float],
    seconds: tuple[float, float],
    few: bool = False,
    **look: object,
) -> AxesImage:
    """Values (rows, columns) as a picture, rows evenly spaced on the logarithmic axis from `hertz` to `hertz`.

    `look`: as for imshow. A mesh of as many cells takes several times as long, and where cells are narrower than the
    page's dots it leaves some of them out: clicks are missing. A picture shows them, if faintly.
    """
    to_axes = blended_transform_factory(IdentityTransform(), InvertedLogTransform(10)) + ax.transData
    extent = (*seconds, *np.log10(hertz))
    # Means of values, not of colours: no colour that the bar has not, and a PDF of half the size.
    look = {"origin": "lower", "aspect": "auto", "interpolation_stage": "data", **look}
    picture = ax.imshow(values, extent=extent, transform=to_axes, **look)
    frequency_axis(ax, "y", *hertz, few=few)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("frequency (Hz)")
    return picture


def _log_power(audio: np.ndarray, rate: int, edges: np.ndarray, n_fft: int) -> np.ndarray:
    """Mean power (rows, columns) of audio in the frequency rows between `edges`, in evenly spaced time columns."""
    audio = torch.as_tensor(np.ascontiguousarray(np.atleast_2d(audio)))
    hop = min(n_fft // 4, max(n_fft // 32, audio.shape[-1] // COLUMNS))
    frames = 1 + math.ceil(audio.shape[-1] / hop)
    borders = np.unique(np.linspace(0, frames, min(COLUMNS, frames) + 1).astype(int))
    columns = []
    for place in range(0, len(borders) - 1, 100):  # a song's whole spectrum would take a gigabyte
        inner = borders[place : place + 101]
        power = _frame_power(audio, inner[0], inner[-1], n_fft, hop)
        columns.append(np.add.reduceat(power, inner[:-1] - inner[0], axis=1) / np.diff(inner))
    power = np.concatenate(columns, axis=1)
    frequencies = np.arange(n_fft // 2 + 1) * rate / n_fft
    return (band_power(power.T, frequencies, edges) / np.diff(edges)).T


def _frame_power(audio: torch.Tensor, first: int, last: int, n_fft: int, hop: int) -> np.ndarray:
    """Power (bins, frames) of the frames from `first` to before `last`, the mean of all channels."""
    reach = math.ceil(n_fft / 2 / hop)  # frames that a window reaches over on either side
    begin = max(first - reach, 0)
    spectrum = stft(audio[:, begin * hop : (last + reach) * hop], n_fft, hop)[..., first - begin : last - begin]
    return (spectrum.real.square() + spectrum.imag.square()).mean(dim=0).numpy()


def _row_edges(fmin: float, fmax: float) -> np.ndarray:
    return np.geomspace(fmin, fmax, ROWS + 1)


def _label_bar(bar: Colorbar) -> None:
    bar.set_label("level (dB, 0 = loudest)")
    bar.outline.set_linewidth(0.4)


def _height(ax: Axes) -> float:
    """Height of axes in inches."""
    return ax.get_position().height * ax.figure.get_size_inches()[1]


@in_print_style
def excerpt_curve(
    times: np.ndarray, level: np.ndarray, excerpts: Mapping[str, tuple[float, float]], ax: Axes | None = None
) -> Axes:
    """Level of a song (dBFS) against time (s), with excerpts as bars below: {"loudest": (begin, end)} in s."""
    ax = own_axes(ax, height=1.6 + 0.13 * len(excerpts))
    heard = np.where(np.isfinite(level), level, np.nan)
    ax.plot(times, heard, color=INK, linewidth=0.8)
    lowest, highest = np.nanmin(heard), np.nanmax(heard)
    lane = 0.09 * max(highest - lowest, 1.0)
    for place, (label, (begin, end)) in enumerate(excerpts.items(), 1):
        bar = lowest - place * lane
        ax.plot([begin, end], [bar, bar], color="#0D6DCC", linewidth=4, solid_capstyle="butt")
        late = begin + end > times[0] + times[-1] + 1  # past the middle there is more room before the bar
        spot = {"xytext": (-4 if late else 4, 0), "textcoords": "offset points", "ha": "right" if late else "left"}
        ax.annotate(label, (begin if late else end, bar), va="center_baseline", fontsize=7, **spot)
    ax.set_ylim(lowest - (len(excerpts) + 0.8) * lane, highest + lane / 2)
    ax.set_xlim(times[0], times[-1])
    ax.set_xlabel("time (s)")
    ax.set_ylabel("level (dBFS)")
    return ax
