"""The page of a listening test: a player that does not say what it plays, the questions, and Next."""

import html
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from sepnb.errors import SepnbError
from sepnb.figures.rating_scale import QUESTIONS, WORDS
from sepnb.listening.blind.answers import AnswerFile
from sepnb.listening.blind.design import ABX, Design, Trial
from sepnb.listening.blind.items import REFERENCE
from sepnb.listening.in_page import InPage

MOVED, UNMOVED = "#0D6DCC", "#BBBBBB"  # handles of sliders: grey ones wait
SOUND = "sound"
OPEN = "Reference"  # what the true stem is called where it may be known


class BlindTest(InPage, widgets.VBox):
    """A listening test in a notebook: one trial after the other, each answer written down as Next is pressed.

    `design`: from `abx_design` or `rating_design`. `listener`: any name. `where`: a folder or CSV file for the answers,
    see `AnswerFile`; a test that was stopped goes on with the first trial that has no answer. `path` is the file,
    `done` and `count` are numbers of trials.

    The browser gets labels and sounds, not the names of systems. Who compares the sounds' bytes with other tools can
    still find out what is what: it is a test for people who want to know. Raises as `AnswerFile` does.
    """

    def __init__(self, design: Design, listener: str, where: Path | str) -> None:
        super().__init__()
        self._design, self._file = design, AnswerFile(where, design, listener)
        self._trials = design.trials(self._file.listener)
        self._volume = 0.8
        self._mixer: widgets.DOMWidget | None = None
        self._questions: _AbxQuestion | _RatingQuestions | None = None
        self._progress, self._message = widgets.HTML(), widgets.HTML()
        self._next = widgets.Button(
            description="Next", button_style="primary", disabled=True, layout={"margin": "10px 2px"}
        )
        self._next.on_click(lambda _: self._take_answer())
        self._show_next()

    @property
    def path(self) -> Path:
        """The CSV file that the answers are in."""
        return self._file.path

    @property
    def count(self) -> int:
        """How many trials the test has."""
        return len(self._trials)

    @property
    def done(self) -> int:
        """How many of them are answered."""
        return sum(trial.id in self._file.done for trial in self._trials)

    @property
    def trial(self) -> Trial | None:
        """The trial that is shown: it knows what is what; None when all are answered."""
        return next((trial for trial in self._trials if trial.id not in self._file.done), None)

    def in_page(self) -> str:
        """What the test is, and where it can be taken."""
        left = self.count - self.done
        return _sentence(f"A listening test, {left} of {self.count} trials to go: open the notebook and run this cell.")

    def _show_next(self) -> None:
        trial, self._message.value = self.trial, ""
        if self._mixer is not None:
            self._volume = self._mixer.volume
            self._mixer.playing = False
        old = [self._mixer, self._questions]
        if trial is None:
            self._questions, self._mixer, self._shown = None, None, None
            self._progress.value = _sentence(f"Thank you. All {self.count} answers are in {self.path}.")
            self.children = [self._progress]
        else:
            self._shown, self._began = trial, time.monotonic()
            self._mixer = _mixer(trial, self._design.kind, self._volume)
            self._questions = (_AbxQuestion if self._design.kind == ABX else _RatingQuestions)(trial, self._look)
            self._progress.value = _sentence(f"Trial {self.done + 1} of {self.count}: {trial.item.target}")
            self._look()
            self.children = [self._progress, self._mixer, self._questions, self._next, self._message]
        for widget in old:
            if widget is not None:
                _close(widget)

    def _look(self) -> None:
        """Next can be pressed once every question has an answer."""
        self._next.disabled = not self._questions.answered
        self._message.value = _sentence(self._questions.reminder) if self._questions.answered else ""

    def _take_answer(self) -> None:
        if self._shown is None or not self._questions.answered:  # a second click, before the first has come back
            return
        try:
            self._file.add(self._shown, self.done + 1, self._questions.answer, time.monotonic() - self._began)
        except (OSError, SepnbError) as error:
            said = getattr(error, "strerror", None) or error
            reason = f"The answer could not be written to {self.path} ({said}): press Next again."
            self._message.value = _sentence(reason)
            return
        self._show_next()


