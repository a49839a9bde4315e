"""The rebuilt Spleeter against the original, and its models as separators of whole songs.

Golden files: networks of random weights and few filters, and what Spleeter 2.4.2 made of a test song with them
(tests/golden/make_spleeter_golden.py).
"""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.make_spleeter_golden import OTHER_SETTINGS, song
from loopback import Resource, loopback

from sepnb.errors import DownloadError, SepnbError
from sepnb.ports.spleeter import Spleeter, SpleeterConfig
from sepnb.ports.tensorflow_checkpoint import Checkpoint
from sepnb.separators import spleeter
from sepnb.separators.runner import Runner
from sepnb.separators.spleeter import SpleeterSeparator, load_spleeter, load_spleeter_archive, read_archive
from sepnb.weights import WeightFile

GOLDEN = Path(__file__).parent / "golden"
RELEASED = ("2stems", "4stems", "5stems")
# OTHER_SETTINGS as the port has them: all that can differ differs, and a song of 2 s takes four blocks.
OTHER = SpleeterConfig(
    sources=tuple(OTHER_SETTINGS["instrument_list"]),
    encoder="ReLU",
    decoder="LeakyReLU",
    rate=16000,
    frame=512,
    hop=128,
    bins=192,
    block=64,
    exponent=1,
    extension="average",
)


def separator(name: str) -> SpleeterSeparator:
    config = OTHER if name == "other" else spleeter.RELEASED[f"spleeter-{name}"].config
    return load_spleeter_archive(GOLDEN / f"spleeter_{name}.tar.gz", config, name)


@pytest.fixture(scope="module")
def other() -> SpleeterSeparator:
    return separator("other")


def stack(stems: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack(list(stems.values()))


# -------------------------------------------------------------------------------------------------------- the original


@pytest.mark.parametrize(("name", "seconds"), [*((name, 1.3) for name in RELEASED), ("other", 1.9)])
def test_stems_are_those_of_the_original(name, seconds):
    expected = np.load(GOLDEN / "spleeter_expected.npz")
    system = separator(name)
    stems = system(song(seconds, system.rate).T, system.rate)
    assert tuple(stems) == system.sources
    found = stack(stems)
    assert np.abs(expected[name]).max(axis=(1, 2)).min() > 0.05, "every stem has to be heard for this to mean anything"
    np.testing.assert_allclose(found[..., :: int(expected["stride"])], expected[name], atol=2e-5)
    np.testing.assert_allclose(found[..., -1], expected[f"{name}_last"], atol=2e-5)


def test_a_checkpoint_of_training_is_read_without_the_optimizers_part():
    checkpoint = Checkpoint(read_archive(GOLDEN / "spleeter_2stems.tar.gz"), "golden")
    slots = [name for name in checkpoint.names if name.endswith("/Adam")]
    assert len(slots) > 50, "the golden checkpoint is there to have them"
    Spleeter.from_checkpoint(checkpoint, spleeter.RELEASED["spleeter-2stems"].config)


def test_released_models_have_the_size_of_the_released_files():
    # 39.3 MB a source; the original also has a normalisation of the innermost layer, 4 × 512 values that have no effect
    with torch.device("meta"):
        state = Spleeter(SpleeterConfig(("vocals",))).state_dict()
    values = sum(value.numel() for name, value in state.items() if not name.endswith("num_batches_tracked"))
    assert values + 4 * 512 == 9_826_759


def test_above_the_bins_that_the_networks_see_there_is_nothing():
    system = separator("2stems")
    stems = stack(system(song(1.3, system.rate).T, system.rate))
    power = np.abs(np.fft.rfft(stems * np.hanning(stems.shape[-1]))) ** 2
    limit = round(11_200 / (system.rate / 2) * power.shape[-1])
    assert power[..., limit:].sum() < 1e-6 * power.sum()


# --------------------------------------------------------------------------------------------------------- whole songs


@pytest.mark.parametrize("samples", [1, 127, 512, 64 * 128 - 512, 64 * 128 - 511, 64 * 128, 20_000, 3 * 64 * 128 - 512])
def test_masks_that_sum_to_one_give_back_a_mixture_of_any_length(other, samples):
    mixture = song(2, other.rate).T[:, :samples]
    stems = stack(other(mixture, other.rate))
    assert stems.shape == (3, 2, samples) and stems.dtype == np.float32
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-5)


