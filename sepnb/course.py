"""The whole course on one command: every notebook executed in order, as HTML pages and figures."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.files import write_text

# Minutes a student waits are part of the design: seconds on two cores in the demo profile.
BUDGETS = {
    "01_data_prep": 60,
    "02_train_unet": 150,
    "03_resource_probe": 60,
    "04_pretrained_evaluation": 90,
    "05_interactive_listening": 60,
}


@dataclass(frozen=True)
class Executed:
    """One notebook after its run."""

    name: str
    seconds: float
    page: Path
    notebook: object  # an executed nbformat notebook


def notebooks_folder() -> Path:
    """Where the notebooks are: the checkout that holds the working folder or this package."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if all((folder / "notebooks" / f"{name}.ipynb").is_file() for name in BUDGETS):
            return folder / "notebooks"
    raise SepnbError("the course's notebooks are not here: run this from a checkout of the repository")


def run_course(
    profile: str = "demo",
    out: Path | str = "build",
    home: Path | str | None = None,
    only: list[str] | None = None,
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda name: None,
) -> Iterator[Executed]:
    """Execute the notebooks in order and write each as `out/NAME.html`; yields each as it is done.

    `home` is where data, figures and runs go (without it SEPNB_HOME, or else the checkout). `only` picks notebooks by
    the beginning of their names, `folder` takes copies of your own instead of the checkout's. `tell` is called with the
    name of each notebook that begins. Raises SepnbError with the cell's own error where a notebook fails; its page is
    written all the same.
    """
    folder = folder or notebooks_folder()
    names = [name for name in BUDGETS if only is None or name.startswith(tuple(only))]
    if not names:
        raise SepnbError(f"no notebook begins with {', '.join(only)}; there are {', '.join(BUDGETS)}")
    home = Path(home or os.environ.get("SEPNB_HOME") or folder.parent)
    with _environment(SEPNB_PROFILE=profile, SEPNB_HOME=str(home.resolve())):
        for name in names:
            tell(name)
            yield _execute(folder / f"{name}.ipynb", Path(out))


def _execute(path: Path, out: Path) -> Executed:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from tqdm import tqdm

    notebook = nbformat.read(path, as_version=4)
    # Where nobody looks on (no terminal), there is no bar.
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    bar = tqdm(total=cells, desc=path.stem, unit="cell", leave=False, disable=None)
    client = NotebookClient(
        notebook,
        timeout=1800,
        # Without it a page shows plain players in place of widgets, which need a notebook behind them.
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
        # Kernels warn that they talk in plain text; they do so on this machine alone, and signed.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        on_cell_executed=lambda **_: bar.update(),
    )
    started = time.perf_counter()
    failure = None
    try:
        with bar:
            client.execute()
    except CellExecutionError as error:
        failure = error
    seconds = time.perf_counter() - started
    page = out / f"{path.stem}.html"
    write_text(page, _page(notebook, path.stem))
    if failure is not None:
        raise SepnbError(f"{path.name} failed: {failure.ename}: {failure.evalue} (see {page})") from failure
    return Executed(path.stem, seconds, page, notebook)


def _page(notebook: object, title: str) -> str:
    from nbconvert import HTMLExporter

    exporter = HTMLExporter()
    # A page that can be read on a train: pictures and sound are in it, and no script is fetched from elsewhere.
    exporter.embed_images = True
    exporter.require_js_url = exporter.mathjax_url = ""
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    for name in BUDGETS:
        html = html.replace(f'href="{name}.ipynb"', f'href="{name}.html"')
    return html


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    # The kernels inherit it.
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key)
            else:
                os.environ[key] = value
