"""Open-Unmix (Stöter, Uhlich, Liutkus and Mitsufuji 2019): one recurrent network a target, joined by a Wiener filter.

Networks and filter are those of the package openunmix. It holds every spectrogram of a song at once, over 10 GB for ten
minutes; here the wide layers and the filter see a few seconds at a time, and only what the recurrent layers remember,
which is small, is kept for the whole song. The result is the same.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from sepnb.errors import SepnbError
from sepnb.ports.checkpoints import read_state
from sepnb.separators.stft_blocks import Inverse, blocks
from sepnb.separators.streaming import StreamingSeparator
from sepnb.weights import WeightFile, identity

RATE = 44100
N_FFT, HOP = 4096, 1024
BINS = 1487  # what the networks hear: up to 16 kHz
FRAMES = 300  # the Wiener filter learns where sources sit anew every 7 seconds, as in the package
# The recurrent layers run over the whole song up to this many samples, as the package lets them; longer songs are cut.
SEGMENT = 10 * 60 * RATE
FADE = 12 * RATE  # samples in which one segment of a long song goes over into the next

RECORDS = {"umx": 3370486, "umxhq": 3370489, "umxl": 5069601}
HIDDEN = {"umx": 512, "umxhq": 512, "umxl": 1024}
# The beginning of each file's sha256, which is also in its name; in the package's order of targets.
DIGESTS = {
    "umx": {"vocals": "c8df74a5", "drums": "5a48008b", "bass": "646024d3", "other": "f8e132cc"},
    "umxhq": {"vocals": "b62c91ce", "drums": "9619578f", "bass": "8d85a5bd", "other": "b52fbbf7"},
    "umxl": {"vocals": "bccbd9aa", "drums": "69e0ebd4", "bass": "2ca1ce51", "other": "c8c5b3e6"},
}


def weight_files(name: str) -> tuple[WeightFile, ...]:
    """The files of a model, umx, umxhq or umxl: one a target."""
    return tuple(
        WeightFile(f"https://zenodo.org/records/{RECORDS[name]}/files/{target}-{digest}.pth", digest)
        for target, digest in DIGESTS[name].items()
    )


def load_open_unmix(name: str, device: str = "cpu") -> "OpenUnmixSeparator":
    """Load umx, umxhq or umxl with its published weights, fetched the first time.

    Raises DownloadError where the weights cannot be had, SepnbError where a file is not what it should be.
    """
    from openunmix.model import OpenUnmix

    targets, digests = {}, []
    for target, file in zip(DIGESTS[name], weight_files(name), strict=True):
        path, sha256 = file.fetch_with_digest()
        network = OpenUnmix(nb_bins=N_FFT // 2 + 1, nb_channels=2, hidden_size=HIDDEN[name], max_bin=BINS)
        state = read_state(path, sha256)
        # The files also hold the settings of a training-time transform, which are no weights.
        known = {key: value for key, value in state.items() if key in network.state_dict()}
        try:
            network.load_state_dict(known)
        except RuntimeError as error:
            raise SepnbError(
                f"{path} is not the {target} network of {name} ({error}): delete it, and it is fetched again"
            ) from error
        targets[target] = network
        digests.append(sha256)
    return OpenUnmixSeparator(name, targets, device, identity(digests))


class OpenUnmixSeparator(StreamingSeparator):
    """One stereo network a target over a whole song, up to ten minutes; longer songs are cut and cross-faded.

    `targets` are networks of the package openunmix by the name of their target, all for audio at 44.1 kHz.
    """

    rate = RATE
    channels = 2

    def __init__(self, name: str, targets: dict[str, nn.Module], device: str, weights: str) -> None:
        self.name, self.sources, self.device = name, tuple(targets), device
        self.settings = {"weights": weights, "segment": SEGMENT / RATE, "wiener": 1}
        self._network = JoinedTargets(targets).to(device).eval()

    def stream(self, mixture: np.ndarray) -> Iterator[np.ndarray]:
        """Separate a mixture (channels, samples) into blocks (sources, channels, n): see `StreamingSeparator`."""
        samples = mixture.shape[-1]
        before: np.ndarray | None = None  # what the segment before says of the first FADE samples of this one
        for start in range(0, max(1, samples - FADE), SEGMENT - FADE):
            segment = mixture[:, start : start + SEGMENT]
            own = segment.shape[-1] - (FADE if start + SEGMENT < samples else 0)
            done, held = 0, []
            for block in self._segment(segment):
                end = done + block.shape[-1]
                if before is not None and done < FADE:
                    rising = (np.arange(done, min(end, FADE), dtype=np.float32) + 0.5) / FADE
                    faded = block[..., : len(rising)]
                    faded += (before[..., done : done + len(rising)] - faded) * (1 - rising)
                if done < own:
                    yield block[..., : own - done]
                if end > own:
                    held.append(block[..., max(0, own - done) :])
                done = end
            before = np.concatenate(held, axis=-1) if held else None

    def _segment(self, segment: np.ndarray) -> Iterator[np.ndarray]:
        samples = segment.shape[-1]
        # Mirrored at its ends, audio must be longer than half a window.
        if samples < N_FFT:
            segment = np.pad(segment, ((0, 0), (0, N_FFT - samples)))
        left = samples
        try:
            steps = self._network(torch.tensor(segment, device=self.device))
            while (block := self._next(steps)) is not None:
                yield block[..., :left]
                left = max(0, left - block.shape[-1])
        except torch.cuda.OutOfMemoryError as error:
            raise SepnbError(
                f"{self.name}: memory on {self.device} does not suffice for {samples / RATE:.0f} s of music: close "
                "what else uses it, or separate on the CPU (--device cpu)"
            ) from error

    @torch.inference_mode()  # for a step at a time: around a `yield` it would hold for whoever takes the blocks, too
    def _next(self, steps: Iterator[Tensor]) -> np.ndarray | None:
        block = next(steps, None)
        return None if block is None else block.cpu().numpy()


class JoinedTargets(nn.Module):
    """Open-Unmix networks of several targets and one pass of their Wiener filter, in bounded memory.

    Mixture (channels, samples) in; blocks (targets, channels, n) of the stems out, as long as the mixture in all.
    """

    def __init__(self, targets: dict[str, nn.Module]) -> None:
        super().__init__()
        self.targets = nn.ModuleDict(targets)

    def forward(self, mixture: Tensor) -> Iterator[Tensor]:
        """Go through a mixture twice: once to remember it, once to filter it."""
        samples = mixture.shape[-1]
        frames = 1 + samples // HOP
        remembered = self._remember(mixture, frames)
        inverse, first = Inverse(N_FFT, HOP, samples), 0
        for spectrogram in blocks(mixture, N_FFT, HOP, frames, FRAMES, "reflect"):
            end = first + spectrogram.shape[-1]
            filtered = self._filter(spectrogram, [memory[first:end] for memory in remembered])
            yield inverse.add(filtered, last=end == frames)
            first = end

    def _remember(self, mixture: Tensor, frames: int) -> list[Tensor]:
        """What each target's recurrent layers make of the song: (frames, hidden) each."""
        heard: list[list[Tensor]] = [[] for _ in self.targets]
        for spectrogram in blocks(mixture, N_FFT, HOP, frames, FRAMES, "reflect"):
            magnitudes = spectrogram.abs().permute(2, 0, 1)  # (frames, channels, bins)
            for network, parts in zip(self.targets.values(), heard, strict=True):
                scaled = (magnitudes[..., : network.nb_bins] + network.input_mean) * network.input_scale
                parts.append(torch.tanh(network.bn1(network.fc1(scaled.flatten(1)))))
        remembered = []
        for network in self.targets.values():
            inputs = torch.cat(heard.pop(0))
            recurrent = network.lstm(inputs[:, None])[0][:, 0]
            joined = torch.cat([inputs, recurrent], dim=-1)
            remembered.append(torch.relu(network.bn2(network.fc2(joined))))
        return remembered

    def _filter(self, spectrogram: Tensor, remembered: list[Tensor]) -> Tensor:
        """Stems' STFTs (targets, channels, bins, frames) from the mixture's (channels, bins, frames)."""
        from openunmix.filtering import wiener

        channels, bins, frames = spectrogram.shape
        magnitudes = spectrogram.abs().permute(2, 0, 1)  # (frames, channels, bins)
        estimates = []
        for network, memory in zip(self.targets.values(), remembered, strict=True):
            decoded = network.bn3(network.fc3(memory)).view(frames, channels, bins)
            masks = torch.relu(decoded * network.output_scale + network.output_mean)
            estimates.append((masks * magnitudes).transpose(1, 2))
        mixed = torch.view_as_real(spectrogram).permute(2, 1, 0, 3)  # (frames, bins, channels, real and imaginary)
        filtered = wiener(torch.stack(estimates, dim=-1), mixed.contiguous(), iterations=1)
        return torch.view_as_complex(filtered.permute(4, 2, 0, 1, 3).contiguous()).transpose(-1, -2)
