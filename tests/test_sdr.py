"""Plain ratios of energies: BSSEval's SDR frame by frame, and the challenge's over the whole song."""

import numpy as np
import pytest

from sepnb.errors import SepnbError
from sepnb.metrics import bss_eval, frame_sdr, usdr

RATE = 8000


def noise(seed: int, sources: int = 2, seconds: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (sources, 2, round(seconds * RATE)))


def test_sdr_needs_no_filters():
    """The plain ratio of energies is museval's SDR, frame by frame."""
    references = noise(1, sources=3)
    estimates = 0.7 * references + 0.5 * noise(2, sources=3) + 0.2 * references[::-1]
    expected = bss_eval(references, estimates, RATE).sdr
    np.testing.assert_allclose(frame_sdr(references, estimates, RATE), expected, rtol=0, atol=1e-6)


def test_plain_sdr_of_silence_and_of_perfection():
    references = noise(1)
    references[0] = 0
    scores = frame_sdr(references, references, RATE)
    assert np.isnan(scores[0]).all()
    assert np.isposinf(scores[1]).all()


def test_global_sdr_weighs_by_energy_over_the_whole_song():
    references = noise(1)
    references[:, :, RATE:] *= 0.1  # one loud second, two quiet ones
    estimates = references.copy()
    estimates[:, :, :RATE] *= 0.9
    estimates[:, :, RATE:] = 0
    loud, quiet = (np.square(references[..., cut]).sum(axis=(1, 2)) for cut in (slice(RATE), slice(RATE, None)))
    expected = 10 * np.log10((loud + quiet) / (0.01 * loud + quiet))
    np.testing.assert_allclose(usdr(references, estimates), expected, atol=1e-6)


def test_global_sdr_is_finite_for_silence_and_perfection():
    silence, sound = np.zeros((1, 2, RATE)), noise(1, sources=1)
    np.testing.assert_allclose(usdr(silence, silence), 0)
    np.testing.assert_allclose(usdr(sound, sound), 10 * np.log10(np.square(sound).sum() / 1e-7 + 1))
    np.testing.assert_allclose(usdr(sound, np.zeros_like(sound)), 0, atol=1e-6)


def test_global_sdr_refuses_shapes_that_differ():
    with pytest.raises(SepnbError, match="must have the same shape"):
        usdr(noise(1), noise(1)[:1])
