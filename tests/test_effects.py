"""Effects do to a stem what they say, and leave alone what they are not asked for."""

import numpy as np
import pytest
import torch

from sepnb.augment import Augment
from sepnb.effects import BANDS, DECAY, Desk, Effects, draw, saturated

RATE = 16000
SAMPLES = 2 * RATE


def effects(**changed: float) -> Effects:
    """Effects for one stem that do nothing but what is named."""
    plain = {"drive": 0.0, "decay": 0.0, "room_db": -10.0, "room_seed": 1, "width": 1.0}
    values = {name: np.array([[changed.get(name, value)]]) for name, value in plain.items()}
    return Effects(**values, tone=np.reshape(changed.get("tone", np.zeros(BANDS)), (1, 1, BANDS)))


def done(stem: np.ndarray, **changed: float) -> np.ndarray:
    batch = torch.from_numpy(stem.astype(np.float32, copy=True))[None, None]
    Desk(stem.shape[-1], RATE)(batch, effects(**changed))
    return batch[0, 0].numpy()


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, (2, SAMPLES)).astype(np.float32)


def power(sound: np.ndarray) -> float:
    return float(np.square(sound).mean())


def test_nothing_is_drawn_when_all_is_off():
    assert draw(np.random.default_rng(0), Augment(), (4, 3)) is None


def test_effects_are_drawn_as_often_as_asked_and_do_not_move_each_other():
    everything = Augment(eq_db=6.0, drive=0.2, reverb=0.4, mono=0.6)
    drawn = draw(np.random.default_rng(0), everything, (2000, 2))
    assert np.mean(drawn.drive > 0) == pytest.approx(0.2, abs=0.03)
    assert np.mean(drawn.decay > 0) == pytest.approx(0.4, abs=0.03)
    assert np.mean(drawn.width == 0) == pytest.approx(0.3, abs=0.03)
    assert np.mean((drawn.width > 0) & (drawn.width < 1)) == pytest.approx(0.3, abs=0.03)
    assert np.abs(drawn.tone).max() == pytest.approx(6.0, abs=0.1)
    assert drawn.decay[drawn.decay > 0].min() >= DECAY[0]
    alone = draw(np.random.default_rng(0), Augment(reverb=0.4), (2000, 2))
    np.testing.assert_array_equal(alone.decay, drawn.decay)


def test_what_is_not_asked_for_leaves_every_bit(noise):
    np.testing.assert_array_equal(done(noise), noise)


@pytest.mark.parametrize("change", [{"drive": 4.0}, {"decay": 0.5}, {"tone": [6.0, -6.0, 3.0, 0.0, -3.0]}])
def test_a_stem_keeps_its_energy(noise, change):
    changed = done(noise, **change)
    assert power(changed) == pytest.approx(power(noise), rel=1e-4)
    assert np.abs(changed - noise).max() > 0.01


def test_the_tone_curve_is_that_which_was_asked_for(noise):
    tone = np.array([6.0, -6.0, 3.0, 0.0, -3.0])
    ratio = np.abs(np.fft.rfft(done(noise, tone=tone)[0])) / np.abs(np.fft.rfft(noise[0]))
    middles = np.geomspace(60, RATE / 2, BANDS)
    measured = 20 * np.log10(ratio[np.round(middles * SAMPLES / RATE).astype(int)])
    # The level as a whole was set back: differences remain.
    np.testing.assert_allclose(measured - measured[3], tone, atol=0.2)


def test_a_room_rings_on_for_as_long_as_asked():
    click = np.zeros((2, SAMPLES), np.float32)
    click[:, 1000] = 1
    rung = done(click, decay=0.4, room_db=-6.0)
    straight, echoes = rung[:, 1000], rung[:, 1001:]
    assert np.square(echoes).sum(axis=1).mean() / np.square(straight).mean() == pytest.approx(10**-0.6, rel=0.15)
    early, late = (np.square(echoes[:, a : a + 800]).mean() for a in (0, 3200))  # 0.2 s apart: 30 dB
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=2)
    assert np.abs(rung[:, 1000 + round(0.41 * RATE) :]).max() < 1e-5
    assert np.abs(echoes[0] - echoes[1]).max() > 0.01, "the room sounds different in each channel"


def test_saturation_flattens_what_is_loud():
    loud, quiet = saturated(np.array([[1.0, 0.1]], np.float32), drive=5.0)[0]
    assert loud / quiet < 3
    faint = saturated(np.array([[1.0, 0.1]], np.float32), drive=0.01)[0]
    assert faint[0] / faint[1] == pytest.approx(10, rel=1e-3)


def test_width_is_what_the_channels_do_not_share(noise):
    mono = done(noise, width=0.0)
    np.testing.assert_array_equal(mono[0], mono[1])
    np.testing.assert_allclose(mono[0], noise.mean(axis=0), atol=1e-6)
    half = done(noise, width=0.5)
    np.testing.assert_allclose(half[0] - half[1], (noise[0] - noise[1]) / 2, atol=1e-6)


def test_silence_stays_silence_and_one_channel_is_enough():
    everything = {"drive": 3.0, "decay": 0.3, "tone": np.full(BANDS, 5.0), "width": 0.0}
    assert not done(np.zeros((2, SAMPLES)), **everything).any()
    sound = np.random.default_rng(0).uniform(-1, 1, (1, 999))
    assert np.isfinite(done(sound, **everything)).all()
    assert np.isfinite(done(sound.repeat(3, axis=0), **everything)).all()


def test_the_same_effects_with_torch_operations(noise):
    """What a GPU does, on the host: the desk is given a tensor that is not turned into an array."""

    class OnDevice(torch.Tensor):
        is_cuda = True

    change = {"drive": 3.0, "decay": 0.3, "tone": np.array([6.0, -6.0, 3.0, 0.0, -3.0]), "width": 0.4}
    batch = torch.from_numpy(noise.copy())[None, None].as_subclass(OnDevice)
    Desk(SAMPLES, RATE)(batch, effects(**change))
    np.testing.assert_allclose(batch.as_subclass(torch.Tensor)[0, 0].numpy(), done(noise, **change), atol=2e-6)
