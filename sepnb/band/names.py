"""Names for songs and those who might have played them, from a seed."""

import numpy as np

_FIRST = (
    "Amber", "Brass", "Copper", "Distant", "Electric", "Feather", "Glass", "Harbour", "Indigo", "Juniper", "Kitchen",
    "Lantern", "Marble", "Northern", "Orchard", "Paper", "Quiet", "Rooftop", "Saltwater", "Tin", "Umbrella", "Velvet",
    "Willow", "Yellow",
)  # fmt: skip
_SECOND = (
    "Antennas", "Bicycles", "Cartographers", "Drifters", "Engines", "Foxes", "Gardeners", "Herons", "Islanders",
    "Jackets", "Kites", "Lighthouses", "Magpies", "Neighbours", "Oracles", "Pilots", "Residents", "Swimmers",
    "Transistors", "Weathermen",
)  # fmt: skip
_VERB = (
    "Borrowed", "Broken", "Burning", "Counting", "Crossing", "Drawing", "Falling", "Folding", "Hidden", "Leaving",
    "Missing", "Open", "Painted", "Rising", "Second", "Slow", "Sudden", "Turning", "Waiting", "Wandering",
)  # fmt: skip
_THING = (
    "Avenues", "Bridges", "Clouds", "Daylight", "Echoes", "Fences", "Gravity", "Houses", "Ink", "July", "Kilometres",
    "Letters", "Mirrors", "Nightfall", "Oceans", "Platforms", "Rivers", "Shadows", "Signals", "Trains", "Voices",
    "Windows",
)  # fmt: skip


def song_name(seed: int) -> str:
    """An "Artist - Title" that a seed always gives; every word is a safe part of a file name."""
    rng = np.random.default_rng([seed, 1])
    first, second, verb, thing = (str(rng.choice(words)) for words in (_FIRST, _SECOND, _VERB, _THING))
    return f"{first} {second} - {verb} {thing}"
