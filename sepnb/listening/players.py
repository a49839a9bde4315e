"""Plain players for stems, which work in an exported page as well, and a mix of stems by gains."""

import base64
import html
from collections.abc import Mapping

import numpy as np

from sepnb.errors import SepnbError
from sepnb.listening.encoding import Encoded, Systems, best_bit_rate, flac_bytes, mp3_bytes

# A hosted notebook refuses messages of some tens of megabytes, and a page that holds them opens slowly.
LARGEST_PLAYER_BYTES = 20_000_000
# What stands in for a mixer is stored with the notebook, for each mixer, and mostly never heard: it has to be small.
LARGEST_PAGE_BYTES = 2_000_000
# Channels and kbit/s in stereo, the best that fits is taken: of half as many bits, mono sounds better than stereo.
PAGE_CODINGS = ((2, 128), (2, 96), (1, 128), (1, 96), (1, 64))


def players(stems: Mapping[str, np.ndarray], rate: int) -> "IPython.display.HTML":  # noqa: F821
    """A plain player for each stem (channels, samples), one below the other; they work in an exported page as well.

    Raises SepnbError where a stem is too large for a notebook.
    """
    from IPython.display import HTML

    rows = []
    for name, audio in stems.items():
        flac = flac_bytes(audio, rate)
        if len(flac) > LARGEST_PLAYER_BYTES:
            raise SepnbError(
                f"{audio.shape[-1] / rate:.0f} seconds make a player of {len(flac) / 1e6:.0f} MB, more than a notebook "
                f"takes ({LARGEST_PLAYER_BYTES / 1e6:.0f} MB): pick an excerpt"
            )
        rows.append(_row(html.escape(name), [_player(name, "audio/flac", flac)]))
    return HTML(f"<table>{''.join(rows)}</table>")


def page_players(systems: Systems, rate: int, encoded: Encoded | None = None, largest: int = LARGEST_PAGE_BYTES) -> str:
    """HTML with a plain player for each stem of each system, of at most `largest` bytes in all.

    systems: {system: {stem: audio (channels, samples)}}. What is `encoded` already is taken as it is where that is
    small enough, or else made MP3, of 128 kbit/s in stereo down to 32 in mono, and a sentence says so. What would be
    larger even so (more than 20 sounds of 8 s, say), or has more channels than MP3, becomes a sentence.
    """
    sounds = [audio for stems in systems.values() for audio in stems.values()]
    shape, seconds = sounds[0].shape, sounds[0].shape[-1] / rate
    # A page holds bytes as base64, four letters for three, and its tags.
    room = largest * 3 // 4 - 500 * (1 + len(sounds))
    there, note = {}, ""
    if encoded is not None and encoded.size <= room:
        there = {(sound.system, sound.stem): (sound.mime, sound.data) for sound in encoded.sounds}
    elif coding := _page_coding(shape, rate, len(sounds), room):
        channels, kbits = coding
        form = f"stereo, {kbits} kbit/s" if channels == 2 else f"mono, {kbits // 2} kbit/s"
        note = f"<p>As MP3 ({form}), to keep this page small: judge by ear in the running notebook.</p>"
        for system, stems in systems.items():
            for stem, audio in stems.items():
                heard = audio if channels == len(audio) else audio.mean(axis=0, keepdims=True)
                there[system, stem] = ("audio/mpeg", mp3_bytes(heard, rate, kbits))
    else:
        return (
            f"<p>{len(sounds)} sounds of {seconds:.0f} s are too much for this page: open the notebook and run this "
            "cell to hear them.</p>"
        )
    rows = [_row("", [html.escape(name) for name in systems])] if len(systems) > 1 else []
    for stem in dict.fromkeys(stem for stems in systems.values() for stem in stems):
        cells = [_player(f"{stem}, {system}", *there.get((system, stem), ("", b""))) for system in systems]
        rows.append(_row(html.escape(stem), cells))
    # Four systems side by side are wider than a page.
    return f"<div style='overflow-x:auto'><table>{''.join(rows)}</table></div>{note}"


def _page_coding(shape: tuple[int, int], rate: int, count: int, room: int) -> tuple[int, int] | None:
    """Channels and kbit/s (in stereo) of the first of PAGE_CODINGS in which `count` sounds fit, or None."""
    channels, samples = shape
    for most, kbits in PAGE_CODINGS:
        kept = min(channels, most)
        if channels <= 2 and best_bit_rate((kept, samples), rate, count, room, [kbits]):
            return kept, kbits
    return None


def _row(name: str, cells: list[str]) -> str:
    return f"<tr><th style='text-align:left'>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _player(name: str, mime: str, data: bytes) -> str:
    if not data:
        return ""
    code = base64.b64encode(data).decode()
    return (
        f"<audio controls style='width:13em' preload='metadata' aria-label='{html.escape(name)}' "
        f"src='data:{mime};base64,{code}'></audio>"
    )


def mix(stems: Mapping[str, np.ndarray], gains_db: Mapping[str, float]) -> np.ndarray:
    """The sum of the stems, each raised or lowered by its gain in dB (0 where none is given, -inf mutes).

    The result has the shape of a stem (channels, samples). Where the sum would clip, all of it is lowered to fit.
    Raises SepnbError for a gain whose stem is not there.
    """
    unknown = [name for name in gains_db if name not in stems]
    if unknown:
        raise SepnbError(f"no stem {', '.join(unknown)} to set a gain for; there are {', '.join(stems)}")
    total = sum(audio * np.float32(10 ** (gains_db.get(name, 0.0) / 20)) for name, audio in stems.items())
    return total / max(1.0, float(np.abs(total).max()))
