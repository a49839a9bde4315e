"""The systems of an evaluation: separators, or names of them that are loaded when their turn comes."""

import dataclasses
import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sepnb.separators import REGISTRY, Bindable, Separator, load_separator
from sepnb.separators.base import describe


@dataclass(frozen=True)
class System:
    """One system: a separator, or a name or path that `load_separator` knows, and what its results depend on."""

    source: Separator | Bindable | str
    description: dict[str, Any]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.description["name"]


class Loader:
    """Loads separators by name and keeps the latest: all of a long list at once would fill the memory."""

    def __init__(self, keep: int = 1) -> None:
        self._most = keep
        self._kept: OrderedDict[tuple[str, ...], Separator | Bindable] = OrderedDict()

    def __call__(self, source: Separator | Bindable | str, device: str, known: str = "") -> Separator | Bindable:
        """The separator itself; loaded where there is none kept of this name, device and `known` description."""
        if not isinstance(source, str):
            return source
        key = (source, device, known)
        if key not in self._kept:
            self._make_room()
            self.keep(load_separator(source, device), *key)
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep(self, separator: Separator | Bindable, source: str, device: str, known: str = "") -> None:
        """Keep a separator that was loaded elsewhere."""
        key = (source, device, known)
        if key not in self._kept:
            self._make_room()
        self._kept[key] = separator

    def _make_room(self) -> None:
        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)


def source_of(item: Separator | Bindable | str | Path) -> Separator | Bindable | str:
    """Names of the registry as it has them, and paths in full, so that they mean the same in any folder."""
    if not isinstance(item, str | Path):
        return item
    if str(item).lower() in REGISTRY:
        return str(item).lower()
    path = Path(item).expanduser()
    # FOLDER/SIGNATURE of a folder of Demucs models is no path that exists.
    return str(path.resolve()) if path.exists() or any(path.parent.glob("*.th")) else str(item)


def early_name(source: Separator | Bindable | str) -> str:
    """What can be told of a system's name before it is loaded: two of one early name will have one name."""
    if not isinstance(source, str):
        return source.name
    return Path(source).name if (Path(source) / "model.json").is_file() else source


def description_of(separator: Separator | Bindable) -> dict[str, Any]:
    """Name, sources, rate and settings, in values that come back from JSON as they were.

    A baseline or oracle also counts its plain fields (the size of its STFT, say). A separator of your own that has no
    `settings` is known by these alone: when it changes, give it another name.
    """
    described = dict(describe(separator))
    if isinstance(separator, Bindable) and dataclasses.is_dataclass(separator):
        fields = {field.name: getattr(separator, field.name) for field in dataclasses.fields(separator)}
        described |= {name: value for name, value in fields.items() if isinstance(value, str | int | float)}
    return json.loads(json.dumps(described, default=str))
