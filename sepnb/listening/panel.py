"""Upload and separate in a notebook: a song, a model, an excerpt; then listen, look, and take the stems home."""

import base64
import contextlib
import html
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from sepnb.errors import SepnbError
from sepnb.files import file_name
from sepnb.listening.bundle import Origin, write_bundle, write_stem
from sepnb.listening.in_page import InPage
from sepnb.listening.pictures import spectrograms_png
from sepnb.listening.players import mix
from sepnb.listening.presets import karaoke, practice
from sepnb.listening.separating import Stopped, in_words, separate_with_progress
from sepnb.listening.uploads import Upload, UploadLimits, read_upload, safe_name
from sepnb.separators import load_separator
from sepnb.separators.base import Separator, describe
from sepnb.separators.registry import REGISTRY, unknown

if TYPE_CHECKING:
    from sepnb.listening.mixer import StemMixer

UPLOADED = "my upload"
ORIGINAL = "original"
KARAOKE, AS_IT_IS = "karaoke", "as it is"
# A link that carries its file is a message to the browser: larger ones are refused by hosted notebooks.
LARGEST_LINK = 15_000_000
TYPES = {".flac": "audio/flac", ".zip": "application/zip"}
ACCEPTED = ".wav,.flac,.mp3,.m4a,.mp4,.aac,.ogg,.opus,.aiff,audio/*"


@dataclass(frozen=True)
class Separated:
    """What a panel has made: stems (channels, samples) by name at `song.rate`."""

    song: Upload
    model: str
    stems: Mapping[str, np.ndarray]
    origin: Origin


