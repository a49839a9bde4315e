"""Make a run the separator that comes with the package, `band-unet`.

    .venv/bin/python -m benchmarks.quality                                       # trains it, among others
    .venv/bin/python tools/keep_band_unet.py build/quality/cpu/toy-cpu-20-minutes

Kept are the weights, rounded to 16 bits (half the size, and no difference that can be heard), their config and the
run's history. The model card beside them is written by hand from what the first command prints.
"""

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from sepnb.separators.unet import BAND_UNET


def keep(run: Path) -> None:
    """Copy a run into the package."""
    BAND_UNET.mkdir(parents=True, exist_ok=True)
    weights = load_file(run / "weights.safetensors")
    kept = BAND_UNET / "weights.safetensors"
    save_file({name: tensor.to(torch.float16) for name, tensor in weights.items()}, kept)
    kept.chmod(0o644)  # safetensors writes files that only their owner can read
    for name in ("model.json", "history.csv"):
        shutil.copyfile(run / name, BAND_UNET / name)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
