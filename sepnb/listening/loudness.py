"""How loud a sound is to the ear, and sounds brought to one loudness: the louder of two is liked better, as a rule.

Loudness is that of ITU-R BS.1770-4, measured by pyloudnorm: weighted in frequency as the ear does (K-weighting), summed
over channels, taken in blocks of 400 ms, of which those below -70 LUFS, and then those 10 LU below the mean of the
rest, do not count. A full-scale sine of 1 kHz in one channel has -3 LUFS; one LU is one dB.
"""

from collections.abc import Mapping

import numpy as np

from sepnb.errors import SepnbError
from sepnb.listening.checking import checked_audio, checked_rate

BLOCK = 0.4  # seconds: BS.1770's gating block
STEPS = 10  # a second: blocks begin 100 ms apart
TARGET = -23.0  # LUFS: broadcast level by EBU R 128; leaves room for peaks
PEAK = -1.0  # dBFS
TOLERANCE = 0.1  # LU
MOST_CHANNELS = 5  # left, right, centre, left surround, right surround: BS.1770 knows the weights of no other
LOWEST_RATE = 4000  # Hz: the weighting filter turns at 1.7 kHz, which has to lie below half the rate


def loudness(audio: np.ndarray, rate: int) -> float:
    """Integrated loudness of audio (channels, samples) at `rate` Hz in LUFS, by ITU-R BS.1770-4; -inf for silence.

    Silence is what has no block above -70 LUFS. Channels are left, right, centre, left and right surround, as many as
    there are. Of what is shorter than one block (400 ms) the whole is the one block. Samples after the last whole block
    do not count.

    The filters are those that De Man fitted to the coefficients of the standard: pyloudnorm's usual ones, from the
    audio-EQ cookbook, read 0.04 LU less at 1 kHz. Raises SepnbError for more than five channels, no samples, a rate
    below 4 kHz, or samples that are no numbers.
    """
    audio, rate = _checked(audio, rate)
    from pyloudnorm import Meter

    samples = audio.shape[-1]
    if samples >= BLOCK * rate:
        # The meter would count a last block of which a part is missing as a quiet one.
        samples = int(int(samples * STEPS / rate) * rate / STEPS)
    block = min(BLOCK, np.nextafter(samples / rate, 0))  # it refuses what is shorter than a block, if only by rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(Meter(rate, "DeMan", block_size=block).integrated_loudness(audio[:, :samples].T.astype(float)))


def match_loudness(
    sounds: Mapping[str, np.ndarray], rate: int, target: float = TARGET, peak: float = PEAK
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Sounds brought to one loudness, and the gains in dB that did it: by name, in the order given.

    `sounds`: audio (channels, samples) at `rate` Hz. Each result is measured again and is within 0.1 LU of the others.
    They get `target` LUFS, or less where one of them would have samples beyond `peak` dBFS: then all are lowered alike.
    Sounds that are silent (-inf LUFS) stay as they are, with a gain of 0 dB.

    Raises SepnbError as `loudness` does, and where the gating leaves no level at which they are equally loud.
    """
    measured = {name: loudness(audio, rate) for name, audio in sounds.items()}
    heard = [name for name in sounds if np.isfinite(measured[name])]
    gains, level = dict.fromkeys(sounds, 0.0), target
    while heard:
        gains |= {name: _gain(name, sounds[name], rate, measured[name], level) for name in heard}
        beyond = max(gains[name] + _peak(sounds[name]) for name in heard) - peak
        if beyond < 0.001:
            break
        level -= beyond
    matched = {name: (audio * 10 ** (gains[name] / 20)).astype(np.float32) for name, audio in sounds.items()}
    return matched, gains


def _gain(name: str, audio: np.ndarray, rate: int, measured: float, level: float) -> float:
    """The gain in dB that brings a sound of `measured` LUFS to `level`."""
    gain = level - measured
    for _ in range(8):
        reached = loudness(audio * 10 ** (gain / 20), rate)
        if abs(reached - level) <= TOLERANCE / 4:
            return gain
        if not np.isfinite(reached):
            break
        # Raised from near -70 LUFS, blocks come in that did not count: the loudness moves by another amount.
        gain -= reached - level
    raise SepnbError(
        f"{name!r} cannot be brought to {level:.1f} LUFS: it is too quiet, or too little of it sounds; "
        "choose another excerpt"
    )


def _peak(audio: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(audio).max()))


def _checked(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    audio, rate = checked_audio(audio), checked_rate(rate)
    if len(audio) > MOST_CHANNELS:
        raise SepnbError(f"loudness is defined for up to {MOST_CHANNELS} channels, not for {len(audio)}: mix them down")
    if rate < LOWEST_RATE:
        raise SepnbError(f"loudness cannot be measured at {rate} Hz: {LOWEST_RATE} Hz is the least")
    return audio, rate
