"""The mixer of a listening test, whose description in the browser tells its sounds apart by nothing but labels."""

import numpy as np
import traitlets

from sepnb.listening.mixer import StemMixer


class HiddenMixer(StemMixer):
    """A blind mixer of one sound for each label; audio (channels, samples), at `rate` Hz.

    X is as large a file as that of A and B which it is, and as loud, to the last digit: sizes and levels stay here.
    """

    def __init__(self, sounds: dict[str, np.ndarray], rate: int, volume: float = 1.0) -> None:
        systems = {label: {"sound": audio} for label, audio in sounds.items()}
        super().__init__(systems, rate, blind=True, strip=False, volume=volume)

    @traitlets.validate("config")
    def _without_clues(self, proposal: dict) -> dict:
        config = proposal["value"]
        return {
            **config,
            "note": config["note"].split(",")[0],  # the format, without the size of all
            "systems": [{**system, "match_db": dict.fromkeys(system["stems"], 0.0)} for system in config["systems"]],
            "sounds": [{**sound, "bytes": 0} for sound in config["sounds"]],
        }
