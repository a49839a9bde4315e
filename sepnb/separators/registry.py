"""Which separators there are: what each separates into, what it learnt from, and how to load it.

Where a fact could not be established it is None, and shown as not stated. Sources: the package or README that a system
was published with (demucs 4.1 and 2.0.3, torchaudio 2, openunmix 1.3, Spleeter's README and its paper in JOSS 2020).
Parameters are counted on the architectures. Downloads are in bytes, to the nearest million: sizes of the published
files where they are known, else four bytes a parameter for the ones that are plain single-precision states.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sepnb.errors import SepnbError
from sepnb.separators.base import Bindable, Separator
from sepnb.separators.demucs_hub import REPOSITORIES
from sepnb.separators.references import IRM1, IRM2, MIXTURE, MIXTURE_SHARE, SILENCE
from sepnb.separators.wiener import MWF

FOUR = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Entry:
    """What is known of a separator, and how to load it."""

    kind: str  # baseline, oracle or pretrained
    about: str
    load: Callable[[str], Separator | Bindable]  # takes the device
    sources: tuple[str, ...] = ()  # none where they are the track's own
    rate: int | None = None  # Hz; None where it is the track's own
    trained_on: str | None = None
    test_leak: bool | None = None  # whether MUSDB's test songs were among the training songs
    licence: str | None = None  # of the weights
    parameters: int | None = None
    download: int | None = None  # bytes
    where: str | None = None  # address or hub repository
    cached: Callable[[], bool] = lambda: True  # whether the weights are on this machine

    def as_dict(self) -> dict[str, Any]:
        """All facts, for JSON; `cached` asked now."""
        facts = {name: value for name, value in vars(self).items() if name != "load"}
        return facts | {"sources": list(self.sources), "cached": self.cached()}


# ---------------------------------------------------------------- how each family is loaded, and imported only then


def _reference(kind: str, about: str, bindable: Bindable) -> Entry:
    return Entry(kind, about, lambda device: bindable, parameters=0, download=0)


def _load_band_unet(device: str) -> Separator:
    from sepnb.separators.unet import load_band_unet

    return load_band_unet(device)


def _pretrained(name: str, about: str, module: str, loader: str, **facts: Any) -> Entry:
    """A system of the family in `module`, which has `loader` and `weight_files`."""

    def family() -> ModuleType:
        return importlib.import_module(f"sepnb.separators.{module}")

    def load(device: str) -> Separator:
        return getattr(family(), loader)(name, device)

    def cached() -> bool:
        return all(file.cached for file in family().weight_files(name))

    usual = {"sources": FOUR, "rate": 44100, "load": load, "cached": cached}
    return Entry("pretrained", about, **(usual | facts))


def _demucs(name: str, about: str, **facts: Any) -> Entry:
    def cached() -> bool:  # the hub keeps its own cache
        from sepnb.separators.demucs_family import is_cached

        return is_cached(name)

    facts = {"licence": "MIT", "where": f"https://huggingface.co/{REPOSITORIES[name]}", "cached": cached, **facts}
    return _pretrained(name, about, "demucs_family", "load_demucs", **facts)


def _torchaudio(name: str, about: str, **facts: Any) -> Entry:
    return _pretrained(name, about, "torchaudio_hdemucs", "load_torchaudio", **facts)


def _open_unmix(name: str, about: str, **facts: Any) -> Entry:
    # The package's own order: the Wiener filter that joins the targets sums in it.
    sources = ("vocals", "drums", "bass", "other")
    return _pretrained(name, about, "open_unmix", "load_open_unmix", sources=sources, **facts)


def _demucs_v2(name: str, about: str, **facts: Any) -> Entry:
    facts = {"licence": "MIT", "where": "https://dl.fbaipublicfiles.com/demucs/v3.0/", **facts}
    return _pretrained(name, about, "demucs_v2", "load_demucs_v2", **facts)


def _spleeter(name: str, about: str, sources: tuple[str, ...]) -> Entry:
    return _pretrained(
        name,
        about,
        "spleeter",
        "load_spleeter",
        sources=sources,
        trained_on="Deezer's own data, no MUSDB",
        test_leak=False,  # "not trained, validated or optimized in any way with musdb18 data": the JOSS paper
        licence="MIT",  # the JOSS paper says it of the models too; the README of the code alone
        parameters=9_823_749 * len(sources),  # one U-Net a stem
        where="https://github.com/deezer/spleeter/releases/tag/v1.4.0",
    )


# ------------------------------------------------------------------------------------------------------- the registry

MUSDB_HQ = "MUSDB18-HQ train"
EXTRA_800 = "MUSDB18-HQ train + 800 songs"
EXTRA_150 = "MUSDB18 train + 150 songs"

REGISTRY: dict[str, Entry] = {
    "silence": _reference("baseline", "nothing at all: SDR 0 dB by definition", SILENCE),
    "mixture": _reference("baseline", "the mixture itself for every stem", MIXTURE),
    "mixture/n": _reference("baseline", "the mixture divided by the number of sources", MIXTURE_SHARE),
    "irm1": _reference("oracle", "ideal ratio mask on magnitudes", IRM1),
    "irm2": _reference("oracle", "ideal ratio mask on powers", IRM2),
    "mwf": _reference("oracle", "multichannel Wiener filter that knows the stems' powers and directions", MWF),
    "band-unet": Entry(
        "pretrained",
        "toy U-Net of this course, in the package: needs no download, never heard real music",
        _load_band_unet,
        sources=FOUR,
        rate=44100,
        trained_on="the synthetic band",
        test_leak=False,
        licence="MIT",
        parameters=390_696,
        download=0,
        where="sepnb/pretrained/band-unet",
    ),
    "spleeter-2stems": _spleeter("spleeter-2stems", "U-Nets on magnitudes", ("vocals", "accompaniment")),
    "spleeter-4stems": _spleeter("spleeter-4stems", "U-Nets on magnitudes", ("vocals", "drums", "bass", "other")),
    "spleeter-5stems": _spleeter(
        "spleeter-5stems", "U-Nets on magnitudes", ("vocals", "piano", "drums", "bass", "other")
    ),
    "umx": _open_unmix(
        "umx",
        "Open-Unmix: recurrent networks on magnitudes, Wiener filter; up to 16 kHz",
        trained_on="MUSDB18 train",
        test_leak=False,
        licence="MIT",
        parameters=4 * 8_893_348,
        download=142_000_000,
        where="https://zenodo.org/records/3370486",
    ),
    "umxhq": _open_unmix(
        "umxhq",
        "Open-Unmix: recurrent networks on magnitudes, Wiener filter",
        trained_on=MUSDB_HQ,
        test_leak=False,
        licence="MIT",
        parameters=4 * 8_893_348,
        download=142_000_000,
        where="https://zenodo.org/records/3370489",
    ),
    "umxl": _open_unmix(
        "umxl",
        "Open-Unmix: as umxhq, wider",
        trained_on="a private set of about 400 h",
        licence="CC BY-NC-SA 4.0",
        parameters=4 * 28_257_188,
        download=452_000_000,
        where="https://zenodo.org/records/5069601",
    ),
    "tasnet": _demucs_v2(
        "tasnet",
        "Conv-TasNet for music",
        trained_on="MUSDB18 train",
        test_leak=False,
        parameters=10_977_872,
        download=44_000_000,
    ),
    "tasnet_extra": _demucs_v2(
        "tasnet_extra",
        "Conv-TasNet for music",
        trained_on=EXTRA_150,
        test_leak=False,  # its published scores are on MUSDB's test songs
        parameters=10_977_872,
        download=44_000_000,
    ),
    "demucs": _demucs_v2(
        "demucs",
        "Demucs v2: U-Net on waveforms",
        trained_on="MUSDB18 train",
        test_leak=False,
        parameters=265_679_496,
        download=1_063_000_000,
    ),
    "demucs48_hq": _demucs_v2(
        "demucs48_hq",
        "Demucs v2, 48 channels",
        trained_on=MUSDB_HQ,
        test_leak=False,
        parameters=149_462_504,
        download=598_000_000,
    ),
    "demucs_extra": _demucs_v2(
        "demucs_extra",
        "Demucs v2",
        trained_on=EXTRA_150,
        test_leak=False,  # its published scores are on MUSDB's test songs
        parameters=265_679_496,
        download=1_063_000_000,
    ),
    "hdemucs_high_musdb": _torchaudio(
        "hdemucs_high_musdb",
        "Hybrid Demucs in torchaudio",
        trained_on=MUSDB_HQ,
        test_leak=False,
        parameters=83_639_368,
        download=335_000_000,
        where="https://download.pytorch.org/torchaudio/models/hdemucs_high_musdbhq_only.pt",
    ),
    "hdemucs_high_musdb_plus": _torchaudio(
        "hdemucs_high_musdb_plus",
        "Hybrid Demucs in torchaudio",
        trained_on="MUSDB18-HQ + 150 songs",
        test_leak=True,
        parameters=83_639_368,
        download=335_000_000,
        where="https://download.pytorch.org/torchaudio/models/hdemucs_high_trained.pt",
    ),
    "mdx": _demucs(
        "mdx",
        "two Demucs v3 and two Hybrid Demucs: first in track A of the MDX challenge 2021",
        trained_on=MUSDB_HQ,
        test_leak=False,
        download=691_000_000,
    ),
    "mdx_extra": _demucs(
        "mdx_extra",
        "four Hybrid Demucs: second in track B of the MDX challenge 2021",
        trained_on="MUSDB18-HQ + extra songs",
        test_leak=True,
        parameters=2 * 83_637_832 + 2 * 83_633_984,
        download=669_000_000,
    ),
    "hdemucs_mmi": _demucs(
        "hdemucs_mmi",
        "Hybrid Demucs",
        trained_on=EXTRA_800,
        test_leak=False,
        parameters=83_637_832,
        download=167_000_000,
    ),
    "htdemucs": _demucs(
        "htdemucs",
        "Hybrid Transformer Demucs (v4)",
        trained_on=EXTRA_800,
        test_leak=False,
        parameters=41_984_456,
        download=84_000_000,
    ),
    "htdemucs_ft": _demucs(
        "htdemucs_ft",
        "four htdemucs, each tuned for one source",
        trained_on=EXTRA_800,
        test_leak=False,
        parameters=4 * 41_984_456,
        download=336_000_000,
    ),
    "htdemucs_6s": _demucs(
        "htdemucs_6s",
        "Hybrid Transformer Demucs for six sources; piano is weak",
        sources=(*FOUR, "guitar", "piano"),
        parameters=27_414_996,
        download=55_000_000,
    ),
}


# -------------------------------------------------------------------------------------------------- loading by name


def load_separator(name_or_path: str | Path, device: str = "cpu", **settings: Any) -> Separator | Bindable:
    """A separator by its name in the registry (in any case), or from a folder.

    A folder is what `sepnb train` left, or a folder of Demucs models (`FOLDER`, or `FOLDER/SIGNATURE` or
    `FOLDER/FILE.th` for one of them), version 2 included.
    `device` is cpu, cuda or auto; `settings` are options of the separator (see its `with_options`): segment, overlap,
    shifts, seed, batch, precision, progress. Weights are fetched the first time.

    Baselines and oracles come back unbound: `load_separator("irm2").bind(track)` is the Separator.
    Raises SepnbError for a name that is neither (with the names there are), a device that is not there, or settings
    that the separator does not have; DownloadError for weights that cannot be fetched.
    """
    device = _device(device)
    entry = REGISTRY.get(str(name_or_path).lower())
    separator = entry.load(device) if entry is not None else _from_path(Path(name_or_path).expanduser(), device)
    given = {option: value for option, value in settings.items() if value is not None}
    if not given:
        return separator
    if isinstance(separator, Bindable):
        raise SepnbError(f"{separator.name} ({entry.kind}) has no options: leave out {', '.join(given)}")
    return separator.with_options(**given)


def _from_path(path: Path, device: str) -> Separator:
    if (path / "model.json").is_file():
        from sepnb.separators.unet import UNetSeparator

        return UNetSeparator.from_run(path, device)
    folder = path if path.is_dir() else path.parent
    if folder.is_dir() and any(folder.glob("*.th")):
        from sepnb.separators.demucs_family import load_demucs_folder

        return load_demucs_folder(path, device)
    if path.is_dir():
        raise SepnbError(
            f"{path} holds no model: a run of `sepnb train` has a model.json, a folder of Demucs models has .th files"
        )
    raise unknown(str(path))


def unknown(name: str) -> SepnbError:
    """What to say of a name that is neither in the registry nor a path: the likely one first, then all."""
    near = difflib.get_close_matches(name.lower(), REGISTRY, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return SepnbError(f"no separator {name!r}{hint}: it is neither a model's folder nor one of {', '.join(REGISTRY)}")


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise SepnbError(f"no GPU is there for device {device!r}: choose cpu, or auto to take what there is")
    return device
