"""Opening a notebook: where it runs, on what device, on which data, and where its results go."""

import importlib.util
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch

from sepnb import archive, musdb_downloads
from sepnb.band import make_band
from sepnb.errors import SepnbError
from sepnb.figures.gallery import Gallery
from sepnb.files import read_json
from sepnb.profiles import PROFILES, Profile
from sepnb.separators import REGISTRY
from sepnb.store import Store, prepare
from sepnb.tracks import Tracks, find_tracks
from sepnb.training import Recipe, find_recipe, train
from sepnb.training.budget import fit_run, read_duration
from sepnb.training.ladder import Rung, find_ladder, on_rung, run_ladder, within_reach

# The demo profile's songs. Thirteen are few, but rendered in seconds, and enough to split three ways.
BAND = {"train": 8, "valid": 2, "test": 3}
BAND_SECONDS = 32.0
SEED = 2018

# On Colab, training stops and saves so long after the runtime began: half an hour before it may end.
COLAB_SECONDS = 11.5 * 3600

# Under the data folder, and for MUSDB18-HQ also on Drive.
SAMPLE_FOLDER = "musdb18-7s"
FULL_FOLDER = "musdb18hq"


@dataclass(frozen=True)
class Lab:
    """An opened notebook. Folders are made when something is put in them."""

    name: str
    place: str
    device: str
    profile: Profile
    home: Path
    drive: Path | None
    # Of MUSDB18-HQ, where it is not there and this many training songs of it are to be fetched.
    songs: int | None = None
    # When it was opened, in seconds of the clock.
    opened: float = field(default_factory=time.time)

    @cached_property
    def data(self) -> Path:
        """The folder of the profile's songs; made or fetched at first use."""
        folder = self.home / "data"
        if self.profile.name == "demo":
            return make_band(folder / "band", subsets=BAND, seconds=BAND_SECONDS, seed=SEED, workers=_cores())
        if self.profile.name == "sample":
            return musdb_downloads.download_musdb7(folder / SAMPLE_FOLDER)
        if self.songs is not None:
            return musdb_downloads.download_musdb18hq(folder / FULL_FOLDER, songs=self.songs)
        found = _find_musdb18hq(folder, self.drive)
        if found is None:
            raise SepnbError(
                f"MUSDB18-HQ is not here. Put it into {folder / FULL_FOLDER} or name its folder in SEPNB_DATA, "
                "or fetch a part of it that fits Colab's disk: open_lab(…, profile='full', songs=20)"
            )
        return found

    @cached_property
    def tracks(self) -> Tracks:
        """The profile's songs that can be used, the broken ones named in `tracks.left_out`."""
        return find_tracks(self.data)

    @property
    def workers(self) -> int:
        """Processes that score side by side."""
        return _cores()

    @property
    def scores(self) -> Path:
        """The folder that finished scores are kept in, on Drive where there is one: a disconnect loses none of them."""
        part = "" if self.songs is None else f"-{self.songs}-songs"
        return (self.drive or self.home / "build") / "scores" / f"{self.profile.name}{part}"

    @property
    def answers(self) -> Path:
        """The folder that answers of listening tests are kept in, on Drive where there is one."""
        return (self.drive or self.home / "build") / "listening"

    def pretrained(self) -> list[str]:
        """Names of published systems to score: those of the profile, and any whose weights are on this machine.

        Systems that do not tell all of the songs' sources apart (two-stem systems among songs of four) are not among
        them: they are scored on other targets, and belong into a table of their own.
        """
        wanted = set(self.tracks.sources)
        return [
            name
            for name, entry in REGISTRY.items()
            if entry.kind == "pretrained"
            and wanted <= set(entry.sources)
            and (name in self.profile.pretrained or entry.cached())
        ]

    @property
    def machine(self) -> str:
        """What the lab runs on, for captions of what was measured."""
        return _describe(self.device)

    @property
    def figures(self) -> Gallery:
        """Where figures for the report go: PNG, PDF and CSV with a caption."""
        return Gallery(self.home / "figures", self.name)

    def store(self, excerpt: float | None = None) -> Store:
        """The chunk store of the profile's songs, cut to `excerpt` seconds each; made at first use.

        Where there is a Drive, one archive of the store is kept there: after a disconnect the store comes back from it
        instead of being made again.
        """
        excerpt = self.profile.excerpt if excerpt is None else excerpt
        folder = self.home / "data" / "stores" / self._store_name(excerpt)
        kept = self.drive / f"{folder.name}.zip" if self.drive else None
        if kept and kept.exists() and not folder.exists():
            return Store(archive.unpack(kept, folder))
        store = prepare(self.tracks, folder, excerpt=excerpt).store
        if kept and not kept.exists():
            archive.pack(folder, kept)
        return store

    def _store_name(self, excerpt: float) -> str:
        part = "" if self.songs is None else f"-{self.songs}-songs"
        return f"{self.profile.name}{part}-{excerpt:g}s"

    @property
    def time_left(self) -> float | None:
        """Seconds until training had better stop and save; None: as long as it takes.

        On Colab, 11 h 30 after the runtime began, which Google ends after 12 h at the latest. SEPNB_STOP_AFTER (as in
        90m or 8h) says so for any place, from the lab's opening.
        """
        asked = os.environ.get("SEPNB_STOP_AFTER")
        if asked:
            return max(0.0, self.opened + read_duration(asked) - time.time())
        if self.place != "Colab":
            return None
        return max(0.0, _runtime_began() + COLAB_SECONDS - time.time())

    def run(self, recipe: Recipe | str | None = None, store: Store | None = None, minutes: float | None = None) -> Path:
        """The folder of a training run of a recipe; trained at first use.

        Without a recipe it is the top rung of the profile's ladder: the toy U-Net that the other notebooks speak of.
        An interrupted run goes on where it was, also on a fresh machine where there is a Drive: checkpoints and results
        are copied there. Runs are told apart by store and recipe's name. minutes: as many epochs as fit into them, by
        the step's time measured here when the run is begun. `time_left` may stop it before its end, which is said.
        """
        store = store or self.store()
        if recipe is None:
            rung = self._rungs(store)[-1]
            recipe = find_recipe(self.profile.recipe)
            name, recipe = f"{_ladder_name(store, recipe)}/{rung.folder}", on_rung(recipe, rung)
        else:
            recipe = find_recipe(recipe)
            name = f"{store.path.name}-{recipe.name}"
        name += "" if minutes is None else f"-{minutes:g}-minutes"
        out, mirror = self._run_folders(name)
        if minutes is not None:
            recipe = fit_run([out, *filter(None, [mirror])], recipe, store, minutes, self.device)
        run = train(store, out, recipe, self.device, resume=True, stop_after=self.time_left, mirror=mirror)
        if not read_json(run / "history.json")["finished"]:
            print(f"{name}: the time is up and all is saved; run this again in a new session, and it goes on")
        return run

    def ladder(self, recipe: Recipe | str | None = None) -> pd.DataFrame:
        """The profile's ladder with a recipe, the profile's without one: a row a rung, each trained at first use.

        Rungs that there are too few songs for are left out. As with `run`, what was interrupted goes on.
        `sepnb.training.ladder` says what the columns are.
        """
        store, recipe = self.store(), find_recipe(recipe or self.profile.recipe)
        out, mirror = self._run_folders(_ladder_name(store, recipe))
        rungs = self._rungs(store)
        table = run_ladder(store, out, rungs, recipe, self.device, stop_after=self.time_left, mirror=mirror)
        if len(table) < len(rungs):
            print(f"{len(table)} of {len(rungs)} rungs: the time is up and all is saved; run this again to go on")
        return table

    def _rungs(self, store: Store) -> tuple[Rung, ...]:
        songs = sum(entry.subset == "train" for entry in store.entries)
        return within_reach(find_ladder(self.profile.ladder), songs)

    def _run_folders(self, name: str) -> tuple[Path, Path | None]:
        """Where a run is trained, and where a copy of it outlives a disconnect."""
        out = self.home / "build" / "runs" / name
        if self.drive is None:
            return out, None
        mirror = self.drive / "runs" / name
        try:
            if self.drive.parent.is_dir():  # MyDrive: nothing shall grow where no drive is mounted
                mirror.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"Drive cannot be written now ({error}): the run goes on without it")
            return out, None
        return out, mirror

    def check(self, name: str, answer: object, right: Callable[[object], bool], hint: str) -> None:
        """Say whether an exercise's answer is right, and where to look if not; None is an answer not yet given."""
        if answer is None:
            print(f"○ {name}: your turn")
        elif isinstance(answer, str):
            print(f"✗ {name}: give a number, not text in quotes")
        else:
            print(f"✓ {name}" if right(answer) else f"✗ {name}: {hint}")


