"""A network on its device: batches that become smaller when memory does not suffice, half precision that gives way."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from sepnb.errors import SepnbError

Network = Callable[[Tensor], Tensor]


def half_precision(name: str, precision: str, device: str, gains: bool = False) -> bool:
    """Whether a network runs in half precision: where it is asked for (fp16), or with auto on a GPU if it `gains`.

    Raises SepnbError for a precision that there is not, and for fp16 on anything but a CUDA GPU.
    """
    on_gpu = torch.device(device).type == "cuda"
    if precision not in ("auto", "fp32", "fp16"):
        raise SepnbError(f"{name}: precision is auto, fp32 or fp16, not {precision!r}")
    if precision == "fp16" and not on_gpu:
        raise SepnbError(f"{name}: half precision gains on CUDA GPUs only; on {device} use fp32")
    return precision == "fp16" or (precision == "auto" and gains and on_gpu)


class Runner:
    """A network on its device, in batches that become smaller when memory does not suffice."""

    def __init__(self, network: Network, device: str, half: bool, batch: int, name: str) -> None:
        self._network, self._device, self._half, self._name = network, torch.device(device), half, name
        self.batch = batch

    def __call__(self, segments: np.ndarray) -> Iterator[np.ndarray]:
        """Stems (sources, channels, samples), new arrays, of each of some segments (segments, channels, samples)."""
        done = 0
        while done < len(segments):
            stems = self._try(segments[done : done + self.batch])
            if stems is None:
                self._retreat(segments.shape[-1])
            else:
                yield from stems
                done += len(stems)

    def _try(self, segments: np.ndarray) -> np.ndarray | None:
        """Stems of a batch, or None where memory did not suffice (what took it is free again on return)."""
        try:
            return self._stems(torch.from_numpy(segments).to(self._device))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None

    def _stems(self, mixture: Tensor) -> np.ndarray:
        with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
            stems = self._network(mixture)
        if self._half and not torch.isfinite(stems).all():
            # Beyond 65,504 half precision is infinite: this network, or this song, needs the full range.
            warnings.warn(f"{self._name}: half precision overflows; going on in single precision", stacklevel=2)
            self._half = False
            return self._stems(mixture)
        return stems.float().cpu().contiguous().numpy()

    def _retreat(self, samples: int) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch == 1:
            raise SepnbError(
                f"{self._name}: memory on {self._device} does not suffice for one segment of {samples:,} samples: give "
                "a shorter segment (--segment), close what else uses the memory, or separate on the CPU (--device cpu)"
            )
        self.batch //= 2
        warnings.warn(
            f"{self._name}: memory on {self._device} does not suffice; going on with batches of {self.batch}",
            stacklevel=2,
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch or Python says that memory did not suffice, on a GPU or not."""
    # torch says it as a class of its own, older ones and the CPU's allocator in words.
    words = str(error).lower()
    return (
        isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
        or "out of memory" in words
        or "can't allocate memory" in words
        or "not enough memory" in words
    )
