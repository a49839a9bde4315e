"""Sizes of networks, against sums by hand, published counts, and what autograd really keeps."""

import pytest
import torch
from torch import Tensor, nn

from sepnb.errors import SepnbError
from sepnb.models import UNet, UNetConfig
from sepnb.probe import STORY, model_size, sizes
from sepnb.probe.story import SOURCES, MusicConvTasNet

FLOAT = 4


class Chain(nn.Module):
    """Calls a function on the input of its layer: what a test needs to bend a layer to its purpose."""

    def __init__(self, layer: nn.Module, run) -> None:
        super().__init__()
        self.layer = layer
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.layer, x)


def test_convolution_by_hand():
    size = model_size(lambda: nn.Conv1d(3, 8, 5, stride=2), (4, 3, 101), seconds=0.5)
    assert size.parameters == 8 * 3 * 5 + 8
    assert size.parameter_bytes == size.parameters * FLOAT
    steps = (101 - 5) // 2 + 1
    assert size.multiply_adds == 4 * steps * 8 * 3 * 5
    assert size.multiply_adds_per_second == size.multiply_adds / (4 * 0.5)
    # The gradient of the weights needs the input, and nothing else does.
    assert size.activation_bytes == 4 * 3 * 101 * FLOAT


def test_grouped_and_transposed_convolutions_by_hand():
    depthwise = model_size(lambda: nn.Conv1d(6, 6, 3, padding=1, groups=6), (1, 6, 50), seconds=1)
    assert depthwise.multiply_adds == 50 * 6 * 3
    transposed = model_size(lambda: nn.ConvTranspose1d(6, 2, 8, stride=4), (1, 6, 50), seconds=1)
    assert transposed.multiply_adds == 50 * 6 * 2 * 8


def test_linear_by_hand():
    size = model_size(lambda: nn.Linear(10, 4, bias=False), (2, 7, 10), seconds=1)
    assert (size.parameters, size.multiply_adds) == (40, 2 * 7 * 40)
    assert size.activation_bytes == 2 * 7 * 10 * FLOAT


@pytest.mark.parametrize("directions", [1, 2])
def test_lstm_by_hand(directions):
    lstm = lambda: nn.LSTM(5, 3, num_layers=2, bidirectional=directions == 2, batch_first=True)  # noqa: E731
    size = model_size(lambda: Chain(lstm(), lambda layer, x: layer(x)[0]), (2, 11, 5), seconds=1)
    steps = 2 * 11 * directions
    assert size.multiply_adds == steps * (4 * 3 * (5 + 3) + 4 * 3 * (3 * directions + 3))
    inputs, outputs = 2 * 11 * 5, 2 * steps * 3
    assert size.activation_bytes == (inputs + outputs + 2 * steps * 5 * 3) * FLOAT


def test_attention_by_hand():
    attend = lambda layer, x: nn.functional.scaled_dot_product_attention(*[layer(x)] * 3)  # noqa: E731
    size = model_size(lambda: Chain(nn.Linear(16, 16, bias=False), attend), (1, 2, 30, 16), seconds=1)
    assert size.multiply_adds == 2 * 30 * 16 * 16 + 2 * (2 * 30 * 30 * 16)


def test_what_two_layers_share_is_counted_once():
    chain = lambda: nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))  # noqa: E731
    # The input for the first layer; then the ReLU's output, which the ReLU and the second layer both keep.
    assert model_size(chain, (1, 10), seconds=1).activation_bytes == (10 + 20) * FLOAT


def test_nothing_is_allocated():
    size = model_size(lambda: nn.Linear(1_000_000, 1_000_000, bias=False), (1, 1_000_000), seconds=1)
    assert size.parameter_bytes == 4 * 10**12


