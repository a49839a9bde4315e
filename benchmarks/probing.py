"""The probe against reality: memory and time of a training step, predicted and measured.  python -m benchmarks.probing

First the device is calibrated, on small networks that are none of those that are predicted. Then, on a machine without
a GPU: every model whose step fits free memory, on the CPU. On one with a GPU: every model in three
batch sizes and two precisions; the table is kept as benchmarks/results/NAME-OF-THE-GPU.json. Each measurement runs in a
process of its own. A ratio is predicted to measured: 1 is right.
"""

import argparse
import re
import sys
from pathlib import Path

import torch

from sepnb.files import write_json
from sepnb.probing.calibration import calibrate
from sepnb.probing.cards import cpu_card, this_card
from sepnb.probing.comparing import compare
from sepnb.probing.story import available

GIB = 2**30
GPU_BATCHES, GPU_PRECISIONS = (1, 4, 8), ("fp32", "fp16")
RESULTS = Path(__file__).resolve().parent / "results"
LINE = "{:<13} {:>5} {:>7} {:<5} {:>10} {:>10} {:>7}   {:>9} {:>20} {:>9} {:>7}"
HEAD = (
    "model",
    "batch",
    "segment",
    "",
    "predicted",
    "measured",
    "ratio",
    "predicted",
    "(low to high)",
    "measured",
    "ratio",
)


def main(arguments: list[str] | None = None) -> None:
    """Measure what the arguments say (by default all), and print each line as it comes."""
    options = _options([] if arguments is None else arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    card = this_card() if device == "cuda" else cpu_card()
    batches = options.batch or (GPU_BATCHES if device == "cuda" else (1,))
    precisions = GPU_PRECISIONS if device == "cuda" else ("fp32",)
    rates = None
    if options.calibrate:
        rates = calibrate(device, options.calibrate, progress=True)
        if options.rates:
            rates.save(options.rates)
    names = options.models or [workload.name for workload in available()]
    cases = [(name, batch, precision) for name in names for precision in precisions for batch in batches]

    print(f"\nThe probe on {card.title}, {torch.get_num_threads()} threads, torch {torch.__version__}: training steps")
    print(LINE.format(*HEAD))
    rows = []
    for row in compare(cases, options.segment, device, options.repeats, rates):
        print(_line(row), flush=True)
        rows.append(row)
    file = options.json
    if file is None and device == "cuda":
        file = RESULTS / f"{re.sub(r'[^a-z0-9]+', '-', card.title.lower()).strip('-')}.json"
    if file is not None:
        write_json(file, rows)
        print(f"kept in {file}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probing", description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", help="batch sizes")
    parser.add_argument("--segment", type=float, help="seconds, instead of each model's own")
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="names, instead of all")
    parser.add_argument("--repeats", type=int, default=3, help="steps that are timed")
    parser.add_argument(
        "--calibrate", type=float, default=60.0, metavar="SECONDS", help="before, on small networks; 0: what was kept"
    )
    parser.add_argument("--rates", type=Path, metavar="FILE", help="keep the calibration here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the table here")
    return parser.parse_args(arguments)


def _line(row: dict) -> str:
    case = (row["model"], row["batch"], f"{row['segment']:.3g} s", row["precision"])
    predicted = (f"{row['predicted_peak'] / GIB:.3f} GiB",)
    if row["measured_peak"] is None:
        return LINE.format(*case, *predicted, *7 * [""]).rstrip() + f"   {row['outcome']}"
    memory = (f"{row['measured_peak'] / GIB:.3f} GiB", f"{row['peak_ratio']:.4f}")
    times = (_seconds(row["predicted_seconds"]), f"({_seconds(row['low'])} to {_seconds(row['high'])})")
    ratio = "–" if row["seconds_ratio"] is None else f"{row['seconds_ratio']:.2f}"
    return LINE.format(*case, *predicted, *memory, *times, _seconds(row["measured_seconds"]), ratio)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} s"


if __name__ == "__main__":
    main(sys.argv[1:])
