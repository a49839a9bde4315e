"""The page of the web demo: steps in the order in which one takes them, a sentence each."""

import gradio as gr

from sepnb.separators.registry import REGISTRY
from sepnb.webdemo import pieces
from sepnb.webdemo.handlers import PLAIN, PRACTICE, Handlers
from sepnb.webdemo.limits import DemoLimits
from sepnb.webdemo.models import DEFAULT
from sepnb.webdemo.sound_handlers import SoundHandlers, sound_steps
from sepnb.webdemo.studio import Studio
from sepnb.webdemo.visitors import Visitors

LOCAL_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
# The page follows the link to a zip by itself, once it is there.
FOLLOW_ZIP = "() => { document.querySelector('.sepnb-zip a')?.click(); }"
LOOK = "What is bright where it should be dark has leaked in; what is dark where it should be bright is missing."
TOY = "Trained on the synthetic band, it separates a real song poorly: sepnb demo --model htdemucs offers another."
SEND_FADERS = "() => [window.sepnbMixerGains ? window.sepnbMixerGains() : '{}']"


def theme() -> gr.themes.Base:
    """Gradio's quiet theme with fonts that the visitor's machine has: nothing is fetched from elsewhere."""
    return gr.themes.Soft(
        primary_hue="indigo", font=LOCAL_FONTS, font_mono=["ui-monospace", "Consolas", "monospace"], radius_size="md"
    )


def build_page(studio: Studio, visitors: Visitors) -> gr.Blocks:
    """The page, not yet served."""
    limits = studio.limits
    does = Handlers(studio, visitors)
    with gr.Blocks(title="sepnb: take a song apart", analytics_enabled=False) as page:
        gr.HTML(
            '<div class="sepnb-head"><h1>Take a song apart</h1>'
            "<p>Vocals, drums, bass and the rest: listen to each, change it, take it home.</p></div>"
        )
        upload, song, model, start, length = _what_to_separate(studio, limits)
        _step(3, "Separate", "It takes a few seconds; a queue shows your place, and Stop stops.")
        with gr.Row():
            separate = gr.Button("Separate", variant="primary", scale=3, elem_id="separate")
            stop = gr.Button("Stop", scale=1, elem_id="stop")
        status = gr.HTML("", elem_classes="sepnb-status", elem_id="status", min_height=60)
        with gr.Column(visible=False, elem_id="results") as results:
            mixer, orders, preset, practised = _listening()
            _step(5, "Look", LOOK)
            picture = gr.HTML("", elem_id="picture")
            sound = sound_steps(studio)
            _step(8, "Take it home", "Each stem as FLAC, or all in a zip with the mix as your faders are.")
            links = gr.HTML("", elem_id="links")
            pack = gr.Button("Download all as a zip", elem_id="zip")
            packed = gr.HTML("", elem_id="packed")
        gr.HTML(_foot(limits))

        faders = gr.Textbox("{}", visible=False)
        shown = [status, results, mixer, orders, picture, links, packed]
        separation = {"concurrency_limit": limits.jobs, "concurrency_id": "separation"}
        light = {"concurrency_limit": limits.light_jobs, "concurrency_id": "light"}
        # What was chosen last is separated: an upload unmarks the demo song, and a demo song takes the upload away.
        upload.change(does.look, [upload, song], [status, song], show_progress="hidden", api_name="look", **light)
        song.input(lambda: None, None, upload, queue=False, show_progress="hidden", api_visibility="private")
        running = separate.click(
            does.separate,
            [upload, song, model, start, length],
            [*shown, preset, practised, *sound.choices],
            show_progress_on=status,
            api_name="separate",
            trigger_mode="once",
            **separation,
        )
        # Gradio takes a job out of the queue, or stops waiting for it; `stop` ends the one that runs.
        stop.click(does.stop, None, status, cancels=[running], queue=False, show_progress="hidden", api_name="stop")
        gr.on(
            [preset.change, practised.change],
            does.preset,
            [preset, practised],
            orders,
            show_progress="hidden",
            api_name="preset",
            **light,
        )
        preset.change(
            lambda chosen: gr.update(visible=chosen == PRACTICE),
            preset,
            practised,
            queue=False,
            api_visibility="private",
        )
        SoundHandlers(studio, visitors, does).wire(sound, shown, light)
        pack.click(does.zip, faders, packed, js=SEND_FADERS, show_progress_on=packed, api_name="zip", **light).success(
            None, None, None, js=FOLLOW_ZIP
        )
        page.unload(does.leave)
    # Open, an event could be had without waiting in the queue.
    page.queue(max_size=limits.queue, default_concurrency_limit=limits.light_jobs, api_open=False)
    return page


def _what_to_separate(studio: Studio, limits: DemoLimits) -> tuple[gr.components.Component, ...]:
    most = f"at most {limits.upload_bytes / 1e6:.0f} MB and {limits.song_seconds / 60:.0f} minutes"
    _step(1, "Choose a song", f"Your own ({most}), or one that our synthetic band plays.")
    with gr.Row(equal_height=True):
        upload = gr.File(label="Your song", file_count="single", type="filepath", height=150, elem_id="upload")
        song = gr.Radio(studio.songs.names, value=studio.songs.names[0], label="… or a demo song", elem_id="song")
    first = studio.models.names[0]
    said = f"{first}: {REGISTRY[first].about}. Up to {limits.seconds:g} seconds."
    _step(2, "Choose a model and an excerpt", f"{said} {TOY}" if first == DEFAULT else said)
    with gr.Row():
        model = gr.Dropdown(
            studio.models.labels(), value=studio.models.names[0], label="Model", scale=3, elem_id="model"
        )
        start = gr.Number(0, label="Start (s)", scale=1, min_width=110)
        length = gr.Slider(
            1, limits.seconds, min(20, limits.seconds), step=1, label="Length (s)", scale=2, min_width=180
        )
    return upload, song, model, start, length


def _step(number: int, title: str, sentence: str) -> None:
    gr.HTML(pieces.step(number, title, sentence), padding=False)


def _listening() -> tuple[gr.components.Component, ...]:
    _step(4, "Listen", "Faders, mute and solo for each stem; the number keys compare with the original.")
    mixer = gr.HTML("", elem_id="mixer", padding=False)
    orders = gr.HTML("", elem_id="orders", padding=False)
    with gr.Row():
        preset = gr.Radio([PLAIN], value=PLAIN, label="Preset", scale=2, elem_id="preset")
        practised = gr.Dropdown([], label="Lower by 12 dB, to play it yourself", visible=False, elem_id="practised")
    return mixer, orders, preset, practised


def _foot(limits: DemoLimits) -> str:
    return (
        '<div class="sepnb-foot"><p>Your files lie on this server for a while: what is made of a song, until '
        f"{limits.keep_seconds / 60:.0f} minutes after you last had something made; what you upload, for "
        f"{limits.upload_seconds / 60:.0f} minutes. Then they are removed. Upload only what you may.</p></div>"
    )
