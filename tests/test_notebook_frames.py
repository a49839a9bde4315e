"""What the notebooks share is written from one table and one address, and is in step with it."""

import importlib.util
import json
import subprocess
import sys

import pytest
from conftest import REPOSITORY

spec = importlib.util.spec_from_file_location("notebook_frames", REPOSITORY / "tools" / "notebook_frames.py")
frames = importlib.util.module_from_spec(spec)
spec.loader.exec_module(frames)


def test_notebooks_and_readme_are_as_the_tool_would_write_them():
    check = [sys.executable, "tools/notebook_frames.py", "--check"]
    done = subprocess.run(check, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_address_stands_nowhere_else():
    """Generated places aside, no committed file spells the address out."""
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    address = frames.address()
    generated = {"README.md", *(f"notebooks/{name}.ipynb" for name in frames.TITLES)}
    elsewhere = [
        path
        for path in tracked.splitlines()
        if path not in generated | {"pyproject.toml"}
        and address in (REPOSITORY / path).read_text(encoding="utf-8", errors="ignore")
    ]
    assert not elsewhere


def test_another_address_is_noticed_and_written_everywhere(monkeypatch):
    monkeypatch.setattr(frames, "address", lambda: "https://github.com/someone/fork")
    for name in frames.TITLES:
        path = REPOSITORY / "notebooks" / f"{name}.ipynb"
        text = frames.framed(path)
        assert text != path.read_text(encoding="utf-8")
        source = "".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        assert "git+https://github.com/someone/fork" in source
        assert f"/github/someone/fork/blob/main/notebooks/{name}.ipynb" in source


@pytest.mark.parametrize("name", frames.TITLES)
def test_links_lead_to_the_neighbours(name):
    names = list(frames.TITLES)
    place = names.index(name)
    heading = frames.heading(name)
    neighbours = {names[i] for i in (place - 1, place + 1) if 0 <= i < len(names)}
    assert {other for other in names if f"({other}.ipynb)" in heading} == neighbours
