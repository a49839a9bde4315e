"""Every notebook runs in the demo profile, shows what it promises, and its exercises tell right from wrong."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from browser import page
from conftest import REPOSITORY
from live_lab import Lab, check_mixer, placed, run_all

from sepnb.course import BUDGETS, run_course
from sepnb.store import Store

# Right and wrong answers: code for the first line of each exercise cell, in order.
ANSWERS = {
    "01_data_prep": [
        ("100 * 30 * 44100 * 4 * 2 * 2 / 1e9", "1.06"),
        (
            "10 * np.log10(((quieter - sum(heard[s] for s in track.sources)) ** 2).sum() / (quieter**2).sum())",
            "-20.0",
        ),
    ],
    "02_train_unet": [
        ("parts[drums] / parts.sum(dim=0)", "parts[drums]"),
        ("float(relative_energy(stems - stems.sum(dim=1, keepdim=True) / 4, stems))", "1.5"),
        ("float(relative_energy(stems - stems.sum(dim=1, keepdim=True), stems))", "1.0"),
        ("int(min(free / memory, patience / computing) / chunks_a_batch)", "30"),
    ],
    "03_resource_probe": [
        ("8 * 64 * 88200 * 4 / MIB", "2 * 8 * 64 * 88200 * 4 / MIB"),
        ("int(16 + (T4.memory / GIB - at_16) / ((at_32 - at_16) / 16))", "64"),
        ("three + 3 * (three - two)", "2 * three"),
    ],
    "04_pretrained_evaluation": [
        (
            "10 * np.log10((drums[:, :excerpt.rate] ** 2).sum() / "
            "((drums - mixture / 4)[:, :excerpt.rate] ** 2).sum())",
            "0.0",
        ),
        ("6.02", "3.01"),
        (
            "(lambda sdr: (sdr['toy U-Net'] > sdr['mixture ÷ N']).mean())("
            "sepnb.metrics.track_medians(scores).query(\"target == 'vocals'\")"
            ".pivot(index='track', columns='system', values='SDR'))",
            "-1",
        ),
    ],
    "05_interactive_listening": [
        ("10 * np.log10((difference ** 2).sum() / (mixture ** 2).sum())", "0.0"),
        ("10", "9"),
        ("440 / 2 ** (1 / 6)", "440 * 2 ** (1 / 6)"),
    ],
}


def exercise_cells(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])]


def answered(source: str, answer: str) -> str:
    """An exercise cell with its `name = None` line given an answer, which may use what the cell defines."""
    first, rest = source.split("\n", 1)
    name = re.fullmatch(r"(\w+) = None .*", first).group(1)
    before, check = rest.split("lab.check(", 1)
    return f"{before}{name} = {answer}\nlab.check({check}"


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """The course, executed once: the notebooks, and answered copies of their exercises behind the last cell."""
    home = tmp_path_factory.mktemp("course")
    folder = home / "notebooks"
    folder.mkdir()
    for name in BUDGETS:
        notebook = nbformat.read(REPOSITORY / "notebooks" / f"{name}.ipynb", as_version=4)
        for source, answers in zip(exercise_cells(notebook), ANSWERS[name], strict=True):
            for answer in answers:
                notebook.cells.append(nbformat.v4.new_code_cell(answered(source, answer)))
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        # What weights this machine has must not change what the course does.
        patch.setenv("SEPNB_WEIGHTS", str(home / "weights"))
        patch.setenv("HF_HUB_CACHE", str(home / "hub"))
        done = {executed.name: executed for executed in run_course("demo", home / "build", home=home, folder=folder)}
    return home, done


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", []) if output.output_type == "stream")


def test_stored_without_outputs():
    for name in BUDGETS:
        notebook = json.loads((REPOSITORY / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            assert not cell.get("outputs"), f"{name}: outputs are stored; clear them"
            assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", BUDGETS)
def test_follows_the_skeleton(name):
    """Heading, what you will be able to do, setup, the lab; short cells; exercises; what to write about."""
    notebook = nbformat.read(REPOSITORY / "notebooks" / f"{name}.ipynb", as_version=4)
    heading, intro, setup, lab = notebook.cells[:4]
    assert heading.source.startswith(f"# {name[:2]} · ")
    assert "You will be able to" in intro.source
    assert "T4" in intro.source
    assert setup.id == "setup"
    assert lab.source.startswith(f'lab = sepnb.open_lab("{name}")')
    assert notebook.cells[-1].source.startswith("## What to write about")
    assert exercise_cells(notebook)
    for cell in notebook.cells[3:]:
        assert cell.cell_type == "markdown" or len(cell.source.splitlines()) <= 16, cell.source


@pytest.mark.parametrize("name", BUDGETS)
def test_runs_and_its_exercises_tell_right_from_wrong(course, name):
    notebook = course[1][name].notebook
    asked = [cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])]
    assert all(printed(cell).startswith("○") for cell in asked)
    tried = notebook.cells[len(notebook.cells) - 2 * len(asked) :]
    marks = [printed(cell)[:1] for cell in tried]
    assert marks == ["✓", "✗"] * len(asked)


@pytest.mark.parametrize("name", BUDGETS)
def test_says_where_it_runs_and_leaves_a_page(course, name):
    home, done = course
    notebook = done[name].notebook
    assert "profile demo" in printed(notebook.cells[3])
    page = (home / "build" / f"{name}.html").read_text(encoding="utf-8")
    neighbours = re.findall(r'href="(\d\d_\w+)\.html"', page)
    assert set(neighbours) <= set(BUDGETS)
    assert neighbours, "the page's links lead to pages, not to notebooks"


def test_figures_are_left_for_the_report(course):
    home, _ = course
    index = json.loads((home / "figures" / "index.json").read_text(encoding="utf-8"))
    by_notebook = {entry["notebook"] for entry in index}
    assert by_notebook == set(BUDGETS)
    for entry in index:
        assert len(entry["caption"]) > 20
        for file in entry["files"]:
            assert (home / "figures" / file).stat().st_size > 0


def test_the_network_learns_more_than_the_trivial_baseline(course):
    """After the demo's minute of training the U-Net beats the mixture divided by four, and the oracle beats both."""
    table = pd.read_csv(course[0] / "figures" / "scores_table.csv").set_index("system")
    mean = table["mean"]
    assert mean["mixture"] < mean["silence"] == 0 < mean["mixture ÷ N"]
    assert mean["mixture ÷ N"] + 0.5 < mean["toy U-Net"] < mean["IRM2"]
    assert table.loc["mixture", "SDRi"] == 0
    assert table.loc["toy U-Net", "SDRi"] == pytest.approx(mean["toy U-Net"] - mean["mixture"], abs=1)
    for suffix in ("md", "tex"):
        assert "toy U-Net" in (course[0] / "figures" / f"scores_table.{suffix}").read_text(encoding="utf-8")


