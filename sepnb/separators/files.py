"""Separating files to files: OUT/MODEL/SONG/STEM.wav, with the model and its settings in the tags."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from sepnb import audio
from sepnb.errors import SepnbError
from sepnb.files import file_name
from sepnb.separators.base import Separator, describe
from sepnb.separators.streaming import separate_in_blocks


def separate_files(
    separator: Separator, files: Sequence[Path], out: Path | str, format: str = "wav"
) -> Iterator[tuple[Path, list[Path] | SepnbError]]:
    """Separate songs one after the other; yields each file with the paths of its stems, or with what was wrong with it.

    Stems lie in OUT/MODEL/SONG/STEM.FORMAT, SONG being the file's name without its suffix. Where two of the files
    would share a folder, the later one's gets a number: "song (2)".
    """
    folder = Path(out) / file_name(separator.name)
    for file, song in zip(files, song_names(files), strict=True):
        try:
            yield file, separate_file(separator, file, folder / song, format)
        except SepnbError as error:
            yield file, error


def separate_file(separator: Separator, file: Path | str, folder: Path | str, format: str = "wav") -> list[Path]:
    """Separate one song into FOLDER/STEM.FORMAT (wav, flac or mp3); returns the paths, one a source.

    The stems are written as they are made: memory holds the mixture, not the stems. Rate, channels and length are the
    song's. The files are whole or not there. Raises SepnbError where the song cannot be read, separated or written.
    """
    file, folder = Path(file), Path(folder)
    mixture, rate = audio.read(file)
    paths = [folder / f"{file_name(source)}.{format}" for source in separator.sources]
    try:
        with ExitStack() as stack:
            writers = [
                stack.enter_context(audio.Writer(path, rate, len(mixture), tags=_tags(separator, file, source)))
                for path, source in zip(paths, separator.sources, strict=True)
            ]
            for block in separate_in_blocks(separator, mixture, rate):
                for writer, stem in zip(writers, block, strict=True):
                    writer.write(stem)
    except SepnbError as error:
        if str(file) in str(error):
            raise
        raise type(error)(f"{file}: {error}") from error
    return paths


def song_names(files: Sequence[Path]) -> list[str]:
    """A folder's name for each file: its own without suffixes (of `SONG/mixture.wav`, SONG), numbered if it is taken.

    What some file system does not take is replaced (`file_name`).
    """
    names: list[str] = []
    taken: set[str] = set()
    for file in files:
        name = file_name(_title(file))
        candidate, number = name, 1
        while candidate.casefold() in taken:  # some file systems know no difference between A and a
            number += 1
            candidate = f"{name} ({number})"
        taken.add(candidate.casefold())
        names.append(candidate)
    return names


def _title(file: Path) -> str:
    name = file.stem.removesuffix(".stem")
    # In data sets the song is the folder.
    return file.resolve().parent.name or name if name == "mixture" else name


def _tags(separator: Separator, file: Path, source: str) -> dict[str, str]:
    comment = {"stem": source, "of": file.name, "separated by": describe(separator)}
    return {"title": f"{_title(file)} – {source}", "album": separator.name, "comment": json.dumps(comment)}
