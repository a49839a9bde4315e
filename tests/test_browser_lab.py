"""The mixer in a live JupyterLab under a real browser: it plays in step, has its keys to itself, and Python follows."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import browser, decoded, lag, page, recorded, start_recording  # noqa: F401

SMALL = """\
import numpy as np
from sepnb.listening.mixer import StemMixer

rate = 44100
draw = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 3, 2, 5 * rate)).astype(np.float32)
names = ["drums", "bass", "vocals"]
mixer = StemMixer({"reference": dict(zip(names, draw[0])), "network": dict(zip(names, draw[1]))}, rate)
mixer
"""

# A mixer of the page by its place among them; `start_recording` finds it by this mark.
MARK = """
(number) => {
  const mixer = document.querySelectorAll(".sepnb-mixer")[number].parentElement;
  mixer.id = "mixer";
  mixer.scrollIntoView({ block: "center" });
}
"""
READY = "[...document.querySelectorAll('.sepnb-mixer')].some((m) => m.parentElement.sepnbMixer?.player.state.ready)"
WHICH = (
    "[...document.querySelectorAll('.sepnb-mixer')].findIndex((m) => m.parentElement.sepnbMixer?.player.state.ready)"
)
FIND = """
import json
from ipywidgets.widgets import widget
from sepnb.listening.mixer import StemMixer
mixers = [one for one in widget._instances.values() if isinstance(one, StemMixer)]
"""
ASK = f"""{FIND}
names = ("position", "playing", "muted", "system", "loop", "ready", "problem")
print(json.dumps([{{name: getattr(one, name) for name in names}} for one in mixers]))
"""
ORDER = (
    FIND
    + """
mixers[{place}].loop = None
mixers[{place}].position = 0.25
mixers[{place}].volume = 0.5
print("[]")
"""
)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}  # without it, JupyterLab asks for one


# Notebooks to open, by path; None is a small one that is made here. Those of the course train what they lack, in a home
# that all share: SEPNB_LAB_HOME names one that outlives the test.
NOTEBOOKS: list[Path | None] = [None]


def placed(folder: Path, notebook: Path | None) -> Path:
    """A copy of a notebook in the folder that the lab serves."""
    if notebook is None:
        return small_notebook(folder)
    content = nbformat.read(notebook, as_version=4)
    content.metadata.setdefault("kernelspec", KERNEL)
    path = folder / notebook.name
    nbformat.write(content, path)
    return path


def small_notebook(folder: Path) -> Path:
    """Two systems of noise in one mixer, which is shown twice."""
    path = folder / "small.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# A mixer"), nbformat.v4.new_code_cell(SMALL)]
    cells.append(nbformat.v4.new_code_cell("mixer  # the same once more"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


class Lab:
    """A JupyterLab that serves one folder, and a way to ask its kernel."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.token, self.runtime = folder, secrets.token_hex(16), folder / ".runtime"
        places = {name: str(folder / f".{name.lower()}") for name in ("JUPYTER_CONFIG_DIR", "IPYTHONDIR")}
        self.log = (folder / ".lab.log").open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
                *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={self.token}"),
                *(f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"),
                *(
                    f"--LabApp.user_settings_dir={folder / '.settings'}",
                    f"--LabApp.workspaces_dir={folder / '.spaces'}",
                ),
            ],
            env=os.environ | places | {"JUPYTER_RUNTIME_DIR": str(self.runtime)} | environment,
            cwd=folder,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.address = self._when_up()

    def _when_up(self) -> str:
        for _ in range(600):
            told = list(self.runtime.glob("jpserver-*.json"))
            if told and told[0].stat().st_size:
                return json.loads(told[0].read_text())["url"]
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.close()
        pytest.fail((self.folder / ".lab.log").read_text()[-2000:])

    def url(self, notebook: str) -> str:
        return f"{self.address}lab/tree/{notebook}?token={self.token}"

    def ask(self, code: str) -> object:
        """What a piece of code prints as JSON when the notebook's kernel runs it."""
        from jupyter_client import BlockingKernelClient

        connection = max(self.runtime.glob("kernel-*.json"), key=lambda path: path.stat().st_mtime)
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels()
        said: list[str] = []
        try:
            client.execute_interactive(
                code,
                store_history=False,
                timeout=60,
                output_hook=lambda message: said.append(str(message["content"].get("text", message["content"]))),
            )
        finally:
            client.stop_channels()
        return json.loads("".join(text for text in said if text.startswith("[")))

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    pytest.importorskip("jupyterlab", reason="no JupyterLab: pip install sepnb[course]")
    folder = tmp_path_factory.mktemp("lab")
    home = os.environ.get("SEPNB_LAB_HOME", str(folder / "home"))
    served = Lab(folder, {"SEPNB_PROFILE": "demo", "SEPNB_HOME": home})
    yield served
    served.close()


