"""The setup cell, unchanged, in an environment like Colab's: everything is there but sepnb, and Drive can be mounted.

The stand-in is a virtual environment that sees this one's packages, sepnb left out, and a `google.colab` module whose
`drive.mount` makes a folder. Where the setup cell would clone the public repository, git is told to clone this one.
"""

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
from conftest import REPOSITORY

from sepnb.course import BUDGETS

FAKE_COLAB = """
from pathlib import Path

def mount(mountpoint, **_):
    (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
    print("Mounted at", mountpoint)
"""


def cells(name: str) -> tuple[str, str]:
    """A notebook's setup cell, and the line of the next that opens the lab."""
    notebook = json.loads((REPOSITORY / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return code[0], code[1].splitlines()[0]


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """Environment variables and interpreter of the stand-in."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout: there is nothing that the setup cell could clone")
    root = tmp_path_factory.mktemp("colab")
    venv.create(root / "env", with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(root / "env"), "platbase": str(root / "env")}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "sepnb" not in entry.name and entry.name != "google":
            (site / entry.name).symlink_to(entry)
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "google" / "colab" / "drive.py").write_text(FAKE_COLAB)

    address = [line for line in cells("01_data_prep")[0].splitlines() if "git+" in line][0]
    address = address.split("git+")[1].split('"')[0]
    git = {f"url.{REPOSITORY.as_uri()}.insteadOf": address, "safe.directory": "*", "protocol.file.allow": "always"}
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "SEPNB_", "PYTHONPATH"))
    } | {
        "GIT_CONFIG_COUNT": str(len(git)),
        # No network: sepnb is built with the setuptools that are there. (pip reads 0 as "no isolation".)
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "SEPNB_DRIVE": str(root / "drive"),
        "MPLBACKEND": "agg",
    }
    for number, (key, value) in enumerate(git.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return root, site, environment


def run(colab, code: str, name: str) -> subprocess.CompletedProcess:
    root, _, environment = colab
    content = root / "content" / name
    content.mkdir(parents=True, exist_ok=True)
    python = root / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    return subprocess.run(
        [python, "-c", code], cwd=content, env=environment, capture_output=True, text=True, check=False
    )


def test_the_stand_in_begins_without_sepnb(colab):
    done = run(colab, "import torch, google.colab\nimport sepnb", "before")
    assert "No module named 'sepnb'" in done.stderr, done.stderr


@pytest.mark.parametrize("name", BUDGETS)
def test_setup_cell_and_lab_run_as_in_colab(colab, name):
    root, site, _ = colab
    setup, open_lab = cells(name)
    where = "\nprint('from', sepnb.__file__)\nprint('torch', lab.device, __import__('torch').__version__)"
    done = run(colab, f"{setup}\n{open_lab}{where}", name)
    assert done.returncode == 0, done.stderr
    assert f"{name} on Colab" in done.stdout
    assert f"from {site}" in done.stdout, "the package that was installed is the one that runs"
    assert (root / "drive" / "MyDrive").is_dir()
    # What the runtime brought is still what it brought: installing replaced nothing.
    for kept in ("torch", "torchaudio", "numpy"):
        assert (site / kept).is_symlink(), f"{kept} was replaced"
    import torch

    assert torch.__version__ in done.stdout


def test_a_package_that_would_replace_torch_is_refused(colab):
    """The pins that the setup cell hands to pip hold: asking for another torch under them fails."""
    setup, _ = cells("01_data_prep")
    pins = setup.split("    subprocess.run(")[0].replace('find_spec("sepnb") is None', 'find_spec("math") is not None')
    ask = "out = subprocess.run([*install, 'torch==1.0'], capture_output=True, text=True)"
    done = run(colab, f"{pins}\n{ask}\nprint(out.returncode, out.stderr)", "pins")
    assert done.returncode == 0, done.stderr
    assert not done.stdout.startswith("0")
    assert "conflicting dependencies" in done.stdout
