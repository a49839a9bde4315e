"""What several test files share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real clips (MUSDB excerpts, a real song): `../shared/real`, or where SEPNB_REAL points."""
    folder = Path(os.environ.get("SEPNB_REAL", REPOSITORY.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not there (set SEPNB_REAL)")
    return folder
