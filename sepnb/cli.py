"""The command line: thin commands over the library."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sepnb.errors import SepnbError

app = typer.Typer(
    name="sepnb",
    help="A hands-on course on music source separation, and the tools under it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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


@app.command()
def course(
    profile: Annotated[ProfileName, typer.Option(help="demo needs neither network nor GPU")] = ProfileName.demo,
    out: Annotated[Path, typer.Option(help="folder for the HTML pages")] = Path("build"),
    only: Annotated[list[str] | None, typer.Option(help="run only notebooks that begin so, as in --only 01")] = None,
) -> None:
    """Run the notebooks 01 to 05 and write their pages and figures."""
    from sepnb.course import BUDGETS, run_course

    total = 0.0
    for done in run_course(profile, out, only=only):
        total += done.seconds
        print(f"{done.name:26} {done.seconds:5.0f} s of {BUDGETS[done.name]:3} s   {done.page}", flush=True)
    print(f"{'together':26} {total:5.0f} s; figures are listed in figures/README.md")


@app.command()
def band(
    out: Annotated[Path, typer.Argument(help="folder for the songs")],
    songs: Annotated[int, typer.Option(min=1, help="how many songs; about a third go to test/")] = 4,
    seconds: Annotated[float, typer.Option(min=1.0, help="length of each song")] = 30.0,
    seed: Annotated[int, typer.Option(help="another seed gives another band")] = 0,
    format: Annotated[SongFormat, typer.Option(help="a folder of WAV files a song, or one stem file")] = SongFormat.wav,
) -> None:
    """Make licence-free multitrack songs with the synthetic band."""
    from sepnb.band import make_band

    print(make_band(out, songs=songs, seconds=seconds, seed=seed, format=format.value))


@app.command()
def download(
    data_set: Annotated[DataSet, typer.Argument(help="7s: the 7-second excerpts (140 MB); hq: MUSDB18-HQ (22.7 GB)")],
    out: Annotated[Path, typer.Argument(help="folder for the songs")],
    songs: Annotated[int | None, typer.Option(min=1, help="of hq, fetch just so many training songs")] = None,
    base: Annotated[str | None, typer.Option(help="address of a mirror; SEPNB_DATA_URL says the same")] = None,
) -> None:
    """Fetch MUSDB18, for academic use: resumes, checks, and lands whole."""
    from sepnb import musdb_downloads

    if data_set is DataSet.seven_seconds and songs is not None:
        raise SepnbError("--songs goes with hq: the 7-second set is one small file")
    if data_set is DataSet.seven_seconds:
        print(musdb_downloads.download_musdb7(out, base=base))
    else:
        print(musdb_downloads.download_musdb18hq(out, songs=songs, base=base))


@app.command()
def prepare(
    root: Annotated[Path, typer.Argument(help="folder of tracks: MUSDB18, MUSDB18-HQ, or folders of stem files")],
    out: Annotated[Path, typer.Option(help="folder of the store")],
    excerpt: Annotated[float | None, typer.Option(help="seconds to keep of each song; whole songs without it")] = None,
    at: Annotated[str, typer.Option(help="which seconds: loudest, centre, or a start in seconds")] = "loudest",
    workers: Annotated[int | None, typer.Option(min=1, help="processes; one a core without it")] = None,
    format: Annotated[StoreFormat, typer.Option(help="chunk store, or a plain WAV copy")] = StoreFormat.store,
    name: Annotated[list[str] | None, typer.Option(help="rename a stem, as in --name vox=vocals")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="report as JSON")] = False,
) -> None:
    """Decode a folder of tracks once into a store made for random access."""
    from sepnb.store import prepare as prepare_store

    prepared = prepare_store(
        root,
        out,
        excerpt=excerpt,
        at=_seconds_or_word(at),
        workers=workers,
        format=format.value,
        names=_pairs(name or []),
    )
    print(json.dumps(prepared.as_dict(), indent=2) if as_json else prepared.report())


@app.command()
def train(
    store: Annotated[Path, typer.Argument(help="a store made by `sepnb prepare`")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    recipe: Annotated[str, typer.Option(help="named settings")] = "toy-minute",
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one")] = Device.auto,
) -> None:
    """Train the toy U-Net on a store."""
    import torch

    from sepnb.training import train as train_run

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device is Device.auto else device.value
    print(train_run(store, out, recipe, chosen))


@app.command()
def probe(
    model: Annotated[list[str] | None, typer.Argument(help="models by name; all of the story without any")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the table as JSON")] = False,
) -> None:
    """List parameters, multiply-adds and activations of the models in the story."""
    import pandas as pd

    from sepnb.probe import sizes

    table = sizes(model or None)
    if as_json:
        print(table.to_json(orient="records", indent=2))
        return
    shown = {
        "model": table["model"],
        "parameters (M)": table["parameters"] / 1e6,
        "segment (s)": table["segment"],
        "multiply-adds a second (G)": table["multiply_adds"] / 1e9,
        "activations (GiB)": table["activation_bytes"] / 2**30,
    }
    print(pd.DataFrame(shown).to_string(index=False, float_format="{:.3g}".format))


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json", help="the list as JSON")] = False) -> None:
    """List the separators that can be named."""
    from sepnb.separators import REGISTRY

    if as_json:
        print(json.dumps({name: {"kind": e.kind, "about": e.about} for name, e in REGISTRY.items()}, indent=2))
        return
    for name, entry in REGISTRY.items():
        print(f"{name:12} {entry.kind:10} {entry.about}")


@app.command()
def separate(
    files: Annotated[list[Path], typer.Argument(help="songs: WAV, FLAC, MP3, M4A, MP4")],
    model: Annotated[Path, typer.Option(help="folder of a training run")],
    out: Annotated[Path, typer.Option(help="stems land in OUT/MODEL/SONG/STEM")],
    format: Annotated[AudioFormat, typer.Option(help="format of the stems")] = AudioFormat.wav,
) -> None:
    """Separate songs into stems."""
    from sepnb import audio
    from sepnb.separators import Bindable, load_separator
    from sepnb.separators import separate as separate_one

    separator = load_separator(model)
    if isinstance(separator, Bindable):
        raise SepnbError(
            f"{separator.name} is a baseline or oracle, to be scored: --model takes a training run's folder"
        )
    failed = 0
    for file in files:
        try:
            mixture, rate = audio.read(file)
        except SepnbError as error:
            # One bad file among many does not stop the others.
            print(f"sepnb: {error}", file=sys.stderr)
            failed += 1
            continue
        for name, stem in separate_one(separator, mixture, rate).items():
            path = out / separator.name / file.stem / f"{name}.{format.value}"
            audio.write(path, stem, rate)
            print(path)
    if failed:
        raise SepnbError(f"{failed} of {len(files)} files could not be separated")


@app.command()
def evaluate(
    root: Annotated[Path, typer.Argument(help="folder of tracks")],
    model: Annotated[list[str], typer.Option(help="a name of the registry or a run's folder; repeat for several")],
    out: Annotated[Path, typer.Option(help="CSV file of the scores")],
    subset: Annotated[str, typer.Option(help="which tracks: train, valid, test")] = "test",
    seconds: Annotated[float | None, typer.Option(help="score the middle seconds only")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that score")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="medians as JSON")] = False,
) -> None:
    """Score separators on tracks with BSSEval v4."""
    from sepnb.evaluation import evaluate as score
    from sepnb.files import written_whole
    from sepnb.metrics import medians
    from sepnb.tracks import find_tracks

    tracks = find_tracks(root)
    print(tracks.report(), file=sys.stderr)
    chosen = tracks.subset(subset)
    if not chosen:
        raise SepnbError(f"{root} has no tracks in the subset {subset!r}: say which with --subset")
    scores = score(model, chosen, seconds=seconds, workers=workers)
    with written_whole(out) as partial:
        scores.to_csv(partial, index=False)
    table = medians(scores)
    print(table.to_json(orient="index", indent=2) if as_json else table.round(2).to_string())


def _seconds_or_word(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _pairs(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if text.count("=") != 1:
            raise SepnbError(f"--name takes FILE=SOURCE, as in vox=vocals, not {text!r}")
    return dict(text.split("=") for text in texts)


def main() -> None:
    """Run the command line; an error that a user can mend is one line and exit status 2."""
    try:
        app()
    except SepnbError as error:
        print(f"sepnb: {'; '.join(line.strip() for line in str(error).splitlines())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
