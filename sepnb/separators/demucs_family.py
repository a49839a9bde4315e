"""Demucs v3 and v4 as separators: the models on the Hugging Face hub, and folders of models as Demucs trains them.

The networks are those of the package `demucs`; what it does on the way to them is not used: its own loader follows
whatever class a file names, and falls back to pickled files, which may run code. Here a file is data. Separation
follows `demucs.apply.apply_model` and the normalisation of `demucs.api` (Défossez 2021; Rouard, Massa, Défossez 2022).
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from sepnb.errors import SepnbError
from sepnb.files import checksum
from sepnb.ports.checkpoints import read_package
from sepnb.separators import demucs_hub, demucs_v2
from sepnb.separators.engine import NetworkSeparator, Policy
from sepnb.weights import identity


def load_demucs(name: str, device: str = "cpu", **options: Any) -> NetworkSeparator:
    """A model of Demucs v3 or v4 by its name (see `demucs_hub.REPOSITORIES`), fetched from the hub the first time.

    `options` as in `NetworkSeparator.with_options`. The files lie in the hub's own cache; HF_ENDPOINT names a mirror.
    Raises DownloadError where a file is neither cached nor to be had, SepnbError for an unknown name, or a file that is
    damaged, or names a class that is no network of Demucs.
    """
    bag_file = demucs_hub.fetch(name, f"{name}.yaml")
    bag = _Bag.read(bag_file)
    files = [demucs_hub.fetch(name, f"{signature}.safetensors") for signature in bag.models]
    networks = [_build(*demucs_hub.read_model(file, classes()), file) for file in files]
    digests = [demucs_hub.digest_of(file) for file in files]
    return _separator(name, networks, bag, digests, device).with_options(**options)


def is_cached(name: str) -> bool:
    """Whether all files of a model are in the hub's cache; asks no network."""
    bag_file = demucs_hub.cached(name, f"{name}.yaml")
    return bag_file is not None and all(
        demucs_hub.cached(name, f"{signature}.safetensors") for signature in _Bag.read(bag_file).models
    )


def load_demucs_folder(
    path: Path | str, device: str = "cpu", name: str | None = None, **options: Any
) -> NetworkSeparator:
    """A model out of a folder as Demucs exports its own: SIGNATURE-CHECKSUM.th, and NAME.yaml for a bag of them.

    A file can also be what the training of Demucs v2 leaves, with a Demucs or Conv-TasNet of that version.
    `path` is the folder, if there is one bag or else one model in it, or FOLDER/SIGNATURE, or FOLDER/NAME of a bag. The
    separator is called `name`, or FOLDER-SIGNATURE. Raises SepnbError where there is no such model (with those that
    there are), a file is not what the checksum in its name says, or names a class that is no network of Demucs.
    """
    path = Path(path)
    folder, chosen = (path, None) if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        raise SepnbError(f"{path}: there is no such folder of Demucs models")
    models = {file.stem.rpartition("-")[0] or file.stem: file for file in sorted(folder.glob("*.th"))}
    bags = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if chosen is None:
        names = list(bags or models)
        if len(names) != 1:
            raise SepnbError(f"{folder} holds {len(names)} Demucs models: {_choice(folder, [*bags, *models])}")
        chosen = names[0]
    chosen = next((signature for signature, file in models.items() if file.name == chosen), chosen)
    if chosen in models:
        bag = _Bag((chosen,))
    elif chosen in bags:
        bag = _Bag.read(bags[chosen])
    else:
        raise SepnbError(f"{folder} holds no Demucs model {chosen!r}: {_choice(folder, [*bags, *models])}")
    missing = [signature for signature in bag.models if signature not in models]
    if missing:
        raise SepnbError(f"{bags[chosen]} wants the models {', '.join(missing)}, which are not beside it")
    name = name or f"{folder.resolve().name}-{chosen}"
    known = {**classes(), **demucs_v2.CLASSES, "fractions.Fraction": Fraction}
    networks, digests = [], []
    for file in (models[signature] for signature in bag.models):
        digests.append(checksum(file))
        package = read_package(file, known, digests[-1])
        if package["klass"] in demucs_v2.SECONDS:
            if len(bag.models) > 1:
                raise SepnbError(f"{file} is of Demucs v2, which has no bags: name it by itself instead of {chosen}")
            return demucs_v2.from_package(package, file, digests[-1], name, device).with_options(**options)
        networks.append(_build(package["klass"], package["args"], package["kwargs"], package["state"], file))
    return _separator(name, networks, bag, digests, device).with_options(**options)


