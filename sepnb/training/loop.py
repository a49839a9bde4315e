"""The training loop: batches in, a model and its history out.

What is not the loop itself has a file of its own: the loss (losses), learning rate and optimizer (optimizing), 16-bit
arithmetic (precision), averaged weights (averaging), validation, divergence, what is written down (session, history),
and what makes a run survive being killed (state, checkpoints, keeping, mirror, opening, matching, interrupts).
"""

import json
import time
import warnings
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from tqdm.auto import tqdm

from sepnb.batches import Batches
from sepnb.errors import SepnbError
from sepnb.models import build
from sepnb.store import Store
from sepnb.training.averaging import Average
from sepnb.training.history import Progress, versions
from sepnb.training.interrupts import Interrupts
from sepnb.training.keeping import Keeper
from sepnb.training.losses import LOSSES, Objective, energies, target_scale
from sepnb.training.memory import freed_memory_kept
from sepnb.training.mirror import Mirror
from sepnb.training.opening import open_run
from sepnb.training.optimizing import learning_rate, make_optimizer
from sepnb.training.precision import start_accelerator
from sepnb.training.processes import on_main, settle
from sepnb.training.recipes import Recipe, find_recipe
from sepnb.training.session import Session
from sepnb.training.state import State
from sepnb.training.validation import Validation, valid_subset


