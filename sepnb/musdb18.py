"""What the package musdb knows of MUSDB18: its split, the order of streams in its stem files, where its sample lies.

Only musdb's data file is read. `import musdb` needs the ffmpeg program, which sepnb does not.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sepnb.errors import SepnbError


@cache
def _settings() -> dict:
    import yaml

    spec = find_spec("musdb")
    if spec is None:
        raise SepnbError("the package musdb is not installed, and the split of MUSDB18 is in it: pip install musdb")
    path = Path(next(iter(spec.submodule_search_locations))) / "configs" / "mus.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def sources() -> frozenset[str]:
    """The four sources of MUSDB18."""
    return frozenset(_settings()["sources"])


def stream_names() -> tuple[str, ...]:
    """What the audio streams of a MUSDB18 stem file hold, in their order: the mixture, then the four sources."""
    ids = _settings()["stem_ids"]
    return tuple(sorted(ids, key=ids.get))


def validation_tracks() -> frozenset[str]:
    """Names of the 14 songs of the training folder that are meant for validation."""
    return frozenset(_settings()["validation_tracks"])


def composites() -> dict[str, frozenset[str]]:
    """Sums of sources that people keep beside them (accompaniment, linear_mixture), and what each is the sum of."""
    return {name: frozenset(parts) for name, parts in _settings()["targets"].items() if len(parts) > 1}


def sample_url() -> str:
    """Where the 7-second excerpts of all songs lie, one zip of stem files."""
    return _settings()["sample-url"]
