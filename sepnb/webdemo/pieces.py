"""Pieces of the page that the demo writes as HTML: mixer, pictures, links. Names are text in them, never markup."""

import html
import json
import math
import secrets
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sepnb.figures.style import stem_color
from sepnb.listening.encoding import Encoded, Sound
from sepnb.listening.encoding import mixer_config as mixer_config_of
from sepnb.webdemo.studio import CHANGED, ORIGINAL, SEPARATED, Take

STATIC = files("sepnb.listening") / "static"


def head() -> str:
    """The mixer, its adapter and its styles, inline: a page that needs no other server.

    Styles handed to Gradio as `css` are rewritten by it, and container queries get lost; inside its container, named
    twice, they outweigh what Gradio says of every button.
    """
    styles = (STATIC / "mixer.css").read_text(encoding="utf-8")
    inherited = ".sepnb-mixer * { color: inherit }"  # Gradio gives every element a colour of its own
    code = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("mixer.js", "mixer_gradio.js"))
    closing = "<" + chr(92) + "/script"  # the end of a script in a string would end the script
    code = code.replace("</script", closing)
    scoped = f".gradio-container.gradio-container {{ {inherited} {styles} }}"
    return f'<style>{scoped}</style>\n<script type="module">\n{code}\n</script>'


def styles() -> str:
    """The page's own styles."""
    return (files("sepnb.webdemo") / "page.css").read_text(encoding="utf-8")


def address(path: Path) -> str:
    """Where a page finds a file of its visitor; relative, so that it holds behind a proxy too."""
    return f"gradio_api/file={quote(path.as_posix())}"


def step(number: int, title: str, sentence: str) -> str:
    """The heading of a step."""
    return (
        f'<div class="sepnb-step"><h2><span class="sepnb-number">{number}</span>{html.escape(title)}</h2>'
        f"<p>{html.escape(sentence)}</p></div>"
    )


def sentence(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def mixer_config(take: Take) -> dict[str, Any]:
    """What mixer.js is told of a take: the stems as they are now, as separated, and the original."""
    files = {SEPARATED: take.stems, ORIGINAL: {"mixture": take.original}}
    if take.changed:
        files = {CHANGED: take.changed, **files}
    listed = [(system, stem, path) for system, stems in files.items() for stem, path in stems.items()]
    sounds = tuple(
        Sound(f"s{number}", system, stem, "audio/flac", path.read_bytes())
        for number, (system, stem, path) in enumerate(listed)
    )
    encoded = Encoded(sounds, take.scale, "")
    urls = {f"s{number}": address(path) for number, (_, _, path) in enumerate(listed)}
    systems = {name: take.read(stems) for name, stems in files.items()}
    config = mixer_config_of(systems, take.rate, encoded, reference=SEPARATED, urls=urls)
    return config | {"note": f"FLAC, {encoded.size / 1e6:.1f} MB"}


def mixer(take: Take, as_before: bool = False) -> str:
    """The place where mixer_gradio.js puts a mixer; as_before: with the faders of the one that it replaces.

    Levels are matched where there is something to match: the stems as changed and as separated.
    """
    config = html.escape(json.dumps(mixer_config(take)), quote=True)
    wanted = html.escape(json.dumps({"match_levels": bool(take.changed)}), quote=True)
    name = f"mixer-{secrets.token_hex(4)}"
    return (
        f"<p><b>{html.escape(take.song)}</b>, {take.seconds:.1f} s, by {html.escape(take.model)}</p>"
        f'<div class="sepnb-mixer-mount" id="{name}" data-config="{config}" data-state="{wanted}"'
        f"{' data-as-before' if as_before else ''}></div>"
    )


def orders(gains_db: Mapping[str, float]) -> str:
    """Orders to the mixer: these faders, and what is at -inf muted."""
    muted = [name for name, gain in gains_db.items() if gain == -math.inf]
    gains = {name: 0.0 if gain == -math.inf else gain for name, gain in gains_db.items()}
    said = {"number": secrets.token_hex(4), "set": {"gains": gains, "muted": muted, "soloed": []}}
    return f'<div class="sepnb-mixer-orders" data-orders="{html.escape(json.dumps(said), quote=True)}" hidden></div>'


def picture(path: Path, described: str) -> str:
    """A picture with words for who cannot see it."""
    return f'<div class="sepnb-picture"><img src="{address(path)}" alt="{html.escape(described, quote=True)}"></div>'


def links(take: Take) -> str:
    """A link for each stem as it is now."""
    rows = []
    for name, path in take.heard.items():
        rows.append(
            f'<li><a href="{address(path)}" download><span class="sepnb-dot" '
            f'style="background:{stem_color(name)}"></span>{html.escape(name)} '
            f"<small>{path.stat().st_size / 1e6:.1f} MB</small></a></li>"
        )
    return f'<div class="sepnb-links"><ul>{"".join(rows)}</ul></div>'


def zip_link(path: Path) -> str:
    """A link to the zip file; the page follows it by itself."""
    return (
        f'<div class="sepnb-links sepnb-zip"><ul><li><a href="{address(path)}" download>all stems and the mix '
        f"<small>zip, {path.stat().st_size / 1e6:.1f} MB</small></a></li></ul></div>"
    )
