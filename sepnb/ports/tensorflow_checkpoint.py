"""Reading TensorFlow's checkpoints ("V2 bundles") with numpy alone.

A bundle is an index, `PREFIX.index`, and data, `PREFIX.data-00000-of-00001`. The data are the tensors' raw bytes, one
after the other. The index is a sorted string table as LevelDB has it: blocks of entries whose keys share their
beginnings, an index block that says where those lie, and a footer that says where that is. Keys are the variables'
names, values are protocol buffers: type, shape, shard, offset, size and CRC-32C of a tensor. (Described in
TensorFlow's tensor_bundle.proto and LevelDB's table_format.md.) Nothing in these files is code, and none is run.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sepnb.errors import SepnbError
from sepnb.ports.crc32c import crc32c, masked

FOOTER = 48  # bytes: two block handles, padding, the magic number
MAGIC = 0xDB4775248B80FB57
TRAILER = 5  # bytes after a block: how it is compressed, its CRC-32C
LARGEST_INDEX = 1 << 26  # bytes; the index of a network of a million variables would fit

# TensorFlow's numbers for types that numpy has as well.
TYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "|u1",
    5: "<i2",
    6: "|i1",
    8: "<c8",
    9: "<i8",
    10: "|b1",
    17: "<u2",
    18: "<c16",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}


class _DamageError(Exception):
    """What is wrong with the bytes; `Checkpoint` adds whose they are."""


@dataclass(frozen=True)
class _Entry:
    """Where a tensor's bytes lie, and what they mean."""

    type: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int | None = None
    sliced: bool = False


class Checkpoint:
    """The variables of one checkpoint, by name; a tensor's bytes are read and checked when it is asked for.

    files: the checkpoint's files by name (one ends in `.index`); values are bytes or anything of bytes that can be
    sliced, such as a memory map. where: what messages call the checkpoint.
    Raises SepnbError where the index is missing, damaged or not one of TensorFlow's.
    """

    def __init__(self, files: Mapping[str, bytes | np.ndarray], where: str) -> None:
        self.where = where
        indices = [name for name in files if name.endswith(".index")]
        if len(indices) != 1:
            raise SepnbError(f"{where} holds {len(indices)} files *.index; a TensorFlow checkpoint has one")
        prefix = indices[0].removesuffix(".index")
        try:
            table = dict(_table(bytes(files[indices[0]])))
            shards = _shards(table.pop("", None))
            self._entries = {name: _entry(value) for name, value in table.items()}
        except _DamageError as error:
            raise self._damaged(f"{indices[0]}: {error}") from error
        names = [f"{prefix}.data-{shard:05}-of-{shards:05}" for shard in range(shards)]
        missing = [name for name in names if name not in files]
        if missing:
            raise SepnbError(f"{where} lacks {', '.join(missing)}: a checkpoint is not whole without its data")
        self._data = [files[name] for name in names]

    @classmethod
    def open(cls, prefix: Path | str) -> "Checkpoint":
        """The checkpoint whose files on disk begin with `prefix` (as TensorFlow names it); raises SepnbError."""
        prefix = Path(prefix)
        index = prefix.with_name(f"{prefix.name}.index")
        if not index.is_file():
            raise SepnbError(f"{index} is not there: {prefix} is no TensorFlow checkpoint")
        files: dict[str, bytes | np.ndarray] = {index.name: index.read_bytes()}
        for path in sorted(prefix.parent.glob(f"{prefix.name}.data-*-of-*")):
            files[path.name] = np.memmap(path, np.uint8, "r") if path.stat().st_size else b""
        return cls(files, str(prefix))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables, sorted."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable, without reading it; raises SepnbError if there is none of this name."""
        return self._entry(name).shape

    def read(self, name: str) -> np.ndarray:
        """A variable as an array of its own, checked against its CRC-32C.

        Raises SepnbError where there is no such variable, its bytes are damaged, or it is no plain array of numbers.
        """
        entry = self._entry(name)
        if entry.type not in TYPES or entry.sliced:
            kind = "is stored in slices" if entry.sliced else f"has the type number {entry.type}"
            raise SepnbError(f"{self.where}: the variable {name} {kind}, which is not read here")
        dtype = np.dtype(TYPES[entry.type])
        if entry.size != math.prod(entry.shape) * dtype.itemsize:
            raise self._damaged(f"{name} has the shape {entry.shape} but {entry.size} bytes")
        if entry.shard >= len(self._data) or entry.offset + entry.size > len(self._data[entry.shard]):
            raise self._damaged(f"the bytes of {name} lie beyond the end of the data")
        raw = np.frombuffer(self._data[entry.shard][entry.offset : entry.offset + entry.size], np.uint8)
        if entry.crc is not None and masked(crc32c(raw)) != entry.crc:
            raise self._damaged(f"the bytes of {name} do not have their CRC-32C")
        return np.frombuffer(raw.tobytes(), dtype).reshape(entry.shape).copy()

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise SepnbError(f"{self.where} has no variable {name}: it is a checkpoint of another network")
        return self._entries[name]

    def _damaged(self, what: str) -> SepnbError:
        return SepnbError(f"{self.where} is damaged, or no TensorFlow checkpoint ({what}): get it again")


