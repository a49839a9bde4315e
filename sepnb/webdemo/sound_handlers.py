"""Pitch and equaliser on the page: the steps, and what their buttons call."""

import html
import math
import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from sepnb.errors import SepnbError
from sepnb.listening.equalizer import Band, Equalizer
from sepnb.listening.pictures import DRAWING
from sepnb.webdemo import pieces
from sepnb.webdemo.handlers import SHOWN, Handlers, in_sentences, kept_in_line
from sepnb.webdemo.studio import MOST_SEMITONES, Studio, Take, curve_names
from sepnb.webdemo.visitors import Visitors

HEADS = ["kind", "frequency (Hz)", "gain (dB)", "q"]
MOST_BANDS = 12
NO_BANDS: list[list[Any]] = []
LISTEN = "Listen to “changed” in step 4."


@dataclass(frozen=True)
class SoundSteps:
    """The elements of the steps; `choices` are those that follow the stems of a take."""

    semitones: gr.Slider
    shift: gr.Button
    stem: gr.Dropdown
    target: gr.Dropdown
    fit: gr.Button
    bands: gr.Dataframe
    response: gr.HTML
    apply: gr.Button
    undo: gr.Button

    @property
    def choices(self) -> list[gr.components.Component]:
        return [self.stem, self.target, self.bands, self.response, self.semitones]


def sound_steps(studio: Studio) -> SoundSteps:
    """Draw the steps into the page that is being built."""
    gr.HTML(
        pieces.step(6, "Shift the pitch", "In semitones; the drums stay as they are, and so does the tempo."),
        padding=False,
    )
    with gr.Row(equal_height=True):
        semitones = gr.Slider(
            -MOST_SEMITONES, MOST_SEMITONES, 0, step=1, label="Semitones", scale=3, elem_id="semitones"
        )
        shift = gr.Button("Shift", scale=1, elem_id="shift")
    gr.HTML(
        pieces.step(7, "Equalise a stem", "Bands are fitted to a target; edit them as you like, then apply."),
        padding=False,
    )
    with gr.Row(equal_height=True):
        stem = gr.Dropdown([], label="Stem", elem_id="eq-stem")
        target = gr.Dropdown(curve_names(), label="Should sound like", elem_id="eq-target")
        fit = gr.Button("Find the bands", elem_id="eq-fit")
    bands = gr.Dataframe(
        NO_BANDS, headers=HEADS, datatype=["str", "number", "number", "number"], interactive=True, label="Bands",
        row_count=0, column_count=len(HEADS), elem_id="eq-bands", type="array",
    )  # fmt: skip
    response = gr.HTML("", elem_id="eq-picture")
    with gr.Row():
        apply = gr.Button("Apply", elem_id="eq-apply")
        undo = gr.Button("Undo all changes", elem_id="undo")
    return SoundSteps(semitones, shift, stem, target, fit, bands, response, apply, undo)


