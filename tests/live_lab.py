"""A live JupyterLab for tests that look at notebooks in a real browser."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from browser import decoded, places, recorded, start_recording

# A mixer of the page by its place among them; `start_recording` finds it by this mark.
MARK = """
(number) => {
  const mixer = document.querySelectorAll(".sepnb-mixer")[number].parentElement;
  mixer.id = "mixer";
  mixer.scrollIntoView({ block: "center" });
}
"""
READY = "document.querySelector('.sepnb-mixer')?.parentElement.sepnbMixer?.player.state.ready"
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


def placed(folder: Path, notebook: Path) -> str:
    """Copy a notebook to the folder that the lab serves; its name there."""
    content = nbformat.read(notebook, as_version=4)
    content.metadata.setdefault("kernelspec", KERNEL)
    nbformat.write(content, folder / notebook.name)
    return notebook.name


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


def run_all(tab, lab: Lab, notebook: str, timeout: float = 400.0) -> None:
    """Open a notebook, run all its cells, and wait until its first mixer has its sounds."""
    tab.set_default_timeout(1000 * timeout)
    tab.goto(lab.url(notebook))
    tab.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    tab.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    tab.wait_for_function(READY)
    tab.evaluate(MARK, 0)


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
    audible = [i for i, one in enumerate(heard) if np.square(one).mean() > 1e-8]
    assert len(audible) > 1
    assert len(set(places(heard[audible], sounds[audible]))) == 1  # 0 samples apart

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
