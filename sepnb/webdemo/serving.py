"""Serving the demo: address, password, headers, and what is cleared away at the end."""

import atexit
import hmac
import importlib.util
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepnb.errors import SepnbError
from sepnb.webdemo.limits import DemoLimits

if TYPE_CHECKING:
    import gradio as gr

    from sepnb.webdemo.visitors import Visitors

SHORTEST_PASSWORD = 8


@dataclass
class Demo:
    """A page that is ready to be served, its visitors, and how to serve it."""

    page: "gr.Blocks"
    visitors: "Visitors"
    options: dict[str, Any]

    def launch(self, **more: Any) -> str:
        """Serve; returns the address where `more` has prevent_thread_lock=True, and else after the server has ended."""
        try:
            return self.page.launch(**self.options, **more)[1]
        except OSError as error:
            raise SepnbError(f"the demo could not be served ({error}): take another --port or --host") from error
        finally:
            if not more.get("prevent_thread_lock"):
                self.close()

    def serve(self, say: Callable[[str], None]) -> None:
        """Serve until interrupted; `say` is told the address once the page is there."""
        try:
            address = self.launch(prevent_thread_lock=True, quiet=True)
            say(self.page.share_url or address)
            self.page.block_thread()
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving, and remove everything visitors have left."""
        self.page.close(verbose=False)
        self.visitors.close()


def build_demo(
    models: Sequence[str] | None = None,
    limits: DemoLimits | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    password: str | None = None,
    folder: Path | str | None = None,
    device: str = "cpu",
) -> Demo:
    """The demo, ready to be served.

    `models` of the registry (those whose weights are here without any), on `device`; `password` asks every visitor for
    it; `share` makes a public link, and wants one; `folder` is where temporary files go. PyTorch's threads in this
    process are shared out among the jobs that run side by side.
    Raises SepnbError where Gradio is not installed, or a model or password will not do.
    """
    check_password(password, share)
    if importlib.util.find_spec("gradio") is None:
        raise SepnbError('the demo needs Gradio: pip install "gradio>=6"')
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported, and when it serves
    from sepnb.webdemo.visitors import Visitors

    limits = limits or DemoLimits()
    visitors = Visitors(limits, folder)
    atexit.register(visitors.close)
    try:
        os.environ["GRADIO_TEMP_DIR"] = str(visitors.uploads)
        page = _page(models, limits, visitors, device)
    except BaseException:
        visitors.close()
        raise
    return Demo(page, visitors, _options(limits, visitors, host, port, share, password))


def check_password(password: str | None, share: bool) -> None:
    """Raise SepnbError where a public link would have no password, or a password is one that is guessed."""
    if share and password is None:
        raise SepnbError("a public link needs a password: give one with --password, or 'auto' to have one made")
    if password is not None and len(password) < SHORTEST_PASSWORD:
        raise SepnbError(f"a password needs {SHORTEST_PASSWORD} characters or more")


def new_password() -> str:
    """A password that can be read out over a telephone and not be guessed."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def _page(models: Sequence[str] | None, limits: DemoLimits, visitors: "Visitors", device: str) -> "gr.Blocks":
    import torch

    from sepnb.webdemo.models import ModelShelf
    from sepnb.webdemo.page import build_page
    from sepnb.webdemo.songs import SongShelf
    from sepnb.webdemo.studio import Studio

    # Two jobs with all cores each would wait for each other's threads.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // limits.jobs))
    shelf = ModelShelf(models, device, limits.loaded_models)
    return build_page(Studio(limits, shelf, SongShelf(visitors.songs), visitors.check_room), visitors)


def _options(
    limits: DemoLimits, visitors: "Visitors", host: str, port: int | None, share: bool, password: str | None
) -> dict[str, Any]:
    """What Gradio's `launch` is told."""
    from starlette.middleware import Middleware

    from sepnb.webdemo import page, pieces
    from sepnb.webdemo.gate import Gate

    return {
        "server_name": host,
        "server_port": port,
        "share": share,
        "auth": None if password is None else _asks_for(password),
        "auth_message": None if password is None else "Any name will do; the password is the one you were given.",
        "max_file_size": limits.upload_bytes,
        "allowed_paths": [str(visitors.songs), str(visitors.rooms)],
        "blocked_paths": [str(Path(__file__).resolve().parents[2])],
        "show_error": False,
        "footer_links": [],
        "enable_monitoring": False,
        "ssr_mode": False,
        "theme": page.theme(),
        "css": pieces.styles(),
        "head": pieces.head(),
        "app_kwargs": {"middleware": [Middleware(Gate, visitors=visitors, largest=limits.upload_bytes)]},
    }


def _asks_for(password: str):
    def right(name: str, given: str) -> bool:
        return hmac.compare_digest(given.encode(), password.encode())

    return right
