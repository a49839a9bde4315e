"""What all metrics ask of their arrays."""

import numpy as np

from sepnb.errors import SepnbError


def same_shape(references: np.ndarray, estimates: np.ndarray) -> None:
    """Raise SepnbError unless both are (sources, channels, samples) of the same shape."""
    shapes = np.shape(references), np.shape(estimates)
    if shapes[0] != shapes[1] or len(shapes[0]) != 3:
        raise SepnbError(
            f"references {shapes[0]} and estimates {shapes[1]} must have the same shape (sources, channels, samples)"
        )


def frames(samples: int, rate: int, window: float) -> list[slice]:
    """Windows of `window` seconds, one after the other; what is left at the end is less than one and not used."""
    length = round(window * rate)
    return [slice(start, start + length) for start in range(0, samples - length + 1, length)]
