"""What may be done to the sound of a stem: saturation, a tone curve, a room, a narrower image.

What is drawn (`draw`) and what is done (`Desk`) are apart, so that the first is numbers that can be looked at, and the
second gives the same sound in the host's memory (numpy) and in a GPU's (torch). Tone and room are one product of
spectra over the whole chunk, which costs one Fourier transform there and one back. Such a product is circular: the end
of the chunk rings into its beginning, as what was played before it would.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from sepnb.augment import Augment

BANDS = 5  # of the tone curve: about two octaves each
LOWEST, HIGHEST = 60.0, 16000.0  # Hz, the middles of the outer bands
# A room's decay by 60 dB in seconds, and its energy in dB beside the sound that comes straight: from dry to a hall.
DECAY = (0.15, 0.8)
ROOM_DB = (-20.0, -4.0)
# How many times louder than its knee a saturated stem peaks: from warm to overdriven.
DRIVE = (1.0, 5.0)
SILENCE = 1e-8


@dataclass(frozen=True)
class Effects:
    """What is done to each stem of a batch; arrays (batch, sources), `tone` (batch, sources, bands) in dB."""

    drive: np.ndarray  # 0: none
    tone: np.ndarray
    decay: np.ndarray  # seconds, 0: no room
    room_db: np.ndarray
    room_seed: np.ndarray  # of the noise that the room is made of
    width: np.ndarray  # 1: as it is, 0: mono


def draw(rng: np.random.Generator, augment: Augment, shape: tuple[int, int]) -> Effects | None:
    """Draw effects for stems (batch, sources); None if all of them are off."""
    if not augment.has_effects:
        return None
    # Everything is drawn whether it is used or not, so that one setting does not change what another draws.
    drive, decay, room_db = rng.uniform(*DRIVE, shape), rng.uniform(*DECAY, shape), rng.uniform(*ROOM_DB, shape)
    driven, roomy, narrowed = (rng.random(shape) < p for p in (augment.drive, augment.reverb, augment.mono))
    return Effects(
        drive=np.where(driven, drive, 0.0),
        tone=augment.eq_db * rng.uniform(-1, 1, (*shape, BANDS)),
        decay=np.where(roomy, decay, 0.0),
        room_db=room_db,
        room_seed=rng.integers(2**32, size=shape),
        width=np.where(narrowed, rng.uniform(-1, 1, shape).clip(min=0), 1.0),
    )


class Desk:
    """Does effects to batches of one shape, in place; on the host with numpy, on a GPU with torch."""

    def __init__(self, samples: int, rate: int) -> None:
        self.samples = samples
        self.rate = rate
        octave = np.log2(np.fft.rfftfreq(samples, 1 / rate).clip(min=1.0))
        middles = np.log2(np.geomspace(LOWEST, min(HIGHEST, rate / 2), BANDS))
        # Each band's share of each frequency: a tone curve runs straight, in dB over octaves, from middle to middle.
        self._shares = np.stack([np.interp(octave, middles, band) for band in np.eye(BANDS)]).astype(np.float32)

    def __call__(self, batch: Tensor, effects: Effects) -> None:
        """Change a batch (batch, sources, channels, samples) in place."""
        # Not torch on the host: each of its operations would start threads of its own under the loader's.
        stems = batch if batch.is_cuda else batch.numpy()
        for b, s in np.ndindex(effects.drive.shape):
            stem = stems[b, s]
            power = float((stem * stem).mean())
            if power < SILENCE**2:
                continue
            changed = stem
            if effects.drive[b, s]:
                changed = saturated(changed, effects.drive[b, s])
            if effects.tone[b, s].any() or effects.decay[b, s]:
                changed = self._filtered(changed, effects, b, s)
            if changed is not stem:
                # Its level is gain's business: a stem keeps its energy.
                changed = changed * (power / max(float((changed * changed).mean()), SILENCE**2)) ** 0.5
            if effects.width[b, s] < 1:
                middle = changed.mean(0)
                changed = middle + (changed - middle) * float(effects.width[b, s])
            if changed is not stem:
                stems[b, s] = changed

    def _filtered(self, stem: np.ndarray | Tensor, effects: Effects, b: int, s: int) -> np.ndarray | Tensor:
        tone = effects.tone[b, s].astype(np.float32) @ self._shares
        response = np.exp(tone * np.float32(np.log(10) / 20))[None]
        if effects.decay[b, s]:
            room = self._room(len(stem), effects.decay[b, s], effects.room_db[b, s], int(effects.room_seed[b, s]))
            response = response * (1 + scipy.fft.rfft(room, self.samples))
        if isinstance(stem, Tensor):
            return torch.fft.irfft(torch.fft.rfft(stem) * torch.from_numpy(response).to(stem.device), self.samples)
        return scipy.fft.irfft(scipy.fft.rfft(stem) * response, self.samples)

    def _room(self, channels: int, decay: float, level_db: float, seed: int) -> np.ndarray:
        """Echoes (channels, samples) without the direct sound: noise that falls by 60 dB in `decay` seconds."""
        length = max(1, min(round(decay * self.rate), self.samples))
        noise = np.random.default_rng(seed).standard_normal((channels, length), dtype=np.float32)
        noise *= np.exp(np.float32(-3 * np.log(10) / (decay * self.rate)) * np.arange(length, dtype=np.float32))
        return noise * np.float32(10 ** (level_db / 20) / np.sqrt((noise * noise).sum(axis=1).mean()))


def saturated(stem: np.ndarray | Tensor, drive: float) -> np.ndarray | Tensor:
    """A stem through a soft knee, x / sqrt(1 + x²), which its peak is `drive` times above."""
    pushed = stem * (drive / float(abs(stem).max()))
    return pushed / (1 + pushed * pushed) ** 0.5