def test_blocks_stay_small_however_long_the_song(other):
    mixture = song(8, other.rate).T
    sizes = [block.shape[-1] for block in other.stream(mixture)]
    assert sum(sizes) == mixture.shape[-1]
    assert len(sizes) > 10 and max(sizes) <= other.network.stride


@pytest.mark.parametrize("batch", [2, 3, 100])
def test_blocks_together_give_what_they_give_alone(other, batch):
    mixture = song(1.9, other.rate).T
    together = stack(other.with_options(batch=batch)(mixture, other.rate))
    np.testing.assert_allclose(together, stack(other(mixture, other.rate)), atol=1e-6)


def test_an_original_is_not_changed_by_its_options(other):
    assert other.with_options(batch=3).batch == 3 and other.batch is None
    assert other.with_options(batch=None, progress=None).batch is None
    with pytest.raises(SepnbError, match="batch"):
        other.with_options(batch=0)
    with pytest.raises(SepnbError, match="shifts"):
        other.with_options(shifts=2)


def test_smaller_batches_where_memory_does_not_suffice(other, monkeypatch):
    mixture = song(1.9, other.rate).T
    expected = stack(other(mixture, other.rate))
    forward = Spleeter.forward

    def poor(self, audio):
        if len(audio) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, audio)

    monkeypatch.setattr(Spleeter, "forward", poor)
    with pytest.warns(UserWarning, match="memory"):
        found = stack(other.with_options(batch=4)(mixture, other.rate))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_mono_song_comes_back_mono(other):
    mixture = song(0.5, other.rate).T[:1]
    stems = stack(other(mixture, other.rate))
    twice = stack(other(np.repeat(mixture, 2, axis=0), other.rate))
    assert stems.shape == (3, 1, 8000)
    np.testing.assert_allclose(stems, twice.mean(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("precision", "expected"), [(None, "fp32"), ("auto", "fp32"), ("fp32", "fp32"), ("fp16", "fp16")]
)
def test_half_precision_is_for_gpus_on_demand(other, precision, expected, monkeypatch):
    asked = []

    def runner(network, device, half, batch, name):
        asked.append((device, half))
        return Runner(network, "cpu", False, batch, name)  # there need be no GPU

    monkeypatch.setattr(spleeter, "Runner", runner)
    on_gpu = other.with_options()
    on_gpu.device = "cuda"
    on_gpu = on_gpu.with_options(precision=precision)
    assert on_gpu.settings["precision"] == expected
    on_gpu(song(0.5, other.rate).T, other.rate)
    assert asked == [("cuda", expected == "fp16")]


def test_half_precision_is_refused_where_there_is_no_gpu(other):
    with pytest.raises(SepnbError, match="CUDA GPUs only"):
        other.with_options(precision="fp16")


def test_in_half_precision_stems_are_nearly_the_same(other):
    audio = np.stack([song(2, other.rate).T[:, : other.network.samples]])
    half, single = (next(Runner(other.network, "cpu", half, 1, "other")(audio)) for half in (True, False))
    assert 0 < np.abs(half - single).max() < 1e-2 * np.abs(single).max()


def test_settings_tell_one_model_from_another(other):
    assert other.settings["weights"] == hashlib.sha256((GOLDEN / "spleeter_other.tar.gz").read_bytes()).hexdigest()[:16]
    assert other.settings["bins"] == 192 and other.settings["extension"] == "average"


# ------------------------------------------------------------------------------------------------- other checkpoints


@pytest.mark.parametrize(
    ("held", "wanted", "message"),
    [
        ("4stems", "2stems", "networks for more than the 2 sources"),
        ("2stems", "4stems", "has no variable conv2d_14/kernel"),
        ("5stems", "4stems", "networks for more than the 4 sources"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(held, wanted, message):
    path = GOLDEN / f"spleeter_{held}.tar.gz"
    with pytest.raises(SepnbError, match=f"spleeter_{held}.*{message}"):
        load_spleeter_archive(path, spleeter.RELEASED[f"spleeter-{wanted}"].config, wanted)


def test_a_checkpoint_of_a_network_of_another_shape_is_refused():
    config = replace(spleeter.RELEASED["spleeter-2stems"].config, channels=1)
    with pytest.raises(SepnbError, match="belongs to another model"):
        load_spleeter_archive(GOLDEN / "spleeter_2stems.tar.gz", config, "mono")


def test_settings_that_no_network_can_have_are_refused():
    with pytest.raises(SepnbError, match="multiples of 64"):
        SpleeterConfig(("a", "b"), bins=1000)
    with pytest.raises(SepnbError, match="four hops"):
        SpleeterConfig(("a", "b"), hop=512)


# ------------------------------------------------------------------------------------------------------------ archives


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def archive(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for member, content in entries:
            out.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "bad",
    [
        entry("../model.index", b"x"),
        entry("/tmp/model.index", b"x"),
        entry("model.index", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("model.index", type=tarfile.LNKTYPE, linkname="checkpoint"),
        entry("model.index", type=tarfile.FIFOTYPE),
        entry("model.index", type=tarfile.CHRTYPE),
    ],
)
def test_links_and_names_that_lead_out_of_an_archive_are_refused(bad, tmp_path):
    path = archive(tmp_path / "bad.tar.gz", entry("checkpoint", b"x"), bad)
    with pytest.raises(SepnbError, match=r"bad\.tar\.gz holds .*a link or a file outside"):
        read_archive(path)
    assert [found.name for found in tmp_path.iterdir()] == ["bad.tar.gz"]


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path / "large.tar.gz", entry("model.index", bytes(5000)))
    monkeypatch.setattr(spleeter, "LARGEST", 4999)
    with pytest.raises(SepnbError, match="5,000 bytes"):
        read_archive(path)


def test_what_else_lies_in_an_archive_is_left_there(tmp_path):
    wanted = {"model.index": b"index", "model.data-00000-of-00001": b"data"}
    path = archive(
        tmp_path / "more.tar.gz",
        entry("./4stems", type=tarfile.DIRTYPE),
        entry("./4stems/._model.index", b"of macOS"),
        entry("./4stems/checkpoint", b"x"),
        entry("./4stems/model.meta", b"x"),
        *(entry(f"./4stems/{name}", content) for name, content in wanted.items()),
    )
    assert read_archive(path) == wanted


@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-3000], lambda content: b"not an archive at all", bytes.upper]
)
def test_an_archive_that_is_torn_or_none_is_refused(spoil, tmp_path):
    path = tmp_path / "torn.tar.gz"
    path.write_bytes(spoil((GOLDEN / "spleeter_4stems.tar.gz").read_bytes()))
    with pytest.raises(SepnbError, match=r"torn\.tar\.gz"):
        load_spleeter_archive(path, spleeter.RELEASED["spleeter-4stems"].config, "torn")


# ------------------------------------------------------------------------------------------------------------- by name


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SEPNB_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def published(monkeypatch) -> bytes:
    """The golden archive of two stems in the place of the released one, with its digest."""
    content = (GOLDEN / "spleeter_2stems.tar.gz").read_bytes()
    released = spleeter.RELEASED["spleeter-2stems"]
    file = WeightFile(released.weights.url, hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(spleeter.RELEASED, "spleeter-2stems", replace(released, weights=file))
    return content


def test_by_name_an_archive_is_fetched_once(cache, published, monkeypatch):
    with loopback() as server:
        monkeypatch.setenv("SEPNB_WEIGHTS_URL", server.base)
        address = "deezer/spleeter/releases/download/v1.4.0/2stems.tar.gz"
        server.files[address] = Resource(published)
        first = load_spleeter("spleeter-2stems")
        again = load_spleeter("spleeter-2stems")
        assert [path for path, _ in server.asked] == [address]
    assert first.name == again.name == "spleeter-2stems" and first.sources == ("vocals", "accompaniment")
    assert all(file.cached for file in spleeter.weight_files("spleeter-2stems"))


def test_an_archive_that_was_tampered_with_is_refused_before_it_is_read(cache, published):
    (cache / "2stems.tar.gz").write_bytes(published + b"more")
    with pytest.raises(DownloadError, match=r"2stems\.tar\.gz is not the file"):
        load_spleeter("spleeter-2stems")


def test_without_a_network_the_message_names_the_archive_and_its_address(cache, monkeypatch):
    monkeypatch.setenv("SEPNB_WEIGHTS_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("sepnb.weights.RETRIES", 0)
    with pytest.raises(DownloadError, match=r"5stems\.tar\.gz.*github\.com/deezer/spleeter.*v1\.4\.0"):
        load_spleeter("spleeter-5stems")


def test_a_model_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(SepnbError, match="spleeter-2stems, spleeter-4stems, spleeter-5stems"):
        load_spleeter("spleeter-3stems")
