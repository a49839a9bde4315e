"""Colours that everyone can tell apart, plots that can be read in print, and a gallery that loses nothing."""

import itertools
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from legible import check_words
from matplotlib.colors import to_hex, to_rgb

from sepnb import figures
from sepnb.figures import style

mpl.use("agg")
RATE = 16_000
NAMES = ("mixture", "drums", "bass", "other", "vocals")
STEMS = NAMES[1:]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# ------------------------------------------------------------------------------------------------------------ colours

# Linear-RGB matrices of Machado, Oliveira, Fernandes (2009), severity 1.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)


def lab(color: str, sight: str = "all cones") -> np.ndarray:
    """CIELAB (D65) of a colour as someone with that sight sees it."""
    srgb = np.array(to_rgb(color))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    x, y, z = np.cbrt(np.maximum(RGB_TO_XYZ @ seen / (0.95047, 1.0, 1.08883), 1e-9))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_stems_differ_clearly_in_colour(sight):
    known = (*NAMES, "guitar", "piano", "accompaniment")
    for one, two in itertools.combinations(known, 2):
        distance = np.linalg.norm(lab(figures.stem_color(one), sight) - lab(figures.stem_color(two), sight))
        assert distance > 24, (one, two, distance)


def test_the_main_stems_survive_a_grey_printer_and_lines_differ_without_colour():
    lightness = sorted(lab(figures.stem_color(name))[0] for name in NAMES)
    assert min(np.diff(lightness)) > 8
    assert len({str(style.stem_line(name)) for name in STEMS}) == len(STEMS)
    assert len({style.stem_marker(name) for name in NAMES}) == len(NAMES)


def test_unknown_stems_get_a_stable_colour_in_every_process():
    names = ["theremin", "strings", "brass", "choir", "loop 7"]
    here = [figures.stem_color(name) for name in names]
    script = f"from sepnb.figures import stem_color; print([stem_color(name) for name in {names!r}])"
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == str(here)
    assert not set(here) & {figures.stem_color(name) for name in NAMES}
    assert figures.stem_color("Vocals ") == figures.stem_color("vocals")


def test_importing_and_plotting_leave_the_settings_alone():
    script = (
        "import matplotlib as mpl; mpl.use('agg'); before = dict(mpl.rcParams); from sepnb import figures\n"
        "import numpy as np; figures.overlap_matrix(np.eye(2), ['a', 'b'])\n"
        "assert dict(mpl.rcParams) == before; figures.use_style(); assert mpl.rcParams['pdf.fonttype'] == 42"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_figures_is_light():
    script = "import sys, sepnb.figures; assert not {'matplotlib', 'torch', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_name_of_the_package_is_there():
    for name in figures.__all__:
        assert callable(getattr(figures, name))
    with pytest.raises(AttributeError, match="no_such_plot"):
        figures.no_such_plot  # noqa: B018


# -------------------------------------------------------------------------------------------------------------- plots


def stems_of(count: int, seconds: float = 1.5) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (count, 2, int(seconds * RATE))).astype(np.float32)


HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [1.0, 0.6, 0.4], "valid_loss": [1.1, 0.7, 0.8]})
RUNS = pd.concat([HISTORY.assign(run=f"{songs} songs, {seconds} s") for songs in (5, 10, 20) for seconds in (3, 30)])
SIZES = pd.DataFrame(
    {
        "model": ["toy U-Net", "Conv-TasNet", "Demucs v2"],
        "parameters": [58e3, 9.9e6, 266e6],
        "multiply_adds": [1.2e8, np.nan, 3.4e10],
        "activation_bytes": [2e8, 3e10, 6e10],
    }
)
COVERED = np.where(np.eye(4) == 1, np.nan, np.linspace(0, 0.62, 16).reshape(4, 4))
RESIDUALS = np.array([-np.inf, -88.0, -63.0, -18.0])
TRACKS = ["A - Exact Sum", "Mu - Too Bright", "Music Delta - 80s Rock", "PR - Oh No"]
TIMES = ["as reported, MP4", "MP4 while training", "WAV", "chunk store"]

