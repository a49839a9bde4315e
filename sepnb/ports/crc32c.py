"""CRC-32C (Castagnoli), the checksum of TensorFlow's files, with numpy: fast enough for a network's weights."""

from functools import cache, lru_cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
ONES = 0xFFFFFFFF
BEGIN = bytes.fromhex("54641f64")  # brings a register of zeros to all ones, which a CRC-32C begins with
MOST_LANES = 1 << 14


def masked(crc: int) -> int:
    """A CRC as these files store it: turned and shifted, so that data with CRCs in them have good CRCs as well."""
    return ((crc >> 15 | crc << 17 & ONES) + 0xA282EAD8) & ONES


def crc32c(data: np.ndarray) -> int:
    """CRC-32C of bytes (n,) of uint8, at some hundred megabytes a second.

    A CRC is linear: that of a message is the sum (exclusive or) of those of its parts, each carried over the bytes
    that follow it. So the message is cut into equal lanes, all go forward side by side, and they are joined in pairs.
    Zeros in front, which fill up the first lane, change nothing: the register is all zeros before and after them.
    """
    size = len(BEGIN) + len(data)
    lanes = 1 << min(MOST_LANES.bit_length() - 1, (size // 64).bit_length())
    words = -(-size // (2 * lanes))  # 16-bit words of a lane
    message = np.zeros(2 * lanes * words, np.uint8)
    message[len(message) - size :][: len(BEGIN)] = np.frombuffer(BEGIN, np.uint8)
    message[len(message) - len(data) :] = data
    table = _word_table()
    register = np.zeros(lanes, np.uint32)
    for column in np.ascontiguousarray(message.view("<u2").reshape(lanes, words).T):
        register = np.take(table, register.astype(np.uint16) ^ column) ^ (register >> np.uint32(16))
    length = 2 * words
    while len(register) > 1:
        register = _times(_zeros(length), register[0::2]) ^ register[1::2]
        length *= 2
    return int(register[0]) ^ ONES


@cache
def _word_table() -> np.ndarray:
    """What 16 bits at the register's low end become after 16 steps, for each of their values."""
    register = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        register = _step(register)
    return register


def _step(register: np.ndarray) -> np.ndarray:
    return (register >> np.uint32(1)) ^ np.where(register & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))


def _times(matrix: np.ndarray, registers: np.ndarray) -> np.ndarray:
    """A matrix over two elements, as 32 columns of uint32, times registers (n,)."""
    result = np.zeros_like(registers)
    for bit in range(32):
        result ^= np.where(registers >> np.uint32(bit) & np.uint32(1), matrix[bit], np.uint32(0))
    return result


@lru_cache(maxsize=1024)
def _zeros(count: int) -> np.ndarray:
    """The matrix that carries a register over `count` (1 or more) bytes of zeros."""
    if count == 1:
        matrix = np.uint32(1) << np.arange(32, dtype=np.uint32)
        for _ in range(8):
            matrix = _step(matrix)
        return matrix
    half = _zeros(count // 2)
    whole = _times(half, half)
    return _times(_zeros(1), whole) if count % 2 else whole
