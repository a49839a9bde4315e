"""Reading a chunk store."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from sepnb.errors import StoreError
from sepnb.files import checksum
from sepnb.store.manifest import Entry, load_manifest
from sepnb.store.song import FULL_SCALE, STEMS_FILE


class Store:
    """A chunk store, opened for reading.

    `rate` (Hz), `channels`, `sources`, and `entries`: a record of each song (name, subset, samples, gains, …).
    Raises StoreError where the folder is no store, its preparation was interrupted, or a file of it is torn.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._manifest = load_manifest(self.path)
        settings = self._manifest.settings
        if settings.format != "store":
            raise StoreError(f"{self.path} is a plain WAV copy, not a chunk store: read it with find_tracks")
        if not self._manifest.complete:
            raise StoreError(
                f"{self.path} is not finished: its preparation was interrupted after {len(self._manifest.entries)} "
                "songs. Run the same `sepnb prepare` again, it goes on from there"
            )
        self.rate, self.channels, self.sources = settings.rate, settings.channels, settings.sources
        self.dtype = np.dtype(settings.dtype)
        self.entries = tuple(self._manifest.entries)
        self._songs = [self._open(entry) for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return (
            f"Store({str(self.path)!r}: {len(self)} songs, {self.seconds / 60:.1f} min, {self.nbytes / 1e6:.0f} MB, "
            f"{', '.join(self.sources)}, {self.channels} channels at {self.rate} Hz, {self.dtype})"
        )

    @property
    def seconds(self) -> float:
        """Length of all songs together."""
        return sum(entry.samples for entry in self.entries) / self.rate

    @property
    def nbytes(self) -> int:
        """Size of all songs together."""
        return sum(song.nbytes for song in self._songs)

    @property
    def fingerprint(self) -> str:
        """Changes when, and only when, the content of the store does."""
        return self._manifest.fingerprint

    def index(self, which: int | str) -> int:
        """Position in `entries` of a song given by name or position."""
        if isinstance(which, str):
            found = [index for index, entry in enumerate(self.entries) if entry.name == which]
            if len(found) != 1:
                problem = "several songs are" if found else "no song is"
                raise StoreError(f"{problem} named {which!r} in {self.path}")
            return found[0]
        if not 0 <= which < len(self):
            raise StoreError(f"{self.path} has {len(self)} songs, so there is no song {which}")
        return which

    def read(
        self, which: int | str, start: int = 0, samples: int | None = None, sources: Sequence[str] | None = None
    ) -> np.ndarray:
        """Read a song, or a piece of it: float32 (sources, channels, samples).

        which: position in `entries`, or name. start, samples: in samples; a piece must lie inside the song.
        sources: names, in the order wanted; all of them without it.
        """
        index = self.index(which)
        length = self.entries[index].samples
        stop = length if samples is None else start + samples
        if not 0 <= start <= stop <= length:
            raise StoreError(f"{self.entries[index].name} has {length} samples, so {start} to {stop} cannot be read")
        unknown = set(sources or ()) - set(self.sources)
        if unknown:
            raise StoreError(f"{self.path} has no source {', '.join(unknown)}; it has {', '.join(self.sources)}")
        song, scales = self._songs[index], self.scales(index)
        wanted = [self.sources.index(name) for name in sources or self.sources]
        return np.stack([np.multiply(song[source, :, start:stop], scales[source]) for source in wanted])

    def stored(self, index: int) -> np.ndarray:
        """A song's array as stored, read-only and memory-mapped: (sources, channels, samples) of `dtype`."""
        return self._songs[index]

    def scales(self, index: int) -> np.ndarray:
        """What stored samples of each source are multiplied by to give sound: float32 (sources,)."""
        unit = FULL_SCALE if self.dtype == np.int16 else 1
        return np.array([gain / unit for gain in self.entries[index].gains], dtype=np.float32)

    def verify(self) -> None:
        """Compare every file with its hash in the manifest (reads all of them); StoreError names one that differs."""
        for entry in tqdm(self.entries, desc="verifying", unit="song"):
            for file in entry.files:
                if checksum(self.path / file.name) != file.sha256:
                    raise StoreError(f"{self.path / file.name} is damaged: remove it and prepare again, or copy anew")

    def _open(self, entry: Entry) -> np.ndarray:
        problem = entry.broken_file(self.path)
        if problem is not None:
            raise StoreError(f"{problem}; run the same `sepnb prepare` again, or copy the store again")
        path = self.path / entry.folder / STEMS_FILE
        try:
            song = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise StoreError(f"{path} is damaged ({error}): remove it and prepare again") from error
        expected = (len(self.sources), self.channels, entry.samples)
        if song.shape != expected or song.dtype != self.dtype:
            raise StoreError(f"{path} holds {song.dtype} of shape {song.shape}, not {self.dtype} of {expected}")
        return np.asarray(song)  # still mapped; a plain array is sliced several times faster than np.memmap
