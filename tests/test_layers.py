"""The house keeps its order: imports point down, never up and never in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest
from conftest import REPOSITORY

# A module's layer is that of the longest name here that it begins with.
LAYERS = {
    "sepnb.cli": 5,
    "sepnb.cli_choices": 5,
    "sepnb.cli_probe": 5,
    "sepnb.course": 5,
    "sepnb.webdemo": 5,
    "sepnb.lab": 4,
    "sepnb.profiles": 4,
    "sepnb.training": 3,
    "sepnb.evaluation": 3,
    "sepnb.probing": 3,
    "sepnb.listening": 3,
    "sepnb.figures.gallery": 3,
    "sepnb.batches": 2,
    "sepnb.loading": 2,
    "sepnb.augment": 1,
    "sepnb.effects": 1,
    "sepnb.separators": 2,
    "sepnb.models": 2,
    "sepnb.ports": 2,
    "sepnb.figures": 2,
    "sepnb.store": 1,
    "sepnb.tracks": 1,
    "sepnb.track_folders": 1,
    "sepnb.track_checks": 1,
    "sepnb.musdb18": 1,
    "sepnb.downloads": 1,
    "sepnb.weights": 1,
    "sepnb.musdb_downloads": 1,
    "sepnb.archive": 1,
    "sepnb.published": 1,
    "sepnb.metrics": 1,
    "sepnb.spectral": 1,
    "sepnb.audio": 0,
    "sepnb.audio_writing": 0,
    "sepnb.containers": 0,
    "sepnb.band": 0,
    "sepnb.files": 0,
    "sepnb.processes": 0,
    "sepnb.errors": 0,
    "sepnb.faces": 0,
}
# The faces name what lies above them, and load it when asked.
FACES = {"sepnb", "sepnb.figures"}


def modules() -> dict[str, str]:
    """Module name to source text, of the whole package."""
    found = {}
    for path in sorted((REPOSITORY / "sepnb").rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def imports(text: str, known: set[str]) -> set[str]:
    """The package's own modules that a source text imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            # `from sepnb import audio` imports a module, `from sepnb.audio import read` a name out of one.
            names.update(
                full if (full := f"{node.module}.{alias.name}") in known else node.module for alias in node.names
            )
    return {name for name in names if name in known}


MODULES = modules()
IMPORTS = {name: imports(text, set(MODULES)) for name, text in MODULES.items()}


def layer(name: str) -> int | None:
    found = [known for known in LAYERS if name == known or name.startswith(known + ".")]
    return LAYERS[max(found, key=len)] if found else None


@pytest.mark.parametrize("name", [name for name in MODULES if name != "sepnb"])
def test_every_module_has_a_layer_and_imports_only_downwards(name):
    assert layer(name) is not None, f"{name} has no layer: say in this test where it lives"
    upward = [other for other in IMPORTS[name] - FACES if layer(other) > layer(name)]
    assert not upward or name in FACES, f"{name} imports {upward}, which lie above it"


def test_imports_form_no_circle():
    below = {name: {o for o in others if o not in FACES and o != name} for name, others in IMPORTS.items()}
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")


def test_the_check_sees_imports_inside_functions():
    known = {"sepnb.audio", "sepnb.lab"}
    text = "def f():\n    from sepnb import audio\n    import sepnb.lab\n    from sepnb.lab import open_lab"
    assert imports(text, known) == known


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith(("sepnb.metrics", "sepnb.figures.plots"))])
def test_plots_and_metrics_know_nothing_of_files(name):
    assert not IMPORTS[name] & {"sepnb.files", "sepnb.audio", "sepnb.tracks", "sepnb.store"}
