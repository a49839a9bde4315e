"""Plots of training: what is drawn is what the history says, what diverged is seen, and every word can be read."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from legible import check_panels
from matplotlib.colors import to_hex, to_rgb

from sepnb import figures, spectral
from sepnb.errors import SepnbError
from sepnb.figures import style

mpl.use("agg")
STEMS = ("drums", "bass", "other", "vocals")
BASELINE = {"drums": 1.3, "bass": 0.7, "other": 1.2, "vocals": 1.1}
RATE, HOP, N_FFT = 16_000, 256, 1024


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def history_of(epochs: int = 12, seconds: float = 30.0, better: float = 0.0, stems=STEMS) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    table = {"epoch": epoch, "train_loss": 0.3 + 0.6 / epoch - better / 20, "valid_loss": 0.4 + 0.5 / epoch}
    table |= {"valid_sdr": 3 - 3 / epoch + better}
    table |= {f"valid_sdr_{stem}": 3 - place - 3 / epoch + better for place, stem in enumerate(stems)}
    times = {"waiting": 0.01, "computing": 0.8, "validating": 0.15}
    table |= {f"{part}_seconds": share * seconds for part, share in times.items()}
    return pd.DataFrame({**table, "seconds": seconds, "music_seconds": 900.0})


def runs_of(**histories: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.assign(run=run.replace("_", " ")) for run, table in histories.items()])


def diverging(table: pd.DataFrame, after: int) -> pd.DataFrame:
    """The same history with losses and scores that are no numbers after so many epochs."""
    broken = table.copy()
    columns = [column for column in table if "loss" in column or "sdr" in column]
    broken.loc[broken["epoch"] > after, columns] = np.nan
    broken.loc[broken["epoch"] == after + 1, "train_loss"] = np.inf
    return broken


TWO_RUNS = runs_of(chunks_of_3_s=history_of(10), chunks_of_30_s=history_of(4, seconds=90.0, better=0.5))
BROKEN = runs_of(chunks_of_3_s=diverging(history_of(10), 6), chunks_of_30_s=history_of(4, seconds=90.0, better=0.5))
RUNGS = runs_of(
    **{f"{songs}_songs,_{10 * songs}_epochs": history_of(10 * songs, songs, songs / 10) for songs in (5, 10, 20)}
)
LADDER = pd.DataFrame(
    {
        "songs": [20, 5, 10],
        "minutes": [4.71, 0.31, 1.2],
        **{f"sdr_{stem}": [3.0 - place, 1.0 - place, 2.0 - place] for place, stem in enumerate(STEMS)},
    }
)
PIPELINES = pd.DataFrame(
    {
        "pipeline": ["chunk store", "musdb on WAV", "musdb on stem.mp4"],
        "waiting_seconds": [0.05, 12, 58],
        "computing_seconds": [24, 25, 26],
    }
)
SOUND = np.random.default_rng(0).normal(0, 0.1, (2, 2, RATE)).astype(np.float32)  # two stems of a second
MASKS = spectral.ratio_masks(spectral.stft(torch.from_numpy(SOUND), N_FFT, HOP).abs())


def masks_drawn(axes=None, **settings):
    return figures.mask_panels(SOUND.sum(axis=0), MASKS[0], SOUND[0], RATE, axes, hop=HOP, name="vocals", **settings)


DRAW = {
    "loss": lambda ax=None: figures.loss_curve(history_of(), ax, silence=True, baseline={"mixture ÷ 4": 0.81}),
    "loss_minutes": lambda ax=None: figures.loss_curve(TWO_RUNS, ax, x="minutes", log=True),
    "loss_music": lambda ax=None: figures.loss_curve(TWO_RUNS, ax, x="music"),
    "loss_diverged": lambda ax=None: figures.loss_curve(BROKEN, ax, x="minutes", silence=True),
    "loss_rungs": lambda ax=None: figures.loss_curve(RUNGS, ax, x="minutes"),
    "loss_one_epoch": lambda ax=None: figures.loss_curve(history_of(1), ax),
    "sdr": lambda ax=None: figures.sdr_curve(history_of(), ax, baseline=BASELINE),
    "sdr_runs": lambda ax=None: figures.sdr_curve(TWO_RUNS, ax, x="minutes", baseline=BASELINE),
    "sdr_diverged": lambda ax=None: figures.sdr_curve(BROKEN, ax, baseline=BASELINE),
    "sdr_two_stems": lambda ax=None: figures.sdr_curve(history_of(stems=("vocals", "accompaniment")), ax),
    "epoch_time": lambda ax=None: figures.epoch_time(history_of(), ax),
    "epoch_time_pipelines": lambda ax=None: figures.epoch_time(PIPELINES, ax, by="pipeline"),
}
GRIDS = {
    "sdr_by_stem": lambda: figures.sdr_curves_by_stem(RUNGS, x="minutes", baseline=BASELINE),
    "sdr_by_stem_three": lambda: figures.sdr_curves_by_stem(BROKEN.drop(columns="valid_sdr_other")),
    "ladder": lambda: figures.ladder_plot(LADDER, baseline=BASELINE),
    "ladder_one_rung": lambda: figures.ladder_plot(LADDER.head(1)),
    "masks": masks_drawn,
}


@pytest.mark.parametrize("name", DRAW)
def test_a_plot_returns_the_axes_it_was_given(name):
    with figures.print_style():
        _, ax = figures.subplots(width="text", height=4)
        assert DRAW[name](ax) is ax


@pytest.mark.parametrize("name", [*DRAW, *GRIDS])
def test_a_plot_can_be_read_at_its_final_size(name):
    drawn = np.ravel((DRAW | GRIDS)[name]())
    assert any(ax.get_xlabel() for ax in drawn)
    check_panels(drawn)


def legend_of(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def curves_of(ax) -> list:
    """Lines with more than two points: neither references nor single marks."""
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def crosses_of(ax) -> list[tuple[float, float]]:
    return [tuple(place) for marks in ax.collections for place in marks.get_offsets()]


# --------------------------------------------------------------------------------------------------------------- loss


@pytest.mark.parametrize(
    ("x", "label", "last"),
    [("epoch", "epoch", 12), ("minutes", "training time (min)", 6.0), ("music", "music heard (hours)", 3.0)],
)
def test_loss_is_drawn_against_epochs_minutes_or_music(x, label, last):
    history = history_of()
    ax = figures.loss_curve(history, x=x)
    training, validation = curves_of(ax)
    assert ax.get_xlabel() == label and training.get_xdata()[-1] == pytest.approx(last)
    np.testing.assert_array_equal(training.get_ydata(), history["train_loss"])
    np.testing.assert_array_equal(validation.get_ydata(), history["valid_loss"])
    assert validation.get_linestyle() == "-" != training.get_linestyle()


def test_time_is_summed_within_a_run_and_in_the_order_of_epochs():
    shuffled = TWO_RUNS.sample(frac=1, random_state=0)
    ax = figures.loss_curve(shuffled, x="minutes")
    lines = {tuple(to_rgb(line.get_color())): line.get_xdata() for line in curves_of(ax)}
    assert sorted(times[-1] for times in lines.values()) == pytest.approx([5.0, 6.0])
    assert all((np.diff(times) > 0).all() for times in lines.values())


def test_silence_and_baselines_are_lines_with_names():
    ax = figures.loss_curve(history_of(), silence=True, baseline={"mixture ÷ 4": 0.81})
    assert {text.get_text(): text.xy[1] for text in ax.texts} == {"silence": 1.0, "mixture ÷ 4": 0.81}
    assert {line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 2} == {1.0, 0.81}
    assert not figures.loss_curve(history_of()).texts


def test_a_run_that_diverged_ends_with_a_cross_at_its_last_finite_value():
    ax = figures.loss_curve(BROKEN)
    last = history_of(10).loc[5]
    assert crosses_of(ax) == [(6, last["train_loss"]), (6, last["valid_loss"])]
    assert "diverged" in legend_of(ax)
    assert not crosses_of(figures.loss_curve(TWO_RUNS)) and "diverged" not in legend_of(figures.loss_curve(TWO_RUNS))


def test_a_gap_in_the_middle_is_not_a_divergence():
    history = history_of()
    history.loc[3, ["train_loss", "valid_loss"]] = np.nan
    ax = figures.loss_curve(history)
    assert not crosses_of(ax) and np.isnan(curves_of(ax)[0].get_ydata()[3])


def test_a_score_that_never_was_is_left_out():
    ax = figures.sdr_curve(history_of().assign(valid_sdr_other=np.nan))
    assert len(curves_of(ax)) == 4 and "diverged" not in legend_of(ax)  # three stems and the mean


def test_runs_of_very_different_length_share_a_logarithmic_axis():
    assert figures.loss_curve(RUNGS, x="minutes").get_xscale() == "log"  # 4 and 67 minutes
    assert figures.loss_curve(RUNGS).get_xscale() == "linear"  # 50 and 200 epochs
    assert figures.loss_curve(RUNGS, x="minutes", log_x=False).get_xscale() == "linear"
    assert figures.sdr_curve(RUNGS, log_x=True).get_xscale() == "log"


def test_a_history_that_cannot_be_drawn_is_refused():
    with pytest.raises(SepnbError, match="x is 'hours': it must be one of epoch, minutes, music"):
        figures.loss_curve(history_of(), x="hours")
    with pytest.raises(SepnbError, match="no column seconds, needed to draw training time"):
        figures.loss_curve(history_of().drop(columns="seconds"), x="minutes")
    with pytest.raises(SepnbError, match="no column train_loss"):
        figures.loss_curve(history_of().drop(columns="train_loss"))
    with pytest.raises(SepnbError, match="no finite value of train_loss"):
        figures.loss_curve(history_of().assign(train_loss=np.nan))
    with pytest.raises(SepnbError, match="no columns valid_sdr_<source>"):
        figures.sdr_curve(history_of()[["epoch", "train_loss", "valid_sdr"]])
    with pytest.raises(SepnbError, match="5 runs are more than the 4"):
        figures.sdr_curve(runs_of(**{f"run_{number}": history_of() for number in range(5)}))


# ---------------------------------------------------------------------------------------------------------------- SDR


def test_sdr_has_a_line_in_its_colour_for_each_stem_and_the_mean_of_one_run():
    history = history_of()
    ax = figures.sdr_curve(history, baseline=BASELINE)
    lines = {to_hex(line.get_color()).upper(): line for line in curves_of(ax)}
    for stem in STEMS:
        line = lines[figures.stem_color(stem).upper()]
        np.testing.assert_array_equal(line.get_ydata(), history[f"valid_sdr_{stem}"])
    np.testing.assert_array_equal(lines[style.INK].get_ydata(), history["valid_sdr"])
    assert legend_of(ax) == [*STEMS, "mean", "mixture ÷ 4"]
    assert ax.get_ylabel() == "validation SDR (dB)"
    levels = {to_hex(line.get_color()).upper(): line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 2}
    assert levels == {figures.stem_color(stem).upper(): BASELINE[stem] for stem in STEMS}
    (ring,) = [line for line in ax.lines if line.get_marker() == "o" and to_hex(line.get_color()) == style.INK.lower()]
    assert ring.get_xdata() == [12]  # the mean is best at the end


def test_several_runs_keep_the_stems_colours_and_differ_in_line_style():
    ax = figures.sdr_curve(TWO_RUNS)
    assert len({(line.get_color(), str(line._dash_pattern)) for line in curves_of(ax)}) == 8
    assert {line.get_color() for line in curves_of(ax)} == {figures.stem_color(stem) for stem in STEMS}
    assert legend_of(ax) == [*STEMS, "chunks of 3 s", "chunks of 30 s"]
    broken = figures.sdr_curve(BROKEN)
    assert {x for x, _ in crosses_of(broken)} == {6} and len(crosses_of(broken)) == 4


def test_panels_by_stem_share_a_scale_and_draw_each_run():
    panels = figures.sdr_curves_by_stem(TWO_RUNS, baseline=BASELINE)
    assert [ax.get_title() for ax in panels] == list(STEMS)
    assert len({ax.get_ylim() for ax in panels}) == 1
    for ax, stem in zip(panels, STEMS, strict=True):
        first, second = curves_of(ax)
        np.testing.assert_array_equal(first.get_ydata(), history_of(10)[f"valid_sdr_{stem}"])
        assert len(second.get_ydata()) == 4 and first.get_color() != second.get_color()
    _, axes = plt.subplots(1, 4)
    assert list(figures.sdr_curves_by_stem(TWO_RUNS, axes)) == list(axes)


# ------------------------------------------------------------------------------------------------------ ladder, time


def test_the_ladder_has_ticks_at_its_rungs_and_the_minutes_below():
    quality, time = figures.ladder_plot(LADDER, baseline=BASELINE)
    drums = quality.lines[0]
    assert list(drums.get_xdata()) == [5, 10, 20] and list(drums.get_ydata()) == [1.0, 2.0, 3.0]
    assert drums.get_color() == figures.stem_color("drums")
    assert quality.get_xscale() == time.get_xscale() == "log"
    assert [label.get_text() for label in time.get_xticklabels()] == ["5", "10", "20"]
    assert list(time.lines[0].get_ydata()) == [0.31, 1.2, 4.71]
    assert [text.get_text() for text in time.texts] == ["0.31", "1.2", "4.7"]
    assert legend_of(quality) == [*STEMS, "mixture ÷ 4"]
    assert (time.get_xlabel(), time.get_ylabel()) == ("training songs", "time (min)")
    renamed = LADDER.rename(columns={f"sdr_{stem}": f"valid_sdr_{stem}" for stem in STEMS})
    from_training = figures.ladder_plot(renamed.assign(valid_sdr=0.5, epochs=10, run="folder"))[0]
    assert list(from_training.lines[0].get_ydata()) == [1.0, 2.0, 3.0] and legend_of(from_training) == list(STEMS)


def test_a_ladder_without_rungs_or_columns_is_refused():
    with pytest.raises(SepnbError, match="no minutes"):
        figures.ladder_plot(LADDER.drop(columns="minutes"))
    with pytest.raises(SepnbError, match="no sdr_<source>"):
        figures.ladder_plot(LADDER[["songs", "minutes"]])
    with pytest.raises(SepnbError, match="no rung"):
        figures.ladder_plot(LADDER.head(0))
    with pytest.raises(SepnbError, match=r"own number of songs.*\[5, 5, 10\]"):
        figures.ladder_plot(LADDER.assign(songs=[5, 5, 10]))


def test_an_epoch_is_taken_apart_and_its_share_of_waiting_written():
    ax = figures.epoch_time(PIPELINES, by="pipeline")
    assert [label.get_text() for label in ax.get_yticklabels()] == list(PIPELINES["pipeline"])
    assert [text.get_text() for text in ax.texts] == [
        "24.1 s, 0.2 % waiting",
        "37 s, 32 % waiting",
        "84 s, 69 % waiting",
    ]
    computing, waiting = (list(bars) for bars in ax.containers)
    assert [bar.get_width() for bar in waiting] == pytest.approx([0.05, 12, 58])
    assert [bar.get_x() for bar in waiting] == [bar.get_width() for bar in computing] == [24, 25, 26]
    assert legend_of(ax) == ["computing", "waiting for data"]


def test_epochs_are_averaged_and_what_is_left_over_has_a_part_of_its_own():
    history = pd.concat([history_of(1, seconds=20.0), history_of(1, seconds=40.0)])
    ax = figures.epoch_time(history)
    assert [text.get_text() for text in ax.texts] == ["30 s, 1.0 % waiting"]
    widths = {bars.get_label(): bars[0].get_width() for bars in ax.containers}
    assert widths == pytest.approx(
        {"computing": 24.0, "validating": 4.5, "waiting for data": 0.3, "other (saving, …)": 1.2}
    )
    whole = history.assign(seconds=0.96 * history["seconds"])
    assert "other (saving, …)" not in legend_of(figures.epoch_time(whole))


def test_times_that_are_not_there_are_refused():
    with pytest.raises(SepnbError, match="no column waiting_seconds"):
        figures.epoch_time(history_of().drop(columns="waiting_seconds"))
    with pytest.raises(SepnbError, match="finite and not negative"):
        figures.epoch_time(history_of().assign(waiting_seconds=np.nan))


# -------------------------------------------------------------------------------------------------------------- masks


def test_the_product_is_mixture_times_mask_on_the_scale_of_the_mixture():
    axes = masks_drawn(span=80.0)
    assert [ax.get_title() for ax in axes] == ["mixture", "mask for vocals", "mixture × mask", "vocals, true"]
    mixture, mask, product, truth = (ax.collections[0] for ax in axes)
    np.testing.assert_allclose(mask.get_array(), MASKS[0].mean(dim=0), atol=1e-6)
    assert mask.get_clim() == (0, 1)
    assert mixture.get_clim() == product.get_clim() == truth.get_clim() == (-80, 0)
    spectrum = spectral.stft(torch.from_numpy(SOUND.sum(axis=0)), N_FFT, HOP)
    power = (MASKS[0] * spectrum).abs().square().mean(dim=0) / spectrum.abs().square().mean(dim=0).max()
    np.testing.assert_allclose(product.get_array(), 10 * torch.log10(power.clamp(min=1e-8)).numpy(), atol=1e-3)
    assert len({ax.get_xlim() for ax in axes} | {(0.0, 1.0)}) == 1 and len({ax.get_ylim() for ax in axes}) == 1


def test_a_tone_lies_at_its_frequency_and_time_in_all_panels():
    burst = np.zeros((1, 2 * RATE), np.float32)
    burst[0, RATE : RATE + 3200] = np.sin(2 * np.pi * 1000 * np.arange(3200) / RATE)
    bins, frames = spectral.stft(torch.from_numpy(burst), N_FFT, HOP).shape[1:]
    axes = figures.mask_panels(burst, torch.ones(1, bins, frames), burst, RATE, hop=HOP, start=10.0)
    for ax in axes[[0, 2, 3]]:
        mesh = ax.collections[0]
        row, column = np.unravel_index(np.argmax(mesh.get_array()), mesh.get_array().shape)
        corners = mesh.get_coordinates()
        assert corners[row, 0, 1] <= 1000 <= corners[row + 1, 0, 1]
        assert 11.0 < corners[0, column, 0] < 11.2
        assert ax.get_xlim() == (10.0, 12.0)


def test_a_long_excerpt_is_averaged_and_a_complex_mask_shown_by_its_magnitude():
    sound = np.random.default_rng(0).normal(0, 0.1, (1, 40_000)).astype(np.float32)
    mask = torch.full(spectral.stft(torch.from_numpy(sound), 64, 16).shape, 0.3j)
    axes = figures.mask_panels(sound, mask, sound, RATE, hop=16)
    drawn = axes[1].collections[0].get_array()
    assert drawn.shape[1] <= 1000
    np.testing.assert_allclose(drawn, 0.3, atol=1e-6)
    level = [ax.collections[0].get_array()[5:-5].mean() for ax in axes[[0, 2]]]
    assert level[1] - level[0] == pytest.approx(20 * np.log10(0.3), abs=0.1)


def test_masks_that_do_not_belong_to_the_sound_are_refused():
    with pytest.raises(SepnbError, match="mask that was made for this excerpt"):
        figures.mask_panels(SOUND[0], MASKS[0], SOUND[0], RATE, hop=HOP // 2)
    with pytest.raises(SepnbError, match="of one shape are needed"):
        figures.mask_panels(SOUND[0], MASKS[0], SOUND[0, :1], RATE, hop=HOP)
    with pytest.raises(SepnbError, match="of one shape are needed"):
        figures.mask_panels(SOUND[0], MASKS, SOUND[0], RATE, hop=HOP)
