"""The registry as a table to read."""

from collections.abc import Iterable, Mapping

import pandas as pd

from sepnb.separators.registry import REGISTRY, Entry

HEADS = ("", "name", "sources", "kHz", "trained on", "test leak", "licence", "params", "download")
RIGHT = {"kHz", "params", "download"}
UNKNOWN, NONE = "not stated", "–"
LEGEND = """\
✓ on this machine · test leak: MUSDB's test songs were among the training songs · – does not apply, or not stated
A model is also a folder: what `sepnb train` left, or Demucs models as Demucs exports them (FOLDER or FOLDER/SIGNATURE).
"""


def listing(registry: Mapping[str, Entry]) -> str:
    """A table (up to 150 columns wide) of separators: what they separate, learnt from, may be used for, and weigh."""
    rows = [HEADS, *(_row(name, entry) for name, entry in registry.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = [
        "  ".join(
            cell.rjust(width) if head in RIGHT else cell.ljust(width)
            for head, cell, width in zip(HEADS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", LEGEND])


def facts(registry: Mapping[str, Entry] = REGISTRY) -> pd.DataFrame:
    """The same as a DataFrame, a row a separator by name, for notebooks and for the columns of a report's table.

    Columns: kind, about, sources, trained on, test songs seen (yes, no, not stated; – where nothing was trained),
    licence, parameters (M), download (MB), cached.
    """
    rows = {}
    for name, entry in registry.items():
        trained = entry.kind == "pretrained"
        seen = UNKNOWN if entry.test_leak is None else ("no", "yes")[entry.test_leak]
        rows[name] = {
            "kind": entry.kind,
            "about": entry.about,
            "sources": ", ".join(entry.sources) or "as the track",
            "trained on": (entry.trained_on or UNKNOWN) if trained else NONE,
            "test songs seen": seen if trained else NONE,
            "licence": (entry.licence or UNKNOWN) if trained else NONE,
            "parameters (M)": None if entry.parameters is None else entry.parameters / 1e6,
            "download (MB)": None if entry.download is None else entry.download / 1e6,
            "cached": entry.cached(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def seen_test_songs(systems: Iterable[str], registry: Mapping[str, Entry] = REGISTRY) -> dict[str, str]:
    """Whether each system has seen MUSDB's test songs, for a column of a report's table.

    `systems` are names as systems call themselves ("mixture ÷ N") or as the registry does. yes, no, or not stated, also
    for a system of your own; – for what was not trained, and "knows the answer" for an oracle.
    """
    seen = facts(registry)["test songs seen"].to_dict()
    for entry in registry.values():
        if entry.kind != "pretrained":
            seen[entry.load("cpu").name] = "knows the answer" if entry.kind == "oracle" else NONE
    return {system: seen.get(system, UNKNOWN) for system in systems}


def _row(name: str, entry: Entry) -> tuple[str, ...]:
    weights = entry.kind == "pretrained"
    learnt = entry.trained_on or UNKNOWN
    leak = UNKNOWN if entry.test_leak is None else ("no", "YES")[entry.test_leak]
    return (
        "✓" if entry.cached() else "",
        name,
        " ".join(entry.sources) or "as the track",
        f"{entry.rate / 1000:g}" if entry.rate else NONE,
        learnt if weights else f"– ({entry.kind})",
        leak if weights else NONE,
        (entry.licence or UNKNOWN) if weights else NONE,
        f"{entry.parameters / 1e6:.1f} M" if entry.parameters else NONE,
        f"{entry.download / 1e6:.0f} MB" if entry.download else NONE,
    )
