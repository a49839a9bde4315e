"""Demucs v2 and Conv-TasNet for music, with the weights released for `demucs` 2.0.3, or from a file of its training.

Both families are separated as that package's `separate` does it: the song brought to mean 0 and deviation 1, cut into
long segments that overlap by a quarter, each with the true audio around it (Défossez et al. 2021).
"""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import nn

from sepnb.errors import SepnbError
from sepnb.ports.checkpoints import load_into, read_state
from sepnb.ports.conv_tasnet import ConvTasNet
from sepnb.ports.demucs_v2 import DemucsV2
from sepnb.separators.engine import NetworkSeparator, Policy
from sepnb.weights import WeightFile, identity

ADDRESS = "https://dl.fbaipublicfiles.com/demucs/v3.0/"  # of version 2, in spite of its name
RATE = 44100
SOURCES = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Released:
    """One of the released systems."""

    network: Callable[[], nn.Module]
    weights: WeightFile


# What the names in a package stand for. Beside the network it keeps the options of its training, with their folders.
CLASSES = {
    "demucs.model.Demucs": DemucsV2,
    "demucs.tasnet.ConvTasNet": ConvTasNet,
    "argparse.Namespace": Namespace,
    "pathlib.PosixPath": PurePosixPath,
}

# Arguments of the original networks, by what they are called here; and those that the released networks left as they
# are: other values would be other networks.
ARGUMENTS = {
    DemucsV2: {
        "audio_channels": "audio_channels",
        "channels": "channels",
        "depth": "depth",
        "kernel_size": "kernel_size",
        "stride": "stride",
        "context": "context",
        "growth": "growth",
        "lstm_layers": "lstm_layers",
        "resample": "resample",
        "normalize": "normalize",
    },
    ConvTasNet: {
        "audio_channels": "audio_channels",
        "N": "filters",
        "L": "filter_length",
        "B": "bottleneck",
        "H": "hidden",
        "P": "kernel",
        "X": "blocks",
        "R": "repeats",
    },
}
FIXED = {
    DemucsV2: {"rewrite": True, "glu": True},
    ConvTasNet: {"norm_type": "gLN", "causal": False, "mask_nonlinear": "relu"},
}
SECONDS = {DemucsV2: 40.0, ConvTasNet: 8.0}  # of a segment


def _released(name: str, sha256: str, network: Callable[[], nn.Module]) -> Released:
    return Released(network, WeightFile(f"{ADDRESS}{name}-{sha256}.th", sha256))


RELEASED = {
    "demucs": _released("demucs", "e07c671f", DemucsV2),
    "demucs48_hq": _released("demucs48_hq", "28a1282c", partial(DemucsV2, channels=48)),
    "demucs_extra": _released("demucs_extra", "3646af93", DemucsV2),
    "tasnet": _released("tasnet", "beb46fac", partial(ConvTasNet, blocks=10)),
    "tasnet_extra": _released("tasnet_extra", "df3777b2", partial(ConvTasNet, blocks=10)),
}


def weight_files(name: str) -> tuple[WeightFile, ...]:
    """The files that a released system needs. Raises SepnbError for a name that is not one."""
    return (_find(name).weights,)


def load_demucs_v2(name: str, device: str = "cpu") -> NetworkSeparator:
    """One of the released systems, its weights fetched if they are not there yet.

    Raises SepnbError for another name, and DownloadError where the weights cannot be had or are not the published ones.
    """
    released = _find(name)
    path, sha256 = released.weights.fetch_with_digest()
    with torch.device("meta"):
        network = released.network()
    load_into(network, read_state(path, sha256), path)
    segment = round(SECONDS[type(network)] * RATE)
    return _separator(name, SOURCES, RATE, network, segment, device, sha256)


def from_package(package: dict[str, Any], path: Path, sha256: str, name: str, device: str) -> NetworkSeparator:
    """A system that was trained with `demucs` 2: its package, as read from a file with this digest.

    The way to it from a file is `demucs_family.load_demucs_folder`, which reads packages of all versions.
    Raises SepnbError where the package holds a network of a form that is not rebuilt here.
    """
    if package["args"]:
        raise SepnbError(f"{path} gives its network arguments without names, which the training of demucs 2 never does")
    kind, given = package["klass"], dict(package["kwargs"])
    sources, rate = given.pop("sources", None), given.pop("samplerate", RATE)
    segment = given.pop("segment_length", round(SECONDS[kind] * RATE))
    if not isinstance(sources, list | tuple) or not all(isinstance(name, str) for name in sources):
        raise SepnbError(f"{path} does not say which sources its network separates")
    if not all(isinstance(count, int) and count > 0 for count in (rate, segment)):
        raise SepnbError(f"{path} was made for {rate!r} Hz and segments of {segment!r} samples, which cannot be")
    arguments = _arguments(kind, given, path)
    try:
        with torch.device("meta"):
            network = kind(sources=len(sources), **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SepnbError(f"{path} asks for a network that cannot be built: {error}") from error
    load_into(network, package["state"], path)
    return _separator(name, tuple(sources), rate, network, segment, device, sha256)


def _arguments(kind: type[nn.Module], given: dict[str, Any], path: Path) -> dict[str, Any]:
    """The original network's arguments as ours takes them."""
    arguments = {}
    for name, value in given.items():
        if name in ARGUMENTS[kind]:
            arguments[ARGUMENTS[kind][name]] = value
        elif name == "rescale":
            continue  # of the weights before training
        elif name not in FIXED[kind] or FIXED[kind][name] != value:
            raise SepnbError(f"{path} holds a network with {name}={value!r}, a form that is not rebuilt here")
    return arguments


def _find(name: str) -> Released:
    if name not in RELEASED:
        raise SepnbError(f"no system {name!r} of Demucs v2: there are {', '.join(RELEASED)}")
    return RELEASED[name]


def _separator(
    name: str,
    sources: tuple[str, ...],
    rate: int,
    network: nn.Module,
    segment: int,
    device: str,
    sha256: str,
) -> NetworkSeparator:
    policy = Policy(segment=segment, overlap=0.25, length=network.valid_length, normalise=True)
    return NetworkSeparator(
        name=name,
        sources=sources,
        rate=rate,
        channels=network.audio_channels,
        network=network,
        policy=policy,
        device=device,
        settings={"weights": identity([sha256])},
    )
