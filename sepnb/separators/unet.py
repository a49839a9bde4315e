"""A network of ours, once trained, as a separator."""

from pathlib import Path

from torch import nn

from sepnb.files import checksum
from sepnb.models import load
from sepnb.separators.engine import NetworkSeparator, Policy
from sepnb.weights import identity

SEGMENT, OVERLAP = 12.0, 1.0  # seconds

# The trained network that comes with the package; its README says what it heard and what it scores.
BAND_UNET = Path(__file__).resolve().parents[1] / "pretrained" / "band-unet"


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


def load_band_unet(device: str = "cpu") -> UNetSeparator:
    """The toy U-Net that comes with the package: small, offline, trained on the synthetic band alone."""
    return UNetSeparator.from_run(BAND_UNET, device)
