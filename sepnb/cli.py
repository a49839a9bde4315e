"""The command line: thin commands over the library."""

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from sepnb.cli_choices import (
    AudioFormat,
    DataSet,
    Device,
    Precision,
    ProbePrecision,
    ProfileName,
    SongFormat,
    StoreFormat,
)
from sepnb.errors import SepnbError

app = typer.Typer(
    name="sepnb",
    help="A hands-on course on music source separation, and the tools under it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def course(
    profile: Annotated[ProfileName, typer.Option(help="demo needs neither network nor GPU")] = ProfileName.demo,
    out: Annotated[Path, typer.Option(help="folder for the HTML pages")] = Path("build"),
    only: Annotated[list[str] | None, typer.Option(help="run only notebooks that begin so, as in --only 01")] = None,
) -> None:
    """Run the notebooks 01 to 05 and write their pages and figures."""
    from sepnb.course import BUDGETS, run_course

    def tell(name: str) -> None:
        print(f"{name} is running, for a minute or two", file=sys.stderr, flush=True)

    total = 0.0
    for done in run_course(profile, out, only=only, tell=tell):
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
    out: Annotated[Path, typer.Option(help="folder of the run, or of a ladder's runs")],
    recipe: Annotated[
        str, typer.Option(help="named settings: toy-minute, toy-3s, toy-30s, toy-cpu, compact, compact-cpu")
    ] = "toy-minute",
    songs: Annotated[int | None, typer.Option(min=1, help="train on the first so many songs only")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="instead of the recipe's")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="as many epochs as fit into them, by the step's time measured here")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an unfinished run")] = False,
    stop_after: Annotated[str | None, typer.Option(help="save and stop after 11h30, 90m or 45s")] = None,
    mirror: Annotated[Path | None, typer.Option(help="second folder for checkpoints, on Drive say")] = None,
    ladder: Annotated[str | None, typer.Option(help="more and more songs and epochs: report, short, demo")] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="the history, or the ladder's table, as JSON")] = False,
) -> None:
    """Train a network on a store; on several GPUs with accelerate launch -m sepnb.cli train …"""
    from dataclasses import replace

    import torch

    from sepnb.files import read_json
    from sepnb.training import find_recipe
    from sepnb.training import train as train_run
    from sepnb.training.budget import fit_run, read_duration
    from sepnb.training.ladder import find_ladder, run_ladder

    if ladder is not None and (songs, epochs, minutes) != (None, None, None):
        raise SepnbError("--ladder says itself how many songs and epochs: leave out --songs, --epochs and --minutes")
    if epochs is not None and minutes is not None:
        raise SepnbError("--epochs and --minutes both say how long: leave out one")
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device is Device.auto else device.value
    settings = {key: value for key, value in (("songs", songs), ("epochs", epochs)) if value is not None}
    wanted = replace(find_recipe(recipe), **settings)
    seconds = None if stop_after is None else read_duration(stop_after)
    # What training says on its way is no part of the report.
    with _plain_warnings(), redirect_stdout(sys.stderr):
        if ladder is not None:
            table = run_ladder(store, out, ladder, wanted, chosen, resume=resume, stop_after=seconds, mirror=mirror)
            finished, text = len(table) == len(find_ladder(ladder)), table.round(3).to_string(index=False)
        else:
            if minutes is not None:
                wanted = fit_run([out, *filter(None, [mirror])], wanted, store, minutes, chosen)
            run = train_run(store, out, wanted, chosen, resume=resume, stop_after=seconds, mirror=mirror)
            finished, text = read_json(run / "history.json")["finished"], str(run)
    if not _is_main_process():
        return
    if as_json:
        rows = table.to_dict("records") if ladder is not None else read_json(run / "history.json")["epochs"]
        text = json.dumps(rows, indent=2)
    print(text)
    if not finished:
        print("sepnb: stopped before its end; the same command with --resume goes on", file=sys.stderr)


