"""The engine cuts, batches and joins so that nothing shows, in memory that does not grow with the song."""

import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from songs import noise

from sepnb import separators
from sepnb.errors import SepnbError
from sepnb.separators import engine, streaming
from sepnb.separators.base import describe
from sepnb.separators.engine import NetworkSeparator, Policy
from sepnb.separators.resampling import resampled, resampled_blocks
from sepnb.separators.runner import Runner
from sepnb.separators.segments import Cut, OverlapAdd, triangle, with_context
from sepnb.separators.streaming import StreamingSeparator, separate_in_blocks

RATE = 1000
NAMES = ("a", "b", "c")


def shares(mixture: torch.Tensor) -> torch.Tensor:
    """A network whose stems are known: 1, 2 and 3 sixths of what it is given."""
    return mixture[:, None] * torch.tensor([1.0, 2.0, 3.0])[:, None, None] / 6


def made(network=shares, channels: int = 2, segment: int = 400, **settings) -> NetworkSeparator:
    policy = {name: settings.pop(name) for name in list(settings) if name in Policy.__dataclass_fields__}
    return NetworkSeparator("made", NAMES, RATE, channels, network, Policy(segment, **policy), **settings)


class Counting:
    """Notes the batches that go through it; memory suffices for so many segments."""

    def __init__(self, enough: int = 100, message: str | None = None) -> None:
        self.enough, self.message, self.seen = enough, message, []

    def __call__(self, mixture: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(mixture.shape))
        if len(mixture) > self.enough:
            raise RuntimeError(self.message) if self.message else torch.cuda.OutOfMemoryError("no room")
        return shares(mixture)


# ------------------------------------------------------------------------------------------------ cutting and joining


@pytest.mark.parametrize(
    ("segment", "stride"), [(1, 1), (2, 1), (2, 2), (7, 1), (7, 2), (7, 5), (100, 1), (100, 5), (100, 75), (100, 100)]
)
@pytest.mark.parametrize(("begin", "samples"), [(0, 1), (0, 99), (0, 301), (-40, 250)])
def test_shares_of_all_segments_sum_to_one_at_every_sample(segment, stride, begin, samples):
    cut = Cut(begin, samples, segment, stride)
    total = np.zeros(samples - begin)
    for number in range(len(cut)):
        start = cut.start(number) - begin
        total[start : start + cut.length(number)] += cut.share(number)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_weights_are_a_triangle_without_zeros():
    np.testing.assert_allclose(triangle(5), np.array([1, 2, 3, 2, 1]) / 3)
    np.testing.assert_allclose(triangle(4), np.array([1, 2, 2, 1]) / 2)


@pytest.mark.parametrize(
    ("start", "samples", "length", "mean", "scale", "expected"),
    [
        (4, 2, 6, 0, 1, [3, 4, 5, 6, 7, 8]),
        (0, 2, 5, 0, 1, [0, 1, 2, 3, 4]),
        (8, 2, 6, 1, 2, [3, 3.5, 4, 4.5, 0, 0]),  # silence is silence also when the mixture is shifted and scaled
        (-3, 5, 5, 0, 1, [0, 0, 0, 1, 2]),
        (0, 10, 14, 0, 1, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0]),
    ],
)
def test_context_is_the_neighbouring_audio_and_silence_beyond_the_ends(start, samples, length, mean, scale, expected):
    segment = with_context(np.arange(1.0, 11)[None], start, samples, length, mean, scale)
    np.testing.assert_array_equal(segment, [expected])


@pytest.mark.parametrize("block", [1, 3, 100])
def test_sums_are_handed_out_once_and_what_lies_before_the_song_is_dropped(block, monkeypatch):
    monkeypatch.setattr("sepnb.separators.segments.BLOCK", block)
    sums = OverlapAdd(1, 1)
    sums.add(-2, np.ones((1, 1, 5), np.float32))
    sums.add(1, np.ones((1, 1, 4), np.float32))
    np.testing.assert_array_equal(np.concatenate(list(sums.blocks(2)), axis=-1), [[[1, 2]]])
    np.testing.assert_array_equal(np.concatenate(list(sums.blocks(5)), axis=-1), [[[2, 1, 1]]])
    assert list(sums.blocks(5)) == []
    assert sums.finish(5).shape == (1, 1, 0)


# ----------------------------------------------------------------------------------------------------------- networks


