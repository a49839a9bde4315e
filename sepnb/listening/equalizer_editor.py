"""An equaliser whose curve can be drawn in the notebook: drag a band, and `editor.equalizer` is what it became."""

import base64
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from sepnb.errors import SepnbError
from sepnb.listening.equalizer import LARGEST_GAIN, Equalizer
from sepnb.listening.equalizer_fit import Match
from sepnb.listening.in_page import InPage

_STATIC = Path(__file__).with_name("static")


class EqualizerEditor(InPage, anywidget.AnyWidget):
    """The curve of an equaliser with a handle for each band, and behind it the spectra of what was matched.

    `start`: an Equalizer to begin with, or a Match, whose spectra before and after and whose target are then shown as
    well. `rate` in Hz is that of the audio it is meant for. `name` says in the legend what is equalised. Traits:
    `bands`, a list of {"kind", "frequency", "gain", "q"} that follows the handles and that they follow. `max_gain` in
    dB is how far a handle goes up and down. Raises SepnbError, here and where bands are set later, for bands that are
    none, that lie above rate / 2, or whose gains go further.

    Where no JavaScript runs (a page without a kernel), a picture of the curve takes its place.
    """

    _esm = "\n".join((_STATIC / name).read_text("utf-8") for name in ("equalizer.js", "equalizer_anywidget.js"))
    _css = (_STATIC / "equalizer.css").read_text("utf-8")

    config = traitlets.Dict(read_only=True).tag(sync=True)
    bands = traitlets.List().tag(sync=True)

    def __init__(
        self,
        start: Equalizer | Match | None = None,
        rate: int = 44100,
        *,
        name: str = "",
        max_gain: float = 12.0,
    ) -> None:
        match = start if isinstance(start, Match) else None
        equalizer = match.equalizer if match else start or Equalizer()
        _check_gains(equalizer, max_gain)
        self._rate, self._match, self._name, self._max_gain = rate, match, name, max_gain
        config = {"rate": rate, "max_gain": max_gain, "name": str(name), **_spectra(match)}
        super().__init__(bands=_plain(equalizer))
        self.set_trait("config", config)

    @property
    def equalizer(self) -> Equalizer:
        """The equaliser as the handles stand."""
        return Equalizer.from_dict({"bands": self.bands})

    @equalizer.setter
    def equalizer(self, equalizer: Equalizer) -> None:
        self.bands = _plain(equalizer)

    @traitlets.validate("bands")
    def _only_bands(self, proposal: Mapping[str, Any]) -> list[dict[str, Any]]:
        equalizer = Equalizer.from_dict({"bands": proposal["value"]})
        equalizer.sections(self._rate)  # raises for a band that the rate cannot hold
        _check_gains(equalizer, self._max_gain)
        return _plain(equalizer)

    def in_page(self) -> str:
        """The curve, and the spectra where there are some, as an <img> that needs no JavaScript."""
        import matplotlib.pyplot as plt

        from sepnb.figures.plots_equalizer import equalizer_response, spectrum_match
        from sepnb.figures.style import subplots

        equalizer, match = self.equalizer, self._match
        figure, axes = subplots(2 if match else 1, height=4.2 if match else 1.9, squeeze=False)
        axes = axes.ravel()
        if match:
            filtered = match.source + equalizer.response_db(match.centres, self._rate)
            label = self._name or "sound"
            spectrum_match(match.centres, match.source, filtered, match.target, label, axes[0], match.counted)
        frequencies = np.geomspace(20.0, min(20_000.0, 0.49 * self._rate), 400)
        places = [band.frequency for band in equalizer.bands]
        equalizer_response(frequencies, equalizer.response_db(frequencies, self._rate), places, axes[-1])
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150)
        plt.close(figure)
        code = base64.b64encode(file.getvalue()).decode()
        return f"<img alt='The curve of the equaliser' style='max-width:100%' src='data:image/png;base64,{code}'>"


def _check_gains(equalizer: Equalizer, max_gain: float) -> None:
    largest = max((abs(band.gain) for band in equalizer.bands), default=0.0)
    if not 0 < max_gain <= LARGEST_GAIN or largest > max_gain:
        raise SepnbError(
            f"max_gain must hold the bands' gains (up to {largest:.1f} dB here) "
            f"and be at most {LARGEST_GAIN:g} dB, not {max_gain:g}"
        )


def _plain(equalizer: Equalizer) -> list[dict[str, Any]]:
    return [asdict(band) for band in equalizer.bands]


def _spectra(match: Match | None) -> dict[str, list]:
    """Spectra for the browser, silence as a level far below everything: JSON has no infinity."""
    if match is None:
        return {"centres": [], "source": [], "target": [], "counted": []}
    tidy = {"source": match.source, "target": match.target}
    return {
        "centres": [round(float(value), 2) for value in match.centres],
        "counted": match.counted.tolist(),
        **{name: np.maximum(levels, -200.0).round(2).tolist() for name, levels in tidy.items()},
    }
