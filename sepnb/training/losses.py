"""What training makes small: losses of a network's estimate, all of them means over the examples of a batch.

A mean over examples is the same whether a batch is computed at once, in parts, or by several GPUs. What the error is
compared with, the loudness of the stems, must then be known for the whole batch beforehand: `scale`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# A stem that is next to silent in a whole batch is taken as this much of the mean over the stems (-20 dB). Divided by
# next to nothing, one batch without vocals would outweigh a hundred others.
QUIETEST = 0.01

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def target_scale(energies: Tensor) -> Tensor:
    """What errors are compared with, from the mean energy of each stem (sources,) over the whole batch."""
    return torch.maximum(energies, QUIETEST * energies.mean()).clamp(min=1e-8)


def energies(stems: Tensor) -> Tensor:
    """Mean energy per example (sources,) of stems (batch, sources, channels, samples): sum of squares over samples."""
    return stems.square().sum(dim=(2, 3)).mean(dim=0)


def energy_loss(network: nn.Module, stems: Tensor, scale: Tensor) -> Tensor:
    """Energy of the error over energy of the stem, mean over the sources: 1 is what silence scores, 0 is perfect.

    Taken on complex spectrograms, masked ones mostly, which belong to no sound: the inverse transform drops what does
    not fit together between windows. So this is an upper bound of the same ratio on samples (equal for spectrograms of
    sounds, by Parseval, but for the windows' edges), and -10 log10 of it a lower bound of the SDR in dB.
    `stems` (batch, sources, channels, samples), the mixture is their sum; `scale` (sources,) is from `target_scale`.
    Energies are summed over the batch before they are divided, or a chunk where a stem is all but silent would
    outweigh the others.
    """
    estimates = network.estimate(network.stft(stems.sum(dim=1)))
    errors = torch.view_as_real(estimates - network.stft(stems))
    wrong = errors.square().flatten(start_dim=2).sum(dim=2).mean(dim=0)
    return (wrong / (spectrogram_gain(network.config.n_fft, network.config.hop) * scale)).mean()


def waveform_loss(network: nn.Module, stems: Tensor, scale: Tensor) -> Tensor:
    """As `energy_loss`, on samples: what is heard, and what the SDR is about, after the inverse transform.

    It costs an inverse transform a source and step; -10 log10 of it is the SDR of the whole batch, in dB.
    """
    wrong = energies(network(stems.sum(dim=1)) - stems)
    return (wrong / scale).mean()


def spectrogram_gain(n_fft: int, hop: int) -> float:
    """How much more energy a spectrogram (half of it: no negative frequencies) has than its samples (Parseval).

    Each sample is seen by n_fft / hop windows, whose squares (Hann) are 3/8 on average; the transform multiplies
    energies by n_fft, one half of which are the negative frequencies.
    """
    return n_fft / hop * 3 / 8 * n_fft / 2


def relative_energy(errors: Tensor, targets: Tensor) -> Tensor:
    """Energy of `errors` over that of `targets`, both (batch, sources, …) and real, mean over the sources."""
    others = [axis for axis in range(errors.ndim) if axis != 1]
    return (errors.square().sum(dim=others) / targets.square().sum(dim=others).clamp(min=1e-8)).mean()


LOSSES: dict[str, Loss] = {"energy": energy_loss, "waveform": waveform_loss}


class Objective(nn.Module):
    """A network and its loss as one module, from stems to a number: what is spread over several GPUs."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, stems: Tensor, scale: Tensor) -> Tensor:
        """The loss of stems (batch, sources, channels, samples), mean over the examples."""
        return self.loss(self.network, stems, scale)
