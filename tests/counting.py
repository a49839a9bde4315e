"""A separator that leaves a mark for every track it does, for tests of what is done again and what is not."""

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from songs import RATE, SOURCES


def digest(mixture: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(mixture).tobytes()).hexdigest()[:12]


@dataclass
class Counting:
    """Half the mixture for every stem, after a pause; `done` counts how often each mixture was separated."""

    folder: Path
    pause: float = 0.0
    name: str = "counting"
    sources: tuple[str, ...] = SOURCES
    rate: int = RATE
    settings: dict[str, object] = field(default_factory=dict)

    def __call__(self, mixture: np.ndarray, rate: int) -> dict[str, np.ndarray]:
        time.sleep(self.pause)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{digest(mixture)} {os.getpid()} {time.time_ns()}").touch()
        return dict.fromkeys(self.sources, mixture / 2)

    def done(self) -> dict[str, int]:
        """How often each mixture, by its digest, was separated."""
        counts: dict[str, int] = {}
        for mark in self.folder.glob("*"):
            key = mark.name.split()[0]
            counts[key] = counts.get(key, 0) + 1
        return counts
