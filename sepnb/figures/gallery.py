"""A folder of figures for the report: each as PNG, PDF and the CSV behind it, listed with its caption."""

import base64
import html
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sepnb.errors import SepnbError
from sepnb.figures.style import print_style
from sepnb.files import write_json, write_text, written_whole

INTRODUCTION = """# Figures

Made by the notebooks, and made again whenever they run: change the notebook, not the files here.
Each figure is there as PNG (300 dpi) for a page or a slide, as PDF for print, and, where there are
numbers behind it, with these as CSV.
"""
SCREEN_DPI = 130  # pixels an inch in a notebook: a column of 3.5 inches takes half its width
EMPTY = "\nNothing here yet: `make course` fills this folder.\n"


@dataclass(frozen=True)
class Entry:
    """One figure of a gallery: its name, its caption, its files' names and the notebook that made it (or "")."""

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


class Gallery:
    """Figures kept in `folder`: NAME.png, NAME.pdf, NAME.csv, and all of them in index.json and README.md.

    Several processes may save into one folder at once. What is known about a figure lies in a file of its own,
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
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise SepnbError(f"figure name {name!r}: use only a–z, 0–9 and _, as in 'data_waveforms'")
        if not caption.strip():
            raise SepnbError(f"figure {name!r} has no caption: say in a sentence what it shows")
        figure = figure.figure if isinstance(figure, Axes) else figure
        files = [f"{name}.png", f"{name}.pdf"]
        # Dates and versions are left out of the metadata, so that unchanged figures are unchanged files.
        with print_style():
            with written_whole(self.folder / files[0]) as partial:
                figure.savefig(partial, dpi=300, bbox_inches=None, metadata={"Software": None})
            with written_whole(self.folder / files[1]) as partial:
                metadata = {"CreationDate": None, "Producer": None, "Creator": None}
                figure.savefig(partial, dpi=300, bbox_inches=None, metadata=metadata)
        table = self.folder / f"{name}.csv"
        if data is None:
            table.unlink(missing_ok=True)  # a table of an earlier figure of this name would lie
        else:
            write_text(table, data.to_csv(index=_is_named(data.index), lineterminator="\n"))
            files.append(table.name)
        entry = Entry(name, " ".join(caption.split()), tuple(files), self.notebook)
        write_json(self.folder / "captions" / f"{name}.json", asdict(entry))
        self._list_all()
        plt.close(figure)
        return Saved(entry, self.folder, figure.get_figwidth())

    def entries(self) -> list[Entry]:
        """What the folder holds, sorted by name; a figure whose PNG was deleted is no longer one."""
        entries = []
        for path in sorted((self.folder / "captions").glob("[!.]*.json")):
            known = json.loads(path.read_text(encoding="utf-8"))
            if (self.folder / f"{known['name']}.png").exists():
                entries.append(Entry(**{**known, "files": tuple(known["files"])}))
        return entries

    def _list_all(self) -> None:
        """Write index.json and README.md, and again if another process has saved a figure meanwhile.

        Whoever writes last looks at the captions after writing, so the lists are never left without one of them.
        """
        listed = None
        while (found := self.entries()) != listed:
            write_json(self.folder / "index.json", [asdict(entry) for entry in found])
            write_text(self.folder / "README.md", readme(found))
            listed = found


def readme(entries: list[Entry]) -> str:
    """The gallery as a page of Markdown: each figure with its caption and links to its files."""
    parts = [INTRODUCTION]
    for entry in entries:
        links = " · ".join(f"[{Path(file).suffix[1:].upper()}]({file})" for file in entry.files)
        source = f" · from notebook {entry.notebook}" if entry.notebook else ""
        alt = entry.caption.replace("[", "(").replace("]", ")")
        parts.append(f"\n## {entry.name}\n\n![{alt}]({entry.name}.png)\n\n{entry.caption}\n\n{links}{source}\n")
    return "".join(parts) if entries else INTRODUCTION + EMPTY


def _is_named(index: pd.Index) -> bool:
    """Whether a table's index says something (a name of its own), or only counts the rows."""
    return any(name is not None for name in index.names)
