"""Building a network by the name of its kind, and keeping it on disk: safetensors, and the config as JSON."""

import math
from dataclasses import asdict, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sepnb.errors import SepnbError
from sepnb.files import read_json, write_json, written_whole
from sepnb.models.compact import CompactConfig, CompactUNet
from sepnb.models.toy import UNet, UNetConfig

MODELS: dict[str, tuple[type[nn.Module], type]] = {
    "toy": (UNet, UNetConfig),
    "compact": (CompactUNet, CompactConfig),
}
WEIGHTS, CONFIG = "weights.safetensors", "model.json"


def build(kind: str, sources: tuple[str, ...], channels: int, rate: int, **settings: int | float | str) -> nn.Module:
    """A new network with random weights; `settings` are further fields of its config.

    Where they do not say otherwise, its STFT's window and hop last about as long as at 44.1 kHz: halved at half the
    rate. Raises SepnbError for a kind that there is not (with those there are), or a setting that it does not have.
    """
    if kind not in MODELS:
        raise SepnbError(f"no model {kind!r}; there are {', '.join(MODELS)}")
    network, config = MODELS[kind]
    known = {field.name for field in fields(config)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise SepnbError(f"the model {kind!r} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")
    halvings = round(math.log2(config().rate / rate))
    spectral = {name: max(4, int(getattr(config(), name) * 2.0**-halvings)) for name in ("n_fft", "hop")}
    return network(config(sources=tuple(sources), channels=channels, rate=rate, **{**spectral, **settings}))


def save(network: nn.Module, folder: Path | str) -> None:
    """Write `weights.safetensors` and `model.json` into a folder."""
    folder = Path(folder)
    kind = next((kind for kind, (network_type, _) in MODELS.items() if type(network) is network_type), None)
    if kind is None:
        raise SepnbError(f"a {type(network).__name__} cannot be saved so; these can: {', '.join(MODELS)}")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with written_whole(folder / WEIGHTS) as partial:
        save_file(weights, partial)
    write_json(folder / CONFIG, {"model": kind, **asdict(network.config)})


def load(folder: Path | str) -> nn.Module:
    """Read a network that `save` wrote, onto the CPU; raises SepnbError where the folder holds none that is whole."""
    folder = Path(folder)
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise SepnbError(f"{folder} holds no trained model ({CONFIG} and {WEIGHTS}): train one first")
    settings = read_json(folder / CONFIG)
    try:
        network = build(settings.pop("model"), **settings)
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise SepnbError(f"{folder}: {CONFIG} and {WEIGHTS} do not go together or are damaged ({error})") from error
    return network
