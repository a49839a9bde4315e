"""The toy U-Net keeps shapes, can be saved and loaded, and can learn."""

import pytest
import torch

from sepnb.errors import SepnbError
from sepnb.models import UNet, UNetConfig


@pytest.mark.parametrize("sources", [("vocals", "accompaniment"), ("drums", "bass", "other", "vocals", "guitar")])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [5000, 16384])
def test_any_sources_channels_and_length(sources, channels, samples):
    network = UNet(UNetConfig(sources=sources, channels=channels, rate=16000, n_fft=512, hop=128, width=4))
    mixture = torch.randn(2, channels, samples)
    stems = network(mixture)
    assert stems.shape == (2, len(sources), channels, samples)
    assert torch.isfinite(stems).all()


def test_masks_lie_between_nothing_and_all():
    network = UNet(UNetConfig(n_fft=512, hop=256, width=4))
    masks = network.masks(10 * torch.rand(1, 2, 257, 21))
    assert masks.shape == (1, 4, 2, 257, 21)
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_saved_and_loaded_it_separates_the_same(tmp_path):
    torch.manual_seed(0)
    network = UNet(UNetConfig(sources=("a", "b"), n_fft=512, hop=256, width=4)).eval()
    network.save(tmp_path)
    again = UNet.load(tmp_path).eval()
    assert again.config == network.config
    mixture = torch.randn(1, 2, 4000)
    torch.testing.assert_close(again(mixture), network(mixture), rtol=0, atol=0)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(SepnbError, match="holds no trained model"):
        UNet.load(tmp_path)


def test_one_example_in_a_batch_does_not_touch_another():
    torch.manual_seed(0)
    network = UNet(UNetConfig(n_fft=512, hop=256, width=4)).train()
    mixture = torch.randn(3, 2, 4096)
    torch.testing.assert_close(network(mixture)[:1], network(mixture[:1]), rtol=1e-4, atol=1e-5)
