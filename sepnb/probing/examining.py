"""Several networks on one card, side by side: a prediction each, and for those in need the ways out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from sepnb.probing.kept_rates import rates_for
from sepnb.probing.predicting import Predictor, as_workload, setting_for
from sepnb.probing.prediction import Prediction
from sepnb.probing.rates import Rates
from sepnb.probing.story import available
from sepnb.probing.ways_out import WayOut, ways_out
from sepnb.processes import side_by_side


@dataclass(frozen=True)
class Examination:
    """What is known of a network on a card."""

    name: str
    prediction: Prediction
    # Empty where none is needed, or asked for.
    ways: tuple[WayOut, ...] = ()

    def as_dict(self) -> dict:
        """Plain values."""
        return {"name": self.name, **self.prediction.as_dict(), "ways_out": [way.as_dict() for way in self.ways]}


def examine(
    names: Iterable[str] | None = None,
    gpu: str = "t4",
    ways: bool = True,
    workers: int = 2,
    rates: Rates | None = None,
    **options: object,
) -> Iterator[Examination]:
    """Examine networks of the story (all that are installed by default), each as soon as it is done.

    `options` are those of `sepnb.probe`: batch, segment, precision and so on. Ways out are looked for where a network
    does not surely fit. `workers` processes work side by side; each takes up to a gigabyte of memory.
    """
    names = [workload.name for workload in available()] if names is None else list(names)
    # Told before anything is begun: a name that does not exist, a setting that cannot be.
    cards = [setting_for(as_workload(name), gpu, **options)[0] for name in names]
    rates = rates_for(cards[0]) if rates is None and cards else rates
    # What a CPU needs depends on the number of threads: it shall be the same in all processes.
    work = partial(_examine, gpu=gpu, ways=ways, rates=rates, threads=torch.get_num_threads(), options=options)
    for _, found in side_by_side(work, names, min(workers, len(names))):
        yield found


def _examine(name: str, gpu: str, ways: bool, rates: Rates, threads: int, options: dict) -> Examination:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    workload = as_workload(name)
    card, setting = setting_for(workload, gpu, **options)
    predictor = Predictor(workload, card, rates)
    prediction = predictor.at(setting)
    needed = ways and setting.training and not prediction.fits
    return Examination(name, prediction, tuple(ways_out(predictor, setting)) if needed else ())
