"""Spleeter's network and its spectral front and back end, as torch modules that read its TensorFlow checkpoints.

For each source a U-Net of its own looks at the magnitudes of the mixture's lower bins, block by block, and estimates
the source's magnitudes; ratios of those become masks on the mixture's STFT (Hennequin et al., Spleeter: a fast and
efficient music source separation tool with pre-trained models, JOSS 2020; after Jansson et al., Singing voice
separation with deep U-Net convolutional networks, ISMIR 2017; network and settings as in Spleeter 2.4).

Axes are (block, channel, frame, bin); TensorFlow's are (block, frame, bin, channel).
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sepnb.errors import SepnbError
from sepnb.ports.tensorflow_checkpoint import Checkpoint

FILTERS = (16, 32, 64, 128, 256, 512)  # of the released networks, from the outermost layer inwards
LAYERS = len(FILTERS)
# Keras numbers layers of a kind through the whole program, so the second source's go on where the first one's end.
CONVOLUTIONS, TRANSPOSED, NORMALISATIONS = LAYERS + 1, LAYERS, 2 * LAYERS
KERAS_EPSILON = 1e-3  # what Keras adds to the variance in its batch normalisation
MASK_EPSILON = 1e-10

ACTIVATIONS = {"ReLU": functional.relu, "LeakyReLU": lambda x: functional.leaky_relu(x, 0.2), "ELU": functional.elu}
Activation = Literal["ReLU", "LeakyReLU", "ELU"]


@dataclass(frozen=True)
class SpleeterConfig:
    """Settings of a Spleeter model; the defaults are those that all released models share."""

    sources: tuple[str, ...]
    encoder: Activation = "LeakyReLU"
    decoder: Activation = "ReLU"
    softmax: bool = False  # sources compete by a softmax for each bin; or else each has a sigmoid of its own
    rate: int = 44100  # Hz
    channels: int = 2
    frame: int = 4096  # samples of an STFT frame
    hop: int = 1024  # samples
    bins: int = 1024  # that the networks see, from the lowest: up to 11 kHz of 22
    block: int = 512  # frames that a network sees at once
    exponent: float = 2.0  # of the magnitudes in the masks' ratio
    extension: Literal["zeros", "average"] = "zeros"  # the masks above the bins that the networks see
    filters: tuple[int, ...] = FILTERS

    def __post_init__(self) -> None:
        if self.bins % 2**LAYERS or self.block % 2**LAYERS or len(self.filters) != LAYERS:
            raise SepnbError(
                f"a Spleeter network halves its {self.bins} bins and {self.block} frames {LAYERS} times: both must be "
                f"multiples of {2**LAYERS}, with {LAYERS} numbers of filters, not {len(self.filters)}"
            )
        if self.frame != 4 * self.hop:
            raise SepnbError(f"a Spleeter frame is four hops long, not {self.frame} samples with a hop of {self.hop}")


# ------------------------------------------------------------------------------------------------------ the networks


class SourceNetwork(nn.Module):
    """The U-Net of one source: magnitudes (blocks, channels, frames, bins) to logits of the same shape."""

    def __init__(self, config: SpleeterConfig) -> None:
        super().__init__()
        filters = config.filters
        before = (config.channels, *filters)
        self.encoder, self.decoder = ACTIVATIONS[config.encoder], ACTIVATIONS[config.decoder]
        self.down = nn.ModuleList(nn.Conv2d(before[at], filters[at], 5, stride=2) for at in range(LAYERS))
        self.down_norms = nn.ModuleList(nn.BatchNorm2d(size, eps=KERAS_EPSILON) for size in filters[:-1])
        # On the way up each layer but the innermost also sees the layer on the way down that is as large.
        after = (*reversed(filters[:-1]), 1)
        seen = (filters[-1], *(2 * size for size in after[:-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(seen[at], after[at], 5, 2, padding=1) for at in range(LAYERS))
        self.up_norms = nn.ModuleList(nn.BatchNorm2d(size, eps=KERAS_EPSILON) for size in after)
        self.last = nn.Conv2d(1, config.channels, 4, dilation=2, padding=3)

    def forward(self, magnitudes: Tensor) -> Tensor:
        x = magnitudes
        passed = []
        for at, convolve in enumerate(self.down):
            # TensorFlow's "same" padding of an even size: one more at the end than at the beginning.
            x = convolve(functional.pad(x, (1, 2, 1, 2)))
            passed.append(x)
            if at < len(self.down_norms):
                x = self.encoder(self.down_norms[at](x))
        passed.pop()  # the innermost goes on as it is
        for convolve, normalise in zip(self.up, self.up_norms, strict=True):
            x = normalise(self.decoder(convolve(x)[..., :-1, :-1]))
            if passed:
                x = torch.cat([passed.pop(), x], dim=1)
        return self.last(x)


class Spleeter(nn.Module):
    """All of a Spleeter model: blocks of audio to what they contribute to each source.

    Takes audio (blocks, channels, samples) of `samples` each, gives (blocks, sources, channels, samples): the frames
    of a block, masked, turned back and overlapped. The first and last three hops are not whole; they become so when
    the neighbouring blocks, which begin `stride` samples apart, are added to them.
    """

    def __init__(self, config: SpleeterConfig) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleList(SourceNetwork(config) for _ in config.sources)
        self.eval()  # nothing here is for training

    @property
    def samples(self) -> int:
        """Samples that a block of frames covers."""
        return self.stride + self.config.frame - self.config.hop

    @property
    def stride(self) -> int:
        """Samples from the beginning of one block to that of the next."""
        return self.config.block * self.config.hop

    def forward(self, audio: Tensor) -> Tensor:
        mixture = self.analyse(audio)
        masks = self.masks(mixture[..., : self.config.bins].abs())
        return self.synthesise(self._extend(masks) * mixture.unsqueeze(1))

    def analyse(self, audio: Tensor) -> Tensor:
        """STFT of audio (..., samples) as complex (..., frames, bins); frame k begins with sample k * hop."""
        frames = audio.unfold(-1, self.config.frame, self.config.hop)
        return torch.fft.rfft(frames * torch.hann_window(self.config.frame, device=audio.device))

    def synthesise(self, spectrogram: Tensor) -> Tensor:
        """Overlapped frames of an STFT (..., frames, bins): audio (..., samples)."""
        # Hann's window squared, four times overlapped, sums to 3/2.
        window = torch.hann_window(self.config.frame, device=spectrogram.device) * (2 / 3)
        frames = torch.fft.irfft(spectrogram, self.config.frame) * window
        hops = frames.unflatten(-1, (4, self.config.hop))  # (..., frames, quarters, hop)
        count = hops.shape[-3]
        total = hops.new_zeros(*hops.shape[:-3], count + 3, self.config.hop)
        for quarter in range(4):
            total[..., quarter : quarter + count, :] += hops[..., quarter, :]
        return total.flatten(-2)

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Masks (blocks, sources, channels, frames, bins) of the mixture's magnitudes (blocks, channels, frames, bins).

        Over the sources they sum to 1; silence is shared out equally.
        """
        logits = torch.stack([network(magnitudes) for network in self.networks], dim=1)
        shares = torch.softmax(logits, dim=1) if self.config.softmax else torch.sigmoid(logits)
        weights = (shares * magnitudes.unsqueeze(1)) ** self.config.exponent
        total = weights.sum(dim=1, keepdim=True) + MASK_EPSILON
        return (weights + MASK_EPSILON / len(self.networks)) / total

    def _extend(self, masks: Tensor) -> Tensor:
        """Masks for the STFT's higher bins as well, which the networks do not see."""
        missing = self.config.frame // 2 + 1 - self.config.bins
        if self.config.extension == "zeros":
            return functional.pad(masks, (0, missing))
        average = masks.mean(dim=-1, keepdim=True)
        return torch.cat([masks, average.expand(*masks.shape[:-1], missing)], dim=-1)

    # ------------------------------------------------------------------------------------------------ checkpoints

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, config: SpleeterConfig) -> Self:
        """The network that a TensorFlow checkpoint of Spleeter holds; the numbers of filters are read from it.

        Other variables in it, such as an optimizer's, do not matter. Raises SepnbError where variables are missing,
        damaged, or of other shapes than such a network has.
        """
        sources = len(config.sources)
        if f"{_name('conv2d', sources * CONVOLUTIONS)}/kernel" in checkpoint:
            raise SepnbError(
                f"{checkpoint.where} has networks for more than the {sources} sources {', '.join(config.sources)}: it "
                "belongs to another Spleeter model"
            )
        kernels = [checkpoint.shape(f"{_name('conv2d', at)}/kernel") for at in range(LAYERS)]
        filters = tuple(kernel[-1] if kernel else 0 for kernel in kernels)
        with torch.device("meta"):  # shapes alone: the values come from the checkpoint
            model = cls(replace(config, filters=filters))
        state = {}
        for name, empty in model.state_dict().items():
            if name.endswith("num_batches_tracked"):  # of training, in torch alone
                state[name] = torch.tensor(0)
            else:
                state[name] = _read(checkpoint, _original_name(name), tuple(empty.shape))
        model.load_state_dict(state, assign=True)
        return model


