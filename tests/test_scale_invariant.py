"""SI-SDR, SI-SIR and SI-SAR by their formulas, against hand-made cases and values from other packages."""

import json
from pathlib import Path

import numpy as np
import pytest

from sepnb.errors import SepnbError
from sepnb.metrics import frame_si_sdr, si_sar, si_sdr, si_sir

RATE = 8000
GOLDEN = json.loads((Path(__file__).parent / "golden" / "scale_invariant.json").read_text())


def noise(seed: int, sources: int = 3, channels: int = 2, seconds: float = 2.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (sources, channels, round(seconds * RATE)))


def estimates_of(references: np.ndarray) -> np.ndarray:
    """Each reference too quiet, with some of the next one and some noise."""
    return 0.7 * references + 0.3 * np.roll(references, 1, axis=0) + 0.2 * noise(9, *references.shape[:2])


def test_orthogonal_parts_give_the_ratios_they_were_mixed_in():
    """Four sines of whole periods: the estimate is 2 of its own, 0.2 of another reference, 0.02 of neither."""
    time = np.arange(RATE) / RATE
    own, other, strange = (np.sin(2 * np.pi * hertz * time)[None] for hertz in (100, 200, 300))
    references = np.stack([own, other])
    estimates = np.stack([2 * own + 0.2 * other + 0.02 * strange, other])
    np.testing.assert_allclose(si_sir(references, estimates)[0], 20)
    np.testing.assert_allclose(si_sar(references, estimates)[0], 40)
    np.testing.assert_allclose(si_sdr(references, estimates)[0], -10 * np.log10(1e-2 + 1e-4))


def test_the_level_of_an_estimate_does_not_count():
    references = noise(1)
    estimates = estimates_of(references)
    for ratio in (si_sdr, si_sir, si_sar):
        np.testing.assert_allclose(ratio(references, -0.01 * estimates), ratio(references, estimates))


def test_interference_and_artifacts_add_up_to_the_distortion():
    references = noise(1)
    estimates = estimates_of(references)
    parts = [10 ** (-ratio(references, estimates) / 10) for ratio in (si_sdr, si_sir, si_sar)]
    np.testing.assert_allclose(parts[0], parts[1] + parts[2])


def test_channels_share_one_gain():
    """An estimate that is right in one channel and lacks the other is wrong by its place in stereo."""
    reference = noise(1, sources=1)
    estimate = reference.copy()
    estimate[:, 1] = 0
    left, right = np.square(reference[0]).sum(axis=1)
    np.testing.assert_allclose(si_sdr(reference, estimate), 10 * np.log10(left / right))


def test_values_of_other_packages():
    """fast_bss_eval's and torchmetrics' SI-SDR, fast_bss_eval's SI-SIR and SI-SAR: golden/make_scale_invariant.py.

    Its SAR is the older one, with target and interference above the line.
    """
    rng = np.random.default_rng(0)
    references = rng.normal(0, 0.1, (3, 1, 8000))
    mixing = np.array([[0.8, 0.2, -0.1], [0.05, 1.5, 0.3], [0.4, 0.4, 0.4]])
    estimates = np.tensordot(mixing, references, 1) + rng.normal(0, 0.03, references.shape)
    sir = si_sir(references, estimates)
    np.testing.assert_allclose(si_sdr(references, estimates), GOLDEN["si_sdr"], atol=1e-6)
    np.testing.assert_allclose(sir, GOLDEN["si_sir"], atol=1e-6)
    older_sar = si_sar(references, estimates) + 10 * np.log10(1 + 10 ** (-sir / 10))
    np.testing.assert_allclose(older_sar, GOLDEN["si_sar"], atol=1e-6)


def test_frames_are_signals_of_their_own():
    references = noise(1)
    estimates = estimates_of(references)
    scores = frame_si_sdr(references, estimates, RATE)
    assert scores.shape == (3, 2)
    second = slice(RATE, 2 * RATE)
    np.testing.assert_allclose(scores[:, 1], si_sdr(references[..., second], estimates[..., second]))
    assert frame_si_sdr(references[..., :10], estimates[..., :10], RATE).shape == (3, 0)


def test_silence_is_undefined_and_perfection_infinite():
    references = noise(1)
    references[0] = 0
    estimates = 0.5 * references
    estimates[1] = 0
    for ratio in (si_sdr, si_sir, si_sar):
        scores = ratio(references, estimates)
        assert np.isnan(scores[:2]).all()
        assert scores[2] > 250  # infinite, or what rounding leaves of it


def test_equal_references_are_no_trouble():
    references = noise(1)
    references[1] = references[0]
    assert np.isfinite(si_sar(references, estimates_of(references))).all()


def test_single_precision_and_whole_songs_keep_their_digits():
    """More samples than a block holds, in float32, give what double precision in one piece gives."""
    references = noise(1, sources=2, seconds=40).astype(np.float32)
    estimates = (references + 1e-4 * noise(2, sources=2, seconds=40)).astype(np.float32)
    wide, flat = (signal.astype(np.float64).reshape(2, -1) for signal in (references, estimates))
    gain = (wide * flat).sum(axis=1, keepdims=True) / (wide**2).sum(axis=1, keepdims=True)
    expected = 10 * np.log10(((gain * wide) ** 2).sum(axis=1) / ((flat - gain * wide) ** 2).sum(axis=1))
    np.testing.assert_allclose(si_sdr(references, estimates), expected, atol=1e-6)


@pytest.mark.parametrize("ratio", [si_sdr, si_sir, si_sar])
def test_shapes_that_differ_are_refused(ratio):
    with pytest.raises(SepnbError, match=r"\(3, 2, 20000\).*\(2, 2, 20000\)"):
        ratio(noise(1), noise(1)[:2])
