"""TensorFlow's checkpoints read without it: values as TensorFlow wrote them, and damage that is noticed.

The golden checkpoint was written by TensorFlow 2.12 (tests/golden/make_spleeter_golden.py); forged ones are made here.
"""

import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from sepnb.errors import SepnbError
from sepnb.ports.crc32c import crc32c, masked
from sepnb.ports.tensorflow_checkpoint import MAGIC, Checkpoint

GOLDEN = Path(__file__).parent / "golden"
INDEX, DATA = "variables.index", "variables.data-00000-of-00001"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    with tarfile.open(GOLDEN / "tensorflow_variables.tar.xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    stored = dict(np.load(GOLDEN / "tensorflow_variables.npz"))
    layers = stored.pop("layers")
    return stored | {f"layer_{at:03}/{'long_' * 300}kernel": layer for at, layer in enumerate(layers)}


# -------------------------------------------------------------------------------------------- what TensorFlow wrote


def test_every_variable_of_every_type_is_as_tensorflow_wrote_it(files, expected):
    checkpoint = Checkpoint(files, "golden")
    assert set(checkpoint.names) == set(expected) | {"kinds/text"}
    for name, value in expected.items():
        found = checkpoint.read(name)
        assert found.dtype == value.dtype and found.shape == value.shape == checkpoint.shape(name), name
        np.testing.assert_array_equal(found, value, err_msg=name)


def test_the_golden_index_has_several_blocks_and_keys_that_share_their_beginnings(files, expected):
    # or the test above would not have read what it is there for
    assert len(files[INDEX]) > 262_144  # the size after which TensorFlow begins another block
    assert files[INDEX].count(b"kinds/") < sum(name.startswith("kinds/") for name in expected)


def test_from_disk_by_its_prefix(files, expected, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    checkpoint = Checkpoint.open(tmp_path / "variables")
    np.testing.assert_array_equal(checkpoint.read("big"), expected["big"])
    assert "big" in checkpoint and "small" not in checkpoint


def test_arrays_are_the_callers_own(files):
    checkpoint = Checkpoint(files, "golden")
    checkpoint.read("big")[:] = 0
    assert checkpoint.read("big").any()


# ------------------------------------------------------------------------------------------------------------ damage


def changed(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def test_a_changed_byte_of_a_tensor_is_noticed_and_the_others_still_read(files, expected):
    at = files[DATA].index(expected["big"].tobytes()) + 1001
    checkpoint = Checkpoint({**files, DATA: changed(files[DATA], at)}, "golden.tar")
    with pytest.raises(SepnbError, match=r"golden\.tar is damaged.*big do not have their CRC-32C"):
        checkpoint.read("big")
    np.testing.assert_array_equal(checkpoint.read("kinds/int32"), expected["kinds/int32"])


@pytest.mark.parametrize("at", [0, 1, 100, 200_000, 270_000, -60, -44, -8, -1])
def test_a_changed_byte_of_the_index_is_noticed(files, at):
    with pytest.raises(SepnbError, match="damaged"):
        Checkpoint({**files, INDEX: changed(files[INDEX], at % len(files[INDEX]))}, "golden")


@pytest.mark.parametrize("kept", [0, 1, 47, 48, 1000, 262_144, -1])
def test_a_truncated_index_is_noticed(files, kept):
    with pytest.raises(SepnbError, match="damaged"):
        Checkpoint({**files, INDEX: files[INDEX][:kept]}, "golden")


def test_truncated_data_are_noticed(files):
    checkpoint = Checkpoint({**files, DATA: files[DATA][:100]}, "golden")
    with pytest.raises(SepnbError, match="beyond the end of the data"):
        checkpoint.read("kinds/int32")


def test_files_that_are_missing_are_named(files, tmp_path):
    with pytest.raises(SepnbError, match=DATA):
        Checkpoint({INDEX: files[INDEX]}, "golden")
    with pytest.raises(SepnbError, match=r"0 files \*\.index"):
        Checkpoint({DATA: files[DATA]}, "golden")
    with pytest.raises(SepnbError, match="absent.index is not there"):
        Checkpoint.open(tmp_path / "absent")


def test_a_variable_that_is_missing_is_named(files):
    with pytest.raises(SepnbError, match="golden has no variable conv2d/kernel"):
        Checkpoint(files, "golden").read("conv2d/kernel")


def test_text_is_not_read(files):
    with pytest.raises(SepnbError, match="kinds/text has the type number 7"):
        Checkpoint(files, "golden").read("kinds/text")


# ------------------------------------------------------------------------------------------------------------ forged


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def shaped(*sizes: int) -> bytes:
    return field(2, b"".join(field(2, field(1, size)) for size in sizes))


def table(entries: dict[bytes, bytes], compression: int = 0) -> bytes:
    """An index as TensorFlow writes it, with good CRCs, of whatever entries."""

    def block(pairs: dict[bytes, bytes]) -> bytes:
        content = b"".join(b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs.items())
        content += struct.pack("<II", 0, 1) + bytes([compression])
        return content + struct.pack("<I", masked(crc32c(np.frombuffer(content, np.uint8))))

    def handle(begin: int, content: bytes) -> bytes:
        return varint(begin) + varint(len(content) - 5)

    data, meta = block(entries), block({})
    index = block({b"\xff": handle(0, data)})
    begin = len(data) + len(meta)
    footer = (handle(len(data), meta) + handle(begin, index)).ljust(40, b"\0") + MAGIC.to_bytes(8, "little")
    return data + meta + index + footer


HEADER = field(1, 1)
FLOATS = field(1, 1)  # the type float32


def forged(entries: dict[bytes, bytes], **options: int) -> Checkpoint:
    return Checkpoint({"m.index": table(entries, **options), "m.data-00000-of-00001": bytes(64)}, "forged")


def test_a_sound_forgery_is_read():
    # so that the refusals below are of what is wrong with them
    checkpoint = forged({b"": HEADER, b"x": FLOATS + shaped(2, 3) + field(4, 8) + field(5, 24)})
    np.testing.assert_array_equal(checkpoint.read("x"), np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (FLOATS + shaped(2, 3) + field(5, 20), "has the shape (2, 3) but 20 bytes"),
        (FLOATS + shaped(16) + field(4, 8) + field(5, 64), "beyond the end"),
        (FLOATS + shaped(1) + field(3, 7) + field(5, 4), "beyond the end"),
        (FLOATS + shaped(1 << 40, 1 << 40) + field(5, 4), "but 4 bytes"),
        (field(1, 14) + shaped(1) + field(5, 2), "type number 14"),
        (FLOATS + shaped(1) + field(5, 4) + field(7, b""), "stored in slices"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_when_it_is_read(entry, message):
    with pytest.raises(SepnbError, match=re.escape(message)):
        forged({b"": HEADER, b"x": entry}).read("x")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({b"x": FLOATS}, "no header"),
        ({b"": field(1, 0)}, "0 data files"),
        ({b"": field(1, 1 << 60)}, "data files"),
        ({b"": HEADER + field(2, 1)}, "big-endian"),
        ({b"": HEADER, b"\xff\xfe": FLOATS}, "not text"),
        ({b"": HEADER, b"x": field(2, 5)}, "wrong kind"),
        ({b"": HEADER, b"x": shaped((1 << 64) - 1)}, "no definite shape"),
        ({b"": HEADER, b"x": b"\xff" * 12}, "no end"),
        ({b"": HEADER, b"x": varint(5 << 3 | 3)}, "unknown kind"),
        ({b"": HEADER, b"x": field(2, b"abc")[:-1]}, "cut off"),
    ],
)
def test_an_index_that_cannot_be_is_refused(entries, message):
    with pytest.raises(SepnbError, match=message):
        forged(entries)


def test_a_compressed_block_is_refused():
    with pytest.raises(SepnbError, match="compressed"):
        forged({b"": HEADER}, compression=1)


def test_garbage_behind_good_checksums_raises_nothing_but_our_error():
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        garbage = rng.integers(0, 64, rng.integers(1, 40), dtype=np.uint8).tobytes()
        try:
            forged({b"": HEADER, b"x": garbage}).read("x")
        except SepnbError:
            refused += 1
    assert refused > 250
