"""Plots of probing: bars, curves and points are what the tables say, limits are drawn, and every word can be read."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from legible import check_panels, check_words
from matplotlib.colors import to_hex

from sepnb import figures
from sepnb.errors import SepnbError
from sepnb.figures import plots_probing, rows, style

mpl.use("agg")
GIB = 2**30
T4 = 14.7 * GIB
MODELS = ("Demucs v4 (HTDemucs)", "Hybrid Demucs v3", "Demucs v2", "Conv-TasNet", "Open-Unmix", "compact U-Net")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _in_bytes(table: pd.DataFrame) -> pd.DataFrame:
    return table.apply(lambda column: column * GIB if column.dtype.kind == "f" else column)


MEMORY = _in_bytes(
    pd.DataFrame(
        {
            "model": [f"{model}, batch {batch}" for model, batch in zip(MODELS, (4, 8, 8, 8, 16, 16), strict=True)],
            "parameters": [0.16, 0.31, 0.99, 0.03, 0.03, 0.01],
            "optimizer": [0.31, 0.62, 1.98, 0.07, 0.07, 0.02],
            "gradients": [0.16, 0.31, 0.99, 0.03, 0.03, 0.01],
            "data": [0.02, 0.05, 0.11, 0.01, 0.02, 0.03],
            "activations": [17.6, 22.0, 7.9, 118.0, 0.9, 2.1],
            "temporaries": [1.5, 2.2, 0.7, 2.5, 0.1, 0.3],
            "rounding": [0.4, 0.4, 0.2, 0.8, 0.05, 0.1],
            "workspaces": 6 * [0.3],
            "context": 6 * [0.35],
        }
    )
)
TOTALS = MEMORY.drop(columns="model").sum(axis=1) / GIB
RANGED = MEMORY.assign(low=(TOTALS - 0.4) * GIB, high=(TOTALS + 0.9) * GIB)
RISE = np.concatenate([np.linspace(0, 1, 1000), np.linspace(1, 0, 1990), np.zeros(10)])
CURVE = _in_bytes(
    pd.DataFrame(
        {
            "parameters": 1.0,
            "optimizer": 2.0,
            "activations": 8 * RISE,
            "temporaries": 1.5 * (np.arange(3000) == 1234),  # a peak of one operator
        }
    )
)
PHASES = [("forward", 0, 1000), ("backward", 1000, 2990), ("optimizer", 2990, 3000)]
BATCHES = pd.DataFrame(
    [
        (model, precision, batch, (fixed + share * each * batch) * GIB)
        for model, fixed, each in zip(
            MODELS, (0.9, 1.6, 4.3, 0.5, 0.5, 0.4), (4.9, 2.9, 1.1, 15, 0.06, 0.2), strict=True
        )
        for precision, share in (("fp32", 1.0), ("fp16", 0.62))
        for batch in (1, 2, 4, 8, 16, 32)
    ],
    columns=["model", "precision", "batch", "memory"],
)
SEGMENTS = pd.DataFrame(
    [
        (model, seconds, (fixed + each * seconds) * GIB)
        for model, fixed, each in zip(MODELS[:4], (0.9, 1.6, 4.3, 0.5), (2.5, 1.3, 0.4, 8.3), strict=True)
        for seconds in (1, 2, 4, 7.8, 10, 15)
    ],
    columns=["model", "segment", "memory"],
)
WORK = pd.DataFrame(
    {
        "model": MODELS,
        "flops": np.array([4.2, 5.1, 3.9, 9.8, 0.06, 0.35]) * 1e12,
        "seconds": [1.6, 1.5, 0.95, 3.9, 0.18, 0.11],
    }
)
HOURS = pd.DataFrame(
    {"model": MODELS, "hours": [4.1, 5.2, 13.5, 9.7, 0.045, 0.31], "epochs": [360, 600, 360, 180, 1000, np.nan]}
)
HOURS = HOURS.assign(low=HOURS["hours"] / 1.35, high=HOURS["hours"] * 1.4)
MEASURED = pd.DataFrame(
    {
        "model": MODELS,
        "measured_bytes": np.array([5.1, 6.2, 5.7, 12.9, 1.1, 2.3]) * GIB,
        "measured_seconds": [31, 34, 22, 88, 1.9, 2.4],
    }
)
MEASURED = MEASURED.assign(
    predicted_bytes=MEASURED["measured_bytes"] * [1.001, 0.998, 1.0, 1.004, 0.97, 1.002],
    predicted_seconds=MEASURED["measured_seconds"] * [1.1, 0.95, 1.3, 0.8, 1.6, 1.02],
)
WAYS = pd.DataFrame(
    {
        "way": [
            "batch 4, fp32",
            "batch 1, four accumulated",
            "fp16",
            "half the channels",
            "trained from the last layer",
        ],
        "memory": np.array([60.5, 6.2, 13.6, 8.8, np.nan]) * GIB,
        "hours": [1480, 1610, 790, 520, np.nan],
    }
)
MEMORY_PAIR = MEASURED[["model", "predicted_bytes", "measured_bytes"]]
DRAW = {
    "memory_bars": lambda ax=None: figures.memory_bars(MEMORY, T4, ax),
    "memory_bars_ranged": lambda ax=None: figures.memory_bars(RANGED, T4, ax),
    "memory_curve": lambda ax=None: figures.memory_curve(CURVE, PHASES, T4, ax),
    "memory_curve_far": lambda ax=None: figures.memory_curve(CURVE, PHASES, 80 * GIB, ax, limit_name="A100"),
    "memory_curve_alone": lambda ax=None: figures.memory_curve(CURVE, PHASES, ax=ax),
    "sweep_batch": lambda ax=None: figures.sweep(BATCHES, "batch", T4, ax),
    "sweep_segment": lambda ax=None: figures.sweep(SEGMENTS, "segment", T4, ax),
    "sweep_alone": lambda ax=None: figures.sweep(SEGMENTS, "segment", ax=ax),
    "work": lambda ax=None: figures.work_against_time(WORK, ax, peaks={"T4 at most": 8.1e12}),
    "work_precisions": lambda ax=None: figures.work_against_time(WORK.assign(precision=3 * ["fp32", "fp16"]), ax),
    "hours": lambda ax=None: figures.hours_an_epoch(HOURS, ax=ax),
    "predicted": lambda ax=None: figures.predicted_against_measured(MEMORY_PAIR, ax)[0],
    "ways_out": lambda ax=None: figures.ways_out(WAYS, T4, ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_plot_returns_the_axes_it_was_given_and_can_be_read_at_text_width(name):
    with figures.print_style():
        _, ax = figures.subplots(width="text", height=3.4)
        assert DRAW[name](ax) is ax
    check_words(ax.figure)


@pytest.mark.parametrize("name", DRAW)
def test_a_plot_can_be_read_at_column_width_and_names_its_axes(name):
    ax = DRAW[name]()
    assert check_panels(ax).get_size_inches()[0] == style.COLUMN
    assert ax.get_xlabel()


@pytest.mark.parametrize("many", [1, 10])
def test_one_model_and_ten_can_be_drawn(many):
    def rows_of(table, names="model"):
        table = table.iloc[[number % len(table) for number in range(many)]].copy()
        return table.assign(**{names: [f"network {number + 1}" for number in range(many)]})

    bars = figures.memory_bars(rows_of(MEMORY), T4)
    assert len(bars.get_yticks()) == many and len(bars.patches) == 9 * many
    spread = 3.0 ** np.arange(many)
    table = rows_of(WORK).assign(flops=1e9 * spread, seconds=0.001 * spread**0.8)
    hours, ways = figures.hours_an_epoch(rows_of(HOURS)), figures.ways_out(rows_of(WAYS, "way"), T4)
    sweep = pd.concat(
        [BATCHES[:6].assign(model=f"network {n}", memory=(n + 1) * BATCHES[:6].memory) for n in range(many)]
    )
    for ax in (bars, hours, ways, figures.work_against_time(table), figures.sweep(sweep, "batch", T4)):
        check_panels(ax)
    both = table.assign(predicted_seconds=table["seconds"] * 1.2, measured_seconds=table["seconds"])
    check_panels(figures.predicted_against_measured(both))


def words_of(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend_of(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def upright_lines(ax) -> list[float]:
    """Where lines from the bottom to the top of the axes stand."""
    return [line.get_xdata()[0] for line in ax.lines if list(line.get_xdata()) == 2 * [line.get_xdata()[0]]]


# ------------------------------------------------------------------------------------------------------------- memory


def test_bars_add_up_to_the_total_that_stands_beside_them():
    ax = figures.memory_bars(MEMORY, T4)
    assert legend_of(ax) == [name for _, name, *_ in plots_probing.PARTS]
    assert len(ax.patches) == 9 * len(MEMORY)
    ends = [max(bar.get_x() + bar.get_width() for bar in ax.patches[row :: len(MEMORY)]) for row in range(len(MEMORY))]
    fitting = TOTALS <= 3 * T4 / GIB
    np.testing.assert_allclose(np.array(ends)[fitting], TOTALS[fitting])
    assert [rows.plain_number(total) for total in TOTALS] == [
        w for w in words_of(ax) if w not in ("GiB", "T4: 14.7 GiB")
    ]
    assert "T4: 14.7 GiB" in words_of(ax) and upright_lines(ax)[-1] == pytest.approx(14.7)
    red = {text.get_text() for text in ax.texts if text.get_color() == style.WARNING} - {"T4: 14.7 GiB"}
    assert red == {rows.plain_number(total) for total in TOTALS if total > 14.7}


def test_a_bar_far_beyond_the_limit_is_broken_in_its_longest_part_only():
    ax = figures.memory_bars(MEMORY, T4)
    row = MODELS.index("Conv-TasNet")
    drawn = dict(zip((part[0] for part in plots_probing.PARTS), ax.patches[row :: len(MEMORY)], strict=True))
    assert sum(bar.get_width() for bar in drawn.values()) == pytest.approx(2 * 14.7)
    for name, bar in drawn.items():
        if name != "activations":
            assert bar.get_width() == pytest.approx(MEMORY[name][row] / GIB)
    (edge, gap) = [line for line in ax.lines if list(line.get_ydata()) == [row]]
    assert 14.7 < gap.get_xdata()[0] < drawn["activations"].get_x() + drawn["activations"].get_width()
    assert edge.get_color() != gap.get_color() == "white"
    assert "broken" in ax.get_xlabel() and "broken" not in figures.memory_bars(MEMORY, 80 * GIB).get_xlabel()


def test_parts_that_are_all_long_are_shortened_to_one_level():
    np.testing.assert_allclose(plots_probing._cut(np.array([1.0, 50.0, 90.0, 2.0]), 23.0), [1, 10, 10, 2])


def test_parts_that_are_not_known_are_left_out():
    some = MEMORY[["model", "activations", "parameters"]].copy()
    some.loc[0, "activations"] = np.nan
    some.loc[1, ["activations", "parameters"]] = np.nan
    ax = figures.memory_bars(some, T4)
    assert legend_of(ax) == ["parameters", "activations"] and words_of(ax)[1:3] == ["0.16", "–"]
    check_panels(ax)


def test_the_range_of_a_total_is_a_line_but_not_on_broken_bars():
    (line,) = figures.memory_bars(RANGED, T4).collections
    spans = {int(y): (a, b) for (a, y), (b, _) in line.get_segments()}
    assert spans[0] == pytest.approx((TOTALS[0] - 0.4, TOTALS[0] + 0.9))
    assert spans[3][0] == spans[3][1]


def test_a_curve_keeps_its_peak_however_long_it_is():
    ax = figures.memory_curve(CURVE, PHASES, T4)
    total = CURVE.sum(axis=1) / GIB
    assert total.argmax() == 1234
    top = max(path.vertices[:, 1].max() for areas in ax.collections for path in areas.get_paths())
    assert top == pytest.approx(total.max())
    assert f"peak {rows.plain_number(total.max())} GiB" in words_of(ax)
    (mark,) = [line for line in ax.lines if line.get_marker() == "v"]
    assert mark.get_xdata()[0] == 1234 and mark.get_ydata()[0] == pytest.approx(total.max())
    assert max(len(path.vertices) for areas in ax.collections for path in areas.get_paths()) < 7000


def test_phases_are_named_inside_the_axes_in_their_order():
    ax = figures.memory_curve(CURVE, PHASES, T4)
    assert upright_lines(ax) == [1000, 2990]
    ax.figure.canvas.draw()
    places = {word.get_text(): mpl.text.Text.get_window_extent(word) for word in ax.texts}
    names = ["forward", "backward", "optimizer ›"]  # ten operators leave no room for the last name
    assert [places[name].x0 for name in names] == sorted(places[name].x0 for name in names)
    assert places["optimizer ›"].x1 <= ax.transData.transform((2990, 0))[0]
    start, end = (ax.transData.transform((place, 0))[0] for place in (0, 1000))
    assert (places["forward"].x0 + places["forward"].x1) / 2 == pytest.approx((start + end) / 2, abs=1)


def test_the_limit_of_a_curve_is_a_line_or_an_arrow():
    near, far = (
        figures.memory_curve(CURVE, PHASES, T4),
        figures.memory_curve(CURVE, PHASES, 80 * GIB, limit_name="A100"),
    )
    levels = [line.get_ydata()[0] for line in near.lines if line.get_color() == style.WARNING]
    assert levels == pytest.approx([14.7]) and "T4: 14.7 GiB" in words_of(near)
    assert "A100: 80 GiB ↑" in words_of(far) and not [n for n in far.lines if n.get_color() == style.WARNING]


def test_a_curve_of_one_operator_or_with_gaps_is_drawn():
    gaps = CURVE[["parameters", "activations"]].copy()
    gaps.loc[10:400, "activations"] = np.nan
    for table in (CURVE[:1], gaps):
        check_panels(figures.memory_curve(table, PHASES if len(table) > 1 else [], T4))


def test_ways_that_fit_are_filled_and_hours_stand_beside_all():
    ax = figures.ways_out(WAYS, T4)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([2 * 14.7, 6.2, 13.6, 8.8])  # the first is broken
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [True, False, False, False]
    words = words_of(ax)
    for word in ("T4: 14.7 GiB", "60.5", "6.2", "1,480", "1,610", "790", "520", "GiB", "hours of\ntraining"):
        assert word in words
    assert words.count("–") == 2 and "broken" in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts if text.get_color() == style.WARNING] == ["T4: 14.7 GiB", "60.5"]


# ------------------------------------------------------------------------------------------------------------- sweeps


def rings_of(ax) -> list[tuple[float, float]]:
    lines = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]


def test_a_ring_marks_the_largest_batch_that_fits_between_the_rows_too():
    ax = figures.sweep(BATCHES[BATCHES["precision"] == "fp32"], "batch", T4)
    # (14.7 − 0.9) / 4.9 = 2.8, (14.7 − 1.6) / 2.9 = 4.5, (14.7 − 4.3) / 1.1 = 9.5; the last two fit at every batch
    assert [place for place, _ in rings_of(ax)] == [2, 4, 9]
    np.testing.assert_allclose([held for _, held in rings_of(ax)], [0.9 + 9.8, 1.6 + 11.6, 4.3 + 9.9])
    assert words_of(ax)[:3] == ["2", "4", "9"]
    assert "Conv-TasNet (none fits)" in legend_of(ax) and "Demucs v2" in legend_of(ax)
    assert {"T4: 14.7 GiB", "largest that fits"} <= set(legend_of(ax)) and "fp32" not in legend_of(ax)
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_ylim()[1] <= 6 * 14.7
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "4", "8", "16", "32"]


def test_the_longest_segment_that_fits_is_rounded_down_to_a_tenth():
    ax = figures.sweep(SEGMENTS, "segment", T4)
    np.testing.assert_allclose([place for place, _ in rings_of(ax)], [5.5, 10.0, 1.7])
    assert words_of(ax)[0] == "5.5 s" and ax.get_xlabel() == "segment (s)"


def test_precisions_differ_in_dash_and_models_in_colour():
    ax = figures.sweep(BATCHES, "batch", T4)
    curves = [line for line in ax.lines if len(line.get_xdata()) == 120]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in curves}) == 12
    assert len({to_hex(line.get_color()) for line in curves}) == 6
    assert {"fp32", "fp16"} <= set(legend_of(ax))


def test_a_sweep_without_limit_has_no_rings_and_rows_with_nan_are_left_out():
    gappy = SEGMENTS.assign(memory=SEGMENTS["memory"].where(SEGMENTS.index != 2))
    ax = figures.sweep(gappy, "segment")
    assert not rings_of(ax) and legend_of(ax) == list(MODELS[:4])
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert list(points[0].get_xdata()) == [1, 2, 7.8, 10, 15]


# --------------------------------------------------------------------------------------------------------------- time


def test_work_and_time_are_points_with_lines_of_equal_rate():
    table = pd.concat([WORK, pd.DataFrame({"model": ["broken"], "flops": [np.nan], "seconds": [1.0]})])
    ax = figures.work_against_time(table, peaks={"T4 at most": 8.1e12})
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() == "o"]
    assert dots == [(flops / 1e12, seconds) for flops, seconds in zip(WORK["flops"], WORK["seconds"], strict=True)]
    assert set(MODELS) <= set(words_of(ax)) and "broken" not in words_of(ax)
    rates = {"100 GFLOP/s": 0.1, "1 TFLOP/s": 1.0, "10 TFLOP/s": 10.0}
    assert rates.keys() <= set(words_of(ax))
    drawn = {round(x / y, 3) for line in ax.lines if len(line.get_xdata()) == 2 for x, y in [line.get_xydata()[0]]}
    assert drawn == {*rates.values(), 8.1}
    assert legend_of(ax) == ["T4 at most: 8.1 TFLOP/s"] and ax.get_xlabel() == "work of a step (TFLOP)"


def test_hours_have_their_range_and_the_sessions_they_add_up_to():
    ax = figures.hours_an_epoch(HOURS)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == list(HOURS["hours"])
    hollow = [model for model, dot in zip(MODELS, dots, strict=True) if dot.get_markerfacecolor() == "white"]
    assert hollow == ["Demucs v2"]
    (whiskers,) = ax.collections
    np.testing.assert_allclose([[a[0], b[0]] for a, b in whiskers.get_segments()], HOURS[["low", "high"]])
    assert ax.get_xscale() == "log" and 12.0 in upright_lines(ax) and "session: 12 h" in words_of(ax)
    # 4.1 hours × 360 epochs / 12 hours = 123 sessions; 0.045 × 1000 / 12 = 3.75
    for word in ("4.1 h", "360", "123", "2.7 min", "1,000", "4", "405", "sessions"):
        assert word in words_of(ax)
    assert words_of(ax).count("–") == 2


def test_hours_without_a_range_or_of_one_unknown_model_are_drawn():
    unknown = HOURS.drop(columns=["low", "high"]).assign(hours=HOURS["hours"].where(HOURS.index != 1))
    check_panels(figures.hours_an_epoch(unknown, session=9))


def test_predictions_outside_the_band_are_hollow_and_counted():
    memory, time = figures.predicted_against_measured(MEASURED)
    check_panels(np.array([memory, time]))
    assert memory.get_title() == "memory: 5 of 6 within 1 %" and time.get_title() == "time: 5 of 6 within 30 %"
    for ax in (memory, time):
        hollow = [
            ln.get_xdata()[0] for ln in ax.lines if ln.get_marker() == "o" and ln.get_markerfacecolor() == "white"
        ]
        assert len(hollow) == 1 and ax.get_xlim() == ax.get_ylim() and ax.get_xscale() == ax.get_yscale() == "log"
    assert {"Demucs v2 0.0 %", "Open-Unmix −3.0 %"} <= set(words_of(memory))
    assert {"Open-Unmix +60 %", "Conv-TasNet −20 %"} <= set(words_of(time))
    (wider,) = figures.predicted_against_measured(MEMORY_PAIR, tolerance={"memory": 0.05})
    assert wider.get_title() == "memory: 6 of 6 within 5 %"


def test_predictions_without_a_measurement_are_left_out():
    missing = MEASURED.assign(measured_bytes=MEASURED["measured_bytes"].where(MEASURED.index > 0))
    memory, time = figures.predicted_against_measured(missing)
    assert "of 5" in memory.get_title() and "of 6" in time.get_title()


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda: figures.memory_bars(MEMORY.drop(columns="model"), T4), "memory has no column model"),
        (lambda: figures.memory_bars(MEMORY[["model"]], T4), "memory has no column parameters"),
        (lambda: figures.memory_bars(MEMORY[:0], T4), "memory has no rows: there is nothing to draw"),
        (lambda: figures.memory_curve(CURVE.assign(cache=1.0), PHASES), "not held for cache; there are parameters"),
        (lambda: figures.memory_curve(CURVE[:0], PHASES), "along a step has no rows"),
        (lambda: figures.sweep(BATCHES, "width", T4), "x is 'width': it must be one of batch, segment"),
        (lambda: figures.sweep(BATCHES, "segment", T4), "segment's sweep has no column segment"),
        (lambda: figures.sweep(BATCHES.assign(memory=np.nan), "batch", T4), "batch's sweep has no rows"),
        (lambda: figures.work_against_time(WORK.drop(columns="flops")), "work and time has no column flops"),
        (lambda: figures.work_against_time(WORK.assign(seconds=np.nan)), "work and time has no rows"),
        (lambda: figures.hours_an_epoch(HOURS.drop(columns=["hours", "epochs"])), "has no column hours, epochs"),
        (lambda: figures.hours_an_epoch(HOURS.assign(hours=np.nan)), "no model has hours an epoch"),
        (lambda: figures.predicted_against_measured(WORK), "neither predicted_bytes and measured_bytes"),
        (lambda: figures.predicted_against_measured(MEMORY_PAIR.drop(columns="model")), "has no column model"),
        (
            lambda: figures.predicted_against_measured(MEMORY_PAIR.assign(measured_bytes=0)),
            "measured memory has no rows",
        ),
        (lambda: figures.ways_out(WAYS.drop(columns="hours"), T4), "ways out has no column hours"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused_with_a_sentence(draw, match):
    with pytest.raises(SepnbError, match=match):
        draw()


# -------------------------------------------------------------------------------------------------------------- words


def test_numbers_are_written_without_exponents():
    values = (0.1894, 8.944, 12, 1234, 123456789.0, np.nan)
    assert [rows.plain_number(value) for value in values] == ["0.189", "8.94", "12", "1,230", "123,000,000", "–"]


def test_the_colours_of_neighbouring_parts_differ_without_colour_too():
    shades = [np.dot(mpl.colors.to_rgb(color), (0.2126, 0.7152, 0.0722)) for _, _, color, _ in plots_probing.PARTS]
    assert min(abs(np.diff(shades))) > 0.1
