"""sepnb: a hands-on course on music source separation, and the small library under it.

The names below are what the notebooks use. They load on first use, so `import sepnb` is fast and needs no torch.
"""

from sepnb.faces import on_first_use

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

__getattr__, __dir__ = on_first_use(__name__, _HOME_OF, _MODULES)
