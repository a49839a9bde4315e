"""The mixer in a live JupyterLab under a real browser: it plays in step, has its keys to itself, and Python follows."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import page
from live_lab import KERNEL, Lab, check_mixer, run_all

SMALL = """\
import numpy as np
from sepnb.listening.mixer import StemMixer

rate = 44100
draw = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 3, 2, 5 * rate)).astype(np.float32)
names = ["drums", "bass", "vocals"]
mixer = StemMixer({"reference": dict(zip(names, draw[0])), "network": dict(zip(names, draw[1]))}, rate)
mixer
"""


def small_notebook(folder: Path) -> Path:
    """Two systems of noise in one mixer, which is shown twice."""
    path = folder / "small.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# A mixer"), nbformat.v4.new_code_cell(SMALL)]
    cells.append(nbformat.v4.new_code_cell("mixer  # the same once more"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    pytest.importorskip("jupyterlab", reason="no JupyterLab: pip install sepnb[course]")
    folder = tmp_path_factory.mktemp("lab")
    served = Lab(folder, {})
    yield served
    served.close()


def test_a_mixer_in_a_live_notebook(browser, lab):
    with page(browser, 1280, 900) as tab:
        run_all(tab, lab, small_notebook(lab.folder).name)
        check_mixer(tab, lab)


def test_two_views_of_one_mixer_share_a_player(browser, lab):
    with page(browser, 1280, 900) as tab:
        run_all(tab, lab, small_notebook(lab.folder).name)
        # What sounds once must not sound twice.
        tab.wait_for_function("document.querySelectorAll('.sepnb-mixer').length === 2")
        views = "[...document.querySelectorAll('.sepnb-mixer')].map((view) => view.parentElement.sepnbMixer.player)"
        assert tab.evaluate(f"new Set({views}).size") == 1
        tab.locator(".mute").nth(1).click()
        pressed = [tab.locator(".row.stem .mute").nth(i).get_attribute("aria-pressed") for i in (1, 4)]
        assert pressed == ["true", "true"]
