"""A folder of figures and tables for the report, listed with their captions."""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sepnb.errors import SepnbError
from sepnb.figures.style import print_style
from sepnb.figures.tables import html_table, latex_table, markdown_table
from sepnb.files import write_json, write_text, written_whole

INTRODUCTION = """# Figures

Made by the notebooks, and made again whenever they run: change the notebook, not the files here.
Each figure is there as PNG (300 dpi) for a page or a slide, as PDF for print, and, where there are
numbers behind it, with these as CSV. Each table is there as Markdown, as LaTeX (booktabs) and as CSV.
"""
SCREEN_DPI = 130  # pixels an inch in a notebook: a column of 3.5 inches takes half its width
_KINDS = {".md": "Markdown", ".tex": "LaTeX"}  # others are known by their suffix
EMPTY = "\nNothing here yet: `make course` fills this folder.\n"


@dataclass(frozen=True)
class Entry:
    """A figure or table of a gallery: its name, caption, files' names and the notebook that made it (or "").

    The first file is what a page shows: the PNG of a figure, the Markdown of a table.
    """

    name: str
    caption: str
    files: tuple[str, ...]
    notebook: str = ""


@dataclass(frozen=True)
class Saved:
    """A figure that was just saved; at the end of a notebook's cell it is shown with its caption."""

    entry: Entry
    folder: Path
    width: float  # inches

    def _repr_html_(self) -> str:
        picture = base64.b64encode((self.folder / f"{self.entry.name}.png").read_bytes()).decode()
        caption = html.escape(self.entry.caption)
        return (
            f"<figure style='margin: 0.5em 0'><img alt='{caption}' style='width: {self.width * SCREEN_DPI:.0f}px' "
            f"src='data:image/png;base64,{picture}'><figcaption style='max-width: 50em; font-size: 90%'>{caption} "
            f"<i>Saved as {', '.join(self.entry.files)}.</i></figcaption></figure>"
        )


@dataclass(frozen=True)
class SavedTable:
    """A table that was just saved; at the end of a notebook's cell it is shown with its caption."""

    entry: Entry
    table: str  # HTML

    def _repr_html_(self) -> str:
        return (
            f"<figure style='margin: 0.5em 0'>{self.table}<figcaption style='max-width: 50em; font-size: 90%'>"
            f"{html.escape(self.entry.caption)} <i>Saved as {', '.join(self.entry.files)}.</i></figcaption></figure>"
        )


