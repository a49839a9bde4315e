"""A real browser for the tests that need one: the system's Chromium, driven by playwright, and a file server.

The fixture `browser` is one headless browser for all tests of a file. What a mixer plays is recorded stem by stem with
`start_recording` and `recorded`, and `lag` says where in a known sound that begins.
"""

import base64
import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The standard library asks the system for types, and some systems call JavaScript text/plain: no module then.
MIME_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    "": "application/octet-stream",
}


def chromium_path() -> str | None:
    """Where the system's Chromium is (SEPNB_CHROMIUM says another), or None."""
    named = os.environ.get("SEPNB_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator["playwright.sync_api.Browser"]:  # noqa: F821
    """A headless Chromium, closed at the end; skips the test where playwright or the browser is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium: apt install chromium (or set SEPNB_CHROMIUM)")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        try:
            yield launched
        finally:
            launched.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.sync_api.Browser"]:  # noqa: F821
    """One headless browser for all tests of a file."""
    with chromium() as launched:
        yield launched


@contextmanager
def page(
    browser: "playwright.sync_api.Browser",  # noqa: F821
    width: int = 1280,
    height: int = 800,
    **context: object,
) -> Iterator["playwright.sync_api.Page"]:  # noqa: F821
    """A page of its own profile, `width` × `height` pixels; `context` as playwright's new_context (color_scheme …).

    What the page says on its console, and errors that nobody caught, are kept in `page.said` and `page.errors`.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **context)
    opened = context.new_page()
    opened.said, opened.errors = [], []
    opened.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    try:
        yield opened
    finally:
        context.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = MIME_TYPES

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path | str) -> Iterator[str]:
    """Serve a folder on loopback, on a free port; yields the address, without a slash at its end."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


# One processor with an input for each stem of each system: what it keeps is in step, whatever the page is busy with.
# It begins once all inputs are there: a busy browser connects them one after the other, while the processor runs.
_RECORDER = """
registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor({ processorOptions: { frames } }) {
    super();
    this.frames = frames;
    this.at = 0;
  }
  process(inputs) {
    if (!this.kept && !inputs.every((input) => input.length)) return true;
    this.kept ??= inputs.map(() => new Float32Array(this.frames));
    const end = Math.min(this.at + 128, this.frames);
    inputs.forEach((input, i) => input[0] && this.kept[i].set(input[0].subarray(0, end - this.at), this.at));
    this.at = end;
    if (end < this.frames) return true;
    this.port.postMessage(this.kept, this.kept.map((one) => one.buffer));
    return false;
  }
});
"""

_START = """
async ([selector, seconds, source]) => {
  const { player } = document.querySelector(selector).sepnbMixer;
  const { context, config } = player;
  if (!context.recorderKnown) {
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    context.recorderKnown = true;
  }
  const recorder = new AudioWorkletNode(context, "recorder", {
    numberOfInputs: config.sounds.length,
    numberOfOutputs: 0,
    processorOptions: { frames: Math.round(seconds * context.sampleRate) },
  });
  config.sounds.forEach(({ system, stem }, i) => player.gain(system, stem).connect(recorder, 0, i));
  window.recording = new Promise((done) => (recorder.port.onmessage = ({ data }) => done(data)));
}
"""

# Samples as text: as a list of numbers, they would take seconds to come.
_AS_TEXT = """
const asText = (samples) => {
  const bytes = new Uint8Array(samples.slice().buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
};
"""
_TAKE = f"async () => {{ {_AS_TEXT} return (await window.recording).map(asText); }}"
_DECODED = f"""
(selector) => {{
  {_AS_TEXT}
  const {{ player }} = document.querySelector(selector).sepnbMixer;
  return player.config.sounds.map(({{ system, stem }}) => asText(player.buffer(system, stem).getChannelData(0)));
}}
"""


def start_recording(page: "playwright.sync_api.Page", seconds: float, selector: str = "#mixer") -> None:  # noqa: F821
    """Record the first channel behind each gain node of the mixer in `selector`; time counts while it plays."""
    page.evaluate(_START, [selector, seconds, _RECORDER])


def recorded(page: "playwright.sync_api.Page") -> np.ndarray:  # noqa: F821
    """What `start_recording` began, once it is complete: (sounds, samples), in the order of the mixer's sounds."""
    return _samples(page.evaluate(_TAKE))


def decoded(page: "playwright.sync_api.Page", selector: str = "#mixer") -> np.ndarray:  # noqa: F821
    """The first channel of each sound as the browser has decoded it: (sounds, samples), in the order of the sounds."""
    return _samples(page.evaluate(_DECODED, selector))


def _samples(texts: list[str]) -> np.ndarray:
    return np.stack([np.frombuffer(base64.b64decode(text), np.float32) for text in texts])


def lag(recording: np.ndarray, sound: np.ndarray) -> int:
    """The sample of `sound` at which `recording` begins (one channel each), by cross-correlation, spectra whitened."""
    size = 2 ** int(np.ceil(np.log2(len(sound) + len(recording))))
    cross = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(recording, size))
    return int(np.argmax(np.fft.irfft(cross / (np.abs(cross) + 1e-9), size)))


def places(recordings: np.ndarray, sounds: np.ndarray, reach: int = 2000) -> list[int]:
    """The sample of each sound (sounds, samples) at which its recording begins, for music, which repeats itself.

    The place that suits all together is found first; each sound's own is then looked for within `reach` samples of it.
    """
    likeness = [_likeness(*pair) for pair in zip(recordings, sounds, strict=True)]
    common = int(np.argmax(np.sum(likeness, axis=0)))
    first = max(common - reach, 0)
    return [first + int(np.argmax(one[first : common + reach + 1])) for one in likeness]


def _likeness(recording: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Normalised correlation of a recording with the stretch of a sound that begins at each of its samples."""
    recording, sound = recording.astype(np.float64), sound.astype(np.float64)
    size = 2 ** int(np.ceil(np.log2(len(sound) + len(recording))))
    cross = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(recording, size)), size)
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound))])
    count = len(sound) - len(recording) + 1
    heard = energy[len(recording) :][:count] - energy[:count]
    return cross[:count] / np.sqrt(np.maximum(heard, 1e-9) * np.square(recording).sum())
