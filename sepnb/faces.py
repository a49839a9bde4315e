"""Packages whose names load on first use: importing one is fast, and asks for nothing heavy."""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping


def on_first_use(
    package: str, homes: Mapping[str, str], modules: Collection[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`: `homes` says in which of its modules a name lives.

    `modules` are those of its modules that are names of its face themselves. Other names raise AttributeError.
    """

    def load(name: str) -> object:
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *modules})

    return load, names