class SoundHandlers:
    """The events of pitch and equaliser."""

    def __init__(self, studio: Studio, visitors: Visitors, shows: Handlers):
        self.studio, self.visitors, self._shows = studio, visitors, shows

    def wire(self, steps: SoundSteps, shown: list[gr.components.Component], light: dict[str, Any]) -> None:
        """Connect the buttons; `shown` are the page's elements that show a take."""
        steps.stem.change(
            self.targets, steps.stem, steps.target, queue=False, show_progress="hidden", api_visibility="private"
        )
        # Bands are found for one stem: on another they would do something else.
        steps.stem.input(
            lambda: (NO_BANDS, ""), None, [steps.bands, steps.response],
            queue=False, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        steps.fit.click(
            self.fit, [steps.stem, steps.target], [steps.response, steps.bands],
            show_progress_on=steps.response, api_name="fit", **light,
        )  # fmt: skip
        # Progress is shown where the visitor looks, and what was done, in a message: the status is far above.
        steps.shift.click(
            self.shift, steps.semitones, shown, show_progress_on=steps.semitones, api_name="shift", **light
        )
        steps.apply.click(
            self.equalise, [steps.stem, steps.bands], [*shown, steps.response],
            show_progress_on=steps.response, api_name="equalise", **light,
        )  # fmt: skip
        undone = [*shown, steps.semitones, steps.bands, steps.response]
        steps.undo.click(self.undo, None, undone, show_progress_on=steps.response, api_name="undo", **light)

    @in_sentences
    def targets(self, stem: str | None, request: gr.Request) -> Any:
        """What a stem can be matched to: the curves, and the other stems."""
        visitor = self.visitors.find(request.session_hash)
        names = [] if visitor is None or visitor.made is None else list(visitor.made.stems)
        return gr.update(choices=[*curve_names(), *(name for name in names if name != stem)], value=curve_names()[0])

    @kept_in_line(2)
    def fit(self, stem: str | None, target: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Fit bands, and show them."""
        with self.visitors.working(request.session_hash, light=True) as visitor:
            match = self.studio.fit(visitor, stem, target)
            said = f"{stem} was {match.before_db:.1f} dB from {target}; with these bands it is {match.after_db:.1f} dB."
            take = self.studio.take(visitor)
            picture = self._drawn(take, str(stem), match, said)
        return picture, rows_of(match.equalizer)

    @kept_in_line(SHOWN)
    def shift(self, semitones: float, request: gr.Request) -> tuple[Any, ...]:
        """Shift, keeping the equalisers."""
        with self.visitors.working(request.session_hash, light=True) as visitor:
            before = self.studio.take(visitor)
            take = self.studio.change(visitor, semitones, before.equalizers)
            gr.Info(html.escape(f"{' '.join(take.changes) or 'Nothing was changed.'} {LISTEN}"))  # it takes HTML
            return self._shows.shown(visitor, take, as_before=True)

    @kept_in_line(SHOWN + 1)
    def equalise(self, stem: str | None, rows: object, request: gr.Request) -> tuple[Any, ...]:
        """Put a stem through the bands of the table, keeping pitch and other stems' equalisers."""
        equalizer = bands_of(rows)
        with self.visitors.working(request.session_hash, light=True) as visitor:
            before = self.studio.take(visitor)
            take = self.studio.change(visitor, before.semitones, {**before.equalizers, str(stem): equalizer})
            said = f"{stem} through {len(equalizer.bands)} bands. {LISTEN}"
            return (*self._shows.shown(visitor, take, as_before=True), pieces.sentence(said))

    @kept_in_line(SHOWN + 3)
    def undo(self, request: gr.Request) -> tuple[Any, ...]:
        """Back to the stems as separated."""
        with self.visitors.working(request.session_hash, light=True) as visitor:
            take = self.studio.change(visitor, 0, {})
            gr.Info("The stems are as they were separated.")
            return (*self._shows.shown(visitor, take, as_before=True), 0, NO_BANDS, "")

    def _drawn(self, take: Take, stem: str, match: Any, said: str) -> str:
        from matplotlib.figure import Figure

        from sepnb.figures import print_style
        from sepnb.figures.plots_equalizer import equalizer_response, spectrum_match

        path = take.folder / f"equalizer-{secrets.token_hex(4)}.png"  # another name, or a browser shows an older one
        with DRAWING, print_style():
            figure = Figure(figsize=(7.2, 2.8), layout="constrained")
            spectra, curve = figure.subplots(1, 2)
            spectrum_match(match.centres, match.source, match.filtered, match.target, stem, spectra, match.counted)
            frequencies = np.geomspace(20, 0.49 * take.rate, 400)
            response = match.equalizer.response_db(frequencies, take.rate)
            equalizer_response(frequencies, response, [band.frequency for band in match.equalizer.bands], curve)
            figure.savefig(path, dpi=160)
        return f"<p>{html.escape(said)}</p>{pieces.picture(path, said)}"


def rows_of(equalizer: Equalizer) -> list[list[Any]]:
    """Bands as rows of the table."""
    return [[band.kind, round(band.frequency, 1), round(band.gain, 2), round(band.q, 3)] for band in equalizer.bands]


def bands_of(rows: object) -> Equalizer:
    """Rows of the table, as a page sends them, as an equaliser; empty rows do not count.

    Raises SepnbError for what is no band, with its row.
    """
    if not isinstance(rows, list) or len(rows) > 4 * MOST_BANDS:
        raise SepnbError("the bands could not be read: reload the page")
    bands = []
    for place, row in enumerate(rows, start=1):
        if not isinstance(row, (list, tuple)) or len(row) != len(HEADS):
            raise SepnbError(f"row {place} of the bands needs {', '.join(HEADS)}")
        if all(cell in ("", None) for cell in row):
            continue
        try:
            frequency, gain, q = (float(cell) for cell in row[1:])
        except (TypeError, ValueError):
            raise SepnbError(f"row {place} of the bands: frequency, gain and q must be numbers") from None
        if not all(map(math.isfinite, (frequency, gain, q))):
            raise SepnbError(f"row {place} of the bands: frequency, gain and q must be numbers")
        bands.append(Band(str(row[0]), frequency, gain, q))
    if len(bands) > MOST_BANDS:
        raise SepnbError(f"{len(bands)} bands are more than the {MOST_BANDS} that are taken: remove some")
    return Equalizer(tuple(bands))
