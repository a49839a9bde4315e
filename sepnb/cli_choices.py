"""What the command line lets choose from."""

from enum import StrEnum


class ProfileName(StrEnum):
    """How much of everything the course does."""

    demo = "demo"
    sample = "sample"
    full = "full"


class DataSet(StrEnum):
    """What can be fetched."""

    seven_seconds = "7s"
    hq = "hq"


class Device(StrEnum):
    """Where a network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(StrEnum):
    """In what numbers a network computes."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"


class ProbePrecision(StrEnum):
    """In what numbers a step is probed."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class SongFormat(StrEnum):
    """How songs are written."""

    wav = "wav"
    stem_mp4 = "stem.mp4"


class AudioFormat(StrEnum):
    """How stems are written."""

    wav = "wav"
    flac = "flac"
    mp3 = "mp3"


class StoreFormat(StrEnum):
    """What `prepare` leaves."""

    store = "store"
    wav = "wav"
