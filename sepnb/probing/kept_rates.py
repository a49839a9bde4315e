"""Where rates come from: a calibration of this device, if one has been kept, or else assumptions."""

import os
import warnings
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.probing.assumed_rates import assumed_rates
from sepnb.probing.cards import Card, this_card
from sepnb.probing.rates import Rates

FOLDER_VARIABLE = "SEPNB_RATES"


def rates_path(card: Card) -> Path:
    """The file that a calibration of a card is kept in, in $SEPNB_RATES or `~/.cache/sepnb/rates`."""
    folder = Path(os.environ.get(FOLDER_VARIABLE) or "~/.cache/sepnb/rates").expanduser()
    return folder / f"{card.name}.json"


def rates_for(card: Card) -> Rates:
    """The rates of a card: those measured here, where it is this machine's own and they were kept, or assumed ones.

    Warns where what was kept is of no use now: of another machine, another PyTorch or another number of threads.
    """
    path = rates_path(card)
    if path.is_file():
        try:
            return Rates.load(path, card.title)
        except SepnbError as error:
            warnings.warn(f"{error}; until then, rates are assumed", stacklevel=2)
    return assumed_rates(card)


def calibrate_here(seconds: float = 30.0, progress: bool = False) -> tuple[Rates, Path]:
    """Measure the device at hand, a GPU where there is one, and keep the rates for `rates_for`; also says where."""
    # It runs real steps, as training does, and loads what that takes: a second that predictions need not wait for.
    from sepnb.probing.calibration import calibrate

    card = this_card()
    rates = calibrate("cpu" if card.name == "cpu" else "cuda", seconds, progress)
    path = rates_path(card)
    path.parent.mkdir(parents=True, exist_ok=True)
    rates.save(path)
    return rates, path
