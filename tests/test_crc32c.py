"""The checksum of TensorFlow's files: published values, and the definition bit by bit."""

import numpy as np
import pytest

from sepnb.ports.crc32c import crc32c


def bit_by_bit(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next two: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_published_values(data, expected):
    assert crc32c(np.frombuffer(data, np.uint8)) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 4, 59, 60, 61, 1000, 4095, 4096, 70_001])
def test_any_length_is_as_the_definition_has_it(size):
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    assert crc32c(data) == bit_by_bit(data.tobytes())


def test_a_large_array_has_the_sum_of_its_parts():
    # Leading zeros with the register at zero change nothing, so one changed bit moves the CRC by a known amount.
    data = np.zeros(3_000_001, np.uint8)
    before = crc32c(data)
    data[-1] = 1
    assert before ^ crc32c(data) == bit_by_bit(b"\x01") ^ bit_by_bit(b"\x00")
