"""Compare the rebuilt Demucs v2 and Conv-TasNet with the original package on one song: deviations and times.

    python -m benchmarks.ports_parity_demucs_v2 --python OTHER/bin/python "…/mixture.wav" [--full]

OTHER is an environment with `demucs` 2.0.3, numpy, soundfile and torch. There the original networks get random weights
and are saved in the official format (a plain state dict; and the package that training leaves), and the song goes
through them: once through the network alone, once whole and once in segments as `demucs.separate` does it without
shifts. Here the same files are read and the same is done with the port. Random weights of their own give outputs near
0 or far above 1, so each convolution is scaled until it puts out deviation 1 on the song, and the last layer until the
stems are as loud as the mixture; norms' gains, offsets and slopes are drawn at random, too. `--full` takes the
configurations of the released systems and their own segments, on a song played several times over until it is longer
than a segment; without it narrow networks go through in segments of 2 seconds. Deviation and peak are in units of full
scale ("network alone": of the normalised mixture's deviation).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

SOURCES = ("drums", "bass", "other", "vocals")
RATE = 44100
# Name of the original's class, its arguments, and the seconds of a segment.
NARROW = {
    "Demucs, 8 channels": ("Demucs", {"channels": 8}, 2.0),
    "Conv-TasNet, N64 B64 H128 X6 R2": ("ConvTasNet", {"N": 64, "B": 64, "H": 128, "X": 6, "R": 2}, 2.0),
}
FULL = {
    "demucs, demucs_extra (64 channels)": ("Demucs", {}, 40.0),
    "demucs48_hq (48 channels)": ("Demucs", {"channels": 48}, 40.0),
    "tasnet, tasnet_extra (X10)": ("ConvTasNet", {"X": 10}, 8.0),
}


def main(arguments: list[str] | None = None) -> None:
    """Run the original in its environment, the port here, and print a line for each system and way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("song", type=Path, help="a WAV file at 44.1 kHz, stereo")
    parser.add_argument("--python", required=True, help="python of an environment with demucs 2.0.3")
    parser.add_argument("--full", action="store_true", help="the released configurations: 3 GB of memory, minutes")
    given = parser.parse_args(arguments)
    print(f"{'system':36} {'way':26} {'deviation':>9} {'peak':>6} {'ours':>7} {'theirs':>7} {'ratio':>6}")
    for name, (kind, options, seconds) in (FULL if given.full else NARROW).items():
        with tempfile.TemporaryDirectory() as folder:
            order = {"kind": kind, "options": options, "seconds": seconds, "song": str(given.song)}
            Path(folder, "order.json").write_text(json.dumps(order), encoding="utf-8")
            subprocess.run([given.python, __file__, folder], check=True)
            took = json.loads(Path(folder, "times.json").read_text(encoding="utf-8"))
            for way, file, ours, seconds_ours in _ours(Path(folder), order):
                theirs = np.load(Path(folder, f"{file}.npy"))
                deviation, peak = np.abs(ours - theirs).max(), np.abs(theirs).max()
                print(
                    f"{name:36} {way:26} {deviation:9.1e} {peak:6.2f} {seconds_ours:5.1f} s {took[file]:5.1f} s "
                    f"{took[file] / seconds_ours:5.2f}×",
                    flush=True,
                )


def _song(order: dict[str, Any]) -> np.ndarray:
    """The song (channels, samples), over and over until a segment ends within it."""
    audio = soundfile.read(order["song"], dtype="float32")[0].T
    return np.tile(audio, (1, 1 + int(order["seconds"] * 1.2 * RATE) // audio.shape[-1]))


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    return call(), time.perf_counter() - begin


def _ours(folder: Path, order: dict[str, Any]) -> Iterator[tuple[str, str, np.ndarray, float]]:
    """What was done, the file with the original's result, ours, and the seconds that it took."""
    from sepnb.ports.checkpoints import load_into, read_state
    from sepnb.separators.demucs_family import load_demucs_folder

    mixture = _song(order)
    separator = load_demucs_folder(folder / "package.th")
    network = separator.networks[0]
    load_into(network, read_state(folder / "state.th"), folder / "state.th")
    raw_mixture = torch.from_numpy(np.load(folder / "raw_mixture.npy"))[None]
    with torch.inference_mode():
        raw, seconds = _timed(lambda: network(raw_mixture)[0].numpy())
    yield "network alone", "raw", raw, seconds
    whole = separator.with_options(segment=mixture.shape[-1] / RATE + 1, overlap=0.0)
    for way, file, system in (("inference, whole song", "whole", whole), ("inference, split", "split", separator)):
        stems, seconds = _timed(lambda system=system: system(mixture, RATE))
        yield way, file, np.stack([stems[name] for name in SOURCES]), seconds


def original(folder: Path) -> None:
    """What the other environment does: random weights, the official files, and the original's results."""
    from demucs.model import Demucs
    from demucs.tasnet import ConvTasNet
    from demucs.utils import apply_model, get_state, save_model

    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    torch.manual_seed(0)
    klass = {"Demucs": Demucs, "ConvTasNet": ConvTasNet}[order["kind"]]
    network = klass(sources=list(SOURCES), segment_length=int(order["seconds"] * RATE), **order["options"]).eval()
    mixture = torch.from_numpy(_song(order))
    reference = mixture.mean(0)
    normal = (mixture - reference.mean()) / reference.std()

    length = network.valid_length(int(2 * RATE))
    raw_mixture = normal[:, :length]
    with torch.no_grad():
        scale_weights(network, raw_mixture)
        raw, seconds = _timed(lambda: network(raw_mixture[None])[0])
    took = {"raw": seconds}
    np.save(folder / "raw_mixture.npy", raw_mixture.numpy())
    np.save(folder / "raw.npy", raw.numpy())
    for file, split in (("whole", False), ("split", True)):
        stems, took[file] = _timed(
            lambda split=split: apply_model(network, normal, shifts=0, split=split, overlap=0.25)
        )
        np.save(folder / f"{file}.npy", (stems * reference.std() + reference.mean()).numpy())
    (folder / "times.json").write_text(json.dumps(took), encoding="utf-8")
    torch.save(get_state(network, None), folder / "state.th")
    save_model(network, None, argparse.Namespace(models=Path("models"), diffq=False, qat=0), folder / "package.th")


def scale_weights(network: torch.nn.Module, mixture: torch.Tensor) -> None:
    """Scale random weights so that every convolution, and at last each stem, is as loud as a normalised mixture."""
    for name, parameter in network.named_parameters():
        if "gamma" in name or "beta" in name or parameter.numel() == 1:  # norms, and slopes of PReLU
            parameter.add_(0.2 * torch.randn_like(parameter))
    layers = (torch.nn.Conv1d, torch.nn.ConvTranspose1d, torch.nn.Linear)

    def scale(layer: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        deviation = output.std()
        for parameter in layer.parameters():
            parameter.div_(deviation)
        return output / deviation

    hooks = [layer.register_forward_hook(scale) for layer in network.modules() if isinstance(layer, layers)]
    network(mixture[None])
    for hook in hooks:
        hook.remove()


if __name__ == "__main__":
    # The other environment runs this file itself, with a folder; `python -m` runs the comparison.
    if len(sys.argv) == 2 and Path(sys.argv[1]).is_dir():
        original(Path(sys.argv[1]))
    else:
        main()
