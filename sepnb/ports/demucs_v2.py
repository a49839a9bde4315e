"""Demucs v2: a U-Net on the waveform with a BiLSTM at its bottom (Défossez et al. 2019, arXiv 1911.13254; 2021 code).

Rebuilt from the paper and the released package `demucs` 2.0.3 (github.com/facebookresearch/demucs, MIT), so that its
official weights can be used beside demucs 4, which has another network of the same name. Names of parameters are those
of the official files. The encoder's layers keep the time they were given only roughly, so the network wants a little
more audio than it separates: `valid_length` says how much.
"""

import math

import julius
from torch import Tensor, nn


class DemucsV2(nn.Module):
    """Mixture in, stems out: (batch, channels, samples) to (batch, sources, channels, fewer samples, centred).

    Given `valid_length(n)` samples, the stems are at least n samples long, with as much cut off on the left as on the
    right (one more on the right where it is odd).

    sources, audio_channels: what comes out, and how many channels go in and out.
    channels: width of the first layer; it grows by `growth` from layer to layer, of which there are `depth`.
    kernel_size, stride: of the convolutions that shorten time; context: taps of those before time is lengthened again.
    resample: whether the network works at twice the rate, against aliasing. normalize: whether each mixture's mono mix
        is brought to mean 0 and deviation 1 inside (the released networks leave that to the caller).
    """

    def __init__(
        self,
        sources: int = 4,
        audio_channels: int = 2,
        channels: int = 64,
        depth: int = 6,
        kernel_size: int = 8,
        stride: int = 4,
        context: int = 3,
        growth: float = 2.0,
        lstm_layers: int = 2,
        resample: bool = True,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.sources, self.audio_channels = sources, audio_channels
        self.kernel_size, self.stride, self.context, self.depth = kernel_size, stride, context, depth
        self.resample, self.normalize = resample, normalize
        widths = [channels]
        while len(widths) < depth:
            widths.append(int(growth * widths[-1]))
        inputs = [audio_channels, *widths[:-1]]
        outputs = [sources * audio_channels, *widths[:-1]]

        self.encoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(before, width, kernel_size, stride),
                nn.ReLU(inplace=True),
                nn.Conv1d(width, 2 * width, 1),
                nn.GLU(dim=1),
            )
            for before, width in zip(inputs, widths, strict=True)
        )
        self.lstm = _BiLSTM(widths[-1], lstm_layers)
        self.decoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, 2 * width, context),
                nn.GLU(dim=1),
                nn.ConvTranspose1d(width, after, kernel_size, stride),
                # The last layer's stems have both signs.
                *([nn.ReLU(inplace=True)] if level else []),
            )
            for level, (width, after) in reversed(list(enumerate(zip(widths, outputs, strict=True))))
        )

    def valid_length(self, samples: int) -> int:
        """Samples of mixture that the network wants, so that `samples` of each stem come out."""
        length = 2 * samples if self.resample else samples
        for _ in range(self.depth):  # down: whole steps, and what the decoder's convolutions will take off
            length = max(1, math.ceil((length - self.kernel_size) / self.stride) + 1) + self.context - 1
        for _ in range(self.depth):  # and up again
            length = (length - 1) * self.stride + self.kernel_size
        return math.ceil(length / 2) if self.resample else length

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate a batch of mixtures; see the class for shapes."""
        mean, deviation = 0.0, 1.0
        if self.normalize:
            mono = mixture.mean(dim=1, keepdim=True)
            mean, deviation = mono.mean(dim=-1, keepdim=True), mono.std(dim=-1, keepdim=True)
        # The original divides by 1.00001 where it does not normalise, and was trained so.
        audio = (mixture - mean) / (deviation + 1e-5)
        if self.resample:
            audio = julius.resample_frac(audio, 1, 2)

        skips = []
        for layer in self.encoder:
            audio = layer(audio)
            skips.append(audio)
        audio = self.lstm(audio)
        for layer in self.decoder:
            audio = layer(audio + _centre(skips.pop(), audio.shape[-1]))

        if self.resample:
            audio = julius.resample_frac(audio, 2, 1)
        audio = audio * deviation + mean
        return audio.unflatten(1, (self.sources, self.audio_channels))


class _BiLSTM(nn.Module):
    """Looks along the whole segment in both directions: (batch, width, steps) to the same shape."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, bidirectional=True)
        self.linear = nn.Linear(2 * width, width)

    def forward(self, features: Tensor) -> Tensor:
        seen, _ = self.lstm(features.permute(2, 0, 1))  # (steps, batch, width)
        return self.linear(seen).permute(1, 2, 0)


def _centre(features: Tensor, steps: int) -> Tensor:
    """The middle `steps` of the last axis; what is over by an odd number goes off on the right."""
    return features.narrow(-1, (features.shape[-1] - steps) // 2, steps)
