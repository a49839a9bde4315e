"""Tables say the same in LaTeX, Markdown and HTML, and nothing in them is taken for a command."""

import re

import numpy as np
import pandas as pd
import pytest

from sepnb import figures
from sepnb.errors import SepnbError
from sepnb.figures.tables import latex_text

TABLE = pd.DataFrame(
    {"SDR": [5.914, -0.286, np.nan], "songs": [50, 1, 2], "trained on": ["MUSDB18 train", "20 % of it", ""]},
    index=pd.Index(["Conv-TasNet", "mixture ÷ 4", "my_net"], name="system"),
)


def rows_of(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.strip().splitlines()]


def test_markdown_has_units_dashes_and_figures_to_the_right():
    page = figures.markdown_table(TABLE, units={"SDR": "dB"})
    head, rule, *body = rows_of(page)
    assert head == ["system", "SDR (dB)", "songs", "trained on"]
    assert [cell.endswith(":") for cell in rule] == [False, True, True, False]
    assert body == [
        ["Conv-TasNet", "5.91", "50", "MUSDB18 train"],
        ["mixture ÷ 4", "−0.29", "1", "20 % of it"],
        ["my_net", "–", "2", ""],
    ]
    assert len({len(line) for line in page.splitlines()}) == 1  # columns are aligned in the file, too


def test_latex_is_booktabs_with_everything_escaped():
    page = figures.latex_table(TABLE, "SDR of 50 % & more – a_b", "tab:scores", units="dB", digits=1)
    assert page.splitlines() == [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        r"  \caption{SDR of 50 \% \& more -- a\_b}",
        r"  \label{tab:scores}",
        r"  \begin{tabular}{lrrl}",
        r"    \toprule",
        r"    system & SDR (dB) & songs (dB) & trained on \\",
        r"    \midrule",
        r"    Conv-TasNet & 5.9 & 50 & MUSDB18 train \\",
        r"    mixture $\div$ 4 & $-$0.3 & 1 & 20 \% of it \\",
        r"    my\_net & -- & 2 &  \\",
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        (r"a\b", r"a\textbackslash{}b"),
        ("#1 {x} $y ~ ^", r"\#1 \{x\} \$y \textasciitilde{} \textasciicircum{}"),
        ("−3 ± 1, ≥ 2×", r"$-$3 $\pm$ 1, $\ge$ 2$\times$"),
        ("“Défossez” … A | B", r"``Défossez'' \ldots{} A \textbar{} B"),
        ("two\nlines", "two lines"),
    ],
)
def test_signs_reach_latex_in_its_own_way(text, latex):
    assert latex_text(text) == latex


def test_markdown_leaves_names_alone_but_for_what_it_would_read_as_markup():
    frame = pd.DataFrame({"name": ["hdemucs_high_musdb", "*a* | <b> [c]", "_x_", "two\nlines"]})
    cells = [line[2:-2].rstrip() for line in figures.markdown_table(frame).splitlines()[2:]]
    assert cells == ["hdemucs_high_musdb", r"\*a\* \| \<b\> \[c\]", r"\_x\_", "two lines"]


def test_the_best_figure_is_bold_among_those_that_may_win():
    frame = pd.DataFrame({"SDR": [8.0, 5.001, 4.999, 3.0], "seconds": [0.1, 2.0, 0.5, np.nan], "who": list("abcd")})
    page = figures.markdown_table(frame, best={"SDR": "high", "seconds": "low"}, contenders=[False, True, True, True])
    assert re.findall(r"\*\*(.*?)\*\*", page) == ["5.00", "5.00", "0.50"]  # equal as printed: both
    assert r"\textbf{8.00}" in figures.latex_table(frame, best="high")
    assert "<b>8.00</b>" in figures.html_table(frame, best="high")
    assert "**" not in figures.markdown_table(frame.assign(SDR=np.nan, seconds=np.nan), best="high")
    with pytest.raises(SepnbError, match="'high' or 'low'"):
        figures.markdown_table(frame, best="max")
    with pytest.raises(SepnbError, match="contenders has 1"):
        figures.markdown_table(frame, contenders=[True])


def test_groups_of_columns_get_a_head_of_their_own():
    frame = pd.DataFrame(
        [[1.0, 2.0, 3.0, "no"]],
        index=pd.Index(["a"], name="system"),
        columns=pd.MultiIndex.from_tuples([("SDR", "drums"), ("SDR", "bass"), ("SIR", "drums"), ("leak", "")]),
    )
    page = figures.latex_table(frame, units={"SDR": "dB", ("SIR", "drums"): "dB"}, digits={"SDR": 1})
    assert r" & \multicolumn{2}{c}{SDR} & \multicolumn{1}{c}{SIR} &  \\" in page
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-4}" in page
    assert r"system & drums (dB) & bass (dB) & drums (dB) & leak \\" in page
    assert r"a & 1.0 & 2.0 & 3.00 & no \\" in page
    assert rows_of(figures.markdown_table(frame))[0] == ["system", "SDR drums", "SDR bass", "SIR drums", "leak"]


def test_an_index_without_a_name_is_left_out_and_html_is_escaped():
    frame = pd.DataFrame({"a<b": [True, False], "x": [np.inf, -0.001]}, index=[7, 8])
    page = figures.html_table(frame)
    assert "a&lt;b" in page and "<td style='text-align: left'>yes</td>" in page
    assert "∞" in page and ">0.00<" in page  # no minus before what rounds to zero
    assert "7" not in re.sub(r"<[^>]*>", "", page)


def test_a_score_table_has_means_gains_and_facts_best_on_top():
    rows = [
        (system, f"Track {track}", target, frame, value + track + frame)
        for system, values in {"mixture": (-6.0, -4.0), "net": (1.0, 3.0), "vocals only": (np.nan, 9.0)}.items()
        for target, value in zip(("drums", "vocals"), values, strict=True)
        for track in range(3)
        for frame in range(3)
    ]
    scores = pd.DataFrame(rows, columns=["system", "track", "target", "frame", "SDR"])
    table = figures.score_table(scores, over="mixture", facts={"trained on": {"net": "MUSDB18 test too"}})
    assert list(table.columns) == ["drums", "vocals", "mean", "SDRi", "trained on"]
    assert list(table.index) == ["net", "mixture", "vocals only"] and table.index.name == "system"
    assert table.loc["net"].tolist() == [3.0, 5.0, 4.0, 7.0, "MUSDB18 test too"]
    assert table.loc["mixture", ["mean", "SDRi", "trained on"]].tolist() == [-3.0, 0.0, ""]
    assert np.isnan(table.loc["vocals only", "mean"])
    with pytest.raises(SepnbError, match="silence"):
        figures.score_table(scores, over="silence")


def test_a_two_stem_system_does_not_take_the_mean_from_the_others():
    rows = [
        (system, target, sdr) for system, sdr in (("mixture", -5.0), ("four", 6.0)) for target in ("drums", "vocals")
    ]
    rows += [("two", "vocals", 9.0), ("two", "accompaniment", 14.0)]
    scores = pd.DataFrame(rows, columns=["system", "target", "SDR"])
    table = figures.score_table(scores, over="mixture")
    assert list(table.index) == ["four", "mixture", "two"]
    assert table.loc["four", ["mean", "SDRi"]].tolist() == [6.0, 11.0]
    assert table.loc["two", ["mean", "SDRi"]].isna().all()
