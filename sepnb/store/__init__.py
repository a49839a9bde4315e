"""The chunk store: songs decoded once, laid out for random access.

`prepare` makes one, `Store` reads it. A store is a folder with `manifest.json` (manifest.py) and for each song
`SUBSET/NAME/stems.npy`: an array (sources, channels, samples) of int16 or float16. Any chunk of any one stem is a
contiguous slice of it and is read through a memory map, so what a chunk costs does not depend on the song's length.
"""

from sepnb.store.manifest import Entry
from sepnb.store.preparing import Prepared, prepare
from sepnb.store.reading import Store

__all__ = ["Entry", "Prepared", "Store", "prepare"]