def classes() -> dict[str, type[nn.Module]]:
    """The networks that a file may name, by the names that it may give them."""
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    return {"demucs.demucs.Demucs": Demucs, "demucs.hdemucs.HDemucs": HDemucs, "demucs.htdemucs.HTDemucs": HTDemucs}


@dataclass(frozen=True)
class _Bag:
    """Models whose results are averaged: signatures, weights (models, sources), seconds of a segment if not theirs."""

    models: tuple[str, ...]
    weights: Sequence[Sequence[float]] | None = None
    segment: float | None = None

    @classmethod
    def read(cls, path: Path) -> "_Bag":
        """From a bag's YAML file; raises SepnbError where it is not one."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            models = tuple(content["models"])
            weights = content.get("weights")
            if weights is not None:
                weights = [[float(weight) for weight in row] for row in weights]
            segment = content.get("segment")
            bag = cls(models, weights, None if segment is None else float(segment))
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise SepnbError(f"{path} is no bag of Demucs models; remove it and fetch it again") from error
        # A signature becomes part of a path: letters, digits and the like, and no more.
        named = all(isinstance(model, str) and model.replace("_", "").isalnum() for model in models)
        if not models or not named or (weights is not None and len(weights) != len(models)):
            raise SepnbError(f"{path} is no bag of Demucs models; remove it and fetch it again")
        return bag


def _build(klass: type[nn.Module], args: Sequence[Any], kwargs: dict[str, Any], state: dict, path: Path) -> nn.Module:
    # Arguments that were retired since the model was trained are left out, as by Demucs itself.
    known = inspect.signature(klass).parameters
    try:
        network = klass(*args, **{name: value for name, value in kwargs.items() if name in known})
    except (TypeError, ValueError, AssertionError) as error:
        raise SepnbError(f"{path}: its settings make no {klass.__name__} ({error}); fetch it again") from error
    try:
        network.load_state_dict(state)  # the network's own: it knows names that older models gave their layers
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise SepnbError(f"{path} holds weights of another network: {reason}. Fetch it again") from error
    return network.eval()


def _separator(
    name: str, networks: Sequence[nn.Module], bag: _Bag, digests: Sequence[str], device: str
) -> NetworkSeparator:
    first = networks[0]
    for network in networks:
        same = all(
            getattr(network, what) == getattr(first, what) for what in ("sources", "samplerate", "audio_channels")
        )
        if not same or any(len(row) != len(first.sources) for row in bag.weights or ()):
            raise SepnbError(
                f"{name} is a bag of models that differ in sources, rate or channels: they cannot be joined"
            )
    return NetworkSeparator(
        name,
        first.sources,
        first.samplerate,
        first.audio_channels,
        networks,
        [policy_for(network, bag.segment) for network in networks],
        weights=bag.weights,
        device=device,
        settings={"weights": identity(digests)},
    )


def policy_for(network: nn.Module, segment: float | None = None) -> Policy:
    """How a network of the Demucs family wants its audio; `segment` in seconds where it is not the network's own."""
    rate, own = network.samplerate, network.segment
    if not hasattr(network, "use_train_segment"):
        length = {"length": network.valid_length} if hasattr(network, "valid_length") else {}
        return Policy(int(rate * (segment or own)), normalise=True, **length)
    # The transformer hears segments of the length that it was trained on, and none that is longer.
    longest = int(rate * own)
    if segment is not None and segment <= own:
        own = segment
    return Policy(int(rate * own), normalise=True, whole=network.use_train_segment, longest=longest)


def _choice(folder: Path, names: list[str]) -> str:
    return f"name one of {', '.join(str(folder / name) for name in names)}" if names else "it holds none"