def open_lab(
    name: str,
    profile: str | None = None,
    home: Path | str | None = None,
    drive: bool = True,
    songs: int | None = None,
) -> Lab:
    """Open a notebook's lab: find the place, device, profile and folders, set the seed, and say so.

    `profile` is `demo`, `sample` or `full`; None takes SEPNB_PROFILE, or else the best whose data is there. `home` is
    where data, figures and runs go; None takes SEPNB_HOME, or else the checkout this notebook lies in, or else
    a folder `sepnb` here (on Colab: /content/sepnb). On Colab, Drive is mounted to keep the store there; `drive=False`
    goes without. MUSDB18-HQ is looked for in SEPNB_DATA, on Drive as sepnb/musdb18hq, and in data/musdb18hq; with
    `songs`, so many training songs of it are fetched into data/ instead, and a quarter as many to validate and test.
    Raises SepnbError for an unknown profile.
    """
    place = _place()
    home = Path(home or os.environ.get("SEPNB_HOME") or _home(place)).resolve()
    mounted = _mount_drive() if drive and place == "Colab" else None
    asked = profile or ("full" if songs is not None else os.environ.get("SEPNB_PROFILE"))
    wanted = asked or _best_profile(home / "data", mounted)
    if wanted not in PROFILES:
        raise SepnbError(f"no profile {wanted!r}; there are {', '.join(PROFILES)}")
    if songs is not None and wanted != "full":
        raise SepnbError(f"songs={songs} picks songs of MUSDB18-HQ: it goes with the profile 'full', not {wanted!r}")
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 -- librosa and museval draw from the global generator
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lab = Lab(name, place, device, PROFILES[wanted], home, mounted, songs)
    print(f"{name} on {place}, Python {sys.version.split()[0]}, torch {torch.__version__}, {_describe(device)}")
    print(f"profile {wanted}: {lab.profile.about}")
    print(f"everything goes under {home}" + (f", and an archive of the store to {mounted}" if mounted else ""))
    return lab


