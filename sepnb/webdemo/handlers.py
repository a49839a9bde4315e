"""What the page's buttons call: a request in, pieces of the page out, and sentences where something is wrong."""

import functools
import html
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from sepnb.errors import SepnbError
from sepnb.listening.presets import karaoke, practice
from sepnb.listening.separating import Stopped, in_words
from sepnb.webdemo import pieces
from sepnb.webdemo.studio import Studio, Take, curve_names, faders
from sepnb.webdemo.visitors import Visitors

PLAIN, KARAOKE, PRACTICE = "as it is", "karaoke", "practice"
VOICE = "vocals"
SKIP = gr.skip()
SHOWN, CHOICES = 7, 7  # elements that `shown` and `_choices` fill
_LOG = logging.getLogger("sepnb.webdemo")
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:[\w.\-+ ]+[/\\])+")


def without_paths(message: str) -> str:
    """A message without the server's folders: of a path, its last part stays."""
    return _PATH.sub("", message)


def in_sentences(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What a visitor can mend is shown as it is said; anything else goes to the server's log alone."""

    @functools.wraps(handler)
    def careful(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except gr.Error:
            raise
        except SepnbError as error:
            raise gr.Error(
                html.escape(without_paths(str(error)), quote=False), print_exception=False, duration=12
            ) from None
        except Exception:
            _LOG.exception("a visitor's request failed")
            raise gr.Error(
                "this did not work, and the reason is ours: try again, or with another file", print_exception=False
            ) from None

    return careful


def kept_in_line(outputs: int, others: Any = SKIP) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For handlers with so many outputs: what is wrong stays in the first; the others become `others`, or stay."""

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        careful = in_sentences(handler)

        @functools.wraps(handler)
        def lasting(*arguments: Any, **named: Any) -> Any:
            try:
                return careful(*arguments, **named)
            except gr.Error as error:  # its message is HTML already
                gr.Warning(error.message, duration=12)
                line = f'<p class="sepnb-refused">{error.message}</p>'
                return line if outputs == 1 else (line, *[others] * (outputs - 1))

        return lasting

    return decorate


class Handlers:
    """The page's events; each finds its visitor by the page's session."""

    def __init__(self, studio: Studio, visitors: Visitors):
        self.studio, self.visitors = studio, visitors

    @kept_in_line(2, others=None)
    def look(self, upload: str | None, song: str | None) -> tuple[str, Any]:
        """Say at once whether an uploaded file can be read. It takes the demo song's place until it is taken away."""
        from sepnb.listening.uploads import safe_name

        if not upload:
            return "", song or self.studio.songs.names[0]
        found = self.studio.look(self._uploaded(upload))
        channels = {1: "mono", 2: "stereo"}.get(found.channels, f"{found.channels} channels")
        said = f"{safe_name(upload)}: {found.duration:.1f} s, {channels}, {found.rate} Hz."
        return pieces.sentence(f"{said} Now choose an excerpt of it, and Separate."), None

    @kept_in_line(SHOWN + CHOICES)
    def separate(
        self,
        upload: str | None,
        song: str | None,
        model: str,
        start: float,
        length: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 – Gradio finds it by this default
    ) -> tuple[Any, ...]:
        """Separate, and show what came of it."""

        def report(done: float, total: float, left: float | None) -> None:
            said = ", ".join(filter(None, [f"{done:.0f} of {total:.0f} s of music", in_words(left)]))
            progress(done / total, desc=said)

        progress(0.0, desc="reading the song")
        with self.visitors.working(request.session_hash) as visitor:
            try:
                take = self.studio.separate(visitor, self._uploaded(upload), song, model, start, length, report)
            except Stopped as stop:
                return (pieces.sentence(f"{str(stop).capitalize()}."), *[gr.skip()] * (SHOWN + CHOICES - 1))
            progress(1.0, desc="drawing the spectrograms")
            return (*self.shown(visitor, take), *self._choices(take))

    @in_sentences
    def stop(self, request: gr.Request) -> str:
        """Stop what the visitor has running."""
        running = self.visitors.stop(request.session_hash)
        return pieces.sentence("Stopped." if running else "Nothing of yours is running.")

    @in_sentences
    def preset(self, chosen: str, stem: str | None, request: gr.Request) -> str:
        """Move the mixer's faders."""
        visitor = self.visitors.find(request.session_hash)
        if visitor is None or visitor.made is None:  # before the first separation there are no faders
            return ""
        stems = visitor.made.stems
        if chosen == PLAIN:
            return pieces.orders(dict.fromkeys(stems, 0.0))
        if chosen == KARAOKE:
            return pieces.orders(karaoke(stems))
        if chosen == PRACTICE:
            return pieces.orders(practice(stems, str(stem)))
        raise SepnbError(f"there is no preset of that name: take {PLAIN}, {KARAOKE} or {PRACTICE}")

    @kept_in_line(1)
    def zip(self, sent: str, request: gr.Request) -> str:
        """Pack the stems and the mix as the faders stand."""
        try:
            gains = faders(json.loads(sent or "{}"))
        except ValueError:
            raise SepnbError("the faders' positions could not be read: reload the page") from None
        with self.visitors.working(request.session_hash, light=True) as visitor:
            path = self.studio.bundle(visitor, gains)
            return pieces.zip_link(path)

    def leave(self, request: gr.Request) -> None:
        """The page was closed, or has lost its server."""
        self.visitors.leave(request.session_hash)

    def _uploaded(self, upload: str | None) -> str | None:
        """The path of an upload. Raises SepnbError for any other, should Gradio have let it through."""
        if upload and not Path(upload).resolve().is_relative_to(self.visitors.uploads.resolve()):
            raise SepnbError("this file was not uploaded here: upload it again")
        return upload

    def shown(self, visitor: Any, take: Take, as_before: bool = False) -> tuple[Any, ...]:
        """status, results' visibility, mixer, orders, picture, links, zip link.

        as_before: the mixer's faders, mutes and place stay as they are on the page.
        """
        described = f"{take.song}: {take.seconds:.1f} s separated by {take.model}."
        where = "Listen in step 4." if as_before else ""
        said = " ".join(filter(None, [described, take.note, *take.changes, where]))
        names = ", ".join(["original", *take.heard])
        return (
            pieces.sentence(said),
            gr.update(visible=True),
            pieces.mixer(take, as_before),
            "",
            pieces.picture(self.studio.picture(visitor), f"Spectrograms of {names}, all on one scale of decibels."),
            pieces.links(take),
            "",
        )

    def _choices(self, take: Take) -> tuple[Any, ...]:
        """Choices that depend on the stems: preset, its stem; and of the sound steps, which begin anew."""
        names = list(take.stems)
        presets = [PLAIN, *([KARAOKE] if VOICE in names else []), PRACTICE]
        return (
            gr.update(choices=presets, value=PLAIN),
            gr.update(choices=names, value=names[0]),
            gr.update(choices=names, value=names[0]),
            gr.update(choices=[*curve_names(), *names[1:]], value=curve_names()[0]),
            [],
            "",
            0,
        )
