"""Train the separator that comes with the package, `band-unet`, and put it in its place.

    .venv/bin/python tools/train_band_unet.py [--minutes 40] [--out build/band-unet] [--device cpu]

Songs are the synthetic band's, from a fixed seed that no other part of the project uses. Interrupted, it goes on. Kept
are the weights, rounded to 16 bits, their config, and the run's history; the model card beside them is written by hand
from what `python -m benchmarks.quality` prints.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from sepnb.band import make_band
from sepnb.separators.unet import BAND_UNET
from sepnb.store import prepare
from sepnb.training import find_recipe, train
from sepnb.training.budget import fit_run

SONGS = {"train": 120, "valid": 6}
SECONDS, SEED = 30.0, 7


def main() -> None:
    """Make the songs, train, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="of training; as many epochs as the recipe says without it")
    parser.add_argument("--out", type=Path, default=Path("build/band-unet"))
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    band = make_band(asked.out / "band", subsets=SONGS, seconds=SECONDS, seed=SEED, workers=2)
    store = prepare(band, asked.out / "store").store
    recipe, run = find_recipe("band-unet"), asked.out / "run"
    if asked.minutes is not None:
        recipe = fit_run([run], recipe, store, asked.minutes, asked.device)
    train(store, run, recipe, asked.device, resume=True)
    keep(run)


def keep(run: Path) -> None:
    """Copy a run into the package, with weights of 16 bits: half the size, and no difference that can be heard."""
    BAND_UNET.mkdir(parents=True, exist_ok=True)
    weights = load_file(run / "weights.safetensors")
    save_file({name: tensor.to(torch.float16) for name, tensor in weights.items()}, BAND_UNET / "weights.safetensors")
    for name in ("model.json", "history.csv"):
        shutil.copyfile(run / name, BAND_UNET / name)


if __name__ == "__main__":
    main()
