"""Resampling block by block, with soxr's filter running on from one block to the next."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

BLOCK = 1 << 19  # samples


def resampled(audio: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Float32 audio (channels, samples) at another rate in Hz, as `sepnb.audio.resample` but with no copy of it all."""
    samples = audio.shape[-1]
    result = np.empty((len(audio), math.floor(samples * new_rate / rate + 0.5)), np.float32)  # as soxr rounds
    blocks = (audio[:, begin : begin + BLOCK] for begin in range(0, samples, BLOCK))
    filled = 0
    for block in resampled_blocks(blocks, rate, new_rate, result.shape[-1]):
        result[:, filled : filled + block.shape[-1]] = block
        filled += block.shape[-1]
    return result


def resampled_blocks(blocks: Iterable[np.ndarray], rate: int, new_rate: int, samples: int) -> Iterator[np.ndarray]:
    """Blocks (..., n) at another rate in Hz; in all they have just so many `samples`, cut or filled with silence."""
    import soxr

    stream, left, shape = None, samples, ()
    for block in blocks:
        shape = block.shape[:-1]
        flat = np.ascontiguousarray(block.reshape(-1, block.shape[-1]).T, np.float32)
        if stream is None:
            stream = soxr.ResampleStream(rate, new_rate, flat.shape[1], dtype="float32", quality="HQ")
        out = stream.resample_chunk(flat)[:left]
        if len(out):
            left -= len(out)
            yield np.ascontiguousarray(out.T).reshape(*shape, -1)
    if stream is None:
        return
    rest = np.zeros((left, math.prod(shape)), np.float32)
    out = stream.resample_chunk(rest[:0], last=True)[:left]
    rest[: len(out)] = out
    if left:
        yield np.ascontiguousarray(rest.T).reshape(*shape, -1)
