"""Plots of scores: what is drawn is what the table says, and every name can be read."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from legible import check_panels
from matplotlib.colors import to_hex, to_rgb

from sepnb import figures
from sepnb.errors import SepnbError
from sepnb.figures.labels import name_points
from sepnb.figures.plots_boxes import GREY, GREY_EDGE, GREY_TEXT
from sepnb.published import published_tracks

mpl.use("agg")
STEMS = ("drums", "bass", "other", "vocals")
TWO = ("vocals", "accompaniment")
SIX = (*STEMS, "guitar", "piano")
NAMES = (
    "mixture ÷ 4",
    "toy U-Net",
    "Wave-U-Net",
    "Open-Unmix",
    "Conv-TasNet",
    "spleeter-4stems",
    "demucs48_hq",
    "hdemucs_high_musdb_plus",
    "htdemucs_ft",
    "mdx_extra (has seen the test songs)",
    "silence",
    "IRM2",
)
SCORES = ["SDR", "ISR", "SIR", "SAR", "SI-SDR"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def scores_of(systems: int, tracks: int = 8, stems=STEMS, frames: int = 7) -> pd.DataFrame:
    """Made-up scores: later systems are better, silence has SDR alone, the mixture no artifacts."""
    rng = np.random.default_rng(0)
    rows = []
    for (place, system), track in itertools.product(enumerate(NAMES[:systems]), range(tracks)):
        for number, stem in enumerate(stems):
            sdr = place - number + 2 * rng.standard_t(3, frames)
            values = np.stack([sdr, sdr + 4, 1.4 * sdr + 5 + rng.normal(), sdr + 1 + 2 * rng.normal(), sdr - 1])
            if system == "silence":
                values[0], values[1:] = 0, np.nan
            if system == "mixture ÷ 4":
                values[3] = 150 + rng.normal()
            rows += [(system, f"Track {track}", stem, frame, *values[:, frame]) for frame in range(frames)]
    return pd.DataFrame(rows, columns=["system", "track", "target", "frame", *SCORES])


def simple(values: dict[tuple[str, str], list[float]], metric: str = "SDR") -> pd.DataFrame:
    """{(system, target): a value a track} as a table."""
    rows = [(*key, f"Track {n}", value) for key, some in values.items() for n, value in enumerate(some)]
    return pd.DataFrame(rows, columns=["system", "target", "track", metric])


def differences_of(songs: int, letters: int = 20) -> pd.Series:
    values = np.random.default_rng(1).normal(0.5, 1, songs)
    return pd.Series(values, index=[f"{n} - A Song That Has a Long Name, feat. Others"[:letters] for n in range(songs)])


def costs_of(systems: int) -> pd.DataFrame:
    place = np.arange(systems)
    return pd.DataFrame(
        {
            "system": NAMES[:systems],
            "SDR": place * 0.8 + np.where(place % 3, 0, 1.0),
            "seconds_per_second": 10.0 ** (place % 5 - 3) * (1 + place),
            "memory_bytes": np.where(place == 0, np.nan, 2e8 * (1 + place) ** 1.5),
        }
    )


PUBLISHED = published_tracks("Open-Unmix", "Conv-TasNet", "IRM2", "TAK1")
SOUND = np.random.default_rng(0).normal(0, 0.1, (9, 2, 8_000)).astype(np.float32)

DRAW = {
    "scores_three": lambda ax=None: figures.scores_by_stem(scores_of(3), ax),
    "scores_ten": lambda ax=None: figures.scores_by_stem(scores_of(10), ax, published={NAMES[0], NAMES[4]}),
    "boxes_two": lambda ax=None: figures.score_boxes(scores_of(2), ax),
    "boxes_twelve": lambda ax=None: figures.score_boxes(scores_of(12), ax, published=PUBLISHED),
    "boxes_one_song": lambda ax=None: figures.score_boxes(scores_of(3, tracks=1), ax),
    "boxes_two_stems": lambda ax=None: figures.score_boxes(scores_of(3, stems=TWO), ax, metric="SIR"),
    "ratios_five": lambda ax=None: figures.sir_against_sar(scores_of(5), ax),
    "ratios_iso": lambda ax=None: figures.sir_against_sar(scores_of(2, stems=TWO), ax, iso=True),
    "paired_twelve": lambda ax=None: figures.paired_differences(
        differences_of(12, 60), 0.1, 0.9, ax, a=NAMES[7], b=NAMES[8]
    ),
    "paired_fifty": lambda ax=None: figures.paired_differences(differences_of(50), -0.1, 0.9, ax, target="vocals"),
    "paired_one": lambda ax=None: figures.paired_differences(differences_of(1), np.nan, np.nan, ax),
}
GRIDS = {
    "panels_twelve": lambda: figures.score_boxes_by_stem(scores_of(12), published=PUBLISHED),
    "panels_sir": lambda: figures.score_boxes_by_stem(scores_of(11), metric="SIR"),
    "panels_column": lambda: figures.score_boxes_by_stem(scores_of(5), published=PUBLISHED, width="column"),
    "panels_six_stems": lambda: figures.score_boxes_by_stem(scores_of(4, stems=SIX)),
    "panels_two_stems": lambda: figures.score_boxes_by_stem(scores_of(2, stems=TWO)),
    "ratio_panels_twelve": lambda: figures.sir_against_sar_by_stem(scores_of(12)),
    "ratio_panels_published": lambda: figures.sir_against_sar_by_stem(PUBLISHED, published=set(PUBLISHED.system)),
    "costs_twelve": lambda: figures.cost_against_quality(costs_of(12), leaking={NAMES[9]}, memory_limit=12e9),
    "costs_column": lambda: figures.cost_against_quality(costs_of(5).drop(columns="memory_bytes")),
    "estimates_one": lambda: figures.estimate_spectrograms(SOUND[0], {"IRM2": SOUND[1]}, 16_000),
    "estimates_four": lambda: figures.estimate_spectrograms(
        SOUND[0], dict(zip(NAMES[6:10], SOUND[1:], strict=False)), 16_000
    ),
    "estimates_eight": lambda: figures.estimate_spectrograms(
        SOUND[0], dict(zip(NAMES[2:10], SOUND[1:], strict=True)), 16_000, title="vocals"
    ),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_plot_returns_the_axes_it_was_given(name):
    with figures.print_style():
        _, ax = figures.subplots(width="text", height=4)
        assert DRAW[name](ax) is ax


@pytest.mark.parametrize("name", [*DRAW, *GRIDS])
def test_a_plot_can_be_read_at_its_final_size(name):
    drawn = np.ravel((DRAW | GRIDS)[name]())
    assert any("(dB)" in label or "(s" in label for ax in drawn for label in (ax.get_xlabel(), ax.get_ylabel()))
    check_panels(drawn)


def rows_of(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def marks_of(ax, *shapes: str) -> list[tuple[float, float]]:
    """Places of the single marks of these shapes."""
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() in shapes]


# --------------------------------------------------------------------------------------------------------- dots, boxes


def test_scores_are_ordered_and_published_ones_hollow():
    scores = pd.DataFrame(
        {
            "system": ["worse", "worse", "best", "best"],
            "target": ["drums", "vocals"] * 2,
            "SDR": [1.0, 2.0, 6.0, 7.0],
        }
    )
    ax = figures.scores_by_stem(scores, published=["best"])
    assert rows_of(ax) == ["best", "worse"]
    dots = [line for line in ax.lines if line.get_marker() not in (None, "None")]
    assert [line.get_xdata()[0] for line in dots] == [6.0, 7.0, 1.0, 2.0]
    assert [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in dots] == [True, True, False, False]
    assert [line.get_color() for line in dots] == [figures.stem_color("drums"), figures.stem_color("vocals")] * 2
    assert ax.get_xlabel() == "SDR (dB)"
    turned = figures.scores_by_stem(scores, order=["worse", "best"])
    assert rows_of(turned) == ["worse", "best"]


FIVE = simple({("a", "vocals"): [1, 2, 3, 4, 5], ("b", "vocals"): [7, 5, 6, 9, 8]})


def test_a_box_reaches_from_quartile_to_quartile_and_its_line_is_the_median():
    ax = figures.score_boxes(FIVE)
    assert rows_of(ax) == ["b", "a"]
    boxes = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches if bar.get_height() < 0.9]
    assert boxes == [(6.0, 8.0), (2.0, 4.0)]
    assert marks_of(ax, "v") == [(7.0, 0.0), (3.0, 1.0)]
    whiskers = [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 0.7]
    assert whiskers == [(5.0, 9.0), (1.0, 5.0)]
    assert to_hex(ax.patches[-1].get_edgecolor()).upper() == figures.stem_color("vocals")
    assert ax.get_xlabel() == "SDR of songs (dB)"


def test_boxes_hold_medians_of_songs_and_of_one_song_the_frames():
    scores = scores_of(2)
    of_songs = scores[scores["target"] == "bass"].groupby(["system", "track"])["SDR"].median()
    ax = figures.score_boxes(scores)
    expected = {system: of_songs[system].median() for system in NAMES[:2]}
    assert [x for x, _ in marks_of(ax, "o") if x in expected.values()] == [expected[row] for row in rows_of(ax)]
    one = scores[scores["track"] == "Track 0"]
    ax = figures.score_boxes(one)
    assert ax.get_xlabel() == "SDR of frames (dB)"
    assert figures.score_boxes(one[one["frame"] == 0].drop(columns="frame")).get_xlabel() == "SDR (dB)"
    middle = one[one["target"] == "bass"].groupby("system")["SDR"].median()
    assert {x for x, _ in marks_of(ax, "o")} >= set(middle)


def test_few_values_are_dots_and_none_is_a_dash():
    ax = figures.score_boxes(
        simple({("a", "vocals"): [1, 2, 4], ("b", "vocals"): [np.nan] * 3, ("c", "vocals"): [0] * 3})
    )
    assert rows_of(ax) == ["a", "c", "b"]  # without a mean to compare: last
    assert not [bar for bar in ax.patches if bar.get_height() < 0.9]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert list(dots[0].get_xdata()) == [1, 2, 4]
    assert [(text.get_text(), text.get_position()[1]) for text in ax.texts] == [("–", 2)]


def test_a_far_outlier_is_a_triangle_at_the_edge_and_does_not_squeeze_the_boxes():
    scores = simple({("a", "vocals"): [1, 2, 3, 4, 5, -60], ("b", "vocals"): [1, 2, 3, 4, 5, 5.5]})
    ax = figures.score_boxes(scores)
    low, high = ax.get_xlim()
    assert -2 < low < 1 and 5.5 < high < 7
    assert [x for x, _ in marks_of(ax, "<")] == [low]
    assert "outside the axis" in [text.get_text() for text in ax.get_legend().get_texts()]
    near = figures.score_boxes(simple({("a", "vocals"): [1, 2, 3, 4, 5], ("b", "vocals"): [1, 2, 3, 4, 5]}))
    assert "outside the axis" not in [text.get_text() for text in near.get_legend().get_texts()]


def test_published_boxes_are_grey_behind_their_own_system_or_in_a_row_of_their_own():
    published = simple({("b", "vocals"): [4, 5, 6, 7, 8], ("c", "vocals"): [9] * 5, ("c", "guitar"): [99] * 5})
    ax = figures.score_boxes(FIVE, published=published)
    assert rows_of(ax) == ["c", "b", "a"]
    boxes = [bar for bar in ax.patches if bar.get_height() < 0.9]
    grey = [bar for bar in boxes if to_hex(bar.get_facecolor()).upper() == GREY]
    middles = [round(bar.get_y() + bar.get_height() / 2, 6) for bar in grey]
    assert middles == [0, 1] and all(to_hex(bar.get_edgecolor()).upper() == GREY_EDGE for bar in grey)
    (own,) = [bar for bar in boxes if bar not in grey and bar.get_y() > 0.5 and bar.get_y() < 1.4]
    assert own.get_zorder() > grey[1].get_zorder() and own.get_height() < grey[1].get_height()
    colors = [to_hex(label.get_color()).upper() for label in ax.get_yticklabels()]
    assert colors == [GREY_TEXT, "#000000", "#000000"]
    assert ax.get_xlim()[1] < 20  # guitar was not measured
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["vocals", "grey: published"]


def test_panels_share_order_and_scale_and_are_called_by_their_stem():
    scores = scores_of(6)
    panels = figures.score_boxes_by_stem(scores)
    assert [ax.get_title() for ax in panels] == list(STEMS)
    assert len({ax.get_xlim() for ax in panels}) == 1
    mean = figures.score_table(scores)["mean"]
    assert rows_of(panels[0]) == list(mean.index)
    for ax, stem in zip(panels, STEMS, strict=True):
        edges = {to_hex(bar.get_edgecolor()).upper() for bar in ax.patches}
        assert edges == {figures.stem_color(stem)}
    chosen = figures.score_boxes_by_stem(scores, order=[NAMES[2], NAMES[0]])
    assert rows_of(chosen[0]) == [NAMES[2], NAMES[0]] and len(chosen[0].patches) == 2
    with pytest.raises(KeyError, match="nobody"):
        figures.score_boxes(scores, order=["nobody"])


# ------------------------------------------------------------------------------------------------------------- scatter


def ratios(values: dict[tuple[str, str], tuple[float, float]]) -> pd.DataFrame:
    """{(system, target): (SAR, SIR)} as a table."""
    rows = [(*key, "Track 0", *pair) for key, pair in values.items()]
    return pd.DataFrame(rows, columns=["system", "target", "track", "SAR", "SIR"])


def names_on(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text()]


PAIRS = {("a", "drums"): (5, 10), ("a", "vocals"): (7, 12), ("b", "drums"): (3, 6), ("b", "vocals"): (2, 8)}


def test_dots_stand_at_sar_and_sir_in_the_marker_and_colour_of_their_stem():
    ax = figures.sir_against_sar(ratios(PAIRS), published={"b"})
    assert set(marks_of(ax, "s")) == {(5, 10), (3, 6)} and set(marks_of(ax, "v")) == {(7, 12), (2, 8)}
    dots = [line for line in ax.lines if line.get_marker() in ("s", "v")]
    colors = {(line.get_marker(), line.get_color()) for line in dots}
    assert colors == {("s", figures.stem_color("drums")), ("v", figures.stem_color("vocals"))}
    hollow = {line.get_xdata()[0] for line in dots if to_hex(line.get_markerfacecolor()) == "#ffffff"}
    assert hollow == {3, 2}
    assert sorted(names_on(ax)) == ["a", "b"]
    assert ax.get_xlabel().startswith("SAR (dB)") and ax.get_ylabel().startswith("SIR (dB)")
    spokes = {(*line.get_xdata(), *line.get_ydata()) for line in ax.lines if to_hex(line.get_color()) == "#c8c8c8"}
    assert (5, 6, 10, 11) in spokes and len(spokes) == 4  # a's drums to a's mean


def test_a_mixture_without_artifacts_stands_at_the_edge_and_silence_is_named():
    values = {**PAIRS, ("mixture", "drums"): (170, -4), ("mixture", "vocals"): (30, -5)}
    values |= {("silence", stem): (np.nan, np.nan) for stem in ("drums", "vocals")}
    ax = figures.sir_against_sar(ratios(values))
    assert ax.get_xlim()[1] < 15
    assert "mixture →" in names_on(ax)
    assert "not drawn, no values: silence" in ax.get_xlabel()
    kept = figures.sir_against_sar(ratios({**PAIRS, ("c", "drums"): (14, 12), ("c", "vocals"): (15, 12)}))
    assert (15, 12) in marks_of(kept, "v") and "c" in names_on(kept)


def test_ratio_panels_name_every_system_in_every_stem():
    panels = figures.sir_against_sar_by_stem(ratios(PAIRS))
    assert [ax.get_title() for ax in panels] == ["drums", "vocals"]
    assert marks_of(panels[0], "s") == [(5, 10), (3, 6)] and marks_of(panels[1], "v") == [(7, 12), (2, 8)]
    assert all(sorted(names_on(ax)) == ["a", "b"] for ax in panels)
    assert panels[0].get_xlim() == panels[1].get_xlim()


def test_iso_lines_keep_bleed_and_artifacts_together_the_same():
    ax = figures.sir_against_sar(scores_of(6), iso=True)
    (lines,) = [item for item in ax.collections if isinstance(item, mpl.contour.ContourSet)]
    for level, segments in zip(lines.levels, lines.allsegs, strict=True):
        for sar, sir in itertools.chain.from_iterable(segments):
            together = -10 * np.log10(10 ** (-sar / 10) + 10 ** (-sir / 10))
            assert together == pytest.approx(level, abs=0.1)


def test_names_stand_beside_their_dots_and_not_on_each_other():
    figure, ax = plt.subplots(figsize=(3.5, 2.5), dpi=150)
    x, y = np.random.default_rng(3).uniform(0, 1, (2, 12))
    ax.plot(x, y, "o", markersize=4)
    notes = name_points(ax, x, y, NAMES)
    figure.canvas.draw()
    boxes = [mpl.text.Text.get_window_extent(note) for note in notes]
    for one, two in itertools.combinations(boxes, 2):
        assert not one.overlaps(two)
    for box, spot in zip(boxes, ax.transData.transform(np.column_stack([x, y])), strict=True):
        assert ax.bbox.x0 - 1 <= box.x0 and box.x1 <= ax.bbox.x1 + 1
        away = np.hypot(*(spot - np.clip(spot, [box.x0, box.y0], [box.x1, box.y1])))
        assert away <= 50 * 150 / 72


def test_costs_stand_on_logarithmic_axes_in_their_units():
    costs = pd.DataFrame(
        {
            "system": ["slow", "fast", "leaking"],
            "SDR": [9.0, 5.0, 9.5],
            "seconds_per_second": [4.0, 0.02, 3.0],
            "memory_bytes": [4 * 2**30, np.nan, 2**30],
        }
    )
    time, memory = figures.cost_against_quality(costs, leaking={"leaking"}, memory_limit=14.7 * 2**30)
    assert marks_of(time, "o") == [(4.0, 9.0), (0.02, 5.0), (3.0, 9.5)]
    assert marks_of(memory, "o") == [(4.0, 9.0), (1.0, 9.5)]
    faces = [to_hex(line.get_markerfacecolor()) for line in time.lines if line.get_marker() == "o"]
    assert [face == "#ffffff" for face in faces] == [False, False, True]
    assert time.get_xscale() == memory.get_xscale() == "log"
    assert "as fast as the music" in time.get_xlabel() and "14.7 GiB" in memory.get_xlabel()
    assert "SDR" in time.get_ylabel() and sorted(names_on(memory)) == ["leaking", "slow"]
    free = costs.assign(seconds_per_second=[4.0, 0.0, np.nan])  # what took no time has no place on such an axis
    assert marks_of(figures.cost_against_quality(free)[0], "o") == [(4.0, 9.0)]
    (only,) = figures.cost_against_quality(costs[["system", "SDR", "memory_bytes"]])
    assert "GiB" in only.get_xlabel()


# -------------------------------------------------------------------------------------------------------------- paired


def test_differences_are_sorted_with_their_interval_and_zero():
    series = pd.Series({"one": -1.0, "two": 2.0, "three": 1.0, "four": np.nan})
    ax = figures.paired_differences(series, 0.2, 1.8, a="A", b="B", target="vocals")
    assert rows_of(ax) == ["two", "three", "one"]
    assert marks_of(ax, "v") == [(2.0, 0), (1.0, 1), (-1.0, 2)]
    hollow = [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in ax.lines if line.get_marker() == "v"]
    assert hollow == [False, False, True]
    (band,) = ax.patches
    assert band.get_extents().transformed(ax.transData.inverted()).intervalx == pytest.approx([0.2, 1.8])
    verticals = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "None"]
    assert verticals == [1.0, 0]  # the median, and zero
    (sentence,) = ax.texts
    assert sentence.get_text().replace("\n", " ") == figures.verdict(series, 0.2, 1.8, a="A", b="B", target="vocals")
    assert "A minus B (dB)" in ax.get_xlabel()


def test_the_verdict_follows_the_interval_not_the_median():
    series = pd.Series([1.0, 2.0, 3.0])
    many = pd.concat([series] * 4, ignore_index=True)
    assert (
        figures.verdict(many, 0.5, 2.5, a="A", b="B")
        == "A is better than B: +2.00 dB of SDR (95 % interval +0.50 to +2.50), ahead on 12 of 12 songs."
    )
    assert (
        figures.verdict(-many, -2.5, -0.5, a="A", b="B", target="bass", metric="SIR")
        == "B is better than A on bass: +2.00 dB of SIR (95 % interval +0.50 to +2.50), ahead on 12 of 12 songs."
    )
    assert (
        figures.verdict(series, 0.5, 2.5, a="A", b="B")
        == "A is ahead of B: +2.00 dB of SDR (95 % interval +0.50 to +2.50), on 3 of 3 songs, too few to tell."
    )
    assert (
        figures.verdict(pd.Series([1.0, -1.5]), -0.5, 1.0, a="A", b="B", middle=0.3)
        == "Undecided: A minus B is +0.30 dB of SDR (95 % interval −0.50 to +1.00), ahead on 1 of 2 songs."
    )
    assert figures.verdict(series[:1], np.nan, np.nan) == "Undecided: A against B on 1 song gives no interval."


def test_many_songs_are_counted_and_a_long_name_is_shortened():
    assert figures.paired_differences(differences_of(50), 0.1, 0.9).get_ylabel() == "50 songs, sorted"
    few = figures.paired_differences(differences_of(5, 60), 0.1, 0.9)
    assert all(len(name) <= 28 and name.endswith("…") for name in rows_of(few))


# ----------------------------------------------------------------------------------------------------------- estimates


def test_differences_of_spectrograms_show_what_is_lost_and_what_is_too_much():
    time = np.arange(32_000) / 16_000
    low, high = (np.sin(2 * np.pi * hertz * time)[None].astype(np.float32) for hertz in (200, 3000))
    axes = figures.estimate_spectrograms(low, {"same": low, "half": low / 2, "other": high}, 16_000)
    assert axes.shape == (2, 4)
    assert [ax.get_title() for ax in axes[0]] == ["reference", "same", "half", "other"]
    drawn = [ax.images[0] for ax in axes[1, 1:]]
    edges = np.geomspace(*axes[0, 0].get_ylim(), len(drawn[0].get_array()) + 1)
    row = {hertz: int(np.searchsorted(edges, hertz)) - 1 for hertz in (200, 3000)}
    same, half, other = (one.get_array()[:, one.get_array().shape[1] // 2] for one in drawn)
    assert np.all(same == 0)
    assert half[row[200]] == pytest.approx(-6.02, abs=0.01)
    assert other[row[200]] < -40 and other[row[3000]] > 40
    assert all(one.get_clim() == (-20, 20) for one in drawn)
    assert {ax.images[0].get_clim() for ax in axes[0]} == {(-60, 0)}
    lost, nothing, gained = (np.array(to_rgb(mpl.colormaps[drawn[0].get_cmap().name](x))) for x in (0, 0.5, 1.0))
    assert lost[2] > lost[0] and gained[0] > gained[2] and nothing.min() > 0.9


def test_the_bars_of_colour_stand_in_the_empty_panel_and_say_their_units():
    axes = figures.estimate_spectrograms(SOUND[0], {"a": SOUND[1]}, 16_000)
    words = [bar.get_xlabel() for bar in axes[1, 0].child_axes]
    assert words[0] == "level (dB, 0 = loudest)" and words[1].startswith("estimate − reference (dB)")
    assert not axes[1, 0].axison
    assert len(axes[0, 0].figure.axes) == 4  # no bar was left beside the panels


def test_estimates_can_be_drawn_into_given_axes_and_many_go_down_the_page():
    with figures.print_style():
        _, given = figures.subplots(2, 2, "text", 3)
    assert (figures.estimate_spectrograms(SOUND[0], {"a": SOUND[1]}, 16_000, given) == given).all()
    many = figures.estimate_spectrograms(SOUND[0], dict(zip("abcdef", SOUND[1:7], strict=True)), 16_000)
    assert many.shape == (2, 7)
    assert many[0, 1].get_position().y0 < many[0, 0].get_position().y0


def test_an_estimate_of_another_shape_is_refused():
    with pytest.raises(SepnbError, match="shifted"):
        figures.estimate_spectrograms(SOUND[0], {"shifted": SOUND[1][:, :-5]}, 16_000)
    with pytest.raises(SepnbError, match="no estimates"):
        figures.estimate_spectrograms(SOUND[0], {}, 16_000)
