"""Spleeter's released models for 2, 4 and 5 stems, from the archives that the original fetches, without TensorFlow.

As in the original, the STFT is cut into blocks of 512 frames (12 s) that go through the networks each on its own,
while frames overlap across the blocks' borders. So a song can be separated block by block with the same result.
"""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
import torch

from sepnb.errors import SepnbError
from sepnb.files import checksum
from sepnb.ports.spleeter import Spleeter, SpleeterConfig
from sepnb.ports.tensorflow_checkpoint import Checkpoint
from sepnb.separators.runner import Runner, half_precision
from sepnb.separators.segments import OverlapAdd, with_context
from sepnb.separators.streaming import StreamingSeparator
from sepnb.weights import WeightFile, identity

ADDRESS = "https://github.com/deezer/spleeter/releases/download/v1.4.0/"
LARGEST = 1 << 30  # bytes of a file in an archive; the largest released one has 197 million
GPU_BATCH = 4  # blocks at once on a GPU: about half a gigabyte each with five stems


@dataclass(frozen=True)
class Released:
    """One of the released models."""

    config: SpleeterConfig
    weights: WeightFile


# Digests as in the release's checksum.json.
RELEASED = {
    "spleeter-2stems": Released(
        SpleeterConfig(("vocals", "accompaniment")),
        WeightFile(f"{ADDRESS}2stems.tar.gz", "f3a90b39dd2874269e8b05a48a86745df897b848c61f3958efc80a39152bd692"),
    ),
    "spleeter-4stems": Released(
        SpleeterConfig(("vocals", "drums", "bass", "other"), encoder="ELU", decoder="ELU"),
        WeightFile(f"{ADDRESS}4stems.tar.gz", "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8"),
    ),
    "spleeter-5stems": Released(
        SpleeterConfig(("vocals", "piano", "drums", "bass", "other"), encoder="ELU", decoder="ELU", softmax=True),
        WeightFile(f"{ADDRESS}5stems.tar.gz", "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218"),
    ),
}


def weight_files(name: str) -> tuple[WeightFile, ...]:
    """The files that a released model needs. Raises SepnbError for a name that is not one."""
    return (_find(name).weights,)


def load_spleeter(name: str, device: str = "cpu") -> "SpleeterSeparator":
    """A released model, spleeter-2stems, -4stems or -5stems; its archive is fetched if it is not there yet.

    Raises SepnbError for another name or a damaged archive, and DownloadError where the archive cannot be had.
    """
    released = _find(name)
    path, sha256 = released.weights.fetch_with_digest()
    return load_spleeter_archive(path, released.config, name, device, sha256)


def load_spleeter_archive(
    path: Path | str, config: SpleeterConfig, name: str, device: str = "cpu", sha256: str | None = None
) -> "SpleeterSeparator":
    """A model of these settings from an archive (.tar.gz) that holds its TensorFlow checkpoint.

    `sha256` is the archive's digest where the caller knows it already. Raises SepnbError where the archive is damaged
    or suspicious, or its checkpoint belongs to another model.
    """
    path = Path(path)
    network = Spleeter.from_checkpoint(Checkpoint(read_archive(path), str(path)), config)
    return SpleeterSeparator(name, network, device, {"weights": identity([sha256 or checksum(path)])})


def read_archive(path: Path | str) -> dict[str, bytes]:
    """The files of a checkpoint in an archive (.tar.gz), by name and without their folder; nothing is written to disk.

    Raises SepnbError where the archive is torn, or holds what no such archive does: links, devices, names that lead
    out of it, files of more than a gigabyte.
    """
    path = Path(path)
    files = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                inner = PurePosixPath(member.name)
                if inner.is_absolute() or ".." in inner.parts or not (member.isfile() or member.isdir()):
                    raise SepnbError(
                        f"{path} holds {member.name!r}, a link or a file outside of it, as no archive of a model does: "
                        "delete it, and fetch it again"
                    )
                # macOS packs files ._NAME with a file's attributes.
                if member.isdir() or inner.name.startswith("._") or not _is_wanted(inner):
                    continue
                if member.size > LARGEST:
                    raise SepnbError(f"{path} holds {member.name!r} of {member.size:,} bytes: too large for a model")
                files[inner.name] = archive.extractfile(member).read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise SepnbError(f"{path} is no whole archive ({error}): delete it, and fetch it again") from error
    return files


def _is_wanted(name: PurePosixPath) -> bool:
    return name.suffix == ".index" or name.suffix.startswith(".data-")


def _find(name: str) -> Released:
    if name not in RELEASED:
        raise SepnbError(f"no Spleeter model {name!r}: there are {', '.join(RELEASED)}")
    return RELEASED[name]


class SpleeterSeparator(StreamingSeparator):
    """A Spleeter network on whole songs, in memory that does not grow with their length.

    `batch` is how many blocks of 512 frames go through the networks together (None: by device); it becomes smaller by
    itself where memory does not suffice. It does not matter to the result. `precision` is fp32 (which auto is, too) or
    fp16 on a GPU.
    """

    def __init__(
        self,
        name: str,
        network: Spleeter,
        device: str = "cpu",
        settings: dict[str, Any] | None = None,
        batch: int | None = None,
        precision: str = "auto",
    ) -> None:
        config = network.config
        self.name, self.sources, self.rate, self.channels = name, config.sources, config.rate, config.channels
        self.network = network.to(device)
        self.device, self.batch, self.precision = device, batch, precision
        self.identity = {**(settings or {}), "bins": config.bins, "extension": config.extension}

    @property
    def settings(self) -> dict[str, str | int | float]:
        """What results depend on: the weights, the bins that the networks hear, and the precision in force."""
        return {**self.identity, "precision": "fp16" if self._half() else "fp32"}

    def with_options(self, **options: Any) -> Self:
        """The same model with other options, those that are None as they are: batch, precision, progress.

        Raises SepnbError for an option that it does not have, a batch below 1, or a precision that cannot be.
        """
        batch, precision = options.pop("batch", None), options.pop("precision", None)
        if batch is not None and batch < 1:
            raise SepnbError(f"{self.name}: a batch is of 1 block or more, not {batch}")
        changed = super().with_options(**options)
        changed.batch = self.batch if batch is None else batch
        changed.precision = precision or self.precision
        changed._half()
        return changed

    def _half(self) -> bool:
        return half_precision(self.name, self.precision, self.device)

    def stream(self, mixture: np.ndarray) -> Iterator[np.ndarray]:
        """Separate a mixture (channels, samples) into blocks (sources, channels, n): see `StreamingSeparator`."""
        network, samples = self.network, mixture.shape[-1]
        batch = self.batch or (1 if torch.device(self.device).type == "cpu" else GPU_BATCH)
        runner = Runner(network, self.device, half=self._half(), batch=batch, name=self.name)
        sums = OverlapAdd(len(self.sources), self.channels)
        # A frame of silence in front makes the first samples whole; the last frame begins with the last hop.
        starts = range(-network.config.frame, samples, network.stride)
        for first in range(0, len(starts), batch):
            together = starts[first : first + batch]
            audio = np.stack(
                [with_context(mixture, start, network.samples, network.samples, 0, 1) for start in together]
            )
            for start, stems in zip(together, runner(audio), strict=True):
                sums.add(start, stems)
                yield sums.finish(min(start + network.stride, samples))