DRAW = {
    "waveforms": lambda ax=None: figures.waveforms(stems_of(5), RATE, NAMES, ax),
    "spectrogram": lambda ax=None: figures.spectrogram(stems_of(1)[0], RATE, ax),
    "excerpt_curve": lambda ax=None: figures.excerpt_curve(
        np.arange(200.0),
        np.sin(np.arange(200) / 9) - 20,
        {"start": (0, 30), "centre": (85, 115), "end": (170, 199)},
        ax,
    ),
    "level_bars": lambda ax=None: figures.level_bars(
        np.array([-17.4, -20.6, -28.6, -26.5, -np.inf]), np.array([0.0, -2, -12, -11, -np.inf]), NAMES, ax
    ),
    "long_term_spectra": lambda ax=None: figures.long_term_spectra(
        np.geomspace(25, 16_000, 29), np.linspace(-20, -90, 145).reshape(5, 29), NAMES, ax
    ),
    "overlap_matrix": lambda ax=None: figures.overlap_matrix(COVERED, STEMS, ax),
    "measured_bars": lambda ax=None: figures.measured_bars(
        TIMES, [70, 35, 22, 7.1], "time per epoch (s)", ax, compare_to=TIMES[1], published=TIMES[:1]
    ),
    "measured_bars_log": lambda ax=None: figures.measured_bars(
        TIMES, [1.5, 1.4, 450, 3500], "chunks per second", ax, compare_to=TIMES[0], more_is_better=True
    ),
    "residuals": lambda ax=None: figures.residuals(TRACKS, RESIDUALS, ax),
    "residuals_many": lambda ax=None: figures.residuals(
        [f"Band {i} - A Song" for i in range(150)], np.where(np.arange(150) % 40 == 3, -30.0, -90.0), ax
    ),
    "loss_curve": lambda ax=None: figures.loss_curve(HISTORY, ax),
    "loss_curve_log": lambda ax=None: figures.loss_curve(HISTORY, ax, log=True),
    "loss_curve_runs": lambda ax=None: figures.loss_curve(RUNS, ax),
}
GRIDS = {
    "spectrogram_grid": lambda: figures.spectrogram_grid(stems_of(5, seconds=0.5), RATE, NAMES),
    "spectrogram_grid_column": lambda: figures.spectrogram_grid(stems_of(2), RATE, ["target", "estimate"], columns=1),
    "model_sizes": lambda: figures.model_sizes(SIZES),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_plot_returns_the_axes_it_was_given(name):
    with figures.print_style():
        _, ax = figures.subplots(width="text", height=4)
        assert DRAW[name](ax) is ax


@pytest.mark.parametrize("name", [*DRAW, *GRIDS])
def test_a_plot_can_be_read_at_its_final_size(name):
    drawn = (DRAW | GRIDS)[name]()
    ax = np.ravel(drawn)[0]
    figure = ax.figure
    assert figure.get_size_inches()[0] in (style.COLUMN, style.TEXT)
    assert any(axis.get_xlabel() for axis in np.ravel(drawn)) and ax.get_yticks().size
    check_words(figure)


def test_waveforms_are_coloured_by_stem_and_stay_small():
    ax = figures.waveforms(stems_of(5, seconds=20), RATE, NAMES, start=30.0)
    assert [to_hex(lane.get_facecolor()[0]).upper() for lane in ax.collections] == [
        figures.stem_color(name) for name in NAMES
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(NAMES)
    assert ax.get_xlim() == (30.0, 50.0)
    assert max(len(lane.get_paths()[0].vertices) for lane in ax.collections) < 2100  # 320,000 samples


def test_the_envelope_keeps_every_peak():
    audio = np.zeros((1, 1, 100_000), np.float32)
    audio[0, 0, 77_777] = 1.0
    ax = figures.waveforms(audio, RATE, ["drums"])
    heights = ax.collections[0].get_paths()[0].vertices
    assert heights[:, 1].max() == pytest.approx(0.46)
    assert heights[heights[:, 1].argmax(), 0] == pytest.approx(77_777 / RATE, abs=0.01)


def test_spectrogram_shows_a_tone_at_its_place():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    ax = figures.spectrogram(tone, RATE, span=60)
    level = ax.images[0].get_array()
    assert ax.images[0].get_clim() == (-60, 0) and level.max() == pytest.approx(0) and level.min() >= -60
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "frequency (Hz)" and ax.get_xlabel() == "time (s)"
    assert "dB" in ax.figure.axes[1].get_ylabel()


@pytest.mark.parametrize("shown", [(40, RATE / 2), (500, 4000)])
def test_what_is_drawn_of_a_tone_lies_where_the_axis_says(shown):
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    ax = figures.spectrogram(tone, RATE, span=60)
    ax.set_ylim(shown)
    canvas = ax.figure.canvas
    canvas.draw()
    dots = np.asarray(canvas.buffer_rgba())[::-1, :, :3].sum(axis=2)  # from the bottom
    left, bottom, width, height = ax.bbox.bounds
    column = dots[int(bottom) + 3 : int(bottom + height) - 3, int(left + width / 2)]
    bright = np.flatnonzero(column > 0.9 * column.max()) + int(bottom) + 3
    hertz = ax.transData.inverted().transform([(0, dot + 0.5) for dot in bright])[:, 1]
    assert np.all(np.abs(np.log2(hertz / 1000)) < 0.15)


def test_a_click_narrower_than_a_dot_is_drawn():
    clicks = np.zeros(8 * RATE, np.float32)
    clicks[np.arange(1, 8) * RATE + 1234] = 1.0
    ax = figures.spectrogram(clicks, RATE, n_fft=512)
    ax.figure.set_size_inches(2.4, 2.0)
    ax.figure.canvas.draw()
    dots = np.asarray(ax.figure.canvas.buffer_rgba())[::-1, :, :3].astype(int).sum(axis=2)
    left, bottom, width, height = ax.bbox.bounds
    line = dots[int(bottom + height / 2), int(left) + 3 : int(left + width) - 3]
    begins = np.flatnonzero(np.diff((line > line.min() + 30).astype(int)) == 1)
    assert len(begins) == 7


def test_a_long_spectrogram_shows_clicks_at_their_places():
    """It is computed a part at a time: nothing gets lost, or is there twice, where two parts meet."""
    clicks = np.zeros((2, 60 * RATE), np.float32)
    seconds = np.arange(0.5, 60, 1.0)
    clicks[:, (seconds * RATE).astype(int)] = 1.0
    level = figures.spectrogram(clicks, RATE, n_fft=1024).images[0].get_array()
    middles = (np.arange(level.shape[1]) + 0.5) * 60 / level.shape[1]
    loud = middles[level.mean(axis=0) > -10]
    np.testing.assert_allclose(np.unique(np.floor(loud)), np.floor(seconds))
    np.testing.assert_allclose(loud, np.floor(loud) + 0.5, atol=0.1)


def test_a_spectrogram_of_silence_and_one_of_a_moment():
    assert figures.spectrogram(np.zeros((2, 5000), np.float32), RATE).images[0].get_array().max() == -80
    figures.spectrogram(np.ones((1, 10), np.float32), RATE)


def test_a_grid_shares_one_scale():
    stems = stems_of(2)
    stems[1] *= 0.1
    loud, quiet = figures.spectrogram_grid(stems, RATE, ["a", "b"])
    assert loud.get_title() == "a"
    difference = loud.images[0].get_array().max() - quiet.images[0].get_array().max()
    assert difference == pytest.approx(20, abs=4)


def test_levels_are_where_they_should_be_and_silence_is_said():
    ax = DRAW["level_bars"]()
    written = [text.get_text() for text in ax.texts]
    assert written == ["17.4 dB", "18.6 dB", "16.6 dB", "15.5 dB", "silent"]
    assert "dBFS" in ax.get_xlabel()


def test_spectra_have_a_line_for_each_stem():
    ax = DRAW["long_term_spectra"]()
    assert [line.get_color() for line in ax.lines] == [figures.stem_color(name) for name in NAMES]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(NAMES)
    assert ax.get_ylabel() == "level per third octave (dBFS)"


def test_overlap_is_written_in_its_cells():
    ax = figures.overlap_matrix(np.array([[np.nan, 0.25], [0.5, np.nan]]), ["drums", "bass"])
    assert [text.get_text() for text in ax.texts] == ["–", "25", "50", "–"]


def test_measured_values_are_written_and_compared():
    ax = figures.measured_bars(
        ["report, MP4", "report, WAV", "here"], [70, 44, 80], "time (s)", compare_to={"report, WAV": "report, MP4"}
    )
    assert [text.get_text() for text in ax.texts] == ["70", "44  (1.6× faster)", "80"]
    assert ax.get_xscale() == "linear" and ax.get_xlabel() == "time (s)"
    wide = DRAW["measured_bars_log"]()
    assert wide.get_xscale() == "log"
    assert [text.get_text() for text in wide.texts][1:] == [
        "1.4  (0.93×)",
        "450  (300× faster)",
        "3,500  (2,300× faster)",
    ]
    hatched = DRAW["measured_bars"]()
    assert [bool(bar.get_hatch()) for bar in hatched.patches] == [True, False, False, False]
    assert "published" in hatched.get_xlabel()


def test_tracks_over_the_threshold_are_marked():
    ax = figures.residuals(TRACKS, RESIDUALS)
    fine, wrong = ax.lines[:2]
    assert list(wrong.get_xdata()) == [-18.0] and len(fine.get_xdata()) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == TRACKS
    assert "Band 3 - A Song" in DRAW["residuals_many"]().texts[0].get_text()


def test_loss_marks_the_best_epoch_and_leaves_out_what_is_not_finite():
    diverged = HISTORY.assign(train_loss=[1.0, np.inf, np.nan])
    training, validation, best = figures.loss_curve(diverged).lines
    assert np.isnan(training.get_ydata()[1:]).all()
    assert (best.get_xdata(), best.get_ydata()) == ([2], [0.7])
    assert validation.get_linestyle() == "-" != training.get_linestyle()
    runs = figures.loss_curve(RUNS)
    assert len({str(line.get_color()) for line in runs.lines}) == 6
    assert len(figures.loss_curve(HISTORY.drop(columns="valid_loss")).lines) == 1


def test_model_sizes_has_a_panel_for_each_cost_that_is_known():
    assert len(figures.model_sizes(SIZES)) == 3
    (only,) = figures.model_sizes(SIZES[["model", "parameters"]])
    assert [text.get_text() for text in only.texts] == ["58k", "9.9M", "266M"]
