"""Small networks of one layer each, or of a stack of the same: what a calibration runs and times.

None of them is a network that is to be predicted, and their sizes are none of theirs: kernels, strides and widths are
spread over what separation networks use.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class MicroNetwork:
    """A network and the shape of what goes in, the batch first."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


class _Apply(nn.Module):
    """A function as a network. Adam wants a weight: a single number, added at the beginning."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values + self.offset)


class _First(nn.Module):
    """A recurrent layer or attention, of whose answers the first is the output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, values: Tensor) -> Tensor:
        if isinstance(self.layer, nn.MultiheadAttention):
            return self.layer(values, values, values, need_weights=False)[0]
        return self.layer(values)[0]


def _stack(make: Callable[[], nn.Module], times: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(_Apply(_same), *(make() for _ in range(times)))


def _in_turn(function: Callable[[Tensor], Tensor], times: int) -> Callable[[], nn.Module]:
    def all_of_it(values: Tensor) -> Tensor:
        for _ in range(times):
            values = function(values)
        return values

    return lambda: _Apply(all_of_it)


def _spectral_pair(n_fft: int, hop: int) -> Callable[[], nn.Module]:
    """There and back, with something done to the spectrogram on the way."""

    def there_and_back(audio: Tensor) -> Tensor:
        window = torch.hann_window(n_fft, device=audio.device)
        spectrogram = torch.stft(audio, n_fft, hop, window=window, return_complex=True)
        louder = torch.view_as_complex(torch.view_as_real(spectrogram) * 1.1)
        return torch.istft(louder, n_fft, hop, window=window, length=audio.shape[-1])

    return lambda: _Apply(there_and_back)


# Dimensions, channels in and out, kernel, stride, and the input's size after the channels; batch 1.
_CONVOLUTIONS = (
    (1, 2, 40, 7, 3, (90_000,)),
    (1, 5, 20, 9, 1, (40_000,)),
    (1, 24, 40, 5, 2, (60_000,)),
    (1, 16, 64, 1, 1, (50_000,)),
    (1, 40, 80, 7, 4, (50_000,)),
    (1, 56, 112, 1, 1, (40_000,)),
    (1, 80, 160, 10, 5, (12_000,)),
    (1, 160, 320, 1, 1, (8_000,)),
    (1, 160, 320, 6, 3, (9_000,)),
    (1, 320, 320, 3, 1, (2_000,)),
    (1, 320, 640, 10, 5, (2_000,)),
    (1, 700, 1400, 1, 1, (900,)),
    (1, 900, 900, 3, 1, (100,)),
    (2, 2, 20, 5, 2, (500, 160)),
    (2, 12, 24, 5, 2, (256, 80)),
    (2, 20, 20, 3, 1, (160, 100)),
    (2, 40, 80, (7, 1), (3, 1), (300, 150)),
    (2, 40, 80, 1, 1, (300, 150)),
    (2, 40, 80, 3, 1, (100, 100)),
    (2, 56, 112, 5, 2, (80, 80)),
    (2, 80, 160, (6, 1), (3, 1), (90, 150)),
    (2, 80, 160, 1, 1, (90, 150)),
    (2, 80, 160, 3, 1, (60, 60)),
    (2, 160, 320, 3, 1, (20, 60)),
    (2, 160, 320, (7, 1), (4, 1), (40, 150)),
)
_TRANSPOSED = (
    (1, 40, 4, 6, 3, (20_000,)),
    (1, 120, 20, 12, 6, (6_000,)),
    (1, 80, 40, 7, 4, (12_000,)),
    (1, 320, 160, 6, 3, (3_000,)),
    (2, 20, 6, 6, 3, (150, 60)),
    (2, 60, 12, 5, 2, (100, 50)),
    (2, 80, 40, (6, 1), (3, 1), (100, 150)),
    (2, 160, 80, (6, 1), (3, 1), (30, 150)),
    (2, 160, 160, 3, 2, (20, 30)),
)
# Channels, kernel, dilation, samples.
_DEPTHWISE = ((200, 5, 1, 6_000), (200, 5, 16, 6_000), (400, 3, 4, 5_000), (64, 7, 2, 20_000))
# Channels, groups, kernel, height and width: groups that kernels can lay out, and groups that they cannot.
_GROUPED = ((60, 4, 3, 120, 80), (60, 6, 3, 60, 80), (64, 4, 3, 80, 80), (120, 3, 1, 80, 80), (72, 4, (1, 5), 80, 100))
# Rows, width in and out.
_PRODUCTS = (
    (2_000, 200, 800),
    (4_000, 60, 60),
    (9_000, 6, 40),
    (500, 1_500, 1_500),
    (1_500, 400, 1_600),
    (200, 24, 900),
)
# Matrices, rows, width.
_BATCHED = ((40, 200, 60), (6, 150, 400), (300, 40, 20))
# Batch, steps, width.
_ATTENTION = ((1, 700, 256), (2, 1_600, 160), (1, 1_500, 448))
_LSTM = (
    (1, 150, 100),
    (1, 120, 320),
    (1, 150, 1_500),
    (2, 150, 200),
    (3, 80, 1_500),
    (4, 120, 320),
    (12, 100, 200),
    (60, 60, 96),
    (12, 40, 700),
)
_GRU = ((50, 40, 64), (4, 40, 160), (120, 40, 40))
_ACTIVATIONS = (
    nn.ReLU,
    lambda: nn.LeakyReLU(0.1),
    nn.PReLU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
)


def micro_networks() -> list[MicroNetwork]:
    """All of them, mixed: a calibration that is cut short has seen something of each kind."""
    found: list[MicroNetwork] = []

    def add(name: str, build: Callable[[], nn.Module], *shape: int) -> None:
        found.append(MicroNetwork(f"{name} {shape}", build, shape))

    plain, back = (nn.Conv1d, nn.Conv2d), (nn.ConvTranspose1d, nn.ConvTranspose2d)
    for name, layers, rows in (("convolution", plain, _CONVOLUTIONS), ("transposed", back, _TRANSPOSED)):
        for dimensions, inputs, outputs, kernel, stride, size in rows:
            layer = layers[dimensions - 1]
            # A layer of one weight before it: the gradient for the input is wanted in networks, too.
            add(
                f"{name} {inputs}-{outputs} {kernel} {stride}",
                lambda make=layer, row=(inputs, outputs, kernel, stride): nn.Sequential(_Apply(_same), make(*row)),
                1,
                inputs,
                *size,
            )
    for channels, kernel, dilation, samples in _DEPTHWISE:
        options = {"dilation": dilation, "padding": dilation * (kernel // 2), "groups": channels}
        make = lambda row=(channels, channels, kernel), options=options: nn.Conv1d(*row, **options)  # noqa: E731
        add(f"depthwise {kernel} {dilation}", _stack(make, 3), 1, channels, samples)
    for channels, groups, kernel, *size in _GROUPED:
        make = lambda row=(channels, channels, kernel), groups=groups: nn.Conv2d(*row, groups=groups)  # noqa: E731
        add(f"grouped {groups} {kernel}", _stack(make, 2), 1, channels, *size)
    for rows, inputs, outputs in _PRODUCTS:
        make = lambda i=inputs, o=outputs: nn.Sequential(nn.Linear(i, o), nn.Linear(o, i))  # noqa: E731
        add(f"product {outputs}", make, rows, inputs)
    for matrices, rows, width in _BATCHED:
        add(
            "batched product",
            _in_turn(lambda values: torch.bmm(torch.bmm(values, values.mT), values), 1),
            matrices,
            rows,
            width,
        )
    for batch, steps, width in _ATTENTION:
        make = lambda width=width: _First(nn.MultiheadAttention(width, 4, batch_first=True))  # noqa: E731
        add("attention", make, batch, steps, width)
    for batch, steps, width in _LSTM:
        add("LSTM", lambda width=width: _First(nn.LSTM(width, width)), steps, batch, width)
    for batch, steps, width in _GRU:
        add("GRU", lambda width=width: _First(nn.GRU(width, width)), steps, batch, width)
    for n_fft, hop, samples in ((1_000, 250, 150_000), (2_400, 1_200, 300_000), (512, 128, 30_000)):
        add(f"STFT {n_fft}", _spectral_pair(n_fft, hop), 3, samples)
    for size in ((64, 25_000), (64, 1_500)):
        add("one group", _stack(lambda: nn.GroupNorm(1, 64), 4), 1, *size)
        add("eight groups", _stack(lambda: nn.GroupNorm(8, 64), 4), 1, *size)
        add("batch norm", _stack(lambda: nn.BatchNorm1d(64), 4), 2, *size)
        add("layer norm", _stack(lambda: nn.LayerNorm(64), 4), *size[::-1])
        for number, make in enumerate(_ACTIVATIONS):
            add(f"activation {number}", _stack(make, 4), 1, *size)
        add("GLU", _stack(nn.GLU, 1), 4 * size[1], size[0])
        add("dropout", _stack(lambda: nn.Dropout(0.1), 2), 1, *size)
        for name, function in _FUNCTIONS.items():
            add(name, _in_turn(function, 4), 1, *size)
    add("many small", _in_turn(lambda values: values * 1.01 + 0.1, 100), 40, 10)
    add("many weights", _stack(lambda: nn.Linear(10, 10), 80), 4, 10)
    add("large weights", lambda: nn.Linear(1_700, 1_700), 4, 1_700)
    step = 37  # has no divisor in common with their number, so that neighbours come from all over the list
    return [found[(step * index) % len(found)] for index in range(len(found))]


def _same(values: Tensor) -> Tensor:
    return values


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "pointwise": lambda values: values * values + values,
    "cat": lambda values: torch.cat([values, values], 1)[:, : values.shape[1]] + 1,
    "pad": lambda values: nn.functional.pad(values, (8, 8))[..., 8:-8],
    "transposed copy": lambda values: (values.mT.contiguous() + 1).mT.contiguous(),
    "root": lambda values: (values.square() + 1).sqrt(),
    "reduction": lambda values: values - values.mean(-1, keepdim=True) - values.sum(1, keepdim=True),
    "deviation": lambda values: values / (values.std(-1, keepdim=True) + 1),
}
