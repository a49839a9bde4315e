"""Validation: loss and SDR on chunks that are the same ones after every epoch."""

import math

import torch
from torch import Tensor, nn

from sepnb.augment import Augment
from sepnb.batches import Batches
from sepnb.models import build
from sepnb.store import Store
from sepnb.training.losses import LOSSES, energies, target_scale
from sepnb.training.recipes import Recipe

# Which chunks: the same for all seeds of a recipe, or two seeds would differ by what they are scored on. Far from any
# seed that somebody chooses, so that training batches are others also where both are of the same songs.
SEED = 2**32
# A chunk whose stem has less than this share of the stem's mean energy (-40 dB) is silent there: it has no SDR.
SILENT = 1e-4


def valid_subset(store: Store) -> str:
    """The subset to validate on: "valid", or "train" where there are no such songs."""
    return "valid" if any(entry.subset == "valid" for entry in store.entries) else "train"


class Validation:
    """Chunks of the songs to validate on, and what a network scores on them.

    They are songs as they are (nothing is remixed or varied) of the subset `valid`, cut to the recipe's
    `valid_seconds`, and the same ones whatever its seed; where a store has no such songs, of the training songs of the
    recipe: then the scores say how well it fits, not how well it does on unseen music.
    """

    def __init__(self, store: Store, recipe: Recipe, device: torch.device) -> None:
        subset = valid_subset(store)
        self._sources = store.sources
        self._loss = LOSSES[recipe.loss]
        self._device = device
        seconds = recipe.valid_seconds or recipe.seconds
        # As much music at once as in a training step.
        self._at_once = max(1, int(recipe.batch_size // recipe.accumulate * recipe.seconds / seconds))
        batches = Batches(
            store,
            seconds,
            recipe.valid_chunks,
            augment=Augment.none(),
            seed=SEED,
            subset=subset,
            ahead=0,
            threads=1,
            songs=recipe.songs if subset == "train" else None,
        )
        self._stems = next(batches)

    @torch.inference_mode()
    def scores(self, network: nn.Module) -> dict[str, float]:
        """valid_loss, valid_sdr (mean over the sources) and valid_sdr_SOURCE, of a network in evaluation mode.

        The SDR of a source is the median over the chunks where it is not silent; NaN where it is silent in all.
        """
        scale = target_scale(energies(self._stems)).to(self._device)
        losses, sdrs = [], []
        for stems in self._stems.split(self._at_once):
            stems = stems.to(self._device)
            losses.append(self._loss(network, stems, scale).item() * len(stems))
            sdrs.append(sdr(network(stems.sum(dim=1)).float(), stems).cpu())
        each = median_sdr(torch.cat(sdrs), self._stems)
        known = [value for value in each if not math.isnan(value)]
        return {
            "valid_loss": sum(losses) / len(self._stems),
            "valid_sdr": sum(known) / len(known) if known else math.nan,
            **{f"valid_sdr_{source}": value for source, value in zip(self._sources, each, strict=True)},
        }


class Shares(nn.Module):
    """Gives each source an equal share of the mixture: what knowing nothing looks like, in the shape of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.config, self.stft = network.config, network.stft

    def estimate(self, spectrogram: Tensor) -> Tensor:
        """(batch, channels, bins, frames) to (batch, sources, channels, bins, frames)."""
        return torch.stack([spectrogram / len(self.config.sources)] * len(self.config.sources), dim=1)

    def forward(self, mixture: Tensor) -> Tensor:
        """(batch, channels, samples) to (batch, sources, channels, samples)."""
        return self.estimate(mixture)


def baseline_scores(store: Store, recipe: Recipe) -> dict[str, float]:
    """What the mixture divided by the number of sources scores where a recipe validates; as `Validation.scores`."""
    network = build(recipe.model, store.sources, store.channels, store.rate, **recipe.settings)
    return Validation(store, recipe, torch.device("cpu")).scores(Shares(network))


def sdr(estimates: Tensor, stems: Tensor) -> Tensor:
    """10 log10 of the energy of the stem over that of the error, in dB, as (batch, sources); no distortion is allowed.

    Both (batch, sources, channels, samples). This is the SDR of Vincent et al. 2006 without its filters; the
    evaluation of whole songs is `sepnb.evaluate`'s work.
    """
    wanted = stems.square().sum(dim=(2, 3))
    wrong = (estimates - stems).square().sum(dim=(2, 3))
    return 10 * torch.log10(wanted.clamp(min=1e-10) / wrong.clamp(min=1e-10))


def median_sdr(sdrs: Tensor, stems: Tensor) -> list[float]:
    """Median over the chunks of `sdrs` (chunks, sources), by source, without the chunks where its stem is silent."""
    energy = stems.square().sum(dim=(2, 3))
    heard = energy > SILENT * energy.mean(dim=0)
    return [sdrs[heard[:, i], i].quantile(0.5).item() if heard[:, i].any() else math.nan for i in range(sdrs.shape[1])]
