"""sepnb: a hands-on course on music source separation, and the small library under it.

The names below are what the notebooks use. They load on first use, so `import sepnb` is fast and needs no torch.
"""

import importlib

__version__ = "0.1.0"

_HOME_OF = {
    "SepnbError": "errors",
    "StemMixer": "listening",
    "UNet": "models",
    "bss_eval": "metrics",
    "check_tracks": "track_checks",
    "evaluate": "evaluation",
    "find_tracks": "tracks",
    "load_separator": "separators",
    "make_band": "band",
    "open_lab": "lab",
    "prepare": "store",
    "probe": "probing",
    "separate": "separators",
    "train": "training",
}
_MODULES = {"audio", "evaluation", "figures", "listening", "metrics", "probing", "separators", "spectral", "training"}

__all__ = sorted([*_HOME_OF, *_MODULES])


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"sepnb.{_HOME_OF[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"sepnb.{name}")
    raise AttributeError(f"module 'sepnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