class SeparationPanel(InPage, widgets.VBox):
    """Pick a file or a demo song, a model and an excerpt; separate; listen, look, download.

    songs: {name: path} to choose from beside an upload (an upload goes through the notebook's connection, some
    10 MB at most; a larger file is better named here). models: names of the registry (all networks without any), or
    {name: separator} for systems of one's own. folder: where downloads are written (a temporary one without it).

    The separation runs in a thread of its own, so other cells can run. From Python: `panel.separate(wait=True)`,
    `panel.stop()`, and afterwards `panel.separated`, `panel.mixer` and `panel.save_zip()`.
    """

    def __init__(
        self,
        songs: Mapping[str, Path | str] | None = None,
        models: Iterable[str] | Mapping[str, Separator] | None = None,
        folder: Path | str | None = None,
        limits: UploadLimits = UploadLimits(),  # noqa: B008
        device: str = "auto",
    ):
        self.separated: Separated | None = None
        self.mixer: StemMixer | None = None
        self.error: BaseException | None = None
        self._songs = {str(name): Path(path) for name, path in (songs or {}).items()}
        self._separators = dict(models) if isinstance(models, Mapping) else {}
        self._limits, self._device = limits, device
        self._kept = None if folder is not None else tempfile.TemporaryDirectory(prefix="sepnb-panel-")
        self.folder = Path(folder) if folder is not None else Path(self._kept.name)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._build(_model_choices(models))
        super().__init__([self._choosing(), self._running(), self.results])

    # ------------------------------------------------------------------------------------------- what one can do

    def separate(self, wait: bool = False) -> None:
        """Begin to separate what is chosen; with `wait`, return when it is done. Problems are shown in the panel."""
        if self._thread is not None and self._thread.is_alive():
            self._say("Something is running already: wait for it, or stop it.", wrong=True)
            return
        self._stop.clear()
        self.error = None
        self.separate_button.disabled, self.stop_button.disabled = True, False
        self._thread = threading.Thread(target=self._work, daemon=True, name="sepnb-separation")
        self._thread.start()
        if wait:
            self.wait()

    def in_page(self) -> str:
        """What is there in a live notebook."""
        return "<p>Here a live notebook separates a song of your own: open it and run this cell.</p>"

    def stop(self) -> None:
        """Stop after the block that is being worked on."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the separation; whether it has ended."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def save_zip(self) -> Path:
        """Write the zip: all stems, the mix as the faders are, and what made them. Returns its path."""
        made = self._made()
        path = self.folder / file_name(f"{made.song.name} - {made.model}.zip")
        return write_bundle(path, made.stems, made.song.rate, made.origin, self._gains())

    def save_mix(self) -> Path:
        """Write the mix as the faders are, as FLAC. Returns its path."""
        made = self._made()
        mixed = mix(made.stems, self._gains())
        return write_stem(self.folder / file_name(f"{made.song.name} - mix.flac"), mixed, made.song.rate)

    def save_stem(self, name: str) -> Path:
        """Write one stem as FLAC, lowered where it would clip. Returns its path."""
        made = self._made()
        if name not in made.stems:
            raise SepnbError(f"there is no stem {name!r}: take one of {', '.join(made.stems)}")
        stem = made.stems[name]
        lowered = stem / max(1.0, float(np.abs(stem).max()))
        return write_stem(self.folder / file_name(f"{made.song.name} - {name}.flac"), lowered, made.song.rate)

    # ------------------------------------------------------------------------------------------------- the widgets

    def _build(self, models: list[tuple[str, str]]) -> None:
        wide = widgets.Layout(width="auto", max_width="34em")
        self.upload = widgets.FileUpload(accept=ACCEPTED, multiple=False, description="Upload a song")
        names = [*self._songs, UPLOADED]
        self.song = widgets.Dropdown(options=names, value=names[0], description="Song", layout=wide)
        self.model = widgets.Dropdown(options=models, description="Model", layout=wide)
        self.start = widgets.BoundedFloatText(
            0.0, min=0.0, max=self._limits.song_seconds, description="Start (s)", layout=widgets.Layout(width="13em")
        )
        self.length = widgets.BoundedFloatText(
            min(20.0, self._limits.seconds), min=self._limits.shortest, max=self._limits.seconds,
            description="Length (s)", layout=widgets.Layout(width="13em"),
        )  # fmt: skip
        self.separate_button = widgets.Button(description="Separate", button_style="primary", icon="scissors")
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.bar = widgets.FloatProgress(0.0, min=0.0, max=1.0, layout=widgets.Layout(width="auto", max_width="34em"))
        self.message = widgets.HTML()
        self.results = widgets.VBox()
        self.link = widgets.HTML()
        self.upload.observe(self._take_upload, names="value")
        self.separate_button.on_click(lambda _: self.separate())
        self.stop_button.on_click(lambda _: self.stop())

    def _choosing(self) -> widgets.Widget:
        return widgets.VBox(
            [widgets.HBox([self.song, self.upload]), self.model, widgets.HBox([self.start, self.length])]
        )

    def _running(self) -> widgets.Widget:
        return widgets.VBox([widgets.HBox([self.separate_button, self.stop_button]), self.bar, self.message])

    def _take_upload(self, _: object) -> None:
        files = uploaded(self.upload.value)
        if files:
            self.song.value = UPLOADED
            name, content = files[0]
            self._say(f"{name}: {len(content) / 1e6:.1f} MB are here.")

    def _say(self, text: str, wrong: bool = False) -> None:
        colour = "color: var(--jp-error-color1, #b00020)" if wrong else ""
        self.message.value = f'<span role="status" style="{colour}">{html.escape(text)}</span>'

    # -------------------------------------------------------------------------------------------------- the thread

    def _work(self) -> None:
        try:
            self._say("Reading the song …")
            self.bar.value = 0.0
            song = self._read()
            model = self.model.value
            self._say(f"Loading {model} …")
            separator = self._separators.get(model) or load_separator(model, self._device)
            stems = separate_with_progress(separator, song.audio, song.rate, self._report, self._stop.is_set)
            about = {"excerpt from (s)": song.start, "seconds": round(song.duration, 3)}
            origin = Origin(song.name, model, describe(separator) | about)
            self.separated = Separated(song, model, stems, origin)
            self._say("Drawing …")
            self._show()
            self._say(f"{song.name}: {song.duration:.1f} s separated by {model}. {song.note}")
        except Stopped as stop:
            self._say(f"{str(stop).capitalize()}.")
        except SepnbError as error:
            self.error = error
            self._say(str(error), wrong=True)
        except Exception as error:
            # A thread's traceback would be printed under whatever cell runs: the panel keeps it for who wants it.
            self.error = error
            self._say(f"This failed unexpectedly: {type(error).__name__}: {error} (see panel.error)", wrong=True)
        finally:
            self.separate_button.disabled, self.stop_button.disabled = False, True

    def _read(self) -> Upload:
        chosen = (self.start.value, self.length.value)
        if self.song.value != UPLOADED:
            return read_upload(self._songs[self.song.value], self._limits, *chosen, name=self.song.value)
        files = uploaded(self.upload.value)
        if not files:
            raise SepnbError("there is no upload yet: press “Upload a song”, or choose one from the list")
        name, content = files[0]
        with tempfile.TemporaryDirectory(prefix="sepnb-upload-") as folder:
            path = Path(folder) / "upload"
            path.write_bytes(content)
            return read_upload(path, self._limits, *chosen, name=safe_name(name))

    def _report(self, done: float, total: float, left: float | None) -> None:
        self.bar.value = done / total
        self._say(", ".join(filter(None, [f"{done:.0f} of {total:.0f} s of music", in_words(left)])))

    # ----------------------------------------------------------------------------------------------- what came of it

    def _made(self) -> Separated:
        if self.separated is None:
            raise SepnbError("nothing is separated yet: choose a song and press Separate")
        return self.separated

    def _gains(self) -> dict[str, float]:
        """Gains in dB of the separated stems, by faders, mute and solo, also while one listens to the original."""
        if self.mixer is None:
            return {}
        return self.mixer.gains_db(self._made().model)

    def _show(self) -> None:
        made = self._made()
        pieces: list[widgets.Widget] = []
        old, self.results.children = self.results.children, ()
        for widget in old:
            if widget is not self.link:
                _close(widget)
        self.mixer, self.link.value = None, ""
        try:
            from sepnb.listening.mixer import StemMixer

            systems = {made.model: made.stems, ORIGINAL: {"mixture": made.song.audio}}
            self.mixer = StemMixer(systems, made.song.rate)
            pieces += [self.mixer, self._presets(list(made.stems))]
        except SepnbError as error:  # too large to listen to in a notebook; the files are there all the same
            pieces.append(widgets.HTML(html.escape(str(error))))
        sounds = {ORIGINAL: made.song.audio, **made.stems}
        picture = spectrograms_png(sounds, made.song.rate, start=made.song.start)
        pieces.append(widgets.Image(value=picture, format="png", layout=widgets.Layout(max_width="52em")))
        pieces += [self._downloads(list(made.stems)), self.link]
        self.results.children = tuple(pieces)

    def _presets(self, stems: list[str]) -> widgets.Widget:
        choices: dict[str, dict[str, float]] = {AS_IT_IS: dict.fromkeys(stems, 0.0)}
        if "vocals" in stems:
            choices[KARAOKE] = karaoke(stems)
        choices |= {f"practice {name} (−12 dB)": practice(stems, name) for name in stems}
        self.preset = widgets.Dropdown(options=list(choices), description="Preset")

        def choose(change: Mapping[str, Any]) -> None:
            if self.mixer is not None:
                self.mixer.gains = choices[change["new"]]

        self.preset.observe(choose, names="value")
        return self.preset

    def _downloads(self, stems: list[str]) -> widgets.Widget:
        self.download_buttons = {}
        for name, save in {
            **{stem: (lambda stem=stem: self.save_stem(stem)) for stem in stems},
            "mix": self.save_mix,
            "all (zip)": self.save_zip,
        }.items():
            button = widgets.Button(description=name, icon="download", tooltip=f"Download {name}")
            button.on_click(lambda _, save=save: self._offer(save))
            self.download_buttons[name] = button
        return widgets.HBox(list(self.download_buttons.values()), layout=widgets.Layout(flex_flow="row wrap"))

    def _offer(self, save: Any) -> None:
        try:
            self.link.value = download_link(save())
        except SepnbError as error:
            self.link.value = html.escape(str(error))


def _close(widget: widgets.Widget) -> None:
    """Let go of a widget and what belongs to it; ipywidgets keeps every one until it is closed."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if part is not None:
            _close(part)
    widget.close()


