"""What is probed: a network, what goes in and comes out, its loss, and how it was trained when it was published."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from torch import Tensor, nn
from torch._guards import active_fake_mode

from sepnb.errors import SepnbError

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Training:
    """How a network was trained when it was published. `source` says where that is written, and what is our reading."""

    # The whole batch, and the GPUs that shared it.
    batch: int
    gpus: int
    # Seconds that reach the network: augmentation cuts some off what is drawn.
    segment: float
    # Examples that an epoch goes through, and epochs; None where that is not published.
    examples: int | None
    epochs: int | None
    source: str
    link: str
    # Networks that are trained apart, one for each stem.
    networks: int = 1


@dataclass(frozen=True)
class Workload:
    """A network and what is needed to run a step of it."""

    name: str
    title: str
    # Makes the network, with so large a share of its channels.
    build: Callable[[float], nn.Module]
    # Shapes for (batch, seconds): of what goes in, and of the references that the loss compares with.
    input_shape: Callable[[int, float], tuple[int, ...]]
    target_shape: Callable[[int, float], tuple[int, ...]] | None
    loss: Loss
    training: Training | None = None
    # Whether `build` knows what to do with a share below 1.
    narrows: bool = True


def absolute_error(network: nn.Module, mixture: Tensor, references: Tensor) -> Tensor:
    """Mean absolute error of the estimates; the references are cut in the middle to the length that came out."""
    estimates = network(mixture)
    if not isinstance(estimates, Tensor):
        raise SepnbError(
            f"{type(network).__name__} gives a {type(estimates).__name__}, not a tensor: say what its loss is "
            "(loss=…, from network, mixture and references to a number)"
        )
    samples = estimates.shape[-1]
    references = references.narrow(-1, (references.shape[-1] - samples) // 2, samples)
    return nn.functional.l1_loss(estimates, references)


def own_workload(
    network: nn.Module | Callable[[], nn.Module],
    shape: tuple[int, ...] | Callable[[float], tuple[int, ...]],
    rate: int = 44100,
    loss: Loss | None = None,
) -> Workload:
    """The workload of a network of your own.

    `network` is the network, or what makes it (the class, or `lambda: MyNet(width=32)`: then nothing is allocated).
    `shape` is that of one example, (channels, samples) say, or a function from seconds to it; where it is a tuple, the
    last number is samples and changes with the seconds, at `rate` samples a second. Without `loss` it is the
    mean absolute error against references of the shape that comes out.
    """
    if isinstance(network, nn.Module):
        build, name = lambda width: _copy(network), type(network).__name__
    else:
        build, name = lambda width: network(), getattr(network, "__name__", "network")
        name = "network" if name == "<lambda>" else name

    def example(seconds: float) -> tuple[int, ...]:
        return shape(seconds) if callable(shape) else (*shape[:-1], round(seconds * rate))

    return Workload(
        name=name,
        title=name,
        build=build,
        input_shape=lambda batch, seconds: (batch, *example(seconds)),
        target_shape=None,
        loss=loss or absolute_error,
        narrows=False,
    )


def _copy(network: nn.Module) -> nn.Module:
    """A copy of a network: of fake tensors where fakes are in use, which takes no memory."""
    fakes = active_fake_mode()
    if fakes is None:
        return deepcopy(network)
    memo = {}
    for tensor in (*network.parameters(), *network.buffers()):
        fake = fakes.from_tensor(tensor.detach())
        memo[id(tensor)] = nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake
    return deepcopy(network, memo)
