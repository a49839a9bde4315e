"""The models that the demo offers: an allow-list, each loaded once and kept while it is in use."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from sepnb.errors import SepnbError
from sepnb.separators import Bindable, Separator, load_separator
from sepnb.separators.registry import REGISTRY, unknown

DEFAULT = "band-unet"  # comes with the package: works without a network


def on_this_machine() -> list[str]:
    """Networks whose weights are here, the one that comes with the package first."""
    here = [name for name, entry in REGISTRY.items() if entry.kind == "pretrained" and entry.cached()]
    return sorted(here, key=lambda name: name != DEFAULT)


class ModelShelf:
    """Models by name; nothing that is not on the list is ever loaded, no path least of all."""

    def __init__(self, names: Sequence[str] | None = None, device: str = "cpu", kept: int = 2):
        """`names` of the registry to offer; those on this machine without any. Raises SepnbError for others."""
        self.names = list(dict.fromkeys(names or on_this_machine()))
        for name in self.names:
            if name not in REGISTRY:
                raise unknown(name)
            if REGISTRY[name].kind != "pretrained":
                raise SepnbError(f"{name} ({REGISTRY[name].kind}) separates nothing by itself: offer a network")
        self._device, self._kept = device, kept
        self._loaded: OrderedDict[str, Separator | Bindable] = OrderedDict()
        self._lock = threading.Lock()
        # One is downloaded while others are used, and is downloaded once.
        self._loading = {name: threading.Lock() for name in self.names}

    def labels(self) -> list[tuple[str, str]]:
        """What to show for each model, and its name."""
        return [(label(name), name) for name in self.names]

    def get(self, name: object) -> Separator:
        """A model of the list, loaded. Raises SepnbError for any other, and where its weights cannot be had."""
        if not isinstance(name, str) or name not in self.names:
            raise SepnbError(f"there is no model of that name here: take one of {', '.join(self.names)}")
        with self._loading[name]:
            with self._lock:
                if name in self._loaded:
                    self._loaded.move_to_end(name)
                    return self._loaded[name]
            separator = load_separator(name, self._device)
            with self._lock:
                self._loaded[name] = separator
                while len(self._loaded) > self._kept:
                    self._loaded.popitem(last=False)
            return separator


def label(name: str) -> str:
    """A model in a line: its name, and what is downloaded first where it is not here."""
    entry = REGISTRY[name]
    if entry.cached():
        return name
    return f"{name} (downloads {entry.download / 1e6:.0f} MB)" if entry.download else f"{name} (downloads its weights)"