def uploaded(value: object) -> list[tuple[str, bytes]]:
    """Names and contents of what a FileUpload holds: a tuple of files in ipywidgets 8, a dict by name in 7 (Colab)."""
    if isinstance(value, Mapping):
        return [(str(name), bytes(file["content"])) for name, file in value.items()]
    return [(str(file["name"]), bytes(file["content"])) for file in value or ()]


def download_link(path: Path) -> str:
    """HTML that hands a file to who reads the notebook: a link that carries it, as Jupyter, Colab and VS Code take it.

    What is too large for that is downloaded by Colab's own means there, and elsewhere its path is said.
    """
    size = path.stat().st_size
    name = html.escape(path.name, quote=True)
    if size <= LARGEST_LINK:
        carried = base64.b64encode(path.read_bytes()).decode()
        kind = TYPES.get(path.suffix, "application/octet-stream")
        return f'<a download="{name}" href="data:{kind};base64,{carried}">{name}</a> ({size / 1e6:.1f} MB)'
    with contextlib.suppress(ImportError):
        from google.colab import files

        files.download(str(path))
        return f"{name} ({size / 1e6:.1f} MB) is being downloaded."
    return f"{name} ({size / 1e6:.0f} MB) is too large for a link; it lies in {html.escape(str(path.resolve().parent))}"


def _model_choices(models: Iterable[str] | Mapping[str, Separator] | None) -> list[tuple[str, str]]:
    """Labels and names of models, what comes with the package first; a download is said."""
    if isinstance(models, Mapping):
        return [(str(name), str(name)) for name in models]
    names = list(models) if models is not None else [n for n, e in REGISTRY.items() if e.kind == "pretrained"]
    choices = []
    for name in names:
        if name not in REGISTRY:
            raise unknown(name)
        entry = REGISTRY[name]
        if entry.kind != "pretrained":
            raise SepnbError(f"{name} ({entry.kind}) separates nothing by itself: take a network")
        size = f"downloads {entry.download / 1e6:.0f} MB" if entry.download else "downloads its weights"
        choices.append((name if entry.cached() else f"{name} ({size})", name))
    return choices
