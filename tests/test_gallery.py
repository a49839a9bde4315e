"""A gallery keeps figures with their captions and numbers, and loses nothing."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes

from sepnb import figures
from sepnb.errors import SepnbError
from sepnb.figures import style
from sepnb.figures.gallery import readme

mpl.use("agg")
HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [1.0, 0.6, 0.4], "valid_loss": [1.1, 0.7, 0.8]})


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def some_figure() -> Axes:
    return figures.loss_curve(HISTORY)


def test_a_saved_figure_is_there_with_its_caption_and_numbers(tmp_path):
    gallery = figures.Gallery(tmp_path / "figures", notebook="01_data_prep")
    table = pd.DataFrame({"stem": ["drums", "bass"], "level": [-20.5, -28.0]})
    entry = gallery.save(some_figure(), "loss", "Loss over\n  epochs.", data=table).entry
    assert entry.files == ("loss.png", "loss.pdf", "loss.csv")
    folder = tmp_path / "figures"
    picture = plt.imread(folder / "loss.png")
    assert picture.shape[1] == round(style.COLUMN * 300)
    assert (folder / "loss.pdf").read_bytes().startswith(b"%PDF")
    assert b"/FontFile2" in (folder / "loss.pdf").read_bytes()  # TrueType, embedded
    assert pd.read_csv(folder / "loss.csv").equals(table)
    (listed,) = json.loads((folder / "index.json").read_text())
    assert listed == {
        "name": "loss",
        "caption": "Loss over epochs.",
        "files": list(entry.files),
        "notebook": "01_data_prep",
    }
    page = (folder / "README.md").read_text()
    for part in ("(loss.png)", "(loss.pdf)", "(loss.csv)", "Loss over epochs.", "01_data_prep"):
        assert part in page
    assert not list(folder.rglob(".partial*"))


def test_what_was_saved_shows_itself_once_with_its_caption(tmp_path):
    figure = some_figure().figure
    saved = figures.Gallery(tmp_path).save(figure, "loss", "Loss <of> a run.")
    shown = saved._repr_html_()
    assert base64.b64encode((tmp_path / "loss.png").read_bytes()).decode() in shown
    assert "Loss &lt;of&gt; a run." in shown
    assert "loss.pdf" in shown
    assert not plt.fignum_exists(figure.number)  # or the notebook would draw it a second time


def test_saving_again_replaces_and_the_list_stays_sorted(tmp_path):
    gallery = figures.Gallery(tmp_path)
    gallery.save(some_figure(), "b", "Second.", data=pd.DataFrame({"x": [1]}))
    gallery.save(some_figure(), "a", "First.")
    gallery.save(some_figure(), "b", "Second, mended.")
    assert [(entry.name, entry.caption) for entry in gallery.entries()] == [("a", "First."), ("b", "Second, mended.")]
    assert [entry["name"] for entry in json.loads((tmp_path / "index.json").read_text())] == ["a", "b"]
    assert not (tmp_path / "b.csv").exists()  # the table of the earlier figure would lie beside the new one
    (tmp_path / "a.png").unlink()
    gallery.save(some_figure(), "c", "Third.")
    assert [entry["name"] for entry in json.loads((tmp_path / "index.json").read_text())] == ["b", "c"]


def test_the_same_data_give_the_same_bytes_in_every_process(tmp_path):
    script = (
        "import sys, numpy as np, pandas as pd, matplotlib; matplotlib.use('agg'); from sepnb import figures\n"
        "gallery, table = figures.Gallery(sys.argv[1]), pd.DataFrame({'epoch': [1, 2], 'train_loss': [0.3, 0.1]})\n"
        "gallery.save(figures.loss_curve(table), 'one', 'Lines.', table)\n"
        "gallery.save(figures.overlap_matrix(np.eye(2), ['drums', 'bass']), 'two', 'A picture.')\n"
    )
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]  # sets iterate differently then
    runs = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path / environment["PYTHONHASHSEED"]], env=environment)
        for environment in environments
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.*"))
    assert len(files) == 9
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes(), file


def test_processes_that_save_at_once_lose_nothing(tmp_path):
    script = (
        "import sys, matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt\n"
        "from sepnb.figures import Gallery\n"
        "figure, ax = plt.subplots(figsize=(1, 1))\n"
        "for number in range(5):\n"
        "    Gallery(sys.argv[1], sys.argv[2]).save(figure, f'{sys.argv[2]}_{number}', 'A caption.')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, tmp_path, who]) for who in ("one", "two")]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    expected = sorted(f"{who}_{number}" for who in ("one", "two") for number in range(5))
    assert [entry["name"] for entry in json.loads((tmp_path / "index.json").read_text())] == expected
    assert all(f"({name}.png)" in (tmp_path / "README.md").read_text() for name in expected)


@pytest.mark.parametrize("name", ["", "Waveforms", "two words", "../escape", "a.b", "größe", "a\n"])
def test_names_that_would_not_travel_are_refused(tmp_path, name):
    with pytest.raises(SepnbError, match="figure name"):
        figures.Gallery(tmp_path).save(some_figure(), name, "A caption.")
    assert not list(tmp_path.iterdir())


def test_a_figure_without_caption_is_refused(tmp_path):
    with pytest.raises(SepnbError, match="caption"):
        figures.Gallery(tmp_path).save(some_figure(), "name", "  ")


def test_a_failed_save_leaves_the_old_figure(tmp_path, monkeypatch):
    gallery = figures.Gallery(tmp_path)
    gallery.save(some_figure(), "one", "A caption.")
    before = (tmp_path / "one.png").read_bytes()

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    broken = some_figure().figure
    monkeypatch.setattr(broken, "savefig", full)
    with pytest.raises(OSError, match="no space"):
        gallery.save(broken, "one", "Another caption.")
    assert (tmp_path / "one.png").read_bytes() == before
    assert [entry.caption for entry in gallery.entries()] == ["A caption."]


def test_the_committed_page_is_that_of_an_empty_gallery():
    folder = Path(__file__).parents[1] / "figures"
    page = (folder / "README.md").read_text(encoding="utf-8")
    # A run of the course lists its figures on the same page.
    assert page == readme([]) or page == readme(figures.Gallery(folder).entries())