def really_kept(model: nn.Module, mixture: Tensor) -> int:
    """Bytes that autograd keeps in a real forward pass, without the model's own."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = model.train()(mixture)
    assert output.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def small_htdemucs() -> nn.Module:
    from demucs.htdemucs import HTDemucs

    return HTDemucs(list(SOURCES), channels=8, dconv_mode=3, bottom_channels=32, t_layers=3, t_heads=4)


def small_hdemucs() -> nn.Module:
    from demucs.hdemucs import HDemucs

    return HDemucs(list(SOURCES), channels=8, dconv_lstm=6)


@pytest.mark.parametrize(
    "build",
    [
        small_htdemucs,
        small_hdemucs,
        lambda: MusicConvTasNet(filters=16, hidden=32, blocks=3, repeats=2),
        lambda: UNet(UNetConfig(width=4)),
    ],
    ids=["htdemucs", "hdemucs", "conv_tasnet", "unet"],
)
def test_estimate_is_what_autograd_keeps(build):
    torch.manual_seed(0)
    mixture = torch.randn(2, 2, 22050)
    estimate = model_size(build, tuple(mixture.shape), seconds=0.5).activation_bytes
    # Real runs keep a scalar or two more, where a number takes the place of a tensor.
    assert estimate == pytest.approx(really_kept(build(), mixture), abs=64)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_lstm_formula_is_the_least_that_a_real_one_keeps():
    build = lambda: Chain(nn.LSTM(64, 32, num_layers=2, bidirectional=True), lambda layer, x: layer(x)[0])  # noqa: E731
    estimate = model_size(build, (100, 2, 64), seconds=1).activation_bytes
    with torch.backends.mkldnn.flags(enabled=False):
        real = really_kept(build(), torch.randn(100, 2, 64))
    assert estimate <= real <= 1.5 * estimate


# Published, in millions: htdemucs' released weights; hdemucs; v2's weights of 1,014 MB; Conv-TasNet's of 42 MB
# (torchaudio's blocks have biases that those had not, 0.5 % more); Open-Unmix, one target.
PUBLISHED = {"htdemucs": 41.98, "hdemucs": 83.64, "demucs_v2": 265.68, "conv_tasnet": 11.03, "open_unmix": 8.89}


def test_parameters_of_the_story_are_as_published():
    table = sizes(segment=1.0).set_index("model")
    assert list(table.index) == [model.title for model in STORY.values()]
    for name, millions in PUBLISHED.items():
        assert table["parameters"][STORY[name].title] / 1e6 == pytest.approx(millions, abs=0.005)
    assert (table[["multiply_adds", "activation_bytes"]] > 0).all().all()


def test_activations_grow_with_batch_and_segment():
    once, batch, longer = (STORY["conv_tasnet"].size(*case).activation_bytes for case in [(1.0, 1), (1.0, 4), (2.0, 1)])
    assert batch == pytest.approx(4 * once, rel=1e-3)
    assert longer == pytest.approx(2 * once, rel=1e-3)


def test_table_has_a_row_a_model_with_its_own_segment():
    table = sizes(["open_unmix", STORY["unet"]])
    assert list(table["model"]) == ["Open-Unmix (one target)", "U-Net (ours)"]
    assert list(table["segment"]) == [6.0, 3.0]
    assert (table["source"] != "").all()
    assert (sizes(["unet"], segment=1.0, batch=2)[["segment", "batch"]].to_numpy() == [[1.0, 2]]).all()


def test_our_network_is_probed_as_it_is_trained():
    from sepnb.training.recipes import find_recipe

    recipe = find_recipe("toy-3s")
    assert (STORY["unet"].segment, STORY["unet"].batch) == (recipe.seconds, recipe.batch_size)
    assert recipe.model == "toy"
    assert recipe.settings == {}, "it is trained as it comes"


def test_unknown_model_is_named_with_what_there_is():
    with pytest.raises(SepnbError, match=r"'demux'.*htdemucs"):
        sizes(["demux"])


def test_nothing_to_measure():
    with pytest.raises(SepnbError, match="more than zero"):
        STORY["unet"].size(segment=0.0)


def test_what_cannot_be_counted_says_so():
    with pytest.raises(SepnbError, match="GRU"):
        model_size(lambda: nn.GRU(4, 4), (10, 1, 4), seconds=1)
    peek = lambda: Chain(nn.Linear(4, 4), lambda layer, x: layer(x) * x.max().item())  # noqa: E731
    with pytest.raises(SepnbError, match="value of a tensor"):
        model_size(peek, (1, 4), seconds=1)
