"""Songs that the demo brings along: by the synthetic band, made when they are first asked for."""

import threading
from dataclasses import dataclass
from pathlib import Path

from sepnb.audio import write
from sepnb.band import render_song
from sepnb.band.names import song_name

SECONDS = 24.0  # long enough for a verse, made in a second


@dataclass(frozen=True)
class DemoSong:
    """A song by its seed; `name` follows from it."""

    seed: int

    @property
    def name(self) -> str:
        """What the band calls it."""
        return song_name(self.seed)


SONGS = tuple(DemoSong(seed) for seed in (900_001, 900_002, 900_003))  # none that band-unet was trained on


class SongShelf:
    """Demo songs as files in a folder, each rendered once, whoever asks first."""

    def __init__(self, folder: Path, songs: tuple[DemoSong, ...] = SONGS, seconds: float = SECONDS):
        self._folder = folder
        self._songs = {song.name: song for song in songs}
        self._seconds = seconds
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names to choose from."""
        return list(self._songs)

    def path(self, name: str) -> Path | None:
        """The file of a song, or None where there is no song of that name."""
        song = self._songs.get(name)
        if song is None:
            return None
        path = self._folder / f"{song.name}.flac"
        with self._lock:
            if not path.is_file():
                rendered = render_song(song.seed, self._seconds)
                write(path, rendered.mixture, rendered.rate)
        return path