def naive_overlap_add(network, mixture: np.ndarray, segment: int, stride: int) -> np.ndarray:
    """What the engine must come to: every segment weighted by a triangle, added up, and divided by the weights."""
    samples = mixture.shape[-1]
    rising = np.minimum(np.arange(1, segment + 1), np.arange(segment, 0, -1))
    total, weights = np.zeros((len(NAMES), *mixture.shape)), np.zeros(samples)
    for start in range(0, samples, stride):
        end = min(start + segment, samples)
        stems = network(torch.from_numpy(mixture[None, :, start:end]))[0].numpy()
        total[..., start:end] += rising[: end - start] * stems
        weights[start:end] += rising[: end - start]
    return total / weights


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 3333])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_the_engine_equals_a_naive_overlap_add(samples, overlap):
    def uneven(mixture):  # what a segment says of a sample depends on where in the segment it is
        return shares(mixture) * torch.linspace(0, 1, mixture.shape[-1])

    mixture = noise(16, samples / RATE, rate=RATE)
    separator = made(uneven, segment=400, overlap=overlap, batch=3)
    expected = naive_overlap_add(uneven, mixture, 400, int((1 - overlap) * 400))
    np.testing.assert_allclose(np.stack(list(separator(mixture, RATE).values())), expected, atol=1e-6)


@pytest.mark.parametrize("segment", [0.001, 0.03, 0.2])
@pytest.mark.parametrize("samples", [1, 90, 1000])
def test_segments_shorter_than_a_shift_can_lie_before_the_song(segment, samples):
    mixture = noise(17, samples / RATE, rate=RATE)
    separator = made(shifts=3, length=lambda samples: samples + 11).with_options(segment=segment, overlap=0.0)
    for share, stem in zip((1 / 6, 2 / 6, 3 / 6), separator(mixture, RATE).values(), strict=True):
        np.testing.assert_allclose(stem, mixture * share, atol=1e-6)


def test_inference_mode_ends_where_a_block_is_handed_out():
    between = [torch.is_inference_mode_enabled() for _ in made().blocks(noise(18, 2.0, rate=RATE))]
    assert len(between) > 2 and not any(between)


@pytest.mark.parametrize("samples", [1, 2, 100, 399, 400, 401, 3333])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"overlap": 0.0, "batch": 3},
        {"overlap": 0.9, "batch": 2, "normalise": True},
        {"whole": True, "shifts": 3, "normalise": True},
        {"length": lambda samples: samples + 37, "shifts": 2, "batch": 4},
    ],
)
def test_length_and_content_are_kept_whatever_the_policy(samples, settings):
    mixture = noise(1, samples / RATE, rate=RATE)
    stems = made(**settings)(mixture, RATE)
    assert tuple(stems) == NAMES
    # The mean that normalising took away is given back to every stem, as Demucs does it.
    mean = mixture.mean() if settings.get("normalise") and samples > 1 else 0
    for share, stem in zip((1 / 6, 2 / 6, 3 / 6), stems.values(), strict=True):
        np.testing.assert_allclose(stem, (mixture - mean) * share + mean, atol=1e-6)


def test_a_network_gets_the_normalised_song_and_its_stems_are_scaled_back():
    heard = []

    def network(mixture):
        heard.append(mixture.numpy().copy())
        return shares(mixture)

    mixture = 0.3 + 5 * noise(2, 0.3, rate=RATE)
    made(network, normalise=True)(mixture, RATE)
    mono = mixture.mean(0)
    np.testing.assert_allclose(heard[0][0], (mixture - mono.mean()) / mono.std(ddof=1), atol=1e-5)


def test_a_silent_song_stays_silent():
    stems = made(normalise=True)(np.zeros((2, 900), np.float32), RATE)
    assert all(not stem.any() for stem in stems.values())


def test_batches_hold_segments_of_one_length_and_change_nothing():
    mixture = noise(3, 2.05, rate=RATE)
    one, many = Counting(), Counting()
    single, batched = made(one, batch=1)(mixture, RATE), made(many, batch=3)(mixture, RATE)
    assert [shape[0] for shape in many.seen] == [3, 3, 1]
    assert {shape[0] for shape in one.seen} == {1}
    for name in NAMES:
        np.testing.assert_array_equal(single[name], batched[name])


def test_a_bag_is_the_mean_weighted_by_source():
    def nothing(mixture):
        return torch.zeros(len(mixture), 3, *mixture.shape[1:])

    mixture = noise(4, 1.0, rate=RATE)
    bag = made([shares, nothing], weights=[[1, 1, 3], [1, 0, 1]])(mixture, RATE)
    for name, share in zip(NAMES, (1 / 12, 2 / 6, 3 / 8), strict=True):
        np.testing.assert_allclose(bag[name], share * mixture, atol=1e-6)


