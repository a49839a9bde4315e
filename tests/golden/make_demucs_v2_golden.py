"""Make the golden files that the tests of the rebuilt Demucs v2 and Conv-TasNet compare with.

    OTHER/bin/python tests/golden/make_demucs_v2_golden.py

OTHER is an environment with `demucs` 2.0.3, numpy, soundfile and torch. Tiny networks of the original with seeded
random weights separate two thousand samples of noise; their packages are saved as its training saves them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.ports_parity_demucs_v2 import scale_weights  # noqa: E402

SAMPLES = 2000
SETTINGS = {"sources": ["vocals", "accompaniment"], "samplerate": 8000, "segment_length": 700}
NETWORKS = {
    "demucs_v2": ("Demucs", {"channels": 4, "depth": 3}),
    "conv_tasnet": ("ConvTasNet", {"N": 12, "B": 12, "H": 16, "X": 3, "R": 2}),
}
LENGTHS = (1, 5, 700, 2000, 99_999, 1_764_000)


def main() -> None:
    from demucs.model import Demucs
    from demucs.tasnet import ConvTasNet
    from demucs.utils import apply_model, save_model

    for name, (kind, options) in NETWORKS.items():
        torch.manual_seed(1)
        network = {"Demucs": Demucs, "ConvTasNet": ConvTasNet}[kind](**SETTINGS, **options).eval()
        mixture = 0.3 * torch.randn(2, SAMPLES) + 0.05
        mean, deviation = mixture.mean(0).mean(), mixture.mean(0).std()
        normal = (mixture - mean) / deviation
        with torch.no_grad():
            scale_weights(network, normal)
            raw = network(normal[None])[0]
        golden = {"mixture": mixture, "normal": normal, "raw": raw}
        for way, split in (("whole", False), ("split", True)):
            golden[way] = apply_model(network, normal, shifts=0, split=split, overlap=0.25) * deviation + mean
        options = argparse.Namespace(musdb=Path("/musdb"), models=Path("models"), diffq=False, qat=0, samples=80000)
        save_model(network, None, options, FOLDER / f"{name}_tiny.th")
        np.savez_compressed(
            FOLDER / f"{name}_tiny.npz",
            lengths=LENGTHS,
            valid_lengths=[network.valid_length(length) for length in LENGTHS],
            **{key: value.numpy() for key, value in golden.items()},
        )


if __name__ == "__main__":
    main()
