"""The synthetic band: licence-free multitrack songs (drums, bass, other, vocals) from a seed."""

from sepnb.band.render import BandSong, render_song
from sepnb.band.song import compose

__all__ = ["BandSong", "compose", "make_band", "render_song"]


def __getattr__(name: str) -> object:
    # make_band writes files and so needs the audio libraries; composing and rendering do not.
    if name == "make_band":
        from sepnb.band.folder import make_band

        return make_band
    raise AttributeError(f"module 'sepnb.band' has no attribute {name!r}")
