"""Write what all notebooks share: title, links, Colab badge and setup cell, from one table and one address.

The address is the Repository URL in pyproject.toml. `make notebooks` writes; `--check` says what differs, and exits
with 1 if anything does.
"""

import json
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TITLES = {
    "01_data_prep": "Data preparation",
    "02_train_unet": "Training a U-Net",
    "03_resource_probe": "What the big models need",
    "04_pretrained_evaluation": "Evaluation",
    "05_interactive_listening": "Listening",
}

SETUP = """\
# Setup: on Colab and Kaggle this installs sepnb, and keeps the runtime's own torch, torchaudio and numpy as they are.
import importlib.util
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

if importlib.util.find_spec("sepnb") is None:
    kept = [f"{{d.name}}=={{d.version}}" for d in distributions() if d.name in ("torch", "torchaudio", "numpy")]
    Path("runtime-pins.txt").write_text("\\n".join(kept))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", "runtime-pins.txt"]
    subprocess.run([*install, "sepnb @ git+{address}"], check=True)
    importlib.invalidate_caches()

import sepnb"""


def address() -> str:
    """The repository's public address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].rstrip("/")


def badge(name: str) -> str:
    """A badge that opens a notebook in Colab."""
    owner_and_name = address().removeprefix("https://github.com/")
    target = f"https://colab.research.google.com/github/{owner_and_name}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"


def heading(name: str) -> str:
    """The first cell: title, links to the neighbours, badge."""
    names = list(TITLES)
    place = names.index(name)
    links = []
    if place > 0:
        links.append(f"[← {names[place - 1][:2]} {TITLES[names[place - 1]]}]({names[place - 1]}.ipynb)")
    if place + 1 < len(names):
        links.append(f"[{names[place + 1][:2]} {TITLES[names[place + 1]]} →]({names[place + 1]}.ipynb)")
    return f"# {name[:2]} · {TITLES[name]}\n\n{badge(name)}\n\n{' · '.join(links)}"


def frames(name: str) -> dict[str, str]:
    """The shared cells of a notebook, by cell id."""
    return {"heading": heading(name), "setup": SETUP.format(address=address())}


def readme_table() -> str:
    """The README's table of notebooks with their badges."""
    rows = [f"| [{name[:2]} {title}](notebooks/{name}.ipynb) | {badge(name)} |" for name, title in TITLES.items()]
    return "\n".join(["| notebook | open |", "|---|---|", *rows])


def framed(path: Path) -> str:
    """The notebook's text with its shared cells as they should be."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    for cell_id, text in frames(path.stem).items():
        cells[cell_id]["source"] = text.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def framed_readme(path: Path) -> str:
    """The README with its table of notebooks as it should be."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split("<!-- notebooks -->\n", 1)
    _, after = rest.split("<!-- /notebooks -->", 1)
    return f"{before}<!-- notebooks -->\n{readme_table()}\n<!-- /notebooks -->{after}"


def main(check: bool) -> int:
    """Write every file that differs, or with `check` only name it."""
    wanted = {path: framed(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    wanted[ROOT / "README.md"] = framed_readme(ROOT / "README.md")
    differing = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in differing:
        print(f"{path.relative_to(ROOT)} {'differs: run `make notebooks`' if check else 'written'}")
        if not check:
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
