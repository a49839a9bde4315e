"""Separation: the engine against the original packages' own inference on the same weights, and an hour-long song.

Weights are random where none are at hand (what they are changes neither time nor agreement), shifts are off. A peer
whose stems differ from ours by more than 1e-4 stops the benchmark: its time would mean nothing.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from benchmarks import REAL
from benchmarks.table import Row, seconds_side_by_side, show
from sepnb import audio
from sepnb.models import UNet, UNetConfig, save
from sepnb.separators import Separator
from sepnb.separators.demucs_family import load_demucs_folder, policy_for
from sepnb.separators.engine import NetworkSeparator
from sepnb.separators.open_unmix import BINS, HIDDEN, N_FFT, OpenUnmixSeparator

TINY = REAL / "weights" / "tiny_demucs" / "af9a0947"
RATE, SECONDS = 44100, 24.0
SOURCES = ("drums", "bass", "other", "vocals")
ROUNDS = 3
LIMIT = 4.0  # GB that an hour-long stereo song may take


def main() -> None:
    """Print both tables; the hour-long song takes some minutes."""
    mixture = _mixture()
    show("separation", f"Separating {SECONDS:.0f} s of stereo, seconds (less is better)", _against_packages(mixture))
    with tempfile.TemporaryDirectory() as folder:
        show(
            "separation_memory", "`sepnb separate` on a long song, peak memory (less is better)", _memory(Path(folder))
        )


def _against_packages(mixture: np.ndarray) -> list[Row]:
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    rows = []
    if TINY.parent.is_dir():
        tiny = load_demucs_folder(TINY)
        rows.append(_row("tiny_demucs, trained, 58 k parameters", mixture, tiny, _by_demucs(tiny.networks[0])))
    network = HTDemucs(SOURCES, segment=7.8).eval()
    ours = NetworkSeparator("htdemucs", SOURCES, RATE, 2, network, policy_for(network))
    rows.append(_row("htdemucs, random weights, 42 M parameters", mixture, ours, _by_demucs(network)))
    targets = {name: _open_unmix_network() for name in ("vocals", "drums", "bass", "other")}
    umxhq = OpenUnmixSeparator("umxhq", targets, "cpu", "random")
    rows.append(_row("umxhq, random weights, 4 × 9 M parameters", mixture, umxhq, _by_open_unmix(targets)))
    return rows


def _row(what: str, mixture: np.ndarray, ours: Separator, theirs: Callable[[np.ndarray], np.ndarray]) -> Row:
    name = theirs.__qualname__.partition(".")[0].removeprefix("_by_").replace("_", "-")
    difference = np.abs(np.stack(list(ours(mixture, RATE).values())) - theirs(mixture)).max()
    print(f"{what}: largest difference {difference:.1e} of full scale")
    if difference > 1e-4:
        raise SystemExit(f"{what}: ours and {name} differ by {difference:.1e}, so their times mean nothing")
    mine, peer = seconds_side_by_side(lambda: ours(mixture, RATE), lambda: theirs(mixture), ROUNDS)
    return Row(f"{what} (differs by {difference:.1e})", "s", mine, name, peer, less_is_better=True)


def _by_demucs(network: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """As `demucs.api.Separator.separate_tensor` does it, which takes no network but only a name."""
    from demucs.apply import apply_model

    def separate(mixture: np.ndarray) -> np.ndarray:
        audio = torch.from_numpy(mixture)
        mono = audio.mean(0)
        mean, scale = mono.mean(), mono.std() + 1e-8
        return (apply_model(network, ((audio - mean) / scale)[None], shifts=0)[0] * scale + mean).numpy()

    return separate


def _open_unmix_network() -> nn.Module:
    from openunmix.model import OpenUnmix

    return OpenUnmix(nb_bins=N_FFT // 2 + 1, nb_channels=2, hidden_size=HIDDEN["umxhq"], max_bin=BINS).eval()


def _by_open_unmix(targets: dict[str, nn.Module]) -> Callable[[np.ndarray], np.ndarray]:
    from openunmix.model import Separator as Theirs

    separator = Theirs(targets, niter=1, sample_rate=RATE, nb_channels=2).eval()

    def separate(mixture: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return separator(torch.from_numpy(mixture)[None])[0].numpy()

    return separate


def _memory(folder: Path) -> list[Row]:
    save(UNet(UNetConfig(width=4)), folder / "toy U-Net")
    return [
        Row(f"{minutes} min, stereo, four stems to FLAC", "GB", _peak(folder, minutes), "the limit", LIMIT, True)
        for minutes in (1, 60)
    ]


def _peak(folder: Path, minutes: int) -> float:
    """Gigabytes that `sepnb separate` had at most, as the system counts it, for a song of noise."""
    song = folder / f"{minutes}.flac"
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(song, "w", RATE, 2) as file:
        for _ in range(minutes):
            file.write(rng.normal(0, 0.1, (60 * RATE, 2)).astype(np.float32))
    command = [sys.executable, "-m", "sepnb.cli", "separate", str(song), "--model", str(folder / "toy U-Net")]
    process = subprocess.Popen([*command, "--out", str(folder), "--format", "flac"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"sepnb separate failed on {song}")
    return used.ru_maxrss * 1024 / 1e9


def _mixture() -> np.ndarray:
    song = REAL / "songs" / "test.mp3"
    if song.exists():
        music = audio.read(song)[0]
        return np.ascontiguousarray(np.tile(music, 2)[:, : round(SECONDS * RATE)])
    return np.random.default_rng(0).normal(0, 0.1, (2, round(SECONDS * RATE))).astype(np.float32)


if __name__ == "__main__":
    main()
