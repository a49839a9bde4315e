"""A network of ours, once trained, as a separator."""

from pathlib import Path

from torch import nn

from sepnb.files import checksum
from sepnb.models import load
from sepnb.separators.engine import NetworkSeparator, Policy
from sepnb.weights import identity

SEGMENT, OVERLAP = 12.0, 1.0  # seconds


class UNetSeparator(NetworkSeparator):
    """A toy or compact U-Net on the engine: segments of 12 seconds that overlap by one and are cross-faded.

    `settings` as in `NetworkSeparator`.
    """

    def __init__(
        self, network: nn.Module, name: str, device: str = "cpu", settings: dict[str, str | int | float] | None = None
    ) -> None:
        config = network.config
        policy = Policy(segment=round(SEGMENT * config.rate), overlap=OVERLAP / SEGMENT)
        super().__init__(
            name, config.sources, config.rate, config.channels, network, policy, device=device, settings=settings
        )

    @classmethod
    def from_run(cls, folder: Path | str, device: str = "cpu") -> "UNetSeparator":
        """Load what `sepnb train` left in `folder`; the separator takes the folder's name.

        Raises SepnbError where the folder holds no trained model.
        """
        network = load(folder)
        weights = identity([checksum(Path(folder) / "weights.safetensors")])
        return cls(network, Path(folder).resolve().name, device, {"weights": weights})
