"""The STFT of a long signal and its inverse, some frames at a time: a song's spectrograms need not fit into memory."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from sepnb.errors import SepnbError


def blocks(audio: Tensor, n_fft: int, hop: int, frames: int, at_a_time: int, pad: str = "constant") -> Iterator[Tensor]:
    """The first `frames` frames of the STFT of audio (..., samples), as complex blocks (..., bins, at most at_a_time).

    Hann window; frame k is centred on sample k * hop. Beyond its ends the audio is silent ("constant") or mirrored
    ("reflect", which wants more than n_fft / 2 samples). The blocks are those of `torch.stft` with `center=True`.
    """
    window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    for first in range(0, frames, at_a_time):
        count = min(at_a_time, frames - first)
        begin = first * hop - n_fft // 2
        piece = _piece(audio, begin, begin + n_fft + (count - 1) * hop, pad)
        flat = piece.reshape(-1, piece.shape[-1])
        spectrogram = torch.stft(flat, n_fft, hop, window=window, center=False, return_complex=True)
        yield spectrogram.reshape(*audio.shape[:-1], *spectrogram.shape[-2:])


def frames_of(samples: int, hop: int) -> int:
    """Frames of an STFT that reaches to the last of some samples, as `sepnb.spectral.stft` has them."""
    return 1 + -(-samples // hop)


def _piece(audio: Tensor, begin: int, end: int, pad: str) -> Tensor:
    samples = audio.shape[-1]
    inner = audio[..., max(begin, 0) : max(min(end, samples), 0)]
    before, after = max(0, -begin), max(0, end - samples)
    if pad == "constant":
        return functional.pad(inner, (before, after))
    left = audio[..., 1 : before + 1].flip(-1)
    right = audio[..., samples - 1 - after : samples - 1].flip(-1)
    return torch.cat([left, inner, right], dim=-1)


class Inverse:
    """Audio from blocks of an STFT's frames, handed out as soon as no later frame reaches into it.

    The inverse of `blocks` (and of `torch.stft` with `center=True`): `samples` is how long the audio was. The hop must
    divide the window; raises SepnbError where it does not.
    """

    def __init__(self, n_fft: int, hop: int, samples: int) -> None:
        if n_fft % hop or n_fft < 2 * hop:
            raise SepnbError(f"a hop of {hop} does not divide a window of {n_fft} into overlapping parts")
        self._n_fft, self._hop, self._samples = n_fft, hop, samples
        self._position = -(n_fft // 2)  # the sample that the sums begin with
        self._sums: Tensor | None = None  # (rows, hops, hop): windowed frames added up
        self._squares: Tensor | None = None  # (hops, hop): the squared windows, added up likewise

    def add(self, spectrogram: Tensor, last: bool = False) -> Tensor:
        """The audio (..., n) that the next frames (..., bins, frames) finish; with `last`, all that is left."""
        *leading, bins, count = spectrogram.shape
        parts = self._n_fft // self._hop
        window = torch.hann_window(self._n_fft, dtype=spectrogram.real.dtype, device=spectrogram.device)
        waves = torch.fft.irfft(spectrogram.transpose(-1, -2).reshape(-1, count, bins), n=self._n_fft)
        waves = (waves * window).view(-1, count, parts, self._hop)
        squared = (window**2).view(parts, self._hop)
        sums = waves.new_zeros(len(waves), count + parts - 1, self._hop)
        squares = waves.new_zeros(count + parts - 1, self._hop)
        for part in range(parts):
            sums[:, part : part + count] += waves[:, :, part]
            squares[part : part + count] += squared[part]
        if self._sums is not None:
            sums[:, : parts - 1] += self._sums
            squares[: parts - 1] += self._squares
        hops = count + parts - 1 if last else count
        self._sums, self._squares = sums[:, hops:].clone(), squares[hops:].clone()
        begin, end = max(0, -self._position), min(hops * self._hop, self._samples - self._position)
        self._position += hops * self._hop
        whole = slice(begin, max(begin, end))
        audio = sums[:, :hops].flatten(1)[:, whole] / squares[:hops].flatten()[whole]
        return audio.reshape(*leading, audio.shape[-1])