class _AbxQuestion(widgets.VBox):
    """Is X the sound of A, or of B?"""

    reminder = ""

    def __init__(self, trial: Trial, changed: Callable[[], None]) -> None:
        self._choice = widgets.ToggleButtons(options=[("X is A", "A"), ("X is B", "B")], value=None)
        self._choice.observe(lambda _: changed(), names="value")
        super().__init__([widgets.HTML(_sentence("Which of the two is X? If you cannot tell, guess.")), self._choice])

    @property
    def answered(self) -> bool:
        return self._choice.value is not None

    @property
    def answer(self) -> str:
        return self._choice.value


class _RatingQuestions(widgets.VBox):
    """A slider for each sound under each question; those side by side are compared with each other."""

    def __init__(self, trial: Trial, changed: Callable[[], None]) -> None:
        self._sliders = {
            (label, question): _slider(label, question) for question in QUESTIONS for label in trial.labels
        }
        self._moved: set[tuple[str, str]] = set()
        self._changed = changed
        for key, slider in self._sliders.items():
            slider.observe(lambda _, key=key: self._move(key), names="value")
        columns = [
            widgets.VBox(
                [widgets.HTML(_heading(text)), *(self._sliders[label, question] for label in trial.labels)],
                layout=widgets.Layout(flex="1 1 300px", max_width="420px", margin="6px 16px 6px 0"),
            )
            for question, text in QUESTIONS.items()
        ]
        told = "Listen to the reference, then move every slider (for a 0, there and back). One sound is the reference."
        ask = widgets.HTML(_sentence(told))
        row = widgets.Box(columns, layout=widgets.Layout(flex_flow="row wrap", width="100%"))
        super().__init__([ask, row])

    @property
    def answered(self) -> bool:
        return len(self._moved) == len(self._sliders)

    @property
    def answer(self) -> dict[str, dict[str, float]]:
        answer: dict[str, dict[str, float]] = {}
        for (label, question), slider in self._sliders.items():
            answer.setdefault(label, {})[question] = slider.value
        return answer

    @property
    def reminder(self) -> str:
        best = max(slider.value for (_, question), slider in self._sliders.items() if question == "quality")
        return "" if best == 100 else "One of the sounds is the reference itself: is there none with a quality of 100?"

    def _move(self, key: tuple[str, str]) -> None:
        self._moved.add(key)
        self._sliders[key].style.handle_color = MOVED
        self._changed()


def _slider(label: str, question: str) -> widgets.IntSlider:
    return widgets.IntSlider(
        0,
        min=0,
        max=100,
        description=label,
        tooltip=f"sound {label}: {question}",
        continuous_update=False,
        style={"description_width": "24px", "handle_color": UNMOVED},
        layout=widgets.Layout(width="100%"),
    )


def _mixer(trial: Trial, kind: str, volume: float) -> widgets.DOMWidget:
    """A player of a trial's sounds under their labels; labels and sounds are all that goes to the browser."""
    from sepnb.listening.mixer import StemMixer

    sounds = {label: {SOUND: trial.item.sounds[condition]} for label, condition in trial.labels.items()}
    if kind != ABX:
        sounds = {OPEN: {SOUND: trial.item.sounds[REFERENCE]}, **sounds}
    return StemMixer(sounds, trial.item.rate, blind=True, strip=False, volume=volume)


def _heading(text: str) -> str:
    """A question, what is asked for in bold, and the words of its scale above the sliders' tracks."""
    asked, best = text.split(": ")
    words = "".join(f"<span style='flex:1;text-align:center'>{word}</span>" for word in WORDS)
    return (
        f"<div style='line-height:1.5'><b>{html.escape(asked)}</b><br>{html.escape(best)}</div>"
        f"<div style='display:flex;margin:0 82px 0 38px;font-size:11px'>{words}</div>"
    )


def _sentence(text: str) -> str:
    return f"<div style='line-height:1.5' role='status'>{html.escape(text)}</div>" if text else ""


def _close(widget: widgets.Widget) -> None:
    """Close a widget with what is in it, in the browser too: a long test would fill its memory."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