def test_the_page_of_the_mixer_has_plain_players(course):
    """A page has no notebook behind it: each mixer leaves players of its sounds in it."""
    text = (course[0] / "build" / "05_interactive_listening.html").read_text(encoding="utf-8")
    assert text.count("<audio") > 20
    assert "application/vnd.jupyter.widget-view+json" not in text


def test_the_mixer_plays_in_a_live_jupyterlab(course, browser, tmp_path):
    """Notebook 05 run by a real browser: its mixer plays in sync, obeys keys, and Python knows where it stands."""
    lab = Lab(tmp_path, {"SEPNB_PROFILE": "demo", "SEPNB_HOME": str(course[0])})
    try:
        with page(browser, 1280, 900) as tab:
            run_all(tab, lab, placed(lab.folder, REPOSITORY / "notebooks" / "05_interactive_listening.ipynb"))
            check_mixer(tab, lab)
    finally:
        lab.close()


@pytest.mark.parametrize("name", BUDGETS)
def test_a_figure_that_is_saved_is_seen(course, name):
    """Saving gives the figure back, to be shown; with something else last in its cell, nobody would see it."""
    cells = [cell for cell in course[1][name].notebook.cells if "lab.figures.save(" in cell.source]
    assert cells
    for cell in cells:
        assert any("<figure" in output.get("data", {}).get("text/html", "") for output in cell.outputs), cell.source


def test_data_preparation_on_real_songs(real, tmp_path, monkeypatch):
    """Notebook 01 on two excerpts of MUSDB18, one a stem file and one a folder of WAV files."""
    songs = tmp_path / "songs"
    for subset, source in (("train", "musdb18"), ("test", "musdb18hq")):
        (songs / subset).parent.mkdir(exist_ok=True)
        (songs / subset).symlink_to(real / source / subset)
    monkeypatch.setenv("SEPNB_DATA", str(songs))
    (done,) = run_course("full", tmp_path / "build", home=tmp_path, only=["01"])
    said = "".join(printed(cell) for cell in done.notebook.cells)
    assert "2 tracks" in said
    assert "1 train, 1 test" in said
    quality = pd.read_csv(tmp_path / "figures" / "data_quality.csv").set_index("track")
    assert -34 < quality.residual_db["Music Delta - 80s Rock"] < -30  # what AAC leaves of the sum
    assert -34 < quality.residual_db["Mu - Too Bright"] < -30
    assert quality.residual_db["one channel off"] > -25
    store = Store(tmp_path / "data" / "stores" / "full-30s")
    assert {entry.name for entry in store.entries} == {"Music Delta - 80s Rock", "Mu - Too Bright"}


def test_evaluation_on_real_songs_with_a_real_model(real, course, tmp_path, monkeypatch):
    """Notebook 04 on two excerpts of MUSDB18, with a small Demucs that was trained on it among the systems."""
    monkeypatch.setenv("SEPNB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    home = tmp_path / "home"
    for made in ("data", "build"):
        shutil.copytree(course[0] / made, home / made)
    songs = tmp_path / "songs"
    for source in ("musdb18hq/test/Mu - Too Bright", "musdb18/train/Music Delta - 80s Rock.stem.mp4"):
        (songs / "test").mkdir(parents=True, exist_ok=True)
        (songs / "test" / Path(source).name).symlink_to(real / source)
    notebook = nbformat.read(REPOSITORY / "notebooks" / "04_pretrained_evaluation.ipynb", as_version=4)
    changes = {
        'lab.tracks.subset("test")': f"sepnb.find_tracks({str(songs)!r})",
        "more = []": f"more = [{str(real / 'weights' / 'tiny_demucs' / 'af9a0947')!r}]",
    }
    for before, after in changes.items():
        (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and before in cell.source]
        cell.source = cell.source.replace(before, after)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(notebook, folder / "04_pretrained_evaluation.ipynb")
    list(run_course("demo", tmp_path / "pages", home=home, only=["04"], folder=folder))
    by_song = pd.read_csv(home / "figures" / "scores_boxes.csv").set_index(["track", "system", "target"])["SDR"]
    bright = by_song["Mu - Too Bright"]
    # museval's own figures for the mixture divided by four.
    for target, sdr in {"drums": 2.04, "bass": -0.82, "other": 0.38, "vocals": 1.51}.items():
        assert bright["mixture ÷ N", target] == pytest.approx(sdr, abs=0.01)
    tiny = bright[[system for system in bright.index.get_level_values("system") if "af9a0947" in system][0]]
    assert tiny["drums"] > 6
    assert tiny["vocals"] > 3
