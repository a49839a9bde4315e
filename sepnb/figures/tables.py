"""Tables for the report: a DataFrame as LaTeX (booktabs), Markdown and HTML, all with the same figures in them."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from sepnb.errors import SepnbError
from sepnb.metrics.aggregate import common_targets, improvement, medians

MISSING = "–"


def score_table(
    scores: pd.DataFrame,
    *,
    metric: str = "SDR",
    over: str | None = None,
    facts: Mapping[str, Mapping[str, object]] | None = None,
) -> pd.DataFrame:
    """The table of a report: a row a system, its medians by stem, their mean, its gain over the mixture, and facts.

    `scores`: columns system, target, the metric, and track and frame where there are several. Sorted by the mean, the
    best on top; a system without a value for some stem has no mean and comes last. Stems that few systems were scored
    on (the accompaniment of a two-stem system among systems of four) stand in the table and not in the mean. `over`
    names the system that stands for "nothing done" and adds the mean gain over it, as a column "SDRi". `facts`, as
    {"trained on": {"mdx_extra": "MUSDB18 test too"}} ({column: {system: what to say}}), go to the end. Figures in dB.
    Raises SepnbError where `over` was not scored.
    """
    targets = list(dict.fromkeys(scores["target"]))
    table = medians(scores, metric)[targets]
    common = common_targets(scores)
    table["mean"] = table[common].mean(axis=1, skipna=False)
    if over is not None:
        gains = medians(improvement(scores, over, metric), f"{metric}i")[common]
        table[f"{metric}i"] = gains.mean(axis=1, skipna=False)
    table = table.sort_values("mean", ascending=False, kind="stable")
    for fact, said in (facts or {}).items():
        table[fact] = [said.get(system, "") for system in table.index]
    return table.rename_axis(columns=None)


def latex_table(
    frame: pd.DataFrame,
    caption: str = "",
    label: str = "",
    *,
    units: str | Mapping[object, str] = "",
    digits: int | Mapping[object, int] = 2,
    best: str | Mapping[object, str] | None = None,
    contenders: Sequence[bool] | None = None,
) -> str:
    """A DataFrame as a LaTeX table in the style of booktabs, ready for \\input; the document needs that package alone.

    A named index comes first. `units` stand behind the columns' names, one for all figures or {column: unit}; `digits`
    after the decimal point likewise. `best` sets the best figure of a column in bold: "high" or "low" for all, or
    {column: "high" or "low"}; among the rows where `contenders` is True, so that an oracle or a system that has seen
    the test songs does not win. Columns of two levels get a head above their group. NaN is a dash. What LaTeX would
    take for commands is escaped, and signs such as ÷, −, – and × are set in its own way.
    """
    cells = _cells(frame, units, digits, best, contenders)
    lines = ["% \\usepackage{booktabs}", "\\begin{table}", "  \\centering"]
    if caption:
        lines.append(f"  \\caption{{{latex_text(caption)}}}")
    if label:
        lines.append(f"  \\label{{{label}}}")
    lines += [f"  \\begin{{tabular}}{{{''.join('r' if right else 'l' for right in cells.right)}}}", "    \\toprule"]
    if cells.groups:
        lines += _latex_groups(cells)
    lines += [f"    {' & '.join(map(latex_text, cells.head))} \\\\", "    \\midrule"]
    for words, bold in zip(cells.body, cells.bold, strict=True):
        marked = (
            f"\\textbf{{{latex_text(word)}}}" if is_best else latex_text(word)
            for word, is_best in zip(words, bold, strict=True)
        )
        lines.append(f"    {' & '.join(marked)} \\\\")
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def markdown_table(
    frame: pd.DataFrame,
    *,
    units: str | Mapping[object, str] = "",
    digits: int | Mapping[object, int] = 2,
    best: str | Mapping[object, str] | None = None,
    contenders: Sequence[bool] | None = None,
) -> str:
    """A DataFrame as a table in Markdown (the GitHub kind), figures to the right; arguments as for `latex_table`."""
    cells = _cells(frame, units, digits, best, contenders)
    body = [
        [
            f"**{_markdown_text(word)}**" if is_best else _markdown_text(word)
            for word, is_best in zip(words, bold, strict=True)
        ]
        for words, bold in zip(cells.body, cells.bold, strict=True)
    ]
    head = [_markdown_text(word) for word in cells.flat_head()]
    widths = [max(3, *(len(row[i]) for row in [head, *body])) for i in range(len(head))]
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, cells.right, strict=True)]
    lines = []
    for row in [head, rule, *body]:
        padded = (
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(row, widths, cells.right, strict=True)
        )
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines) + "\n"


def html_table(
    frame: pd.DataFrame,
    *,
    units: str | Mapping[object, str] = "",
    digits: int | Mapping[object, int] = 2,
    best: str | Mapping[object, str] | None = None,
    contenders: Sequence[bool] | None = None,
) -> str:
    """A DataFrame as an HTML table for a notebook, figures to the right; arguments as for `latex_table`."""
    cells = _cells(frame, units, digits, best, contenders)

    def row(words: Sequence[str], tag: str, bold: Sequence[bool]) -> str:
        parts = []
        for word, right, is_best in zip(words, cells.right, bold, strict=True):
            text = f"<b>{html.escape(word)}</b>" if is_best else html.escape(word)
            parts.append(f"<{tag} style='text-align: {'right' if right else 'left'}'>{text}</{tag}>")
        return f"<tr>{''.join(parts)}</tr>"

    head = row(cells.flat_head(), "th", [False] * len(cells.head))
    body = "".join(row(words, "td", bold) for words, bold in zip(cells.body, cells.bold, strict=True))
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class _Cells:
    """The words of a table, before any markup."""

    groups: list[str]  # one a column where the columns have two levels, else empty
    head: list[str]
    body: list[list[str]]
    bold: list[list[bool]]
    right: list[bool]  # one a column: figures stand to the right, words to the left

    def flat_head(self) -> list[str]:
        """One line of names, for formats that have no groups."""
        return [f"{a} {b}".strip() for a, b in zip(self.groups, self.head, strict=True)] if self.groups else self.head


def _cells(
    frame: pd.DataFrame,
    units: str | Mapping[object, str],
    digits: int | Mapping[object, int],
    best: str | Mapping[object, str] | None,
    contenders: Sequence[bool] | None,
) -> _Cells:
    names = [name for name in frame.index.names if name is not None]
    index = frame.index.to_frame(index=False)[names] if names else pd.DataFrame(index=range(len(frame)))
    allowed = np.ones(len(frame), bool) if contenders is None else np.asarray(contenders, dtype=bool)
    if len(allowed) != len(frame):
        raise SepnbError(f"contenders has {len(allowed)} entries for the {len(frame)} rows of the table")
    groups, head, columns, bold, right = [], [], [], [], []
    for name in names:
        groups.append("")
        head.append(str(name))
        columns.append([_word(value, 0) for value in index[name]])
        bold.append(np.zeros(len(frame), bool))
        right.append(False)
    for place, name in enumerate(frame.columns):
        values = frame.iloc[:, place]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        upper, lower = (name[0], name[-1]) if isinstance(name, tuple) and name[-1] != "" else ("", _first(name))
        unit = _of_column(units, name, upper) if is_number or isinstance(units, Mapping) else ""
        groups.append(str(upper))
        head.append(f"{lower} ({unit})" if unit else str(lower))
        places = _of_column(digits, name, upper, 2)
        columns.append([_word(value, places) for value in values])
        which = _of_column(best, name, upper) if is_number else ""
        bold.append(_best(values, which, places, allowed))
        right.append(is_number)
    return _Cells(
        groups if any(groups) else [],
        head,
        [list(row) for row in zip(*columns, strict=True)],
        [list(row) for row in zip(*bold, strict=True)],
        right,
    )


def _first(name: object) -> object:
    """The name of a column; of one in a table of two levels that belongs to no group, the upper one."""
    return name[0] if isinstance(name, tuple) else name


def _of_column(setting: object, name: object, group: object, otherwise: object = "") -> object:
    """What a setting says of one column: the same for all, or by the column's name, or by its group's."""
    if isinstance(setting, Mapping):
        return setting.get(name, setting.get(group, otherwise))
    return otherwise if setting is None else setting


def _best(values: pd.Series, which: object, digits: int, allowed: np.ndarray) -> np.ndarray:
    """Where a column has its best value, several times if they are equal as printed."""
    if not which:
        return np.zeros(len(values), bool)
    if which not in ("high", "low"):
        raise SepnbError(f"best is {which!r}: say 'high' or 'low'")
    numbers = np.where(allowed, values.to_numpy(dtype=float, na_value=np.nan).round(digits), np.nan)
    if np.isnan(numbers).all():
        return np.zeros(len(values), bool)
    return numbers == (np.nanmax(numbers) if which == "high" else np.nanmin(numbers))


def _word(value: object, digits: int) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return MISSING
    if isinstance(value, float | np.floating):
        if np.isinf(value):
            return "∞" if value > 0 else "−∞"
        return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no minus before a zero
    if isinstance(value, int | np.integer):
        return str(value).replace("-", "−")
    return str(value)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "„": ",,",
    "‘": "`",
    "’": "'",
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    **{
        sign: f"${command}$"
        for sign, command in {
            "−": "-", "÷": r"\div", "×": r"\times", "±": r"\pm", "·": r"\cdot", "√": r"\surd",
            "≤": r"\le", "≥": r"\ge", "≈": r"\approx", "∞": r"\infty", "°": r"^\circ", "²": "^2", "³": "^3",
            "→": r"\to", "←": r"\gets", "↑": r"\uparrow", "↓": r"\downarrow",
            "α": r"\alpha", "β": r"\beta", "µ": r"\mu", "μ": r"\mu", "Σ": r"\Sigma",
        }.items()
    },
}  # fmt: skip


def latex_text(text: str) -> str:
    """Plain text as LaTeX sets it: commands escaped, signs in LaTeX's own way, line breaks as spaces.

    Letters with accents stay as they are, which LaTeX reads since 2018.
    """
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split("\n")))


def _markdown_text(text: str) -> str:
    """Plain text that Markdown leaves alone; an underscore inside a word needs no escape, and reads better without."""
    text = re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split("\n")))
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)


def _latex_groups(cells: _Cells) -> list[str]:
    """The line of heads above groups of columns, and the rules below them."""
    heads, rules, column = [], [], 1
    for group, members in groupby(cells.groups):
        width = len(list(members))
        heads.append(f"\\multicolumn{{{width}}}{{c}}{{{latex_text(group)}}}" if group else " & ".join([""] * width))
        if group:
            rules.append(f"\\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return [f"    {' & '.join(heads)} \\\\", f"    {' '.join(rules)}"]
