"""Compare the rebuilt Spleeter with the original package on one song: the largest deviations, and seconds.

    python -m benchmarks.ports_parity_spleeter --python OTHER/bin/python "…/mixture.wav" [--full]

OTHER is an environment with Spleeter 2.4.2 (`tests/golden/make_spleeter_golden.py` says how to make one). There the
original's networks get random weights and are saved as released models are: as a TensorFlow checkpoint in an archive.
The original's `Separator` separates the song, and the song played four times over, which takes several blocks of 512
frames. Here the same archive is read and the same is done with the port. So that the comparison means something, the
spread of the masks is printed: the 5th and 95th percentile over all bins that the networks see, where equal shares
would be 0.5, 0.25 or 0.2. `--full` takes the released models' 16 to 512 filters a layer (39 MB a stem); without it
networks of 2 to 8.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from sepnb.separators.spleeter import RELEASED, SpleeterSeparator, load_spleeter_archive

ORIGINAL = Path(__file__).resolve().parents[1] / "tests" / "golden" / "make_spleeter_golden.py"
NARROW = [2, 3, 4, 5, 6, 8]
TIMES = (1, 4)


def main(arguments: list[str] | None = None) -> None:
    """Run the original in its environment, the port here, and print a line for each model and length."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("song", type=Path, help="a WAV file at 44.1 kHz, stereo")
    parser.add_argument("--python", required=True, help="python of an environment with Spleeter 2.4.2")
    parser.add_argument("--full", action="store_true", help="filters as released: 3 GB of memory, minutes")
    given = parser.parse_args(arguments)
    audio, rate = soundfile.read(given.song, dtype="float32", always_2d=True)
    print(f"{given.song.parent.name}, {rate} Hz, {'released numbers of filters' if given.full else 'few filters'}")
    print(
        f"{'model':16} {'seconds':>8} {'largest deviation':>18} {'peak of the stems':>18} {'masks 5 %..95 %':>17} "
        f"{'ours':>8} {'original':>9}"
    )
    for seed, name in enumerate(RELEASED):
        with tempfile.TemporaryDirectory() as folder:
            compare(name, seed, [np.tile(audio, (times, 1)) for times in TIMES], given, Path(folder))


def compare(name: str, seed: int, songs: list[np.ndarray], given: argparse.Namespace, folder: Path) -> None:
    """Print a line for each song, which is (samples, channels) as the original has it."""
    files = [f"song_{at}.npy" for at in range(len(songs))]
    for file, song in zip(files, songs, strict=True):
        np.save(folder / file, song)
    request = {
        "settings": name.replace("-", ":"),
        "filters": None if given.full else NARROW,
        "seed": seed,
        "songs": files,
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    told = subprocess.run([given.python, str(ORIGINAL), "run", str(folder)], capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(f"the original failed:\n{told.stderr}")
    peer_seconds = json.loads((folder / "answer.json").read_text(encoding="utf-8"))["seconds"]
    separator = load_spleeter_archive(folder / "archive.tar.gz", RELEASED[name].config, name)
    separator(songs[0].T[:, : separator.rate], separator.rate)
    for file, song, peer in zip(files, songs, peer_seconds, strict=True):
        theirs = np.load(folder / f"stems_{file}").transpose(0, 2, 1)
        begin = time.perf_counter()
        ours = np.stack(list(separator(song.T, separator.rate).values()))
        seconds = time.perf_counter() - begin
        low, high = mask_spread(separator, song.T)
        print(
            f"{name:16} {len(song) / separator.rate:8.1f} {np.abs(ours - theirs).max():18.1e} "
            f"{np.abs(theirs).max():18.3f} {f'{low:.3f}..{high:.3f}':>17} {seconds:6.2f} s {peer:7.2f} s",
            flush=True,
        )


def mask_spread(separator: SpleeterSeparator, mixture: np.ndarray) -> tuple[float, float]:
    """5th and 95th percentile of the masks in the song's first block."""
    network = separator.network
    audio = np.zeros((1, separator.channels, network.samples), np.float32)
    begin = mixture[:, : network.samples]
    audio[0, :, : begin.shape[-1]] = begin
    with torch.inference_mode():
        spectrogram = network.analyse(torch.from_numpy(audio))
        sounding = (begin.shape[-1] - network.config.frame) // network.config.hop
        masks = network.masks(spectrogram[..., : network.config.bins].abs())[..., :sounding, :]
    low, high = np.quantile(masks.numpy(), (0.05, 0.95))
    return float(low), float(high)


if __name__ == "__main__":
    main()
