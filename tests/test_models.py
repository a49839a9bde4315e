"""The networks keep shapes, can be saved and loaded, and can learn."""

import itertools

import pytest
import torch

from sepnb.errors import SepnbError
from sepnb.files import read_json, write_json
from sepnb.models import MODELS, UNet, UNetConfig, build, load, save
from sepnb.models.compact import band_regions

SMALL = {
    "toy": {"n_fft": 512, "hop": 128, "width": 4},
    "compact": {"n_fft": 512, "hop": 128, "width": 8},
}


def small(kind, sources=("drums", "bass", "other", "vocals"), channels=2):
    torch.manual_seed(0)
    return build(kind, sources, channels, 16000, **SMALL[kind])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("sources", [("vocals", "accompaniment"), ("drums", "bass", "other", "vocals", "guitar")])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [5000, 16384])
def test_any_sources_channels_and_length(kind, sources, channels, samples):
    stems = small(kind, sources, channels)(torch.randn(2, channels, samples))
    assert stems.shape == (2, len(sources), channels, samples)
    assert torch.isfinite(stems).all()


@pytest.mark.parametrize("kind", MODELS)
def test_it_can_learn_one_example_by_heart(kind):
    """The loss of two sines against noise falls far below what sharing the mixture out evenly gives."""
    network = small(kind, ("tone", "noise"), 1)
    time = torch.arange(8192) / 16000
    stems = torch.stack([torch.sin(2 * torch.pi * 440 * time), 0.5 * torch.randn(8192)])[None, :, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        error = (network(stems.sum(1)) - stems).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        losses.append(error.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("kind", MODELS)
def test_every_weight_is_used(kind):
    network = small(kind)
    network(torch.randn(1, 2, 8192)).square().mean().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in network.parameters())


@pytest.mark.parametrize("kind", MODELS)
def test_it_begins_by_sharing_the_mixture_out(kind):
    mixture = torch.randn(1, 2, 16384)
    stems = small(kind)(mixture)
    error = (stems - mixture[:, None] / 4).square().mean() / (mixture / 4).square().mean()
    assert error < 0.5


def test_masks_of_the_toy_lie_between_nothing_and_all():
    network = UNet(UNetConfig(n_fft=512, hop=256, width=4))
    masks = network.masks(10 * torch.rand(1, 2, 257, 21))
    assert masks.shape == (1, 4, 2, 257, 21)
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_masks_of_the_compact_net_are_complex_and_the_same_at_any_level():
    network = small("compact").eval()
    spectrogram = network.stft(torch.randn(1, 2, 8000))
    masks = network.masks(spectrogram)
    assert masks.shape == (1, 4, *spectrogram.shape[1:])
    assert masks.is_complex()
    torch.testing.assert_close(network.masks(100 * spectrogram), masks, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bins", [8, 100, 1024, 2048])
def test_bands_cover_every_bin_once(bins):
    regions = band_regions(bins, narrowest=4, bands_an_octave=6)
    assert regions[0].begin == 0
    assert all(after.begin == before.end for before, after in itertools.pairwise(regions))
    assert regions[-1].end >= bins > regions[-1].end - regions[-1].width


def test_bands_widen_with_the_octaves():
    assert [(r.begin, r.count, r.width) for r in band_regions(2048, 4, 6)] == [
        (0, 12, 4),
        (48, 6, 8),
        (96, 6, 16),
        (192, 6, 32),
        (384, 6, 64),
        (768, 6, 128),
        (1536, 2, 256),
    ]


@pytest.mark.parametrize("kind", MODELS)
def test_saved_and_loaded_it_separates_the_same(kind, tmp_path):
    network = small(kind, ("a", "b")).eval()
    save(network, tmp_path)
    again = load(tmp_path).eval()
    assert type(again) is type(network)
    assert again.config == network.config
    mixture = torch.randn(1, 2, 4000)
    torch.testing.assert_close(again(mixture), network(mixture), rtol=0, atol=0)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(SepnbError, match="holds no trained model"):
        load(tmp_path)


def test_weights_that_do_not_fit_the_config_are_said(tmp_path):
    save(small("toy"), tmp_path)
    write_json(tmp_path / "model.json", {**read_json(tmp_path / "model.json"), "width": 8})
    with pytest.raises(SepnbError, match="do not go together"):
        load(tmp_path)


def test_torn_weights_are_said(tmp_path):
    save(small("toy"), tmp_path)
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SepnbError, match="damaged"):
        load(tmp_path)


def test_kinds_and_settings_that_there_are_not():
    with pytest.raises(SepnbError, match="no model 'wave'; there are toy, compact"):
        build("wave", ("a",), 1, 8000)
    with pytest.raises(SepnbError, match="no setting 'heads'; it has channels, depth"):
        build("toy", ("a",), 1, 8000, heads=3)
    with pytest.raises(SepnbError, match="cannot be saved"):
        save(torch.nn.Linear(2, 2), "nowhere")


@pytest.mark.parametrize("kind", MODELS)
def test_a_window_lasts_as_long_at_another_rate(kind):
    at_full, at_16k = (build(kind, ("a", "b"), 1, rate).config for rate in (44100, 16000))
    assert 0.7 < (at_16k.n_fft / 16000) / (at_full.n_fft / 44100) < 1.42
    assert at_16k.n_fft / at_16k.hop == at_full.n_fft / at_full.hop
    assert build(kind, ("a", "b"), 1, 16000, n_fft=512, hop=128).config.n_fft == 512


@pytest.mark.parametrize("kind", MODELS)
def test_one_example_in_a_batch_does_not_touch_another(kind):
    network = small(kind).train()
    mixture = torch.randn(3, 2, 4096)
    torch.testing.assert_close(network(mixture)[:1], network(mixture[:1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_in_sixteen_bits_the_spectrograms_stay_in_thirty_two(kind):
    network = small(kind).eval()
    spectrogram = network.stft(torch.randn(1, 2, 8192))
    wanted = network.estimate(spectrogram)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = network.estimate(spectrogram)
    assert estimate.dtype == torch.complex64
    assert (estimate - wanted).abs().square().sum() < 0.01 * wanted.abs().square().sum()