def _name(kind: str, number: int) -> str:
    """Keras' name of a layer: the first of a kind has no number."""
    return f"{kind}_{number}" if number else kind


def _original_name(name: str) -> str:
    """What a checkpoint calls a tensor of `Spleeter`, such as networks.1.up.2.weight."""
    _, number, part, *rest, value = name.split(".")
    source, at = int(number), int(rest[0]) if rest else 0
    if part.endswith("norms"):
        # The first is that after the outermost layer. The one after the innermost layer on the way down, which follows
        # on `down_norms`, is in the checkpoints too, but the original has no use for its result.
        at += NORMALISATIONS // 2 if part == "up_norms" else 0
        layer = _name("batch_normalization", source * NORMALISATIONS + at)
        values = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        return f"{layer}/{values[value]}"
    if part == "up":
        layer = _name("conv2d_transpose", source * TRANSPOSED + at)
    else:
        layer = _name("conv2d", source * CONVOLUTIONS + (CONVOLUTIONS - 1 if part == "last" else at))
    return f"{layer}/{'kernel' if value == 'weight' else 'bias'}"


def _read(checkpoint: Checkpoint, name: str, expected: tuple[int, ...]) -> Tensor:
    """A variable in torch's order of axes; SepnbError if it then has another shape than expected."""
    array = checkpoint.read(name)
    if array.ndim == 4:
        # (height, width, in, out) to (out, in, height, width); in transposed convolutions both have in and out swapped.
        array = array.transpose(3, 2, 0, 1)
    if array.shape != expected or array.dtype != np.float32:
        raise SepnbError(
            f"{checkpoint.where}: {name} is {array.dtype} of the shape {array.shape}, where this network has float32 "
            f"of {expected}: the checkpoint belongs to another model"
        )
    return torch.from_numpy(np.ascontiguousarray(array))
