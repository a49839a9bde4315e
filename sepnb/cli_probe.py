"""What `sepnb probe` prints."""

import json
import sys
from contextlib import redirect_stdout

from tqdm.auto import tqdm

from sepnb.errors import SepnbError
from sepnb.probing import Setting, describe, examine, this_card, verdict_table, ways_table
from sepnb.probing.examining import Examination
from sepnb.probing.kept_rates import calibrate_here
from sepnb.probing.report import comparison_table
from sepnb.probing.story import available


def print_predictions(names: list[str] | None, gpu: str, options: dict, ways: bool, as_json: bool) -> None:
    """Predictions for networks on a card: one of them whole, several as a table, and the ways out of those in need."""
    wanted = names or [workload.name for workload in available()]
    found = {}
    with tqdm(total=len(wanted), desc="probing", unit="model", file=sys.stderr, leave=False, delay=0.5) as bar:
        for one in examine(wanted, gpu, ways, **options):
            found[one.name] = one
            bar.update()
    ordered = [found[name] for name in wanted]
    if as_json:
        print(json.dumps([one.as_dict() for one in ordered], indent=2))
    elif len(ordered) == 1:
        print(describe(ordered[0].prediction))
        _print_ways(ordered[0])
    else:
        card = ordered[0].prediction.card
        print(f"{card.title}, {card.memory / 2**30:.1f} GiB that a program can use; {options['precision']}\n")
        print(verdict_table(ordered).to_string(index=False))
        for one in ordered:
            _print_ways(one)


def _print_ways(one: Examination) -> None:
    if one.ways:
        prediction = one.prediction
        print(f"\n{prediction.model} {prediction.verdict}: {prediction.decides}. What would help:")
        print(ways_table(one.ways).to_string(index=False))


def print_measured(names: list[str] | None, options: dict, as_json: bool) -> None:
    """Real steps on the device at hand, a GPU where there is one, beside what is predicted for them."""
    from sepnb.probing.comparing import comparison

    device = "cpu" if this_card().name == "cpu" else "cuda"
    for option in ("accumulate", "checkpoint", "trainable", "width", "training"):
        if options[option] != getattr(Setting, option):
            raise SepnbError(f"--measure runs plain training steps: leave out what sets {option}")
    table = comparison(names or None, options["batch"] or 1, options["segment"], options["precision"], device)
    print(table.to_json(orient="records", indent=2) if as_json else comparison_table(table).to_string(index=False))


def keep_calibration() -> None:
    """Measure the device at hand and say where the rates are kept."""
    with redirect_stdout(sys.stderr):
        rates, path = calibrate_here(progress=True)
    print(f"{rates.title}: {len(rates.costs)} rates, kept in {path}")