def test_shifts_are_drawn_from_the_seed_anew_for_each_song():
    def uneven(mixture):  # a network whose output depends on where a segment begins
        return shares(mixture * torch.linspace(0, 1, mixture.shape[-1]))

    mixture = noise(5, 2.0, rate=RATE)
    separator = made(uneven, shifts=2, seed=3)
    first, again = separator(mixture, RATE)["c"], separator(mixture, RATE)["c"]
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - separator.with_options(seed=4)(mixture, RATE)["c"]).max() > 1e-3


# ------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("message", [None, "CUDA out of memory. Tried to allocate", "can't allocate memory: you tried"])
def test_out_of_memory_makes_batches_smaller_and_goes_on(message):
    mixture = noise(6, 3.0, rate=RATE)
    network = Counting(enough=2, message=message)
    with pytest.warns(UserWarning, match="batches of 4|batches of 2"):
        stems = made(network, batch=8)(mixture, RATE)
    assert [shape[0] for shape in network.seen] == [8, 4, 2, 2, 2, 2, 1, 1]
    np.testing.assert_array_equal(stems["c"], made(batch=1)(mixture, RATE)["c"])


def test_out_of_memory_for_one_segment_says_what_to_do():
    network = Counting(enough=0)
    with pytest.raises(SepnbError, match=r"made: memory on cpu.*one segment of 400 samples.*--segment.*--device cpu"):
        made(network)(noise(7, 1.0, rate=RATE), RATE)


