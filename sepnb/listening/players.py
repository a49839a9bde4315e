"""Plain players for stems, and a mix of them by faders."""

import base64
import html
import io
from collections.abc import Mapping

import numpy as np
import soundfile

from sepnb.errors import SepnbError

# A hosted notebook refuses messages of some tens of megabytes, and a page that holds them opens slowly.
LARGEST_PLAYER_BYTES = 20_000_000


def flac_bytes(audio: np.ndarray, rate: int) -> bytes:
    """Audio (channels, samples) as a 16-bit FLAC file: lossless, about half of WAV, and every browser plays it.

    Raises SepnbError where it is too large for a notebook.
    """
    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1.0, 1.0).T, rate, format="FLAC", subtype="PCM_16")
    size = len(file.getbuffer())
    if size > LARGEST_PLAYER_BYTES:
        raise SepnbError(
            f"{audio.shape[-1] / rate:.0f} seconds make a player of {size / 1e6:.0f} MB, more than a notebook "
            f"takes ({LARGEST_PLAYER_BYTES / 1e6:.0f} MB): pick an excerpt"
        )
    return file.getvalue()


def players(stems: Mapping[str, np.ndarray], rate: int) -> "IPython.display.HTML":  # noqa: F821
    """A plain player for each stem (channels, samples), one below the other; they work in an exported page as well."""
    from IPython.display import HTML

    rows = [
        f"<tr><td style='text-align:left'>{html.escape(name)}</td><td><audio controls preload='metadata' "
        f"aria-label='{html.escape(name)}' src='data:audio/flac;base64,"
        f"{base64.b64encode(flac_bytes(audio, rate)).decode()}'></audio></td></tr>"
        for name, audio in stems.items()
    ]
    return HTML(f"<table>{''.join(rows)}</table>")


def mix(stems: Mapping[str, np.ndarray], gains_db: Mapping[str, float]) -> np.ndarray:
    """The sum of the stems, each raised or lowered by its gain in dB (0 where none is given, -inf mutes).

    The result has the shape of a stem (channels, samples). Where the sum would clip, all of it is lowered to fit.
    Raises SepnbError for a gain whose stem is not there.
    """
    unknown = [name for name in gains_db if name not in stems]
    if unknown:
        raise SepnbError(f"no stem {', '.join(unknown)} to set a gain for; there are {', '.join(stems)}")
    total = sum(audio * np.float32(10 ** (gains_db.get(name, 0.0) / 20)) for name, audio in stems.items())
    return total / max(1.0, float(np.abs(total).max()))


def fader_mixer(stems: Mapping[str, np.ndarray], rate: int) -> "ipywidgets.VBox":  # noqa: F821
    """A fader for each stem, in dB, and a player of their mix that follows when a fader is let go."""
    import ipywidgets as widgets

    faders = {
        name: widgets.FloatSlider(0.0, min=-40, max=12, step=1, description=name, continuous_update=False)
        for name in stems
    }
    player = widgets.Audio(value=b"", format="flac", autoplay=False, loop=False)

    def play_mix(*_: object) -> None:
        player.value = flac_bytes(mix(stems, {name: fader.value for name, fader in faders.items()}), rate)

    for fader in faders.values():
        fader.observe(play_mix, names="value")
    play_mix()
    return widgets.VBox([*faders.values(), player])
