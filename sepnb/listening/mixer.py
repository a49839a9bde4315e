"""StemMixer: a mixer in the notebook for the stems of one or several systems, which Python reads and sets.

The browser does the mixing (static/mixer.js), so that everything stays in step and nothing waits for Python. What the
two share is a handful of small traits; the sounds travel in pieces, when a browser that shows the mixer asks for them.
A saved notebook keeps none of that, but up to 2 MB of plain players for each mixer (`page_players`).
"""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from sepnb.errors import SepnbError
from sepnb.listening.encoding import Encoded, checked, encode, mixer_config
from sepnb.listening.in_page import InPage
from sepnb.listening.players import mix, page_players

STATIC = Path(__file__).parent / "static"
PIECE = 1_000_000  # bytes of one message: well below what any notebook's server takes
LOWEST, HIGHEST = -40.0, 12.0  # dB, the ends of a fader; -inf is off
SHORTEST_LOOP = 0.05  # s


def _joined(*names: str) -> str:
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def _shared(trait: traitlets.TraitType, **options: object) -> traitlets.TraitType:
    """A trait of the state. What the browser sent is not sent back: an old echo would turn back a fader in motion."""
    return trait.tag(sync=True, echo_update=False, **options)


def _setting(trait: traitlets.TraitType, **options: object) -> traitlets.TraitType:
    """A trait of the state that listeners and Python set."""
    return _shared(trait, setting=True, **options)


def _gains_to_json(gains: Mapping[str, float], _: object) -> dict[str, float | None]:
    return {stem: gain if math.isfinite(gain) else None for stem, gain in gains.items()}  # JSON has no infinity


def _gains_from_json(gains: Mapping[str, float | None], _: object) -> dict[str, float]:
    return {stem: -math.inf if gain is None else gain for stem, gain in gains.items()}


