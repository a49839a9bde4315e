"""What `sepnb demo` does: addresses and passwords are said, then it serves until Ctrl-C."""

import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sepnb.errors import SepnbError
from sepnb.webdemo.serving import build_demo, new_password

LOOPBACK = ("127.0.0.1", "localhost", "::1")
AUTO = "auto"


def serve_demo(
    host: str, port: int, share: bool, password: str | None, models: Sequence[str] | None, device: str
) -> None:
    """Serve the demo until it is interrupted. Raises SepnbError where it cannot be served so."""
    if password == AUTO or (share and password is None):
        password = new_password()
        print(f"password: {password}   (any name will do)", flush=True)
    if host not in LOOPBACK and password is None:
        print(f"sepnb: whoever reaches {host} can use this page; --password asks them for one", flush=True)
    print("starting …", flush=True)
    demo = build_demo(models, host=host, port=port or free_port(host), share=share, password=password, device=device)
    with ended_politely():
        demo.serve(_said)


def _said(address: str) -> None:
    print(f"open {address} in a browser", flush=True)
    print("Ctrl-C ends it, and removes what visitors have left.", flush=True)


@contextmanager
def ended_politely() -> Iterator[None]:
    """Within the block, SIGTERM ends the program as Ctrl-C does: files are cleared away on the way out."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port(host: str) -> int:
    """A port of this machine that nobody listens on. Raises SepnbError for an address that is not this machine's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
            return probe.getsockname()[1]
    except OSError as error:
        raise SepnbError(f"{host} is no address of this machine ({error.strerror or error})") from error
