"""How the web demo is served: passwords, public links, the command, a hosted space."""

import importlib.util
import re
from pathlib import Path

import pytest

from sepnb.errors import SepnbError

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")
import httpx
from demos import LIMITS

from sepnb.webdemo import build_demo, check_password, command, new_password, serving


def test_a_password_is_asked_for(tmp_path):
    built = build_demo(
        ["band-unet"], LIMITS, port=command.free_port("127.0.0.1"), folder=tmp_path, password="eight-letters"
    )
    try:
        address = built.launch(prevent_thread_lock=True, quiet=True).rstrip("/")
        assert httpx.get(f"{address}/config").status_code == 401
        wrong = httpx.post(f"{address}/login", data={"username": "me", "password": "another-one"})
        assert wrong.status_code == 400
        right = httpx.post(f"{address}/login", data={"username": "me", "password": "eight-letters"})
        assert right.status_code == 200
        assert httpx.get(f"{address}/config", cookies=dict(right.cookies)).status_code == 200
        song = built.visitors.songs / "x.flac"
        song.write_bytes(b"x")
        assert httpx.get(f"{address}/gradio_api/file={song}").status_code == 401
    finally:
        built.close()


def test_passwords_that_will_not_do_are_said():
    with pytest.raises(SepnbError, match="a public link needs a password"):
        check_password(None, share=True)
    with pytest.raises(SepnbError, match="8 characters or more"):
        check_password("short", share=False)
    check_password(None, share=False)
    assert len({new_password() for _ in range(20)}) == 20
    check_password(new_password(), share=True)


class Launched(Exception):
    """What a stubbed launch raises instead of serving."""


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """What the command hands to Gradio's `launch`, which is stubbed."""
    import gradio

    seen = {}

    def launch(self, **options):
        seen.update(options)
        return None, "http://stub/", None

    monkeypatch.setattr(gradio.Blocks, "launch", launch)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return seen


def run(*arguments):
    from typer.testing import CliRunner

    from sepnb.cli import app

    return CliRunner().invoke(app, ["demo", "--model", "band-unet", *arguments])


def test_the_command_serves_this_machine_alone_and_clears_up(launched, tmp_path):
    result = run("--port", "0")
    assert result.exit_code == 0, result.output
    assert (launched["server_name"], launched["share"], launched["auth"]) == ("127.0.0.1", False, None)
    assert launched["max_file_size"] == 50_000_000
    assert launched["server_port"] > 0
    assert launched["quiet"] is True
    assert result.output.startswith("starting …\nopen http://stub/ in a browser\n")
    assert not list(tmp_path.glob("sepnb-demo-*/run-*"))


def test_a_public_link_gets_a_password_that_is_printed(launched):
    result = run("--share")
    assert result.exit_code == 0, result.output
    password = re.search(r"password: (\S+)", result.output).group(1)
    assert launched["share"] is True
    assert launched["auth"]("anyone", password)
    assert not launched["auth"]("anyone", password + "x")
    result = run("--share", "--password", "one of my own")
    assert "password:" not in result.output
    assert launched["auth"]("x", "one of my own")
    assert isinstance(run("--share", "--password", "short").exception, SepnbError)


def test_serving_a_network_without_a_password_is_remarked_upon(launched):
    assert "--password asks them for one" in run("--host", "0.0.0.0").output
    assert launched["server_name"] == "0.0.0.0"


def test_without_gradio_it_says_how_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else find(name))
    with pytest.raises(SepnbError, match='pip install "gradio>=6"'):
        build_demo(["band-unet"])


def test_the_space_builds_the_same_page(monkeypatch, tmp_path):
    import runpy

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("SEPNB_DEMO_PASSWORD", "of-the-space")
    made = runpy.run_path(str(Path(serving.__file__).parents[2] / "app.py"))
    try:
        assert made["demo"] is made["built"].page
        assert made["built"].options["server_name"] == "0.0.0.0"
        assert made["built"].options["auth"]("x", "of-the-space")
    finally:
        made["built"].close()
