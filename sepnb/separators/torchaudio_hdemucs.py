"""Hybrid Demucs (Défossez 2021) as torchaudio publishes it: its network and its weights, without its downloader.

torchaudio's tutorial cuts songs into chunks of 11 seconds that share 0.1 s, with a linear fade. Here they are segments
of 10 seconds that share a quarter, weighed by triangles, as in Demucs' own `apply_model`, from which the network comes:
every sample then has a segment in which it is not at the edge. As in both, a song is brought to mean 0 and deviation 1
first.
"""

from torch import nn

from sepnb.errors import SepnbError
from sepnb.ports.checkpoints import read_state
from sepnb.separators.engine import NetworkSeparator, Policy
from sepnb.weights import WeightFile, identity

RATE = 44100
SOURCES = ("drums", "bass", "other", "vocals")
SEGMENT = 10 * RATE
SHORTEST = 4096  # samples: below a window of its STFT the network hears mostly padding

# No digests were published for these.
FILES = {
    "hdemucs_high_musdb": "hdemucs_high_musdbhq_only.pt",
    "hdemucs_high_musdb_plus": "hdemucs_high_trained.pt",
}


def weight_files(name: str) -> tuple[WeightFile, ...]:
    """The file of a model, hdemucs_high_musdb or hdemucs_high_musdb_plus."""
    return (WeightFile(f"https://download.pytorch.org/torchaudio/models/{FILES[name]}"),)


def load_torchaudio(name: str, device: str = "cpu") -> NetworkSeparator:
    """Load hdemucs_high_musdb or hdemucs_high_musdb_plus with its published weights, fetched the first time.

    Raises DownloadError where the weights cannot be had, SepnbError where the file is not what it should be.
    """
    from torchaudio.models import hdemucs_high

    (file,) = weight_files(name)
    path, sha256 = file.fetch_with_digest()
    network = hdemucs_high(sources=list(SOURCES))
    try:
        network.load_state_dict(read_state(path, sha256))
    except RuntimeError as error:
        raise SepnbError(f"{path} does not fit {name} ({error}): delete it, and it is fetched again") from error
    return separator(name, network, device, {"weights": identity([sha256])})


def separator(name: str, network: nn.Module, device: str, settings: dict[str, str | int | float]) -> NetworkSeparator:
    """The separator made of one of torchaudio's HDemucs networks at 44.1 kHz."""
    policy = Policy(segment=SEGMENT, overlap=0.25, length=lambda samples: max(samples, SHORTEST), normalise=True)
    return NetworkSeparator(name, SOURCES, RATE, 2, network, policy, device=device, settings=settings)
