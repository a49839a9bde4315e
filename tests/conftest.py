"""What several test files share."""

import os
from pathlib import Path

import pytest
from browser import browser  # noqa: F401 -- fixtures of several files
from mixer_pages import mixer_address, systems, tab  # noqa: F401
from songs import song

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real clips (MUSDB excerpts, a real song): `../shared/real`, or where SEPNB_REAL points."""
    folder = Path(os.environ.get("SEPNB_REAL", REPOSITORY.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there (set SEPNB_REAL)")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three songs, of 1, 1.5 and 2 seconds."""
    for number, (subset, name) in enumerate((("train", "A - One"), ("train", "B - Two"), ("test", "C - Three"))):
        song(tmp_path / "tracks" / subset / name, number, seconds=1 + number / 2)
    return tmp_path / "tracks"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: of two processes, neither is left with it at the end while the other idles."""
    first = ("test_notebooks.py", "test_browser_demo.py", "test_webdemo_load.py", "test_browser_mixer.py")
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))
