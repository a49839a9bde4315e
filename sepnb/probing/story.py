"""The networks of the story: those that the student report tried to train, their relatives, and ours."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from sepnb.errors import SepnbError
from sepnb.probing.workloads import Training, Workload, absolute_error
from sepnb.training.recipes import find_recipe

SOURCES = ("drums", "bass", "other", "vocals")
RATE = 44100
CHANNELS = 2
_DEMUCS = "https://github.com/facebookresearch/demucs"
# MUSDB18: 86 songs to train on and 14 to validate on, together 100 of 237 s on average (see `musdb_segments`).
_SONGS, _SONG_SECONDS = 86, 237


def musdb_segments(seconds: float, stride: float, songs: int = _SONGS) -> int:
    """Segments that fit into the training songs of MUSDB18, one every `stride` seconds."""
    return songs * (int((_SONG_SECONDS - seconds) // stride) + 1)


def _mixture(batch: int, seconds: float) -> tuple[int, ...]:
    return batch, CHANNELS, round(seconds * RATE)


def _stems(batch: int, seconds: float) -> tuple[int, ...]:
    return batch, len(SOURCES), CHANNELS, round(seconds * RATE)


def _htdemucs(width: float) -> nn.Module:
    from demucs.htdemucs import HTDemucs

    return HTDemucs(
        list(SOURCES),
        channels=_part(48, width, 8),
        depth=4,
        dconv_mode=3,
        t_layers=5,
        t_dropout=0.02,
        bottom_channels=_part(512, width, 64),
    )


def _hdemucs(width: float) -> nn.Module:
    from demucs.hdemucs import HDemucs

    return HDemucs(list(SOURCES), channels=_part(48, width, 8), depth=6, nfft=4096)


def _demucs_v2(width: float) -> nn.Module:
    from sepnb.ports.demucs_v2 import DemucsV2

    return DemucsV2(channels=_part(64, width, 4))


@cache
def _demucs_v2_samples(seconds: float) -> int:
    from sepnb.ports.demucs_v2 import DemucsV2

    with torch.device("meta"):
        return DemucsV2(channels=4).valid_length(round(seconds * RATE))


def _conv_tasnet(width: float) -> nn.Module:
    from sepnb.ports.conv_tasnet import ConvTasNet

    return ConvTasNet(
        filters=_part(256, width, 8), bottleneck=_part(256, width, 8), hidden=_part(512, width, 8), blocks=10
    )


class OpenUnmixOnWaveforms(nn.Module):
    """Open-Unmix as its training script runs it: an STFT without gradients, then the network on magnitudes."""

    def __init__(self, hidden: int = 512) -> None:
        super().__init__()
        from openunmix.model import OpenUnmix
        from openunmix.transforms import ComplexNorm, TorchSTFT
        from openunmix.utils import bandwidth_to_max_bin

        self.stft = nn.Sequential(TorchSTFT(n_fft=4096, n_hop=1024), ComplexNorm())
        highest = bandwidth_to_max_bin(RATE, 4096, 16000)
        self.unmix = OpenUnmix(nb_bins=2049, nb_channels=CHANNELS, hidden_size=hidden, nb_layers=3, max_bin=highest)

    def forward(self, mixture: Tensor) -> Tensor:
        """Magnitudes (batch, channels, bins, frames) of one stem, from a mixture (batch, channels, samples)."""
        return self.unmix(self.stft(mixture))


def _magnitude_error(network: nn.Module, mixture: Tensor, references: Tensor) -> Tensor:
    return nn.functional.mse_loss(network(mixture), network.stft(references))


def _as_in(recipe: str) -> Training:
    """What one of our own recipes trains with."""
    known = find_recipe(recipe)
    return Training(
        batch=known.batch_size,
        gpus=1,
        segment=known.seconds,
        examples=known.batch_size * known.steps_per_epoch,
        epochs=known.epochs,
        source=f"the recipe {recipe} of sepnb.training",
        link="",
    )


def _toy(width: float) -> nn.Module:
    from sepnb.models import UNet, UNetConfig

    return UNet(UNetConfig(width=_part(16, width, 1)))


def _compact(width: float) -> nn.Module:
    from sepnb.models.compact import CompactConfig, CompactUNet

    return CompactUNet(CompactConfig(width=_part(48, width, 8)))


def _energy(network: nn.Module, mixture: Tensor, references: Tensor) -> Tensor:
    from sepnb.training.losses import energies, energy_loss, target_scale

    # As in the training loop: the mixture is the sum of the references, and is made in the loss.
    return energy_loss(network, references, target_scale(energies(references)))


def _moises_light(width: float) -> nn.Module:
    from moises_light import MoisesLight, configs

    return MoisesLight(**{**configs["paper_large"], "sources": ["vocals"], "G": _part(56, width, 4)})


def _part(channels: int, share: float, multiple: int) -> int:
    """A share of some channels, as a multiple of what the network can divide them by."""
    return max(multiple, round(channels * share / multiple) * multiple)


_WORKLOADS = (
    Workload(
        name="htdemucs",
        title="Demucs v4",
        build=_htdemucs,
        input_shape=_mixture,
        target_shape=_stems,
        loss=absolute_error,
        training=Training(
            batch=32,
            gpus=8,
            segment=7.8,
            examples=800 * 32,
            epochs=360,
            source="demucs grids/mmi.py, conf/config.yaml: 800 batches of 32 an epoch; 10 s are drawn, 7.8 s reach the "
            "network; 48 channels, depth 4, 5 transformer layers of 512",
            link=f"{_DEMUCS}/blob/main/demucs/grids/mmi.py",
        ),
    ),
    Workload(
        name="hdemucs",
        title="Hybrid Demucs v3",
        build=_hdemucs,
        input_shape=_mixture,
        target_shape=_stems,
        loss=absolute_error,
        training=Training(
            batch=64,
            gpus=8,
            segment=8.68,
            examples=musdb_segments(11, 1),
            epochs=360,
            source="demucs conf/config.yaml: 11 s drawn with a stride of 1 s, 8.68 s reach the network; 48 channels, "
            "depth 6; 360 to 600 epochs; segments counted on MUSDB18 alone",
            link=f"{_DEMUCS}/blob/main/conf/config.yaml",
        ),
    ),
    Workload(
        name="demucs_v2",
        title="Demucs v2",
        build=_demucs_v2,
        input_shape=lambda batch, seconds: (batch, CHANNELS, _demucs_v2_samples(seconds)),
        target_shape=lambda batch, seconds: (batch, len(SOURCES), CHANNELS, _demucs_v2_samples(seconds)),
        loss=absolute_error,
        training=Training(
            batch=64,
            gpus=8,
            segment=10.0,
            examples=2 * musdb_segments(10, 1),
            epochs=180,
            source="demucs v2 parser.py, README: 10 s with a stride of 1 s, all of them twice an epoch; 64 channels, "
            "depth 6, 2-layer BiLSTM; 8 GPUs of 32 GB",
            link=f"{_DEMUCS}/tree/v2",
        ),
    ),
    Workload(
        name="conv_tasnet",
        title="Conv-TasNet (music)",
        build=_conv_tasnet,
        input_shape=_mixture,
        target_shape=_stems,
        loss=absolute_error,
        training=Training(
            batch=64,
            gpus=8,
            segment=80000 / RATE,
            examples=2 * musdb_segments(80000 / RATE, 1),
            epochs=180,
            source="demucs v2 tasnet.py, README: 80,000 samples; N256 L20 B256 H512 P3 X10 R4; a batch of 64 is that "
            "project's default, and no text says that Conv-TasNet was trained with it",
            link=f"{_DEMUCS}/tree/v2",
        ),
    ),
    Workload(
        name="open_unmix",
        title="Open-Unmix",
        build=lambda width: OpenUnmixOnWaveforms(_part(512, width, 2)),
        input_shape=_mixture,
        target_shape=_mixture,
        loss=_magnitude_error,
        training=Training(
            batch=16,
            gpus=1,
            segment=6.0,
            examples=64 * _SONGS,
            epochs=1000,
            networks=4,
            source="open-unmix docs/training.md: 64 excerpts of each of 86 songs an epoch, up to 1000 epochs; four "
            "such networks, one a stem",
            link="https://github.com/sigsep/open-unmix-pytorch/blob/master/docs/training.md",
        ),
    ),
    Workload(
        name="moises_light",
        title="Moises-Light",
        build=_moises_light,
        input_shape=_mixture,
        target_shape=lambda batch, seconds: (batch, 1, CHANNELS, round(seconds * RATE)),
        loss=absolute_error,
        training=Training(
            batch=4,
            gpus=1,
            segment=6.0,
            examples=None,
            epochs=None,
            networks=4,
            source="the package moises-light, preset paper_large, one stem; 6 s as in its example; the batch of 4 is "
            "ours, since neither package nor abstract says how it was trained",
            link="https://github.com/crlandsc/moises-light",
        ),
    ),
    Workload(
        name="compact",
        title="compact U-Net (ours)",
        build=_compact,
        input_shape=_mixture,
        target_shape=_stems,
        loss=_energy,
        training=_as_in("compact"),
    ),
    Workload(
        name="toy",
        title="toy U-Net (ours)",
        build=_toy,
        input_shape=_mixture,
        target_shape=_stems,
        loss=_energy,
        training=_as_in("toy-3s"),
    ),
)
# What the optional packages among them are called on the package index.
_PACKAGES = {"moises_light": "moises-light"}
WORKLOADS = {workload.name: workload for workload in _WORKLOADS}


def available() -> list[Workload]:
    """The networks of the story whose packages are installed."""
    return [workload for workload in _WORKLOADS if _is_installed(workload.name)]


def find_workload(name: str) -> Workload:
    """A network of the story by its name; raises SepnbError where there is none, or its package is missing."""
    if name not in WORKLOADS:
        raise SepnbError(f"no model {name!r} to probe; there are {', '.join(WORKLOADS)}")
    if not _is_installed(name):
        package = _PACKAGES[name]
        raise SepnbError(f"{name} needs the package {package}: pip install {package}")
    return WORKLOADS[name]


def _is_installed(name: str) -> bool:
    return name not in _PACKAGES or find_spec(_PACKAGES[name].replace("-", "_")) is not None
