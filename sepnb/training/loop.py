"""The training loop: batches in, a model and its history out."""

import json
import platform
import time
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sepnb import __version__
from sepnb.batches import Augment, Batches
from sepnb.errors import SepnbError
from sepnb.files import read_json, write_json, written_whole
from sepnb.models import UNet, UNetConfig
from sepnb.store import Store
from sepnb.training.recipes import Recipe, find_recipe


def train(store: Store | Path | str, out: Path | str, recipe: Recipe | str = "toy-minute", device: str = "cpu") -> Path:
    """Train a toy U-Net on a store's training songs and leave it in the folder `out`.

    Leaves the model (`weights.safetensors`, `model.json`), `history.json` (recipe, versions, device, losses, times) and
    `history.csv` (a row an epoch). A folder that already holds the finished run of the same recipe on the same store is
    left as it is; one that holds another run is refused. The validation loss is taken on songs of the `valid` subset,
    or where there are none, on the training songs without augmentation, and the history says which.
    Raises SepnbError where the loss is no longer a number.
    """
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise SepnbError(f"there is no CUDA GPU here for device {device!r}: use 'cpu'")
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    store = store if isinstance(store, Store) else Store(store)
    out = Path(out)
    asked = {"recipe": asdict(recipe), "store": store.fingerprint}
    if _finished(out, asked):
        return out

    torch.manual_seed(recipe.seed)
    network = UNet(UNetConfig(sources=store.sources, channels=store.channels, rate=store.rate, width=recipe.width))
    network.to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    steps = recipe.epochs * recipe.steps_per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = Batches(
        store,
        recipe.seconds,
        recipe.batch_size,
        augment=recipe.augment,
        seed=recipe.seed,
        subset="train",
        device=device,
    )
    valid_subset = "valid" if any(entry.subset == "valid" for entry in store.entries) else "train"
    valid = _valid_batches(store, recipe, valid_subset, device)

    epochs = []
    with tqdm(total=steps, desc=f"training {recipe.name}", unit="step") as bar:
        for epoch in range(1, recipe.epochs + 1):
            network.train()
            started, waited, losses = time.perf_counter(), 0.0, []
            for _ in range(recipe.steps_per_epoch):
                before = time.perf_counter()
                stems = next(batches)
                waited += time.perf_counter() - before
                loss = spectrogram_loss(network, stems)
                if not torch.isfinite(loss):
                    raise SepnbError(f"the loss is {loss.item()} in epoch {epoch}: try a smaller learning rate")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
                bar.update()
            with torch.inference_mode():
                network.eval()
                valid_loss = sum(spectrogram_loss(network, stems).item() for stems in valid) / len(valid)
            epochs.append(
                {
                    "epoch": epoch,
                    "train_loss": sum(losses) / len(losses),
                    "valid_loss": valid_loss,
                    "seconds": time.perf_counter() - started,
                    "waiting_seconds": waited,
                }
            )
            bar.set_postfix(train=f"{epochs[-1]['train_loss']:.3f}", valid=f"{valid_loss:.3f}")

    network.save(out)
    history = pd.DataFrame(epochs)
    with written_whole(out / "history.csv") as partial:
        history.to_csv(partial, index=False)
    # The history comes last: a folder that has it is a finished run.
    about = {
        "sepnb": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "valid_subset": valid_subset,
    }
    write_json(out / "history.json", {**asked, **about, "epochs": epochs})
    return out


def spectrogram_loss(network: UNet, stems: Tensor) -> Tensor:
    """Energy of the error over energy of the stem, mean over the sources: 1 is what silence scores, 0 is perfect.

    `stems` (batch, sources, channels, samples); the mixture is their sum. Taken on complex spectrograms, where it is
    the same as on samples (Parseval) but for the windows' edges; so -10 log10 of it is about an SDR in dB. Energies are
    summed over the batch before they are divided, or a chunk where a stem is all but silent would outweigh the others.
    """
    mixture = network.stft(stems.sum(dim=1))
    targets = network.stft(stems)
    errors = network.masks(mixture.abs()) * mixture[:, None] - targets
    return relative_energy(torch.view_as_real(errors), torch.view_as_real(targets))


def relative_energy(errors: Tensor, targets: Tensor) -> Tensor:
    """Energy of `errors` over that of `targets`, both (batch, sources, …) and real, mean over the sources."""
    others = [axis for axis in range(errors.ndim) if axis != 1]
    return (errors.square().sum(dim=others) / targets.square().sum(dim=others).clamp(min=1e-8)).mean()


def read_recipe(run: Path | str) -> Recipe:
    """The recipe that a run was trained with."""
    settings = read_json(Path(run) / "history.json")["recipe"]
    augment = {**settings["augment"], "gain_db": tuple(settings["augment"]["gain_db"])}
    return Recipe(**{**settings, "augment": Augment(**augment)})


def read_history(run: Path | str) -> pd.DataFrame:
    """A run's history, a row an epoch: epoch, train_loss, valid_loss, seconds, waiting_seconds."""
    return pd.read_csv(Path(run) / "history.csv")


def _valid_batches(store: Store, recipe: Recipe, subset: str, device: str) -> list[Tensor]:
    plain = Batches(
        store,
        recipe.seconds,
        recipe.batch_size,
        augment=Augment.none(),
        seed=recipe.seed + 1,
        subset=subset,
        device=device,
    )
    return [next(plain) for _ in range(max(1, recipe.valid_chunks // recipe.batch_size))]


def _finished(out: Path, asked: dict) -> bool:
    if not (out / "history.json").is_file():
        return False
    found = read_json(out / "history.json")
    # Written to JSON and read back, tuples have become lists: compare after the same way.
    asked = json.loads(json.dumps(asked))
    differing = [key for key in asked if found.get(key) != asked[key]]
    if differing:
        raise SepnbError(f"{out} holds a finished run with another {' and '.join(differing)}: give another folder")
    return True
