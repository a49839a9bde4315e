"""The models of Demucs v3 and v4 on the Hugging Face hub: fetched, checked, and read as data.

Each model is a repository with a YAML file that lists the members of a bag, and a safetensors file for each. The hub
keeps a file under the digest of its content, so a cached file can be checked against its own name.
"""

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import requests
from torch import Tensor, nn

from sepnb.downloads import why
from sepnb.errors import DownloadError, SepnbError
from sepnb.files import checksum

TIMEOUT = 15  # s until the hub must have answered at all

REPOSITORIES = {
    "htdemucs": "adefossez/HTDemucs",
    "htdemucs_ft": "adefossez/HTDemucs-ft",
    "htdemucs_6s": "adefossez/HTDemucs-6s",
    "hdemucs_mmi": "adefossez/Demucs-hdemucs_mmi",
    "mdx": "adefossez/Demucs-mdx",
    "mdx_extra": "adefossez/Demucs-mdx_extra",
}


def cached(name: str, file: str) -> Path | None:
    """Where a file of a model lies in the hub's cache; None where it does not. Asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(_repository(name), file)
    return Path(found) if isinstance(found, str) else None


def fetch(name: str, file: str) -> Path:
    """A file of a model, fetched unless it is cached; its content has the digest that the hub gave for it.

    Raises DownloadError where it cannot be had, with what is missing and how to get it; SepnbError where it is damaged.
    """
    path = cached(name, file) or _download(name, file)
    _check(path)
    return path


def digest_of(path: Path) -> str:
    """The sha256 of a file that `fetch` returned: the hub's cache calls it so, and `fetch` has held it to that."""
    name = path.resolve().name
    return name if len(name) == 64 else checksum(path)


def read_model(path: Path, classes: Mapping[str, type[nn.Module]]) -> tuple[type, list, dict, dict[str, Tensor]]:
    """A network's class (out of `classes`, by the name in the file), arguments, keyword arguments and weights.

    Raises SepnbError where the file is damaged, or names anything else: nothing is imported because a file says so.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            klass = classes.get(said.get("klass", ""))
            if klass is None or "structure" in said:
                what = said.get("klass", "no class") if klass is None else "quantised weights, which are not supported"
                raise SepnbError(
                    f"{path} names {what}; a file of Demucs names one of {', '.join(classes)}. It was not loaded"
                )
            args, kwargs = _plain(json.loads(said["args"])), _plain(json.loads(said["kwargs"]))
            if not isinstance(args, list) or not isinstance(kwargs, dict):
                raise ValueError("args and kwargs are a list and an object")
            return klass, args, kwargs, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, ZeroDivisionError, OSError) as error:
        raise SepnbError(f"{path} is damaged or no model of Demucs ({error}); remove it and fetch it again") from error


def _repository(name: str) -> str:
    try:
        return REPOSITORIES[name]
    except KeyError:
        raise SepnbError(f"no Demucs model {name!r}: there are {', '.join(REPOSITORIES)}") from None


def _download(name: str, file: str) -> Path:
    from huggingface_hub import constants, hf_hub_download

    repository = _repository(name)
    try:
        if not constants.HF_HUB_OFFLINE:
            # Any answer will do: without one, the hub's own client would try for half a minute.
            requests.head(constants.ENDPOINT, timeout=TIMEOUT)
        return Path(hf_hub_download(repository, file))
    except Exception as error:  # the hub's client has had three HTTP libraries so far, with errors of their own
        reason = why(error).strip().partition("\n")[0].rstrip(".")
        raise DownloadError(
            f"{name}: {file} of {repository} is not in the cache ({constants.HF_HUB_CACHE}) and cannot be fetched from "
            f"{constants.ENDPOINT}: {reason}. Call again with a connection, name a mirror in HF_ENDPOINT, or run "
            f"`hf download {repository}` on another machine and copy its cache here"
        ) from error


def _check(path: Path) -> None:
    """SepnbError where a cached file is not what its name in the cache says: sha256 of large files, git's of others."""
    name = path.resolve().name
    if len(name) == 64:
        found = checksum(path)
    elif len(name) == 40:
        content = path.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return  # a cache without links, as on Windows, keeps no digest
    if found != name:
        raise SepnbError(
            f"{path} is damaged or was tampered with: its digest is {found[:12]}…, the hub's {name[:12]}…. "
            f"Remove {path.resolve()} and call again"
        )


def _plain(value: Any) -> Any:
    """JSON values as the arguments that they stand for: Demucs writes a fraction as an object."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