class Gallery:
    """Figures and tables kept in `folder`, all of them listed in index.json and README.md.

    A figure is NAME.png, NAME.pdf and NAME.csv, a table NAME.md, NAME.tex and NAME.csv.
    Several processes may save into one folder at once. What is known about a figure or table lies in a file of its own,
    captions/NAME.json; index.json and README.md are only ever made from those, so nothing needs a lock.
    """

    def __init__(self, folder: Path | str, notebook: str = "") -> None:
        self.folder = Path(folder)
        self.notebook = notebook

    def save(self, figure: Figure | Axes, name: str, caption: str, data: pd.DataFrame | None = None) -> Saved:
        """Save a figure (or the figure that axes belong to) with its caption and the table it was drawn from.

        The figure is closed: in a notebook, what is returned shows it.

        The same figure and data give the same bytes. A name saved again replaces what it stood for. Names consist of
        a–z, 0–9 and _; others raise SepnbError, as does an empty caption.
        """
        _check("figure", name, caption)
        figure = figure.figure if isinstance(figure, Axes) else figure
        files = [f"{name}.png", f"{name}.pdf"]
        # Dates and versions are left out of the metadata, so that unchanged figures are unchanged files.
        with print_style():
            with written_whole(self.folder / files[0]) as partial:
                figure.savefig(partial, dpi=300, bbox_inches=None, metadata={"Software": None})
            with written_whole(self.folder / files[1]) as partial:
                metadata = {"CreationDate": None, "Producer": None, "Creator": None}
                figure.savefig(partial, dpi=300, bbox_inches=None, metadata=metadata)
        if data is not None:
            files.append(self._save_csv(data, name))
        entry = self._list(name, caption, files)
        plt.close(figure)
        return Saved(entry, self.folder, figure.get_figwidth())

    def save_table(
        self,
        frame: pd.DataFrame,
        name: str,
        caption: str,
        *,
        units: str | Mapping[object, str] = "",
        digits: int | Mapping[object, int] = 2,
        best: str | Mapping[object, str] | None = None,
        contenders: Sequence[bool] | None = None,
    ) -> SavedTable:
        """Save a table with its caption: as Markdown, as LaTeX (label "tab:NAME"), and in all its digits as CSV.

        A named index becomes the first column. `units`, `digits`, `best` and `contenders` as for
        `sepnb.figures.latex_table`. Names and captions as for `save`, with which a table shares its names: saved under
        the name of a figure, it takes that one's place. In a notebook, what is returned shows the table.
        """
        _check("table", name, caption)
        look = {"units": units, "digits": digits, "best": best, "contenders": contenders}
        caption = " ".join(caption.split())
        latex = latex_table(frame, caption, f"tab:{name}", **look)  # before the first file: bad settings change nothing
        write_text(self.folder / f"{name}.md", f"{caption}\n\n{markdown_table(frame, **look)}")
        write_text(self.folder / f"{name}.tex", latex)
        entry = self._list(name, caption, [f"{name}.md", f"{name}.tex", self._save_csv(frame, name)])
        return SavedTable(entry, html_table(frame, **look))

    def _save_csv(self, data: pd.DataFrame, name: str) -> str:
        write_text(self.folder / f"{name}.csv", data.to_csv(index=_is_named(data.index), lineterminator="\n"))
        return f"{name}.csv"

    def _list(self, name: str, caption: str, files: list[str]) -> Entry:
        """Note what was saved under a name, remove what that name had before, and list everything."""
        note = self.folder / "captions" / f"{name}.json"
        before = json.loads(note.read_text(encoding="utf-8"))["files"] if note.exists() else []
        entry = Entry(name, " ".join(caption.split()), tuple(files), self.notebook)
        write_json(note, asdict(entry))
        for file in {*before, f"{name}.csv"} - set(files):
            (self.folder / file).unlink(missing_ok=True)  # files of an earlier figure of this name would lie
        self._list_all()
        return entry

    def entries(self) -> list[Entry]:
        """What the folder holds, sorted by name; a figure whose PNG, a table whose Markdown was deleted is no more."""
        entries = []
        for path in sorted((self.folder / "captions").glob("[!.]*.json")):
            known = json.loads(path.read_text(encoding="utf-8"))
            if (self.folder / known["files"][0]).exists():
                entries.append(Entry(**{**known, "files": tuple(known["files"])}))
        return entries

    def _list_all(self) -> None:
        """Write index.json and README.md, and again if another process has saved something meanwhile.

        Whoever writes last looks at the captions after writing, so the lists are never left without one of them.
        """
        listed = None
        while (found := self.entries()) != listed:
            write_json(self.folder / "index.json", [asdict(entry) for entry in found])
            write_text(self.folder / "README.md", readme(found, self.folder))
            listed = found


def readme(entries: list[Entry], folder: Path) -> str:
    """The gallery in `folder` as a page of Markdown: each figure or table with its caption and links to its files."""
    parts = [INTRODUCTION]
    for entry in entries:
        links = " · ".join(
            f"[{_KINDS.get(Path(file).suffix, Path(file).suffix[1:].upper())}]({file})" for file in entry.files
        )
        source = f" · from notebook {entry.notebook}" if entry.notebook else ""
        if entry.files[0].endswith(".md"):
            shown = (folder / entry.files[0]).read_text(encoding="utf-8").strip()
        else:
            alt = entry.caption.replace("[", "(").replace("]", ")")
            shown = f"![{alt}]({entry.files[0]})\n\n{entry.caption}"
        parts.append(f"\n## {entry.name}\n\n{shown}\n\n{links}{source}\n")
    return "".join(parts) if entries else INTRODUCTION + EMPTY


def _check(kind: str, name: str, caption: str) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", name) or name == "readme":  # README.md is readme.md to some machines
        raise SepnbError(f"{kind} name {name!r}: use only a–z, 0–9 and _, as in 'data_waveforms', and not 'readme'")
    if not caption.strip():
        raise SepnbError(f"{kind} {name!r} has no caption: say in a sentence what it shows")


def _is_named(index: pd.Index) -> bool:
    """Whether a table's index says something (a name of its own), or only counts the rows."""
    return any(name is not None for name in index.names)
