"""Which separators there are, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sepnb.errors import SepnbError
from sepnb.separators.base import Bindable, Separator
from sepnb.separators.references import IRM1, IRM2, MIXTURE, MIXTURE_SHARE, SILENCE


@dataclass(frozen=True)
class Entry:
    """One line of the registry."""

    kind: str
    about: str
    load: Callable[[], Separator | Bindable]


REGISTRY: dict[str, Entry] = {
    "silence": Entry("baseline", "nothing at all: SDR 0 dB by definition", lambda: SILENCE),
    "mixture": Entry("baseline", "the mixture itself for every stem", lambda: MIXTURE),
    "mixture/n": Entry("baseline", "the mixture divided by the number of sources", lambda: MIXTURE_SHARE),
    "irm1": Entry("oracle", "ideal ratio mask on magnitudes", lambda: IRM1),
    "irm2": Entry("oracle", "ideal ratio mask on powers", lambda: IRM2),
}


def load_separator(name_or_path: str | Path, device: str = "cpu") -> Separator | Bindable:
    """A separator by its name in the registry, or from the folder of a training run; a network runs on `device`.

    Baselines and oracles come back unbound: `load_separator("irm2").bind(track)` is the Separator.
    Raises SepnbError for a name that is neither, with the names there are.
    """
    entry = REGISTRY.get(str(name_or_path).lower())
    if entry is not None:
        return entry.load()
    if Path(name_or_path).is_dir():
        from sepnb.separators.unet import UNetSeparator

        return UNetSeparator.from_run(name_or_path, device)
    raise SepnbError(
        f"no separator {str(name_or_path)!r}: it is neither a run's folder nor one of {', '.join(REGISTRY)}"
    )
