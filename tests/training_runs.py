"""A store that is learnt in a second, a recipe for it, and runs in processes of their own that can be killed."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from sepnb.files import read_json
from sepnb.store import Store, prepare
from sepnb.training import Recipe, train
from sepnb.training.checkpoints import slots, unpack

RATE = 8000
TINY = Recipe(
    "tiny",
    epochs=3,
    steps_per_epoch=6,
    seconds=0.5,
    batch_size=4,
    learning_rate=1e-2,
    warmup_steps=3,
    weight_decay=1e-3,
    ema=0.9,
    settings={"width": 4, "depth": 2, "n_fft": 512, "hop": 256},
    valid_chunks=4,
)


def tones(root: Path, subsets: tuple[str, ...] = ("train", "train", "valid")) -> Store:
    """A store of songs of a low tone and a high noise, mono, at 8 kHz."""
    rng = np.random.default_rng(0)
    time = np.arange(3 * RATE) / RATE
    for number, subset in enumerate(subsets):
        folder = root / "songs" / subset / f"song {number}"
        folder.mkdir(parents=True)
        soundfile.write(folder / "bass.wav", 0.3 * np.sin(2 * np.pi * (100 + 40 * number) * time), RATE)
        soundfile.write(folder / "drums.wav", np.diff(rng.normal(0, 0.1, len(time) + 1)), RATE)
    return prepare(root / "songs", root / "store", workers=1).store


def weights(run: Path) -> bytes:
    return (run / "weights.safetensors").read_bytes()


def losses(run: Path) -> list[dict]:
    """A run's history without what depends on the clock."""
    epochs = read_json(run / "history.json")["epochs"]
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in epochs]


def last_state(run: Path) -> dict:
    """The last checkpoint of a finished run, from its mirror."""
    (path,) = slots(run.parent / "mirror")
    return unpack(path)


def flat(value: object, name: str = "") -> dict[str, object]:
    """Tensors and values of a nested state, by name."""
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in flat(part, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same_end(run: Path, whole: Path) -> None:
    """Two runs have the same weights, histories and last states; of both, the mirror lies beside them."""
    assert weights(run) == weights(whole)
    assert losses(run) == losses(whole)
    ours, theirs = last_state(run), last_state(whole)
    for part in ("network", "average", "optimizer", "batches", "best", "random"):
        one, other = flat(ours[part]), flat(theirs[part])
        assert one.keys() == other.keys()
        for name, value in one.items():
            same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
            assert same, f"{part}{name} differs"


def killed(store: Path, out: Path, trap: Callable[[int], None], number: int, **settings: object) -> None:
    """Train in another process that `trap(number)` has prepared to kill itself; it must not come to an end."""
    assert run_apart(store, out, trap, number, **settings) == -signal.SIGKILL


def run_apart(store: Path, out: Path, trap: Callable[[int], None], number: int, **settings: object) -> int:
    """Train in another process prepared by `trap(number)`; its exit code."""
    # A server that has torch loaded once, and from which each process is forked in a moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sepnb.training", "training_runs"])
    process = context.Process(target=_train, args=(store, out, trap, number, settings))
    process.start()
    process.join()
    return process.exitcode


def _train(store: Path, out: Path, trap: Callable[[int], None], number: int, settings: dict) -> None:
    trap(number)
    recipe = settings.pop("recipe", TINY)
    train(store, out, recipe, resume=True, checkpoint_every=0.0, progress=False, **settings)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(number: int) -> None:
    """Die in the middle of the session's step of that number."""
    from sepnb.training import loop

    real, steps = loop.gradient, iter(range(1, number))

    def gradient(*arguments: object) -> tuple[float, float]:
        result = real(*arguments)
        return result if next(steps, None) is not None else die()

    loop.gradient = gradient


def at_write(number: int) -> None:
    """Die with half a file written, in the session's writing of a checkpoint of that number."""
    real, writes = Path.write_bytes, iter(range(1, number))

    def write_bytes(path: Path, content: bytes) -> int:
        if path.suffix == ".ckpt" and next(writes, None) is None:
            real(path, content[: len(content) // 2])
            die()
        return real(path, content)

    Path.write_bytes = write_bytes


def at_rename(number: int) -> None:
    """Die just before the session's renaming of that number: of checkpoints, histories and weights alike."""
    real, renames = Path.replace, iter(range(1, number))

    def rename(path: Path, target: Path) -> Path:
        return real(path, target) if next(renames, None) is not None else die()

    Path.replace = rename


def at_finish(number: int) -> None:
    """Die in the end of a run, just before the renaming of that number there; 0: before its checkpoints are removed."""
    from sepnb.training import session

    real = session.Session.finish

    def finish(self: session.Session, stopped: str) -> None:
        if number:
            at_rename(number)
        else:
            session.remove_checkpoints = lambda _: die()
        real(self, stopped)

    session.Session.finish = finish


def at_copy(number: int) -> None:
    """Die with half a file written in the second folder, in the session's writing there of that number."""
    from sepnb.training import mirror

    real, writes = mirror._overwrite, iter(range(1, number))

    def overwrite(path: Path, content: bytes) -> None:
        if next(writes, None) is None:
            path.write_bytes(content[: len(content) // 2])
            die()
        real(path, content)

    mirror._overwrite = overwrite


def longer(recipe: Recipe = TINY, **changes: object) -> Recipe:
    return replace(recipe, **changes)
