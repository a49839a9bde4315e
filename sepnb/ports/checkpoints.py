"""Read the weights that others saved with torch, as data: no file gets to run code of its own.

torch saves objects as pickles, and a pickle is a program: it may name any function of the machine and call it. A plain
state dict (names and tensors) needs none of that and is read by torch's own restricted reader. The pickled packages of
the Demucs family name the network's class beside its arguments; they go through a list of the names that are allowed.
"""

import mmap
import pickle
import re
import tarfile
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sepnb.errors import SepnbError
from sepnb.files import checksum

NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[^.]+$")


def read_state(path: Path | str, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a plain state dict, in the zip format of torch 1.6 and later or the one before; tensors are on the CPU.

    `sha256` is the file's digest where the caller knows it already: a large file takes seconds to sum up.
    Raises SepnbError where the file is missing, damaged, not the one that its name promises, or anything but names and
    tensors.
    """
    path = _checked(path, sha256)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        raise _unreadable(path, _named_global(error) or error) from error
    return _require_state(state, path)


def read_package(path: Path | str, classes: Mapping[str, type], sha256: str | None = None) -> dict:
    """Read a pickled package of the Demucs family: "klass", "args", "kwargs" and "state" come back, and nothing else.

    classes: what a name in the file stands for, as "demucs.hdemucs.HDemucs" → a class of ours. A network's class is
        only named: the caller builds it from args and kwargs. Any other class (`argparse.Namespace` for the training
        arguments of Demucs v2, `fractions.Fraction`) is called on the file's values, so name only harmless ones.
    sha256: as in `read_state`.

    "klass" is the class of `classes`, "state" a plain state dict on the CPU. Raises SepnbError for whatever
    `read_state` refuses, for a name that is not in `classes`, and for a package that lacks a part.
    """
    path = _checked(path, sha256)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old packages carry the source of their class, and torch compares it
            package = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_pickle_with(classes))
    except Exception as error:
        raise _unreadable(path, error) from error
    if not isinstance(package, dict) or not {"klass", "args", "kwargs", "state"} <= set(package):
        raise SepnbError(
            f"{path} is no package of a network: it lacks klass, args, kwargs or state. Was it saved whole?"
        )
    klass = getattr(package["klass"], "stands_for", None)
    args, kwargs = package["args"], package["kwargs"]
    if not _is_network(klass) or not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        raise SepnbError(f"{path} is no package of a network: klass, args and kwargs are not a class and its arguments")
    return {
        "klass": klass,
        "args": tuple(args),
        "kwargs": kwargs,
        "state": _require_state(package["state"], path),
    }


def load_into(network: nn.Module, state: Mapping[str, Tensor], path: Path | str) -> nn.Module:
    """Give `network` the weights of a state dict and return it in evaluation mode.

    The network may be on the device "meta": it takes the tensors over, so that a large one is never there twice.
    `path` is where they came from. Raises SepnbError where names or shapes are not those of the network.
    """
    own = network.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    other = sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
    for names, what in ((missing, "it lacks"), (extra, "the network has no"), (other, "of another shape is")):
        if names:
            raise SepnbError(
                f"{path} holds weights of another network: {what} {names[0]}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
                + f". Is it the file for this {type(network).__name__}?"
            )
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in state.items()}, assign=True)
    return network.eval()


def _checked(path: Path | str, sha256: str | None) -> Path:
    """The path, if the file is there, is the one that its name promises, and is of no kind that could do more."""
    path = Path(path)
    if not path.is_file():
        raise SepnbError(f"{path}: there is no such file of weights")
    named = NAMED_DIGEST.search(path.name)
    if named and not (found := sha256 or checksum(path)).startswith(named[1]):
        raise SepnbError(
            f"{path} is not the file that its name promises: its sha256 begins with {found[:8]}, not {named[1]}. "
            "It is damaged or was tampered with; fetch it again"
        )
    if path.stat().st_size == 0:
        raise SepnbError(f"{path} is empty; fetch it again")
    # Two more formats that torch.load opens by itself, on versions before 2.6 even if only weights are wanted: a
    # TorchScript archive, which is a program, and a tar whose members are unpacked. A member's name stands in an
    # archive as it is, so that looking for its bytes finds it however the archive is put together.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        program = content.find(b"constants.pkl") >= 0
    if program or tarfile.is_tarfile(path):
        raise SepnbError(
            f"{path} is not a file of weights but a {'program' if program else 'tar archive'}; it was not run"
        )
    return path


def _require_state(state: object, path: Path) -> dict[str, Tensor]:
    plain = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not plain or not state:
        raise SepnbError(f"{path} holds no plain weights: names and tensors are wanted. Is it the right file?")
    return dict(state)


def _named_global(error: Exception) -> str | None:
    """The name that torch's restricted reader would not resolve, out of its long message."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return f"it names {found[1]}, which is not allowed" if found else None


def _unreadable(path: Path, why: object) -> SepnbError:
    reason = str(why).strip().partition("\n")[0] or type(why).__name__
    return SepnbError(
        f"{path} cannot be read as weights, and nothing in it was run: {reason}. "
        "Fetch it again from where it was published"
    )


def _is_network(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


class _Sealed(type):
    """A class that a pickle cannot change: a pickle may set attributes of what it has been given."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"it wants to change {cls.__name__}")


def _stand_in(name: str, target: type) -> type:
    """What a pickle gets for a class: it makes the real one's instances, but none of a network, and gives no access."""

    def make(cls: type, *args: object) -> object:
        if _is_network(target):
            raise pickle.UnpicklingError(f"it wants to build a {name} by itself")
        return target(*args)

    return _Sealed(name.rpartition(".")[2], (), {"__new__": make, "__slots__": (), "stands_for": target})


class _Rebuild:
    """Makes a tensor of stored numbers. An instance without attributes, so that a pickle cannot change it."""

    __slots__ = ()

    def __call__(self, storage: object, offset: int, size: tuple, stride: tuple, *_gradients: object) -> Tensor:
        return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())


class _RebuildParameter:
    """A parameter is its tensor here."""

    __slots__ = ()

    def __call__(self, data: Tensor, *_gradients: object) -> Tensor:
        return data


def _pickle_with(classes: Mapping[str, type]) -> type:
    """A stand-in for the module `pickle` that torch.load takes: no name but the allowed ones means anything in it."""
    allowed = {
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor_v2": _Rebuild(),
        "torch._utils._rebuild_parameter": _RebuildParameter(),
        **{name: _stand_in(name, target) for name, target in classes.items()},
    }

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            try:
                return allowed[f"{module}.{name}"]
            except KeyError:
                raise pickle.UnpicklingError(f"it names {module}.{name}, which is not allowed") from None

    class RestrictedPickle:
        Unpickler = Restricted

        @staticmethod
        def load(file: object, **options: object) -> object:
            return Restricted(file, **options).load()

    return RestrictedPickle