def _runtime_began() -> float:
    """When the container's first process began: the machine itself may have been up for longer."""
    return psutil.Process(1).create_time()


def _ladder_name(store: Store, recipe: Recipe) -> str:
    return f"{store.path.name}-{recipe.name}-ladder"


def _place() -> str:
    # Asked in two steps: looking for a module inside a package that is not there raises.
    if importlib.util.find_spec("google") is not None and importlib.util.find_spec("google.colab") is not None:
        return "Colab"
    return "Kaggle" if "KAGGLE_KERNEL_RUN_TYPE" in os.environ else "this computer"


def _home(place: str) -> Path:
    if place != "this computer":
        return Path.cwd() / "sepnb"
    here = Path.cwd()
    checkouts = [folder for folder in (here, *here.parents) if (folder / "notebooks" / "01_data_prep.ipynb").is_file()]
    return checkouts[0] if checkouts else here / "sepnb"


def _mount_drive() -> Path | None:
    from google.colab import drive

    mountpoint = Path(os.environ.get("SEPNB_DRIVE", "/content/drive"))
    try:
        drive.mount(str(mountpoint))
    except Exception as error:  # Colab raises several types, a refused permission among them; the lab works without.
        print(f"Drive is not mounted ({error}): what is made here is gone when the runtime disconnects")
        return None
    return mountpoint / "MyDrive" / "sepnb"


def _find_musdb18hq(data: Path, drive: Path | None) -> Path | None:
    named = os.environ.get("SEPNB_DATA")
    candidates = [Path(named)] if named else [data / FULL_FOLDER, *([drive / FULL_FOLDER] if drive else [])]
    there = (folder for folder in candidates if any((folder / subset).is_dir() for subset in ("train", "test")))
    return next(there, None)


def _best_profile(data: Path, drive: Path | None) -> str:
    if _find_musdb18hq(data, drive) is not None:
        return "full"
    return "sample" if (data / SAMPLE_FOLDER / "train").is_dir() else "demo"


def _describe(device: str) -> str:
    if device == "cpu":
        return f"no GPU, {_cores()} cores"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name} with {properties.total_memory / 2**30:.1f} GiB"


def _cores() -> int:
    return os.cpu_count() or 1
