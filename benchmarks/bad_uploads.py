"""What the web demo makes of files that are no ordinary songs: `python -m benchmarks.bad_uploads` prints a table.

Each file goes through the real application on loopback, as a browser would send it.
"""

import re
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sepnb import audio

RATE = 44100
TAKEN = "taken: "


def tune(seconds: float = 3.0, channels: int = 2, rate: int = RATE) -> np.ndarray:
    """A few notes, (channels, samples)."""
    time = np.arange(round(seconds * rate)) / rate
    note = np.sin(2 * np.pi * 220 * 2 ** (np.floor(time * 2) / 12) * time) * np.exp(-3 * (time * 2 % 1))
    return np.tile(0.3 * note, (channels, 1)).astype(np.float32)


def _wav(path: Path, sound: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> None:
    soundfile.write(path, sound.T, rate, subtype=subtype, format="WAV")


def _hour(path: Path) -> None:
    """An hour of eight bits at 8 kHz: small enough to be sent, and too long."""
    samples = 3600 * 8000
    header = b"RIFF" + struct.pack("<I", 36 + samples) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", samples)
    path.write_bytes(header + b"\x80" * samples)


def _cut(path: Path, share: float, **options: Any) -> None:
    audio.write(path, tune(6.0), RATE, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def film_without_sound(path: Path) -> None:
    """Three seconds of black picture."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _on_the_server(path: Path) -> Path:
    """A song that lies on the server and was not sent."""
    song = path.with_name("kept.mp3")
    audio.write(song, tune(), RATE)
    return song


def _playlist(path: Path) -> None:
    song = _on_the_server(path)
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{song}\n#EXT-X-ENDLIST\n")


def _joined(path: Path) -> None:
    path.write_text(f"ffconcat version 1.0\nfile '{_on_the_server(path)}'\n")


# What it is, the name it is sent under, how it is made, and what is to be read of the outcome.
CASES: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("mono", "mono.wav", lambda p: _wav(p, tune(channels=1)), TAKEN),
    ("8 kHz, mono", "eight.wav", lambda p: _wav(p, tune(channels=1, rate=8000), 8000), TAKEN),
    ("96 kHz, 24 bits", "hires.wav", lambda p: _wav(p, tune(rate=96000), 96000, "PCM_24"), TAKEN),
    ("32-bit float beyond ±1", "float.wav", lambda p: _wav(p, 5 * tune(), RATE, "FLOAT"), TAKEN),
    ("FLAC named .mp3", "flac.mp3", lambda p: soundfile.write(p, tune().T, RATE, format="FLAC"), TAKEN),
    ("MP3", "song.mp3", lambda p: audio.write(p, tune(), RATE), TAKEN),
    ("MP3 cut short", "torn.mp3", lambda p: _cut(p, 0.5), "cut short"),
    ("name with Unicode", "Éxtraño – 音楽 🎵.wav", lambda p: _wav(p, tune()), TAKEN),
    ("name of 200 characters", "x" * 200 + ".wav", lambda p: _wav(p, tune()), TAKEN),
    ("name with dots", "...hidden..wav", lambda p: _wav(p, tune()), TAKEN),
    ("name with a right-to-left mark", "song\u202e3pm.wav", lambda p: _wav(p, tune()), TAKEN),
    ("name with markup", "<img src=x onerror=alert(1)>.wav", lambda p: _wav(p, tune()), TAKEN),
    ("text named .mp3", "lyrics.mp3", lambda p: p.write_text("These are words. " * 200) and None, "not audio"),
    ("random bytes", "bytes.wav", lambda p: p.write_bytes(np.random.default_rng(0).bytes(50_000)) and None, "audio"),
    ("empty", "empty.wav", lambda p: p.write_bytes(b"") and None, "empty"),
    ("an hour", "evening.wav", _hour, "lasts 60 min"),
    ("half a second", "short.wav", lambda p: _wav(p, tune(0.5)), "lasts 0.50 s"),
    ("silent", "silent.wav", lambda p: _wav(p, np.zeros((2, 3 * RATE))), "is silent"),
    ("six channels", "six.wav", lambda p: _wav(p, tune(channels=6)), "6 channels"),
    ("2 kHz", "slow.wav", lambda p: _wav(p, tune(rate=2000), 2000), "2000 Hz"),
    ("not finite", "nan.wav", lambda p: _wav(p, np.full((2, 3 * RATE), np.nan, np.float32), RATE, "FLOAT"), "finite"),
    ("WAV cut short", "torn.wav", lambda p: _cut(p, 0.5), "cut short"),
    ("FLAC cut short beyond the excerpt", "half.flac", lambda p: _cut(p, 0.5), TAKEN),
    ("FLAC cut short", "torn.flac", lambda p: _cut(p, 0.1), "torn: "),
    ("film without sound", "film.mp4", film_without_sound, "no audio"),
    ("playlist of files on the server", "list.m3u8", _playlist, "not audio"),
    ("list of files to be joined", "joined.wav", _joined, "not audio"),
    ("60 MB, more than is taken", "huge.wav", lambda p: p.write_bytes(b"\0" * 60_000_000) and None, "50"),
]  # fmt: skip


def outcome(client: Any, path: Path, name: str) -> str:
    """Send a file under a name through a gradio_client and separate 2 s of it: what the visitor reads."""
    import httpx
    from gradio_client.exceptions import AppError

    with path.open("rb") as file:
        answer = httpx.post(f"{client.src.rstrip('/')}/gradio_api/upload", files={"files": (name, file)}, timeout=60)
    if answer.status_code != 200:
        return f"refused: {answer.text}"
    (server_path,) = answer.json()
    upload = {"path": server_path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    try:
        status, *_ = client.predict(upload, None, "band-unet", 0, 2, api_name="/separate")
    except (AppError, ValueError) as error:
        return f"refused: {error}"
    return ("refused: " if "sepnb-refused" in status else TAKEN) + re.sub(r"<[^>]+>", "", status)


def main() -> int:
    """Print the table."""
    warnings.simplefilter("ignore")
    from gradio_client import Client

    from sepnb.webdemo import build_demo
    from sepnb.webdemo.command import free_port

    print("| file | what the visitor reads |\n|---|---|")
    right = True
    with tempfile.TemporaryDirectory() as folder:
        demo = build_demo(["band-unet"], port=free_port("127.0.0.1"), folder=Path(folder) / "demo")
        try:
            client = Client(demo.launch(prevent_thread_lock=True, quiet=True), verbose=False)
            for number, (what, name, make, expected) in enumerate(CASES):
                path = Path(folder) / f"case{number}{Path(name).suffix}"
                make(path)
                said = outcome(client, path, name)
                right &= expected in said
                print(f"| {what} | {said.replace('|', '&#124;')} |", flush=True)
        finally:
            demo.close()
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