@app.command()
def probe(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            help="htdemucs, hdemucs, demucs_v2, conv_tasnet, open_unmix, moises_light, compact, toy; all without any"
        ),
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="t4 (without it), l4, v100, a100, h100 …, or cpu")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="examples at once; without it one GPU's published share")
    ] = None,
    segment: Annotated[float | None, typer.Option(help="seconds of an example; as published without it")] = None,
    precision: Annotated[ProbePrecision, typer.Option(help="fp16 and bf16 mean autocast")] = ProbePrecision.fp32,
    accumulate: Annotated[int, typer.Option(min=1, help="batches whose gradients are added up")] = 1,
    checkpoint: Annotated[int, typer.Option(min=0, help="recompute blocks so many lists of layers deep; 0: none")] = 0,
    trainable: Annotated[float, typer.Option(help="share of the layers, from the last, that is trained")] = 1.0,
    width: Annotated[float, typer.Option(help="share of the channels")] = 1.0,
    inference: Annotated[bool, typer.Option("--inference", help="a forward pass instead of a training step")] = False,
    ways: Annotated[bool, typer.Option(help="look for what would make it fit")] = True,
    measure: Annotated[bool, typer.Option("--measure", help="run real steps here, beside what is predicted")] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="first measure for half a minute how fast this device is; kept")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="all figures as JSON")] = False,
) -> None:
    """Predict memory and time of training without a GPU: does it fit, for how long, and what would help."""
    from sepnb.cli_probe import keep_calibration, print_measured, print_predictions

    options = {
        "batch": batch,
        "segment": segment,
        "precision": precision.value,
        "accumulate": accumulate,
        "checkpoint": checkpoint,
        "trainable": trainable,
        "width": width,
        "training": not inference,
    }
    if calibrate:
        keep_calibration()
    if measure and gpu is not None:
        raise SepnbError("--measure runs on what is here, and --gpu is about what is not: leave out one")
    if measure:
        print_measured(model, options, as_json)
    elif model or not calibrate:
        print_predictions(model, gpu or "t4", options, ways, as_json)


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json", help="the list as JSON")] = False) -> None:
    """List the separators that can be named: what they separate, learnt from, and weigh."""
    from sepnb.separators import REGISTRY
    from sepnb.separators.listing import listing

    if as_json:
        print(json.dumps({name: entry.as_dict() for name, entry in REGISTRY.items()}, indent=2))
    else:
        print(listing(REGISTRY), end="")


@app.command()
def separate(
    files: Annotated[list[Path], typer.Argument(help="songs: WAV, FLAC, MP3, M4A, MP4")],
    out: Annotated[Path, typer.Option(help="stems land in OUT/MODEL/SONG/STEM")],
    model: Annotated[
        str, typer.Option(help="a name that `sepnb models` lists, or a folder: a training run, Demucs")
    ] = "band-unet",
    format: Annotated[AudioFormat, typer.Option(help="format of the stems")] = AudioFormat.wav,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one")] = Device.auto,
    segment: Annotated[float | None, typer.Option(help="seconds that the network hears at once; less memory")] = None,
    overlap: Annotated[float | None, typer.Option(help="part of a segment that the next repeats, 0 to 1")] = None,
    shifts: Annotated[int | None, typer.Option(help="average over so many random shifts; as much slower")] = None,
    seed: Annotated[int | None, typer.Option(help="another seed draws other shifts")] = None,
    batch: Annotated[int | None, typer.Option(help="segments that go through the network together")] = None,
    precision: Annotated[
        Precision, typer.Option(help="auto is fp32 until a gain was measured; fp16 wants a GPU")
    ] = Precision.auto,
) -> None:
    """Separate songs into stems; what model and settings made them is in their tags."""
    from sepnb.separators import Bindable, load_separator
    from sepnb.separators.files import separate_files
    from sepnb.separators.streaming import StreamingSeparator

    options = {"segment": segment, "overlap": overlap, "shifts": shifts, "seed": seed, "batch": batch}
    if precision is not Precision.auto:
        options["precision"] = precision.value
    separator = load_separator(model, device.value, **options)
    if isinstance(separator, Bindable):
        raise SepnbError(f"{separator.name} is a baseline or oracle, to be scored by `sepnb evaluate`: name a network")
    if isinstance(separator, StreamingSeparator):
        separator = separator.with_options(progress=True)
    failed = 0
    with _plain_warnings():
        for _, made in separate_files(separator, files, out, format.value):
            if isinstance(made, SepnbError):  # one bad file among many does not stop the others
                print(f"sepnb: {made}", file=sys.stderr)
                failed += 1
            else:
                print("\n".join(map(str, made)), flush=True)
    if failed:
        raise SepnbError(f"{failed} of {len(files)} files could not be separated")