def run_all(tab, lab: Lab, notebook: str, timeout: float = 400.0) -> None:
    """Open a notebook, run all its cells, and wait until one of its mixers has its sounds."""
    tab.set_default_timeout(1000 * timeout)
    tab.goto(lab.url(notebook))
    tab.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    tab.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    tab.wait_for_function(READY)
    tab.evaluate(MARK, tab.evaluate(WHICH))


def check_mixer(tab, lab: Lab) -> None:
    """The marked mixer plays in step, has its keys to itself, tells Python its state and obeys it."""
    player = "document.querySelector('#mixer').sepnbMixer.player"
    assert tab.locator("#mixer audio").count() == 0  # the mixer, not the players that take its place in a page
    kinds = "jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.type)"
    cells = tab.evaluate(kinds)

    tab.locator("#mixer .play").click()
    tab.wait_for_function(f"{player}.run && {player}.context.currentTime > {player}.run.when")
    start_recording(tab, 0.5)
    heard = recorded(tab)
    sounds = decoded(tab)
    audible = [i for i, one in enumerate(heard) if one.any()]
    assert len(audible) > 1
    assert len({lag(heard[i], sounds[i]) for i in audible}) == 1

    tab.locator("#mixer .row.stem .lane").first.click()
    for key in ("Space", "x", "2", "ArrowLeft", "l"):  # to a notebook, x cuts the cell, and 2 makes it a heading
        tab.keyboard.press(key)
    tab.locator("#mixer .row.stem .mute").first.focus()
    tab.keyboard.press("m")
    assert tab.evaluate(kinds) == cells
    names = ("position", "playing", "muted", "system", "loop")
    state = {name: tab.evaluate(f"{player}.state.{name}") for name in names}
    assert state["playing"] is False
    assert state["position"] > 0
    assert state["loop"] is not None
    assert len(state["muted"]) == 1

    told = lab.ask(ASK)
    assert state in [{name: one[name] for name in names} for one in told]
    [place] = [i for i, one in enumerate(told) if one["loop"] == state["loop"] and one["position"] == state["position"]]
    lab.ask(ORDER.format(place=place))
    tab.wait_for_function(f"{player}.state.volume === 0.5")
    tab.wait_for_function(f"{player}.state.loop === null")
    assert tab.evaluate(f"{player}.position") == 0.25
    lab.ask(f"{FIND}\nmixers[{place}].playing = True\nprint('[]')")
    tab.wait_for_function(f"{player}.position > 0.4")
    assert lab.ask(ASK)[place]["playing"] is True
    lab.ask(f"{FIND}\nmixers[{place}].playing = False\nprint('[]')")
    tab.wait_for_function(f"!{player}.run")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: "small" if path is None else path.stem)
def test_a_mixer_in_a_live_notebook(browser, lab, notebook):  # noqa: F811
    with page(browser, 1280, 900) as tab:
        run_all(tab, lab, placed(lab.folder, notebook).name)
        check_mixer(tab, lab)


def test_two_views_of_one_mixer_share_a_player(browser, lab):  # noqa: F811
    with page(browser, 1280, 900) as tab:
        run_all(tab, lab, small_notebook(lab.folder).name)
        # What sounds once must not sound twice.
        tab.wait_for_function("document.querySelectorAll('.sepnb-mixer').length === 2")
        views = "[...document.querySelectorAll('.sepnb-mixer')].map((view) => view.parentElement.sepnbMixer.player)"
        assert tab.evaluate(f"new Set({views}).size") == 1
        tab.locator(".mute").nth(1).click()
        pressed = [tab.locator(".row.stem .mute").nth(i).get_attribute("aria-pressed") for i in (1, 4)]
        assert pressed == ["true", "true"]
