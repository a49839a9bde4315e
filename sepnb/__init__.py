"""sepnb: a hands-on course on music source separation, and the small library under it.

The names below are what the notebooks use. They load on first use, so `import sepnb` is fast and needs no torch.
"""

import importlib

__version__ = "0.1.0"

_HOME_OF = {
    "SepnbError": "errors",
    "find_tracks": "tracks",
    "make_band": "band",
    "prepare": "store",
}
_MODULES = {"audio", "figures"}

__all__ = [*_HOME_OF, *_MODULES]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"sepnb.{_HOME_OF[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"sepnb.{name}")
    raise AttributeError(f"module 'sepnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
