"""The networks of the story: those the student report tried to train, their relatives, and ours."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from sepnb.errors import SepnbError
from sepnb.probe.size import ModelSize, model_size

SOURCES = ("drums", "bass", "other", "vocals")
RATE = 44100
CHANNELS = 2


def _waveform(batch: int, samples: int) -> tuple[int, ...]:
    return batch, CHANNELS, samples


@dataclass(frozen=True)
class StoryModel:
    """A network, how it was trained when it was published, and where that is written."""

    name: str
    title: str
    build: Callable[[], nn.Module]
    # What reaches the network in training, in seconds: augmentation cuts some off what is drawn.
    segment: float
    # The whole batch and the number of GPUs that shared it.
    batch: int
    gpus: int
    source: str
    link: str
    # The shape of the network's input, from (batch, samples).
    shape: Callable[[int, int], tuple[int, ...]] = _waveform

    def size(self, segment: float | None = None, batch: int = 1) -> ModelSize:
        """Its size on `batch` segments of `segment` seconds (by default those that it was trained on)."""
        segment = self.segment if segment is None else segment
        samples = round(segment * RATE)
        if samples < 1 or batch < 1:
            raise SepnbError(f"nothing to measure: {batch} segments of {segment} s; both must be more than zero")
        return model_size(self.build, self.shape(batch, samples), segment)


def sizes(
    models: Iterable[str | StoryModel] | None = None, segment: float | None = None, batch: int = 1
) -> pd.DataFrame:
    """Table of the sizes of models, one row a model: in training, forward, float32, without allocating them.

    `models` are names of STORY or models of your own (all of STORY by default), `segment` is in seconds (by default
    each model's own). Columns: model, parameters, parameter_bytes, segment (s), batch, multiply_adds (forward, a
    second of audio), forward_multiply_adds (the whole batch), activation_bytes, published_batch, published_gpus,
    source, link.

    Activations are a first estimate of what grows with batch and segment, not of a training step's peak: gradients,
    the optimizer's state, temporaries and CUDA's own needs come on top (see ModelSize).
    """
    rows = []
    for model in STORY.values() if models is None else [_find(model) for model in models]:
        size = model.size(segment, batch)
        rows.append(
            {
                "model": model.title,
                "parameters": size.parameters,
                "parameter_bytes": size.parameter_bytes,
                "segment": size.seconds,
                "batch": size.batch,
                "multiply_adds": size.multiply_adds_per_second,
                "forward_multiply_adds": size.multiply_adds,
                "activation_bytes": size.activation_bytes,
                "published_batch": model.batch,
                "published_gpus": model.gpus,
                "source": model.source,
                "link": model.link,
            }
        )
    return pd.DataFrame(rows)


def _find(model: str | StoryModel) -> StoryModel:
    if isinstance(model, StoryModel):
        return model
    if model not in STORY:
        raise SepnbError(f"no model {model!r} in the story; there are {', '.join(STORY)}")
    return STORY[model]


def _htdemucs() -> nn.Module:
    from demucs.htdemucs import HTDemucs

    # The published dropout of 0.02 inside the transformer is left at 0: with it, PyTorch on a CPU falls back to an
    # attention that keeps its matrix of weights, which a GPU's does not.
    return HTDemucs(list(SOURCES), channels=48, depth=4, dconv_mode=3, t_layers=5, bottom_channels=512)


def _hdemucs() -> nn.Module:
    from demucs.hdemucs import HDemucs

    return HDemucs(list(SOURCES), channels=48, depth=6, nfft=4096)


def _demucs_v2() -> nn.Module:
    from demucs.demucs import Demucs

    # v2 had ReLU for GELU, no normalisation, no residual branches, and an LSTM where later ones have none.
    return Demucs(
        list(SOURCES), channels=64, depth=6, lstm_layers=2, gelu=False, norm_starts=6, dconv_mode=0, normalize=False
    )


def _open_unmix() -> nn.Module:
    from openunmix.model import OpenUnmix
    from openunmix.utils import bandwidth_to_max_bin

    highest = bandwidth_to_max_bin(RATE, 4096, 16000)
    return OpenUnmix(nb_bins=2049, nb_channels=CHANNELS, hidden_size=512, nb_layers=3, max_bin=highest)


def _spectrogram(batch: int, samples: int) -> tuple[int, ...]:
    # Open-Unmix takes magnitudes: 2049 bins of an STFT of 4096, a frame every 1024 samples.
    return batch, CHANNELS, 2049, samples // 1024 + 1


def _unet() -> nn.Module:
    from sepnb.models import UNet

    return UNet()


class MusicConvTasNet(nn.Module):
    """Conv-TasNet as it was trained for music: stereo in and out, and no skip branches (Luo 2019, Défossez 2019).

    A filterbank is learnt instead of an STFT, a stack of dilated convolutions makes a mask for each source, and a
    second filterbank leads back to samples. Mixture (batch, channels, samples) to (batch, sources, channels, samples).
    """

    def __init__(self, filters: int = 256, length: int = 20, hidden: int = 512, blocks: int = 10, repeats: int = 4):
        super().__init__()
        from torchaudio.models.conv_tasnet import ConvBlock

        self.encoder = nn.Conv1d(CHANNELS, filters, length, stride=length // 2, bias=False)
        self.norm = nn.GroupNorm(1, filters)
        self.bottleneck = nn.Conv1d(filters, filters, 1, bias=False)
        # The output that torchaudio calls `skip` is what the music version adds to the block's input.
        self.blocks = nn.ModuleList(
            ConvBlock(filters, hidden, kernel_size=3, padding=2**block, dilation=2**block, no_residual=True)
            for _ in range(repeats)
            for block in range(blocks)
        )
        self.mask = nn.Conv1d(filters, len(SOURCES) * filters, 1, bias=False)
        self.decoder = nn.ConvTranspose1d(filters, CHANNELS, length, stride=length // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        encoded = torch.relu(self.encoder(mixture))
        features = self.bottleneck(self.norm(encoded))
        for block in self.blocks:
            _, change = block(features)
            features = features + change
        masks = torch.relu(self.mask(features)).unflatten(1, (len(SOURCES), -1))
        masked = masks * encoded[:, None]
        return self.decoder(masked.flatten(0, 1)).unflatten(0, (-1, len(SOURCES)))


_DEMUCS = "https://github.com/facebookresearch/demucs"

STORY = {
    model.name: model
    for model in (
        StoryModel(
            name="htdemucs",
            title="Demucs v4",
            build=_htdemucs,
            segment=7.8,
            batch=32,
            gpus=8,
            source="demucs grids/mmi.py, conf/config.yaml (10 s drawn, 7.8 s reach the network); "
            "demucs.htdemucs.HTDemucs with 48 channels, depth 4, 5 transformer layers of 512, dropout left out",
            link=f"{_DEMUCS}/blob/main/demucs/grids/mmi.py",
        ),
        StoryModel(
            name="hdemucs",
            title="Hybrid Demucs v3",
            build=_hdemucs,
            segment=8.68,
            batch=64,
            gpus=8,
            source="demucs conf/config.yaml (11 s drawn, 8.68 s reach the network); "
            "demucs.hdemucs.HDemucs with 48 channels, depth 6",
            link=f"{_DEMUCS}/blob/main/conf/config.yaml",
        ),
        StoryModel(
            name="demucs_v2",
            title="Demucs v2",
            build=_demucs_v2,
            segment=10.0,
            batch=64,
            gpus=8,
            source="demucs v2 parser.py, README (8 GPUs of 32 GB); demucs 4.1's Demucs set up as v2: 64 channels, "
            "depth 6, 2-layer BiLSTM, ReLU, no normalisation, no residual branches",
            link=f"{_DEMUCS}/tree/v2",
        ),
        StoryModel(
            name="conv_tasnet",
            title="Conv-TasNet (music)",
            build=MusicConvTasNet,
            segment=80000 / RATE,
            batch=64,
            gpus=8,
            source="demucs v2 tasnet.py, README, dora.py (80,000 samples; batch 64 and 8 GPUs of 32 GB are its "
            "defaults, which by this estimate it would not fit); N256 L20 B256 H512 P3 X10 R4 out of torchaudio's "
            "blocks; the published code writes its normalisation out by hand and so keeps 1.6 times as much",
            link=f"{_DEMUCS}/tree/v2",
        ),
        StoryModel(
            name="open_unmix",
            title="Open-Unmix (one target)",
            build=_open_unmix,
            segment=6.0,
            batch=16,
            gpus=1,
            source="open-unmix docs/training.md; openunmix.model.OpenUnmix, hidden 512, 3 layers, up to 16 kHz; "
            "four such networks are trained apart for four stems",
            link="https://github.com/sigsep/open-unmix-pytorch/blob/master/docs/training.md",
            shape=_spectrogram,
        ),
        StoryModel(
            name="unet",
            title="U-Net (ours)",
            build=_unet,
            segment=3.0,
            batch=20,
            gpus=1,
            source="the recipe toy-3s of sepnb.training; sepnb.models.UNet as it comes",
            link="",
        ),
    )
}
