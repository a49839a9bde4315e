"""The three places that speak of dependencies agree: pyproject.toml, constraints.txt, environment.yml."""

import re
import tomllib

import pytest
import yaml
from conftest import REPOSITORY
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PINS = {
    name.lower().replace("_", "-"): version
    for name, version in (
        line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if "==" in line
    )
}
REQUIREMENTS = [
    Requirement(text)
    for text in PROJECT["dependencies"]
    + [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
]

# What a hosted notebook of 2025 brings; installing sepnb into it must not ask for anything newer.
COLAB = {"torch": "2.8.0", "torchaudio": "2.8.0", "numpy": "2.0.2", "pandas": "2.2.2", "matplotlib": "3.10.0"}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement):
    assert requirement.name.lower() in PINS, f"{requirement.name} has no pin in constraints.txt"
    assert PINS[requirement.name.lower()] in requirement.specifier


@pytest.mark.parametrize("name", COLAB)
def test_ranges_admit_what_a_hosted_runtime_has(name):
    (requirement,) = [r for r in REQUIREMENTS if r.name == name]
    assert COLAB[name] in requirement.specifier
    assert not any(s.operator in ("<", "<=", "==", "~=") for s in requirement.specifier), "an upper bound downgrades"


def test_conda_environment_is_in_step():
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    python, pip, from_pip = environment["dependencies"]
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    constraints, editable = from_pip["pip"]
    assert (REPOSITORY / constraints.removeprefix("-c ")).is_file()
    extras = re.fullmatch(r"-e \.\[(.*)\]", editable).group(1).split(",")
    assert set(extras) == set(PROJECT["optional-dependencies"])