class StemMixer(InPage, anywidget.AnyWidget):
    """Hear stems together: play, loop, faders, mute, solo, and at the same place another system.

    systems: {stem: audio} or {system: {stem: audio}}, audio float (channels, samples) of one shape, at `rate` Hz.
    reference: the system to whose levels `match_levels` brings the others, stem by stem (None: the first). That is on
    where there are several systems; turned off, each plays as it is.
    blind: show nothing but the systems' buttons. strip: with the spectrogram of what is heard.

    Everything that can be set by hand can be read and set from Python: `position` (s), `playing`, `volume` (0 to 1),
    `gains` ({stem: dB}, -40 to 12, -inf for off; a stem that is not named has 0), `muted` and `soloed` (lists of
    stems), `system`, `loop` ((start, end) in s, or None), `match_levels`. `ready` and `problem` say how the browser
    fares. Bad values raise TraitError. Where no notebook runs (an exported page), plain players take its place.

    A browser holds the sounds from when the mixer is first shown until a few seconds after it is last shown. Python
    holds them until `close()`: like every widget, a mixer whose cell is run again stays in memory beside the new one.

    Raises SepnbError for stems that do not fit together, and for more sound than a notebook or browser takes.
    """

    _esm = _joined("mixer.js", "mixer_anywidget.js")
    _css = _joined("mixer.css")

    config = traitlets.Dict(read_only=True).tag(sync=True)
    position = _setting(traitlets.Float(0.0))
    playing = _setting(traitlets.Bool(False))
    volume = _setting(traitlets.Float(1.0, min=0.0, max=1.0))
    gains = _setting(traitlets.Dict(), to_json=_gains_to_json, from_json=_gains_from_json)
    muted = _setting(traitlets.List(traitlets.Unicode()))
    soloed = _setting(traitlets.List(traitlets.Unicode()))
    system = _setting(traitlets.Unicode())
    loop = _setting(traitlets.List(traitlets.Float(), allow_none=True, default_value=None))
    match_levels = _setting(traitlets.Bool(False))
    ready = _shared(traitlets.Bool(False))
    problem = _shared(traitlets.Unicode(""))

    def __init__(
        self,
        systems: Mapping[str, Mapping[str, np.ndarray]] | Mapping[str, np.ndarray],
        rate: int,
        *,
        reference: str | None = None,
        blind: bool = False,
        strip: bool = True,
        **state: object,
    ):
        self._check_settings(state)
        self._systems = checked(systems, rate)
        self._encoded = encode(self._systems, rate, progress=True)
        config = mixer_config(self._systems, rate, self._encoded, reference=reference, blind=blind, strip=strip)
        self._rate, self._blind = rate, blind
        self._matches = {system["name"]: system["match_db"] for system in config["systems"]}
        self._stems = [stem["name"] for stem in config["stems"]]
        self.set_trait("config", config)
        # The louder of two systems is liked better, whatever it is. (In a blind test they are equally loud already.)
        first = {"system": next(iter(self._systems)), "match_levels": len(self._systems) > 1 and not blind}
        super().__init__(**{**first, **state})
        self.on_msg(self._answer)

    def __setattr__(self, name: str, value: object) -> None:
        # Python would take mixer.gain = …, and nothing would be heard of it.
        if not name.startswith("_") and not hasattr(type(self), name):
            self._check_settings({name: value})
        super().__setattr__(name, value)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.config["samples"] / self._rate

    def gains_db(self, system: str | None = None) -> dict[str, float]:
        """The gain in dB with which each stem of a system is heard, as `mix` takes it: -inf where it is not.

        Without `system` that which plays; of another, as it would be heard with these faders.
        """
        system = self.system if system is None else system
        stems = list(self._stems_of(system))
        alone = [name for name in self.soloed if name in stems]  # of a system without them, solo takes nothing
        heard = [name for name in stems if name not in self.muted and name in (alone or stems)]
        matched = self._matches[system] if self.match_levels else {}
        return {
            name: self.gains.get(name, 0.0) + matched.get(name, 0.0) if name in heard else -math.inf for name in stems
        }

    def mixdown(self) -> np.ndarray:
        """The mix as it is set, without the volume: audio (channels, samples), lowered where it would clip."""
        return mix(self._stems_of(self.system), self.gains_db())

    def close(self) -> None:
        """Take the mixer out of the page, and let go of its sounds here and in the browser; it cannot be used again."""
        super().close()
        self._systems, self._encoded = {}, Encoded((), 1.0, "")
        self.__dict__.pop("_page_players", None)

    def _stems_of(self, system: str) -> Mapping[str, np.ndarray]:
        if not self._systems:
            raise SepnbError("this mixer was closed, and its sounds are gone: make another")
        if system not in self._systems:
            raise SepnbError(self._there_is_no(system))
        return self._systems[system]

    # --- what may be set

    def _check_settings(self, given: Mapping[str, object]) -> None:
        for name in given:
            if not self.has_trait(name):
                settings = ", ".join(sorted(self.trait_names(setting=True)))
                raise traitlets.TraitError(f"a mixer has no {name!r} to set; it has {settings}")

    @traitlets.validate("position")
    def _check_position(self, proposal: dict) -> float:
        return self._within(proposal["value"], "position")

    @traitlets.validate("gains")
    def _check_gains(self, proposal: dict) -> dict[str, float]:
        gains = {stem: self._fader(stem, gain) for stem, gain in proposal["value"].items()}
        self._check_stems(list(gains))
        return gains

    @traitlets.validate("muted", "soloed")
    def _check_names(self, proposal: dict) -> list[str]:
        self._check_stems(proposal["value"])
        return proposal["value"]

    @traitlets.validate("system")
    def _check_system(self, proposal: dict) -> str:
        if proposal["value"] not in self._systems:
            raise traitlets.TraitError(self._there_is_no(proposal["value"]))
        return proposal["value"]

    @traitlets.validate("loop")
    def _check_loop(self, proposal: dict) -> list[float] | None:
        loop = proposal["value"]
        if loop is None:
            return None
        if len(loop) != 2 or not loop[1] - loop[0] >= SHORTEST_LOOP - 1e-6:
            raise traitlets.TraitError(f"a loop is (start, end) in seconds, {SHORTEST_LOOP} s long or more, not {loop}")
        return [self._within(at, "loop") for at in loop]

    def _there_is_no(self, system: str) -> str:
        return f"no system {system!r}; there are {', '.join(self._systems)}"

    def _within(self, seconds: float, name: str) -> float:
        if not 0 <= seconds <= self.duration + 1e-6:
            raise traitlets.TraitError(f"{name}: {seconds} s is not between 0 and {self.duration:.2f} s")
        return min(seconds, self.duration)

    def _fader(self, stem: str, gain: object) -> float:
        if not isinstance(gain, int | float | np.number) or not (LOWEST <= gain <= HIGHEST or gain == -math.inf):
            raise traitlets.TraitError(
                f"the gain of {stem!r} is {gain!r}: it must be from {LOWEST:.0f} to {HIGHEST:.0f} dB, or -inf for off"
            )
        return float(gain)

    def _check_stems(self, names: list[str]) -> None:
        unknown = [name for name in names if name not in self._stems]
        if unknown:
            raise traitlets.TraitError(f"no stem {', '.join(map(repr, unknown))}; there are {', '.join(self._stems)}")

    # --- what a browser asks for

    def _answer(self, _: object, message: dict, __: list) -> None:
        """Send the sound that a browser wants, in pieces."""
        if message.get("kind") != "want":
            return
        wanted = message.get("id")
        data = next((sound.data for sound in self._encoded.sounds if sound.id == wanted), None)
        if data is None:
            self.send({"kind": "refused", "id": wanted, "why": "This mixer has changed: run the cell again."})
            return
        pieces = [data[begin : begin + PIECE] for begin in range(0, len(data), PIECE)]
        for number, piece in enumerate(pieces):
            self.send({"kind": "piece", "id": wanted, "number": number, "count": len(pieces)}, buffers=[piece])

    # --- what is shown where no notebook runs

    def in_page(self) -> str:
        """Plain players of its sounds."""
        return self._page_players

    @cached_property
    def _page_players(self) -> str:
        if self._blind:
            return "<p>This listening test needs a running notebook: open it and run this cell.</p>"
        return page_players(self._systems, self._rate, self._encoded)
