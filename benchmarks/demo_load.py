"""Twenty visitors at once: `python -m benchmarks.demo_load` prints what became of them, and of the server's memory.

The real application runs in a process of its own on loopback. Every visitor uploads another tune, joins the queue,
watches its place, and must get back its own tune, taken apart.
"""

import html
import io
import json
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import soundfile

VISITORS = 20
SECONDS = 2.0
RATE = 44100
KEEP = 10.0  # seconds that the server keeps what visitors have left; half an hour outside tests
PATIENCE = 300.0  # seconds for one visitor


@dataclass
class Outcome:
    """What became of one visitor."""

    number: int
    places: list[int] = field(default_factory=list)  # in the queue, as told
    seconds: float = 0.0
    problem: str = ""


@dataclass
class Load:
    """What became of all, and of the server."""

    outcomes: list[Outcome]
    seconds: float
    idle_mb: float  # of the server's memory, before
    peak_mb: float
    side_by_side: int  # separations, at most
    left: int  # folders of visitors, after they were due to go
    root_left: bool  # whether the server's folder outlived it


def tune_of(number: int) -> np.ndarray:
    """A visitor's tune, int16 (samples,): its own rhythm and pitch."""
    time_ = np.arange(round(SECONDS * RATE)) / RATE
    beat = 2 + 0.35 * number
    note = np.sin(2 * np.pi * (110 + 23 * number) * time_) * np.exp(-4 * (time_ * beat % 1))
    return np.rint(9000 * note).astype(np.int16)


def run(folder: Path, visitors: int = VISITORS) -> Load:
    """Serve from `folder`, send the visitors, and see what is left."""
    command = [sys.executable, "-m", "benchmarks.demo_load", "serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            base = next(line for line in server.stdout if line.startswith("http")).strip().rstrip("/")
            watch = _Memory(server.pid)
            idle = watch.now()
            with watch, ThreadPoolExecutor(visitors) as pool:
                began = time.monotonic()
                outcomes = list(pool.map(lambda number: _visit(base, number), range(visitors)))
                seconds = time.monotonic() - began
            rooms = next(folder.glob("run-*")) / "visitors"
            _wait_until(lambda: not any(rooms.iterdir()), KEEP + 20)
            left = len(list(rooms.iterdir()))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
        side_by_side = int(re.search(r"side by side: (\d+)", server.stdout.read()).group(1))
    return Load(outcomes, seconds, idle, watch.peak, side_by_side, left, any(folder.glob("run-*")))


def _visit(base: str, number: int) -> Outcome:
    outcome = Outcome(number)
    began = time.monotonic()
    try:
        with httpx.Client(base_url=base, timeout=PATIENCE) as http:
            result = _separated(http, number, outcome)
            outcome.problem = _check(http, number, result)
    except Exception as error:  # whatever it is, this visitor was lost, and the table says so
        outcome.problem = f"{type(error).__name__}: {error}"
    outcome.seconds = time.monotonic() - began
    return outcome


def _separated(http: httpx.Client, number: int, outcome: Outcome) -> list:
    """Upload, join the queue and wait: the values that the page would show."""
    (path,) = http.post("/gradio_api/upload", files={"files": (f"tune {number}.wav", _wav(number))}).json()
    config = http.get("/config").json()
    button = next(event for event in config["dependencies"] if event["api_name"] == "separate")
    session = secrets.token_hex(8)
    upload = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [upload, None, "band-unet", 0, SECONDS]
    joined = http.post("/gradio_api/queue/join", json={"fn_index": button["id"], "session_hash": session, "data": data})
    joined.raise_for_status()
    with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as events:
        for line in events.iter_lines():
            if not line.startswith("data:"):
                continue
            event = json.loads(line[5:])
            if event["msg"] == "estimation":
                outcome.places.append(event["rank"])
            if event["msg"] == "process_completed":
                if not event["success"]:
                    raise RuntimeError(event["output"].get("error"))
                return event["output"]["data"]
    raise RuntimeError("the server hung up")


def _check(http: httpx.Client, number: int, result: list) -> str:
    """Whether the result is that of this visitor; what is wrong with it, or nothing."""
    mount = next(value for value in result if isinstance(value, str) and "sepnb-mixer-mount" in value)
    config = json.loads(html.unescape(re.search(r'data-config="([^"]+)"', mount).group(1)))
    sounds = {
        sound["stem"]: soundfile.read(io.BytesIO(http.get(f"/{sound['url']}").content), dtype="int16")[0]
        for sound in config["sounds"]
    }
    if not np.array_equal(sounds.pop("mixture"), tune_of(number)):
        return "the original is not what was uploaded"
    total = sum(stem.astype(float) for stem in sounds.values())
    likeness = [abs(np.corrcoef(total, tune_of(other))[0, 1]) for other in range(VISITORS)]
    if int(np.argmax(likeness)) != number:
        return f"the stems are those of visitor {int(np.argmax(likeness))}"
    return ""


def _wav(number: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(tune_of(number).tobytes())
    return file.getvalue()


class _Memory:
    """Samples a process's resident memory while the block runs."""

    def __init__(self, pid: int):
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self.peak = 0.0

    def now(self) -> float:
        return self._process.memory_info().rss / 1e6

    def __enter__(self) -> "_Memory":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self.now())


class _Count:
    """A function, and how many of its calls have run side by side at most."""

    def __init__(self, function: Callable[..., Any]):
        self._function, self._lock = function, threading.Lock()
        self._now = self.most = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self._function(*arguments, **named)
        finally:
            with self._lock:
                self._now -= 1


def _wait_until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.2)


def serve(folder: str) -> None:
    """What the server's process does."""
    from sepnb.webdemo import DemoLimits, build_demo, studio
    from sepnb.webdemo.command import ended_politely, free_port

    count = _Count(studio.separate_with_progress)
    studio.separate_with_progress = count
    limits = DemoLimits(keep_seconds=KEEP, sweep_seconds=1.0)
    demo = build_demo(["band-unet"], limits, port=free_port("127.0.0.1"), folder=folder)
    with ended_politely():
        try:
            print(demo.launch(prevent_thread_lock=True, quiet=True), flush=True)
            threading.Event().wait()
        finally:
            demo.close()
            print(f"side by side: {count.most}", flush=True)


def main() -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        load = run(Path(folder))
    lost = [outcome for outcome in load.outcomes if outcome.problem]
    waits = sorted(outcome.seconds for outcome in load.outcomes)
    first = [outcome.places[0] if outcome.places else 0 for outcome in load.outcomes]
    print("| what | measured |\n|---|---|")
    print(f"| visitors at once, {SECONDS:g} s of music each | {len(load.outcomes)} |")
    print(f"| lost, or given another's result | {len(lost)} |")
    told = ", ".join(f"{waits[place]:.1f}" for place in (0, len(waits) // 2, -1))
    print(f"| from arrival to result, first, median, last | {told} s |")
    print(f"| furthest place in the queue that was shown | {max(first) + 1} |")
    print(f"| separations side by side, at most | {load.side_by_side} |")
    print(f"| server's memory before, at most | {load.idle_mb:.0f}, {load.peak_mb:.0f} MB |")
    print(f"| visitors' folders left afterwards | {load.left} |")
    print(f"| server's folder left when it had ended | {'yes' if load.root_left else 'no'} |")
    for outcome in lost:
        print(f"visitor {outcome.number}: {outcome.problem}", file=sys.stderr)
    return 1 if lost or load.left or load.root_left else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        sys.exit(main())
