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

SCORES = pd.DataFrame({"SDR": [5.4321, 1.33]}, index=pd.Index(["my_net", "mixture ÷ 4"], name="system"))


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
        "gallery.save_table(table, 'three', 'Numbers.')\n"
    )
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]  # sets iterate differently then
    runs = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path / environment["PYTHONHASHSEED"]], env=environment)
        for environment in environments
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.*"))
    assert len(files) == 13
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes(), file


def test_processes_that_save_at_once_lose_nothing(tmp_path):
    script = (
        "import sys, matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt, pandas as pd\n"
        "from sepnb.figures import Gallery\n"
        "figure, ax = plt.subplots(figsize=(1, 1))\n"
        "for number in range(5):\n"
        "    Gallery(sys.argv[1], sys.argv[2]).save(figure, f'{sys.argv[2]}_{number}', 'A caption.')\n"
        "    table = pd.DataFrame({'x': [number]})\n"
        "    Gallery(sys.argv[1], sys.argv[2]).save_table(table, f'{sys.argv[2]}_{number}_table', 'A caption.')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, tmp_path, who]) for who in ("one", "two")]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    figures_ = [f"{who}_{number}" for who in ("one", "two") for number in range(5)]
    expected = sorted([*figures_, *(f"{name}_table" for name in figures_)])
    assert [entry["name"] for entry in json.loads((tmp_path / "index.json").read_text())] == expected
    assert all(f"({name}.png)" in (tmp_path / "README.md").read_text() for name in figures_)


@pytest.mark.parametrize("name", ["", "Waveforms", "two words", "../escape", "a.b", "größe", "a\n", "readme"])
def test_names_that_would_not_travel_are_refused(tmp_path, name):
    with pytest.raises(SepnbError, match="figure name"):
        figures.Gallery(tmp_path).save(some_figure(), name, "A caption.")
    with pytest.raises(SepnbError, match="table name"):
        figures.Gallery(tmp_path).save_table(SCORES, name, "A caption.")
    assert not list(tmp_path.iterdir())


def test_a_figure_or_table_without_caption_is_refused(tmp_path):
    with pytest.raises(SepnbError, match="caption"):
        figures.Gallery(tmp_path).save(some_figure(), "name", "  ")
    with pytest.raises(SepnbError, match="caption"):
        figures.Gallery(tmp_path).save_table(SCORES, "name", "  ")


# -------------------------------------------------------------------------------------------------------------- tables


def test_a_saved_table_is_there_as_markdown_latex_and_csv(tmp_path):
    gallery = figures.Gallery(tmp_path, notebook="04_pretrained_evaluation")
    saved = gallery.save_table(SCORES, "scores", "SDR of\n two systems & more.", units="dB", best="high")
    assert saved.entry.files == ("scores.md", "scores.tex", "scores.csv")
    page = (tmp_path / "scores.md").read_text()
    assert page.startswith("SDR of two systems & more.\n\n| system") and "**5.43**" in page
    latex = (tmp_path / "scores.tex").read_text()
    assert r"\caption{SDR of two systems \& more.}" in latex and r"\label{tab:scores}" in latex
    assert r"mixture $\div$ 4 & 1.33 \\" in latex
    assert pd.read_csv(tmp_path / "scores.csv", index_col="system").equals(SCORES)  # in all digits
    (listed,) = json.loads((tmp_path / "index.json").read_text())
    assert listed["files"] == ["scores.md", "scores.tex", "scores.csv"]
    readme_page = (tmp_path / "README.md").read_text()
    assert page.strip() in readme_page and "[LaTeX](scores.tex)" in readme_page and ".png" not in readme_page
    shown = saved._repr_html_()
    assert "<b>5.43</b>" in shown and "two systems &amp; more." in shown and "scores.tex" in shown


def test_a_table_takes_the_place_of_a_figure_and_the_other_way_round(tmp_path):
    gallery = figures.Gallery(tmp_path)
    (tmp_path / "one.txt").write_text("a student's own notes")
    gallery.save(some_figure(), "one", "A figure.", data=SCORES)
    gallery.save_table(SCORES, "one", "A table.")
    assert sorted(path.name for path in tmp_path.glob("one.*")) == ["one.csv", "one.md", "one.tex", "one.txt"]
    assert [entry.caption for entry in gallery.entries()] == ["A table."]
    gallery.save(some_figure(), "one", "A figure again.")
    assert sorted(path.name for path in tmp_path.glob("one.*")) == ["one.pdf", "one.png", "one.txt"]
    assert "one.tex" not in (tmp_path / "README.md").read_text()


def test_what_a_student_put_beside_a_figure_is_not_removed(tmp_path):
    (tmp_path / "loss.md").write_text("my notes on the loss")
    figures.Gallery(tmp_path).save(some_figure(), "loss", "A figure.")
    assert (tmp_path / "loss.md").read_text() == "my notes on the loss"


def test_a_deleted_table_is_no_longer_listed(tmp_path):
    gallery = figures.Gallery(tmp_path)
    gallery.save_table(SCORES, "one", "First.")
    (tmp_path / "one.md").unlink()
    gallery.save_table(SCORES, "two", "Second.")
    assert [entry["name"] for entry in json.loads((tmp_path / "index.json").read_text())] == ["two"]


def test_a_table_with_wrong_settings_changes_nothing(tmp_path):
    gallery = figures.Gallery(tmp_path)
    gallery.save_table(SCORES, "one", "First.")
    before = (tmp_path / "one.md").read_text()
    with pytest.raises(SepnbError, match="'high' or 'low'"):
        gallery.save_table(SCORES, "one", "Second.", best="max")
    assert (tmp_path / "one.md").read_text() == before
    assert [entry.caption for entry in gallery.entries()] == ["First."]


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
    assert page == readme([], folder) or page == readme(figures.Gallery(folder).entries(), folder)