def train(
    store: Store | Path | str,
    out: Path | str,
    recipe: Recipe | str = "toy-minute",
    device: str = "cpu",
    *,
    resume: bool = False,
    stop_after: float | None = None,
    mirror: Path | str | None = None,
    checkpoint_every: float = 120.0,
    progress: bool = True,
) -> Path:
    """Train a network on a store's training songs and leave it in the folder `out`, which is returned.

    Leaves the model of the best epoch by validation SDR (`weights.safetensors`, `model.json`; averaged weights, where
    the recipe averages), `history.json` and `history.csv`. They are written anew as the epochs go by; checkpoints lie
    in `out/checkpoints` until the run is finished. A finished run of the same recipe and store is left as it is.

    resume: go on with an unfinished run, or begin one; killed at any moment, it ends with the very weights that it
    would have had (on a CPU, with as many threads). stop_after: stop after so many seconds, with a checkpoint.
    mirror: a second folder (on Google Drive, say) that gets a copy of checkpoints and results in the background, every
    ten minutes and at the end, and from which a fresh machine goes on; the run's last checkpoint stays there. It is
    made if need be, in a folder that must exist; where it is away, training goes on with a warning.
    checkpoint_every: seconds between checkpoints; there is also one after every epoch. progress: show a bar, and a
    line after every epoch. Ctrl-C takes a checkpoint before it interrupts. Under `accelerate launch`, all processes
    share the work.

    Raises SepnbError where a folder holds another run, or an unfinished one without `resume`; TrainingDiverged where
    the loss is no longer a number or grows far beyond what it was.
    """
    began = time.monotonic()
    recipe = find_recipe(recipe)
    store = store if isinstance(store, Store) else Store(store)
    out = Path(out)
    if recipe.loss not in LOSSES:
        raise SepnbError(f"no loss {recipe.loss!r}; there are {', '.join(LOSSES)}")
    accelerator, precision = start_accelerator(device, recipe)
    about = {
        "recipe": recipe.as_dict(),
        "store": store.fingerprint,
        **versions(),
        "device": str(accelerator.device),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "precision": precision,
        "seed": recipe.seed,
        "valid_subset": valid_subset(store),
    }
    asked = {
        "stop_after": stop_after,
        "mirror": None if mirror is None else str(mirror),
        "checkpoint_every": checkpoint_every,
    }
    mirror = None if mirror is None else Mirror(Path(mirror), json.loads(json.dumps(about)))
    finished, saved = on_main(accelerator, lambda: open_run(out, mirror, about, resume))
    if finished:
        return out

    if about["valid_subset"] != "valid" and accelerator.is_main_process:
        warnings.warn(
            "no songs to validate on (a folder valid/ beside train/): the validation is on training songs, and says "
            "nothing about new ones",
            stacklevel=2,
        )
    state, objective = _prepare(store, recipe, accelerator)
    if saved is not None:
        state.load(saved, accelerator.process_index)
        del saved
    network, optimizer, run = state.network, state.optimizer, state.progress
    epoch_steps = recipe.steps_per_epoch or state.batches.per_epoch
    steps = recipe.epochs * epoch_steps
    about["songs"] = [store.entries[song].name for song in state.batches.songs]
    about["steps_per_epoch"] = epoch_steps
    about["parameters"] = sum(weights.numel() for weights in network.parameters())
    validation = Validation(store, recipe, accelerator.device) if accelerator.is_main_process else None
    session = Session(accelerator, state, Keeper(out, mirror, checkpoint_every), about, began, asked)

    stop = None
    bar = tqdm(
        total=steps,
        initial=run.step,
        desc=f"training {recipe.name}",
        unit="step",
        disable=not (progress and accelerator.is_main_process),
    )
    with bar, freed_memory_kept(accelerator.device), Interrupts() as interrupts:
        while run.step < steps and not out_of_patience(run, recipe) and stop is None:
            step, started = run.step, time.perf_counter()
            rate = learning_rate(recipe, step, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate

            stems = next(state.batches)
            settle(accelerator.device)
            waiting = time.perf_counter() - started
            loss, norm = gradient(accelerator, objective, stems, recipe)
            if problem := run.watch.problem(loss, norm, scaling=state.scaler is not None):
                raise session.diverged(problem, step, loss, norm, rate)
            # An overflow (fp16) says nothing about the weights: only a step with a finite gradient does.
            if run.watch.calm:
                session.confirm()
            # fp16: takes the scale off the gradient again, and leaves the step out if the gradient overflowed.
            optimizer.step()
            optimizer.zero_grad()
            state.average.update(network, step + 1)
            settle(accelerator.device)
            run.end_step(loss, optimizer.step_was_skipped, waiting, time.perf_counter() - started)
            bar.set_postfix(run.epoch.summary(), refresh=False)
            bar.update()

            if run.step % epoch_steps == 0:
                if not state.is_finite():
                    raise session.diverged("the weights are no longer numbers", step, loss, norm, rate)
                validating = time.perf_counter()
                # The main process alone: the others wait, and are told.
                scores = on_main(accelerator, lambda: validation.scores(state.average.network))
                row = session.end_epoch(scores, rate, time.perf_counter() - validating)
                if not bar.disable:
                    bar.write(epoch_line(row, recipe))

            stop, save = on_main(accelerator, lambda: session.decide(interrupts))
            if save:
                saving = time.perf_counter()
                session.checkpoint(at_once=stop is not None)
                run.save(time.perf_counter() - saving)

    if stop is not None and run.step < steps and not out_of_patience(run, recipe):
        words = session.pause(stop)
        if accelerator.is_main_process:
            why = "interrupted" if stop == "interrupt" else "stopped for time"
            print(f"{out}: {why} after step {run.step} of {steps}; {words}")
    else:
        session.finish("epochs" if run.step == steps else "patience")
        accelerator.wait_for_everyone()
    # Also when the run came to its end in that step: whatever called it shall not go on to the next thing.
    if stop == "interrupt" or interrupts.asked:
        raise KeyboardInterrupt
    return out


def gradient(accelerator: Accelerator, objective: nn.Module, stems: Tensor, recipe: Recipe) -> tuple[float, float]:
    """Loss of this process's stems (examples, sources, channels, samples) and its gradient, left in the weights.

    Returns the loss, mean over all processes, and the norm that the gradient had before it was clipped.
    """
    # What errors are compared with is the loudness of the whole batch: of all processes and all parts.
    scale = target_scale(accelerator.reduce(energies(stems), "mean"))
    total = torch.zeros((), device=stems.device)
    for part in stems.chunk(recipe.accumulate):
        # Gradients of the parts add up; processes exchange them once, with the last part.
        with accelerator.accumulate(objective):
            # Mixed precision: in here, convolutions and matrix products read 16-bit copies of weights and inputs
            # (several times as fast on a GPU, in half the memory). Weights, STFT, sums and the loss stay in 32 bits.
            loss = objective(part, scale)
            # fp16 cannot hold numbers below 6e-8, and many gradients are smaller: there, the loss is multiplied by a
            # large factor first, and with it all gradients. bf16 has the range of fp32, and fewer digits.
            accelerator.backward(loss)
        total += loss.detach() / recipe.accumulate
    norm = accelerator.clip_grad_norm_(objective.parameters(), recipe.clip)
    return accelerator.reduce(total, "mean").item(), float(norm)


def out_of_patience(run: Progress, recipe: Recipe) -> bool:
    """Whether the validation SDR has not become better for as many epochs as the recipe waits."""
    return recipe.patience is not None and len(run.rows) - (run.best_epoch or 0) >= recipe.patience


def epoch_line(row: dict, recipe: Recipe) -> str:
    """An epoch in a line."""
    return (
        f"epoch {row['epoch']:>3}/{recipe.epochs}: train loss {row['train_loss']:.4f}, "
        f"valid loss {row['valid_loss']:.4f}, valid SDR {row['valid_sdr']:+.2f} dB, {row['seconds']:.1f} s"
    )


def _prepare(store: Store, recipe: Recipe, accelerator: Accelerator) -> tuple[State, nn.Module]:
    """Network, optimizer and batches of a run at its beginning, and the objective that `gradient` calls."""
    set_seed(recipe.seed)  # the same weights in all processes,
    network = build(recipe.model, store.sources, store.channels, store.rate, **recipe.settings).to(accelerator.device)
    set_seed(recipe.seed, device_specific=True)  # and from here on random numbers of their own
    batches = Batches(
        store,
        recipe.seconds,
        recipe.batch_size,
        augment=recipe.augment,
        seed=recipe.seed,
        subset="train",
        device=accelerator.device,
        songs=recipe.songs,
        part=(accelerator.process_index, accelerator.num_processes),
    )
    # From here on, calling the objective means: in the chosen precision, gradients averaged over all processes.
    objective, optimizer = accelerator.prepare(
        Objective(network, LOSSES[recipe.loss]), make_optimizer(recipe, list(network.parameters()))
    )
    state = State(network, Average(network, recipe.ema), optimizer, accelerator.scaler, batches, Progress())
    return state, objective