def test_another_error_of_the_network_is_not_taken_for_want_of_memory():
    network = Counting(enough=0, message="mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        made(network, batch=4)(noise(7, 1.0, rate=RATE), RATE)
    assert len(network.seen) == 1


def test_memory_grows_neither_with_the_song_nor_with_stems_times_length():
    sources = tuple(f"s{number}" for number in range(12))

    def network(mixture):
        return mixture[:, None].expand(-1, len(sources), -1, -1) / len(sources)

    def peak(seconds: int) -> int:
        separator = NetworkSeparator("many", sources, RATE, 2, network, Policy(4 * RATE, normalise=True), shifts=1)
        mixture = noise(8, seconds, rate=RATE)
        tracemalloc.start()
        total = sum(block.shape[-1] for block in separate_in_blocks(separator, mixture, RATE))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == mixture.shape[-1]
        return peak

    peak(20)  # what is imported on the way counts only once
    short, long = peak(200), peak(1000)
    assert long < 1.3 * short
    assert long < 0.1 * len(sources) * 2 * 1000 * RATE * 4  # the stems would be that large


# ---------------------------------------------------------------------------------------------------- device and form


def test_half_precision_that_overflows_gives_way_to_single():
    precisions = []

    def network(mixture):
        precisions.append(torch.is_autocast_enabled("cpu"))
        return shares(mixture) * (torch.inf if precisions[-1] else 1)

    runner = Runner(network, "cpu", half=True, batch=1, name="made")
    with pytest.warns(UserWarning, match="half precision overflows"):
        stems = list(runner(np.ones((3, 2, 10), np.float32)))
    assert precisions == [True, False, False, False]
    assert np.isfinite(stems).all()


@pytest.mark.parametrize(
    ("device", "precision", "gains", "expected"),
    [
        ("cuda", "auto", True, "fp16"),
        ("cuda", "auto", False, "fp32"),  # every family so far
        ("cuda", "fp16", False, "fp16"),
        ("cuda", "fp32", True, "fp32"),
        ("cuda:1", "auto", True, "fp16"),
        ("cpu", "auto", True, "fp32"),
    ],
)
def test_half_precision_is_for_gpus_on_demand_or_where_a_family_gains(device, precision, gains, expected, monkeypatch):
    asked = []

    def runner(network, device, half, batch, name):
        asked.append(half)
        return Runner(network, "cpu", False, batch, name)  # there need be no GPU

    monkeypatch.setattr(engine, "Runner", runner)
    separator = made(device=device, precision=precision, half=gains)
    assert separator.settings["precision"] == expected
    separator(noise(9, 0.1, rate=RATE), RATE)
    assert asked == [expected == "fp16"]


def test_half_precision_is_refused_where_there_is_no_gpu():
    with pytest.raises(SepnbError, match="CUDA GPUs only"):
        made(precision="fp16")


def test_a_gpu_that_lies_idle_is_said_once(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    streaming._warn_of_idle_gpu.cache_clear()
    mixture = noise(9, 0.1, rate=RATE)
    with pytest.warns(UserWarning, match="on the CPU although a GPU is there"):
        made()(mixture, RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made()(mixture, RATE)
    streaming._warn_of_idle_gpu.cache_clear()


def test_mono_goes_through_a_stereo_network_and_comes_back_mono():
    mixture = noise(10, 1.0, channels=1, rate=RATE)
    stem = made()(mixture, RATE)["c"]
    assert stem.shape == mixture.shape
    np.testing.assert_allclose(stem, mixture / 2, atol=1e-6)


def test_what_cannot_be_separated_is_said():
    with pytest.raises(SepnbError, match="trained on 2 channels; this mixture has 3"):
        made()(noise(11, 0.1, channels=3, rate=RATE), RATE)
    with pytest.raises(SepnbError, match="works at 1000 Hz, not 8000 Hz"):
        made()(noise(11, 0.1), 8000)
    with pytest.raises(SepnbError, match="not finite"):
        made()(np.full((2, 10), np.nan, np.float32), RATE)
    with pytest.raises(SepnbError, match="shape"):
        list(made().blocks(np.zeros(10, np.float32)))
    assert {stem.shape for stem in made()(np.zeros((2, 0), np.float32), RATE).values()} == {(2, 0)}


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_over_seconds_of_music_is_there_where_it_is_wanted(progress, capsys):
    made(progress=progress)(noise(12, 2.5, rate=RATE), RATE)
    assert ("0/2.5" in capsys.readouterr().err) is progress


# ------------------------------------------------------------------------------------------------------------ options


def test_options_make_another_separator_on_the_same_network():
    separator = made(settings={"weights": "abc"}, seed=7)
    other = separator.with_options(segment=0.2, overlap=0.5, shifts=2, batch=None)
    assert other.networks is separator.networks
    assert separator.settings == {
        "weights": "abc",
        "segment": 0.4,
        "overlap": 0.25,
        "normalise": False,
        "shifts": 0,
        "precision": "fp32",
    }
    assert other.settings == {**separator.settings, "segment": 0.2, "overlap": 0.5, "shifts": 2, "seed": 7}
    assert describe(other) == {"name": "made", "sources": list(NAMES), "rate": RATE, **other.settings}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0.0}, "longer than 0"),
        ({"segment": 0.6}, "at most 0.4 s"),
        ({"overlap": 1.0}, "from 0 to below 1"),
        ({"overlap": -0.1}, "from 0 to below 1"),
        ({"shifts": -1}, "0 or more"),
        ({"batch": 0}, "1 or more"),
        ({"precision": "bf16"}, "auto, fp32 or fp16"),
        ({"speed": 3}, "no option 'speed'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(SepnbError, match=message):
        made(longest=400).with_options(**options)


def test_a_family_of_its_own_needs_only_to_stream():
    class Halves(StreamingSeparator):
        name, sources, rate, channels, settings = "halves", ("x", "y"), RATE, 2, {}

        def stream(self, mixture):
            for begin in range(0, mixture.shape[-1], 100):
                yield np.stack([mixture[:, begin : begin + 100] / 2] * 2)

    mixture = noise(13, 0.95, rate=RATE)
    separator = Halves().with_options(segment=None, progress=False)
    assert isinstance(separator, separators.Separator)
    np.testing.assert_allclose(separator(mixture, RATE)["y"], mixture / 2)
    with pytest.raises(SepnbError, match="halves has no option 'segment'"):
        separator.with_options(segment=3)


# ---------------------------------------------------------------------------------------------------------- resampling


@pytest.mark.parametrize(("rate", "new_rate"), [(48000, 44100), (16000, 44100), (44100, 8000)])
def test_resampling_in_blocks_is_resampling_the_whole(rate, new_rate, monkeypatch):
    monkeypatch.setattr("sepnb.separators.resampling.BLOCK", 1000)
    audio = noise(14, 0.5, rate=rate)
    whole = separators.base.resample(audio, rate, new_rate)
    np.testing.assert_allclose(resampled(audio, rate, new_rate)[:, : whole.shape[-1]], whole, atol=1e-6)


@pytest.mark.parametrize("samples", [3, 500, 600])
def test_resampled_blocks_have_the_length_that_is_asked_for(samples):
    blocks = list(resampled_blocks(np.ones((7, 2, 1, 80), np.float32), 2000, 2000 + 1, samples))
    assert np.concatenate(blocks, axis=-1).shape == (2, 1, samples)
    assert list(resampled_blocks([], 2000, 1000, samples)) == []


@pytest.mark.parametrize("samples", [1, 5003, 30011])
def test_another_rate_in_blocks_is_another_rate_at_once(samples):
    mixture = noise(15, samples / 1470, rate=1470)
    blocks = np.concatenate(list(separate_in_blocks(made(normalise=True), mixture, 1470)), axis=-1)
    stems = separators.separate(made(normalise=True), mixture, 1470)
    assert blocks.shape == (3, *mixture.shape)
    np.testing.assert_allclose(blocks, np.stack(list(stems.values())), atol=1e-5)
