"""What training buys: toy, compact, baselines and oracle on songs of the band and on real clips.

    python -m benchmarks.quality [--minutes 20] [--device cpu] [--out build/quality]

Trains both networks for equal minutes on 40 songs of the band (fixed seeds), scores them on 10 unseen ones (BSSEval v4,
median over songs of the median over frames) and, where they are, on the real clips, which no song of the band resembles
on purpose. What is there is not trained or scored again, and an interrupted run goes on: the command can be repeated.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks import REAL
from sepnb.band import make_band
from sepnb.evaluation import evaluate
from sepnb.metrics import medians
from sepnb.store import Store, prepare
from sepnb.tracks import find_tracks
from sepnb.training import find_recipe, read_history, train
from sepnb.training.budget import fit_run

SONGS = {"train": 40, "valid": 4, "test": 10}
SECONDS, SEED = 30.0, 40
RECIPES = {"cpu": ("toy-cpu", "compact-cpu"), "cuda": ("toy-3s", "compact")}
SOURCES = ["drums", "bass", "other", "vocals"]
REFERENCES = ["silence", "mixture/n", "irm2"]


def train_for(store: Store, name: str, minutes: float, out: Path, device: str) -> Path:
    """The run of a recipe with as many epochs as fit into the minutes, measured when it is begun."""
    folder = out / f"{name}-{minutes:g}-minutes"
    return train(store, folder, fit_run([folder], find_recipe(name), store, minutes, device), device, resume=True)


def scored(systems: Sequence[Path | str], root: Path, subset: str | None, out: Path) -> pd.DataFrame:
    """Median SDR in dB, systems × (sources, mean)."""
    tracks = find_tracks(root)
    scores = evaluate([str(system) for system in systems], tracks.subset(subset) if subset else tracks, out=out)
    table = medians(scores)[SOURCES]
    return table.assign(mean=table.mean(axis=1))


def verdict(table: pd.DataFrame, toy: str, compact: str) -> list[str]:
    """The claims that the table is to bear out, and whether it does."""
    quarter, oracle = table.loc["mixture ÷ N"], table.loc["IRM2"]
    gain = (table.loc[compact] - quarter)[SOURCES]
    share = (table.loc[compact, "mean"] - quarter["mean"]) / (oracle["mean"] - quarter["mean"])
    lead = (table.loc[compact] - table.loc[toy])[SOURCES]
    return [
        f"compact ahead of toy in every stem: {_yes(lead.min() > 0)} (by {lead.min():.2f} dB at least)",
        f"compact 3 dB above mixture ÷ 4 in every stem: {_yes(gain.min() >= 3)} ({gain.min():.2f} dB at least)",
        f"compact half-way from there to the oracle on average: {_yes(share >= 0.5)} ({share:.0%})",
    ]


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"


def main(arguments: list[str] | None = None) -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, for each network")
    parser.add_argument("--device", default="cpu", choices=RECIPES)
    parser.add_argument("--out", type=Path, default=Path("build/quality"))
    asked = parser.parse_args(arguments)
    band = make_band(asked.out / "band", subsets=SONGS, seconds=SECONDS, seed=SEED, workers=2)
    store = prepare(band, asked.out / "store").store
    toy, compact = (
        train_for(store, name, asked.minutes, asked.out / asked.device, asked.device) for name in RECIPES[asked.device]
    )
    systems = [*REFERENCES[:2], toy, compact, "band-unet", REFERENCES[2]]

    print(f"\n{SONGS['test']} unseen songs of the band, {SECONDS:g} s each: SDR (dB), median of medians")
    table = scored(systems, band, "test", asked.out / "scores-band")
    print(table.round(2).to_string())
    print("\n".join(verdict(table, toy.name, compact.name)))
    for clip in ("musdb18hq", "musdb18"):
        if not (REAL / clip).is_dir():
            print(f"\nno real clip: {REAL / clip} is not there", file=sys.stderr)
            continue
        (track,) = find_tracks(REAL / clip)
        print(f"\nReal music, {track.name!r} ({track.duration:.1f} s), never heard in training: SDR (dB)")
        print(scored(systems, REAL / clip, None, asked.out / f"scores-{clip}").round(2).to_string())
    for run in (toy, compact):
        history = read_history(run)
        print(
            f"\n{run.name}: {len(history)} epochs, {int(history['step'].iloc[-1])} steps, "
            f"{history['seconds'].sum() / 60:.1f} min, waiting for data "
            f"{history['waiting_seconds'].sum() / history['seconds'].sum():.1%}"
        )


if __name__ == "__main__":
    main()
