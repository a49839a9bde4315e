"""Listening: a mixer, blind tests, pitch and time, an equaliser, separating a file of one's own.

The names below load on first use.
"""

from sepnb.faces import on_first_use

# Bound here and not on use: the function and its module are called the same.
from sepnb.listening.players import mix, players

_HOME_OF = {
    "Band": "equalizer",
    "Equalizer": "equalizer",
    "EqualizerEditor": "equalizer_editor",
    "Origin": "bundle",
    "SeparationPanel": "panel",
    "StemMixer": "mixer",
    "cents_higher": "pitch",
    "karaoke": "presets",
    "match_loudness": "loudness",
    "match_spectrum": "equalizer_fit",
    "practice": "presets",
    "read_upload": "uploads",
    "shift_pitch": "pitch",
    "shift_stems": "pitch",
    "stretch_stems": "pitch",
    "stretch_time": "pitch",
    "write_bundle": "bundle",
}
_MODULES = {"blind", "faults"}

__all__ = ["mix", "players", *_HOME_OF, *_MODULES]

__getattr__, __dir__ = on_first_use(__name__, _HOME_OF, _MODULES)