# ------------------------------------------------------------------------------------------------ the string table


def _table(index: bytes) -> Iterator[tuple[str, bytes]]:
    """Keys and values of a sorted string table."""
    if not FOOTER <= len(index) <= LARGEST_INDEX:
        raise _DamageError(f"an index cannot have {len(index)} bytes")
    footer = index[-FOOTER:]
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise _DamageError("it does not end as an index does")
    position = 0
    for _ in range(2):  # the handle of the meta index, which TensorFlow leaves empty
        _, position = _varint(footer, position)
    for _, handle in _block(index, *_handle(footer, position)):
        for key, value in _block(index, *_handle(handle, 0)):
            try:
                yield key.decode("utf-8"), value
            except UnicodeDecodeError as error:
                raise _DamageError("a name in it is not text") from error


def _handle(buffer: bytes, position: int) -> tuple[int, int]:
    """Offset and size of a block."""
    offset, position = _varint(buffer, position)
    size, _ = _varint(buffer, position)
    return offset, size


def _block(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of a block: each key is given as the length it shares with the one before, and the rest."""
    end = offset + size
    if end + TRAILER > len(index) or size < 4:
        raise _DamageError("a block lies beyond its end")
    compression, expected = struct.unpack("<BI", index[end : end + TRAILER])
    if masked(crc32c(np.frombuffer(index, np.uint8, size + 1, offset))) != expected:
        raise _DamageError("a block does not have its CRC-32C")
    if compression:
        raise _DamageError(f"a block is compressed (kind {compression}), as TensorFlow does not write them")
    (restarts,) = struct.unpack("<I", index[end - 4 : end])
    block = index[offset : end - 4 - 4 * restarts] if 4 * restarts <= size - 4 else b""
    position, key = 0, b""
    while position < len(block):
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared > len(key) or position + added + length > len(block):
            raise _DamageError("an entry reaches beyond its block")
        key = key[:shared] + block[position : position + added]
        yield key, block[position + added : position + added + length]
        position += added + length


# ------------------------------------------------------------------------------------------------ protocol buffers


def _varint(buffer: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(buffer):
            break
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _DamageError("a number in it has no end")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind not in (1, 2, 5):
            raise _DamageError(f"a message in it has a field of the unknown kind {kind}")
        length = {1: 8, 5: 4}.get(kind)
        if length is None:
            length, position = _varint(message, position)
        if position + length > len(message):
            raise _DamageError("a message in it is cut off")
        part = message[position : position + length]
        position += length
        yield number, part if kind == 2 else int.from_bytes(part, "little")


def _of(kind: type, value: int | bytes) -> int | bytes:
    if not isinstance(value, kind):
        raise _DamageError("a field in it is of the wrong kind")
    return value


def _shards(header: bytes | None) -> int:
    """How many data files there are, by the header, which has the empty key."""
    if header is None:
        raise _DamageError("it has no header")
    shards = 0
    for number, value in _fields(header):
        if number == 1:
            shards = _of(int, value)
        elif number == 2 and value:
            raise _DamageError("it was written on a big-endian machine, which is not read here")
    if not 1 <= shards <= 10_000:
        raise _DamageError(f"it speaks of {shards} data files")
    return shards


def _entry(message: bytes) -> _Entry:
    """What the index says of one variable."""
    found: dict[str, int] = {}
    names = {1: "type", 3: "shard", 4: "offset", 5: "size", 6: "crc"}
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in _fields(message):
        if number in names:
            found[names[number]] = _of(int, value)
        elif number == 2:
            shape = _shape(_of(bytes, value))
        elif number == 7:
            sliced = True
    return _Entry(shape=shape, sliced=sliced, **found)


def _shape(message: bytes) -> tuple[int, ...]:
    sizes = []
    for number, value in _fields(message):
        if number == 2:  # a dimension, whose field 1 is its size (0 is left out)
            size = next((_of(int, inner) for field, inner in _fields(_of(bytes, value)) if field == 1), 0)
            if size >= 1 << 63:  # how a negative number looks: a dimension that is not known
                raise _DamageError("a variable has no definite shape")
            sizes.append(size)
    return tuple(sizes)