@app.command()
def evaluate(
    root: Annotated[Path, typer.Argument(help="folder of tracks")],
    out: Annotated[Path, typer.Option(help="folder of the scores; a stopped run goes on from what is in it")],
    model: Annotated[list[str] | None, typer.Option(help="name (sepnb models) or folder of a run; repeat")] = None,
    estimates: Annotated[
        list[Path] | None,
        typer.Option(
            help="estimates made elsewhere, DIR/TRACK/STEM.wav (flac, mp3), as `sepnb separate` leaves; repeat"
        ),
    ] = None,
    subset: Annotated[str, typer.Option(help="which tracks: train, valid, test")] = "test",
    seconds: Annotated[float | None, typer.Option(help="score the middle seconds only")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that score")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="dask.distributed cluster, as in tcp://10.0.0.1:8786")] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="medians as JSON")] = False,
) -> None:
    """Score separators on tracks: BSSEval v4 and SI-SDR, as tables and in museval's format."""
    from sepnb.evaluation import EstimatesFolder
    from sepnb.evaluation import evaluate as score
    from sepnb.metrics import medians
    from sepnb.separators.registry import REGISTRY, unknown
    from sepnb.tracks import find_tracks

    if not model and not estimates:
        raise SepnbError("say what to score: --model NAME or --estimates DIR, each as often as you like")
    for name in model or []:  # a slip of the pen shall not show after hours
        if name.lower() not in REGISTRY and Path(name).name == name and not Path(name).exists():
            raise unknown(name)
    tracks = find_tracks(root.resolve())  # the workers of a cluster stand in other folders
    print(tracks.report(), file=sys.stderr)
    chosen = tracks.subset(subset)
    if not chosen:
        raise SepnbError(f"{root} has no tracks in the subset {subset!r}: say which with --subset")
    systems = [*(model or []), *map(EstimatesFolder.open, estimates or [])]
    with _plain_warnings():
        scores = score(
            systems, chosen, seconds=seconds, workers=workers, out=out, scheduler=scheduler, device=device.value
        )
    table = medians(scores)
    print(table.to_json(orient="index", indent=2) if as_json else table.round(2).to_string())
    for note in scores.attrs["notes"]:
        print(f"note: {note}", file=sys.stderr)
    left_out = scores.attrs["left_out"]
    if left_out:
        raise SepnbError(f"{len(left_out)} left out, see {out / 'left_out.json'}; the other scores are in {out}")


@app.command()
def demo(
    host: Annotated[str, typer.Option(help="address to serve on; 0.0.0.0 lets the network in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 7860,
    share: Annotated[bool, typer.Option("--share", help="a public link for a week, through Gradio's servers")] = False,
    password: Annotated[
        str | None, typer.Option(help="asked of every visitor; auto makes one, as --share does without any")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="name (sepnb models) to offer; repeat. Those on this machine without any")
    ] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one")] = Device.auto,
) -> None:
    """Serve a web page: upload a song, take it apart, listen, change it, take it home."""
    from sepnb.webdemo.command import serve_demo

    serve_demo(host, port, share, password, model, device.value)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as lines of their own, without the place in the code that gave them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"sepnb: {message}", file=sys.stderr)
        yield


def _is_main_process() -> bool:
    """Whether this process speaks for all that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


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
        if _is_main_process():
            print(f"sepnb: {'; '.join(line.strip() for line in str(error).splitlines())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
