"""Pages with a mixer, for tests that need one in a browser: the fixture `tab` is one, with two systems of three stems.

The page's host (`host`) keeps what the mixer tells it, as a notebook's Python would.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser import page, served

import sepnb.listening
from sepnb.listening.encoding import LARGEST_BYTES, Encoded, checked, encode, mixer_config
from sepnb.listening.mixer import StemMixer

STATIC = Path(sepnb.listening.__file__).parent / "static"
RATE = 44100
SECONDS = 4.0

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Mixer</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="mixer.css"><style>body { margin: 12px }</style>
<div id="mixer"></div>
<script type="module">
import { createMixer } from "./mixer.js";
const config = await (await fetch("config.json")).json();
function hostOf(config, state = {}) {
  const callbacks = {};
  return {
    config, state, told: [],
    load: async (id) => (await fetch(id)).arrayBuffer(),
    get: (name) => state[name],
    set(name, value) { state[name] = value; this.told.push([name, value]); },
    onChange: (name, callback) => ((callbacks[name] = callback), () => delete callbacks[name]),
    say(name, value) { state[name] = value; callbacks[name](value); },
  };
}
window.hostOf = hostOf;
window.createMixer = createMixer;
window.host = hostOf(config);
window.mixer = createMixer(document.getElementById("mixer"), window.host);
</script></html>"""

# A notebook's page, with a widget's model in place of Jupyter's; sounds come in two pieces, as Python sends them.
NOTEBOOK = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Notebook</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="mixer.css"><div id="mixer"></div><div id="other"></div>
<script type="module">
import makeWidget from "./widget.js";
const state = { config: await (await fetch("config.json")).json() };
const callbacks = new Map();
const model = {
  wanted: [],
  get: (name) => state[name],
  set(name, value) { state[name] = value; for (const tell of callbacks.get(`change:${name}`) ?? []) tell(); },
  save_changes() {},
  on: (name, callback) => callbacks.set(name, [...(callbacks.get(name) ?? []), callback]),
  off: (name, callback) => callbacks.set(name, callbacks.get(name).filter((other) => other !== callback)),
  async send({ id }) {
    model.wanted.push(id);
    const bytes = await (await fetch(id)).arrayBuffer();
    const parts = [new DataView(bytes, 0, 1000), new DataView(bytes, 1000)];
    parts.forEach((part, number) => {
      for (const tell of callbacks.get("msg:custom") ?? []) tell({ kind: "piece", id, number, count: 2 }, [part]);
    });
  },
};
const widget = makeWidget();
const close = widget.initialize({ model });
const show = (id) => widget.render({ el: document.getElementById(id) });
const player = (id = "mixer") => document.getElementById(id).sepnbMixer?.player;
window.notebook = { state, model, close, show, player };
</script></html>"""


def noise(seed: int, seconds: float = SECONDS, level: float = 0.1) -> np.ndarray:
    """Stereo noise on the 16-bit grid."""
    drawn = np.random.default_rng(seed).uniform(-level, level, (2, round(seconds * RATE)))
    return (np.rint(drawn * 32768) / 32768).astype(np.float32)


def write_page(folder: Path, systems: dict, rate: int = RATE, largest: int = LARGEST_BYTES, **options) -> Encoded:
    """A page with a mixer of these systems."""
    systems = checked(systems, rate)
    encoded = encode(systems, rate, largest)
    for sound in encoded.sounds:
        (folder / sound.id).write_bytes(sound.data)
    (folder / "config.json").write_text(json.dumps(mixer_config(systems, rate, encoded, **options)))
    (folder / "index.html").write_text(PAGE)
    (folder / "notebook.html").write_text(NOTEBOOK)
    (folder / "widget.js").write_text(StemMixer._esm)
    for name in ("mixer.js", "mixer.css"):
        (folder / name).write_bytes((STATIC / name).read_bytes())
    return encoded


@pytest.fixture(scope="module")
def systems() -> dict[str, dict[str, np.ndarray]]:
    names = ("drums", "bass", "vocals")
    true = {name: noise(seed) for seed, name in enumerate(names)}
    other = {name: noise(10 + seed, level=0.05) for seed, name in enumerate(names)}
    return {"reference": true, "network": other}


@pytest.fixture(scope="module")
def mixer_address(systems, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mixer")
    write_page(folder, systems)
    with served(folder) as base:
        yield base


@contextmanager
def opened(browser, address: str, width: int = 1280, **options: object):
    """The mixer's page, loaded and decoded."""
    with page(browser, width, **options) as tab:
        tab.goto(address)
        tab.set_default_timeout(30_000)
        tab.wait_for_function("window.mixer?.player?.state.ready")
        yield tab
        assert not tab.errors


@pytest.fixture
def tab(browser, mixer_address):
    with opened(browser, mixer_address) as tab:
        yield tab


def position(tab) -> float:
    return tab.evaluate("mixer.player.position")


def host(tab, name: str) -> object:
    """What the page's host was told, as a notebook's Python would be."""
    return tab.evaluate("(name) => host.state[name]", name)


def factors(tab) -> list[float]:
    return tab.evaluate("mixer.player.config.sounds.map((s) => mixer.player.gain(s.system, s.stem).gain.value)")


def settled(tab, expected: list[float]) -> None:
    """Wait until stems are heard with these factors: a change is a short glide, against clicks."""
    until = time.monotonic() + 10
    while not np.allclose(factors(tab)[: len(expected)], expected, atol=1e-6) and time.monotonic() < until:
        tab.wait_for_timeout(20)
    np.testing.assert_allclose(factors(tab)[: len(expected)], expected, atol=1e-6)


def play(tab) -> None:
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_function("mixer.player.run && mixer.player.context.currentTime > mixer.player.run.when")
