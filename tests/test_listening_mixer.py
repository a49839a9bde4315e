"""StemMixer from Python's side: what it sends and takes, what its faders amount to, and what an exported page shows."""

import base64
import gc
import io
import math
import re
import weakref

import nbformat
import numpy as np
import pytest
import soundfile
import traitlets
from songs import noise

from sepnb.errors import SepnbError
from sepnb.listening import mixer as module
from sepnb.listening.mixer import StemMixer
from sepnb.listening.players import mix

RATE = 8000


@pytest.fixture
def systems():
    stems = {name: noise(seed) for seed, name in enumerate(("drums", "bass", "vocals"))}
    return {"truth": stems, "network": {name: audio / 2 for name, audio in stems.items()}}


@pytest.fixture
def mixer(systems):
    return StemMixer(systems, RATE)


def asked(mixer: StemMixer, message: dict, monkeypatch) -> list[tuple[dict, list]]:
    """What the mixer sends when a browser sends it a message."""
    sent = []
    monkeypatch.setattr(mixer, "send", lambda content, buffers=None: sent.append((content, buffers)))
    mixer._handle_custom_msg(message, [])
    return sent


def test_a_slip_in_a_name_is_said(mixer, systems):
    for name in ("gain", "mute", "solo"):
        with pytest.raises(
            traitlets.TraitError, match=f"a mixer has no '{name}' to set; it has gains, loop, .*muted, .*soloed"
        ):
            setattr(mixer, name, {})
    with pytest.raises(traitlets.TraitError, match="a mixer has no 'gian' to set"):
        StemMixer(systems, RATE, gian={})


def test_solo_counts_among_the_stems_that_a_system_has(systems):
    mixer = StemMixer({"network": systems["network"], "original": {"mixture": noise(9)}}, RATE, match_levels=False)
    mixer.soloed = ["vocals"]
    assert mixer.gains_db() == {"drums": -math.inf, "bass": -math.inf, "vocals": 0.0}
    mixer.system = "original"
    assert mixer.gains_db() == {"mixture": 0.0}
    assert mixer.gains_db("network")["drums"] == -math.inf
    with pytest.raises(SepnbError, match="no system 'other'; there are network, original"):
        mixer.gains_db("other")


def test_a_sound_travels_in_pieces_when_it_is_wanted(mixer, systems, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 5000)
    sent = asked(mixer, {"kind": "want", "id": "s4"}, monkeypatch)
    assert len(sent) > 2
    assert [content["number"] for content, _ in sent] == list(range(len(sent)))
    assert {(content["kind"], content["id"], content["count"]) for content, _ in sent} == {("piece", "s4", len(sent))}
    pieces = [buffers[0] for _, buffers in sent]
    assert max(map(len, pieces)) == 5000
    audio, rate = soundfile.read(io.BytesIO(b"".join(pieces)), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(audio.T, systems["network"]["bass"], atol=0.5 / 32768)


def test_a_sound_that_is_not_there_is_refused_and_other_messages_are_not_its_business(mixer, monkeypatch):
    [(content, _)] = asked(mixer, {"kind": "want", "id": "s99"}, monkeypatch)
    assert content == {"kind": "refused", "id": "s99", "why": "This mixer has changed: run the cell again."}
    assert asked(mixer, {"kind": "something"}, monkeypatch) == []


def test_no_sound_sits_in_the_traits(systems):
    longer = {name: {stem: np.tile(audio, 30) for stem, audio in stems.items()} for name, stems in systems.items()}
    small, large = (len(str(StemMixer(given, RATE).get_state())) for given in (systems, longer))
    assert large - small < 200
    assert StemMixer._esm.count("export default") == 1


def test_its_state_goes_over_and_comes_back(mixer):
    mixer.gains = {"vocals": -math.inf, "bass": 3}
    assert mixer.get_state("gains") == {"gains": {"vocals": None, "bass": 3.0}}  # JSON has no infinity
    mixer.set_state({"gains": {"drums": None, "bass": -1.5}, "muted": ["bass"], "system": "network", "position": 0.5})
    assert mixer.gains == {"drums": -math.inf, "bass": -1.5}
    assert (mixer.muted, mixer.system, mixer.position) == (["bass"], "network", 0.5)
    mixer.loop = (0.25, 0.5)
    assert mixer.loop == [0.25, 0.5]
    mixer.loop = None
    mixer.set_state({"loop": [0.0, 1.0]})
    assert mixer.loop == [0.0, 1.0]


def test_a_state_can_be_given_at_once(systems):
    mixer = StemMixer(systems, RATE, system="network", gains={"bass": -6}, volume=0.5)
    assert (mixer.system, mixer.gains, mixer.volume) == ("network", {"bass": -6.0}, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gains", {"oboe": 0.0}, "no stem 'oboe'; there are drums, bass, vocals"),
        ("gains", {"bass": 12.5}, "the gain of 'bass' is 12.5: it must be from -40 to 12 dB, or -inf"),
        ("gains", {"bass": "loud"}, "the gain of 'bass' is 'loud'"),
        ("gains", {"bass": math.nan}, "the gain of 'bass' is nan"),
        ("muted", ["oboe"], "no stem 'oboe'"),
        ("soloed", ["drums", "oboe"], "no stem 'oboe'"),
        ("system", "x", "no system 'x'; there are truth, network"),
        ("position", 1.5, "position: 1.5 s is not between 0 and 1.00 s"),
        ("position", -0.1, "position: -0.1 s"),
        ("loop", [0.5, 0.4], r"a loop is \(start, end\) in seconds"),
        ("loop", [0.5], r"a loop is \(start, end\)"),
        ("loop", [0.5, 2.0], "loop: 2.0 s is not between 0 and 1.00 s"),
        ("volume", 1.1, "volume"),
        ("playing", "yes", "playing"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(mixer, name, value, said):
    before = getattr(mixer, name)
    with pytest.raises(traitlets.TraitError, match=said):
        setattr(mixer, name, value)
    assert getattr(mixer, name) == before


def test_the_mixdown_is_the_mix_by_its_gains(mixer, systems):
    np.testing.assert_array_equal(mixer.mixdown(), mix(systems["truth"], {}))
    mixer.gains = {"drums": -6.0, "bass": -math.inf}
    assert mixer.gains_db() == {"drums": -6.0, "bass": -math.inf, "vocals": 0.0}
    np.testing.assert_array_equal(mixer.mixdown(), mix(systems["truth"], mixer.gains_db()))
    mixer.muted, mixer.soloed = ["vocals"], ["drums", "vocals"]
    assert mixer.gains_db() == {"drums": -6.0, "bass": -math.inf, "vocals": -math.inf}
    np.testing.assert_allclose(mixer.mixdown(), systems["truth"]["drums"] * 10 ** (-6 / 20), atol=1e-7)


def test_matched_levels_are_those_of_the_reference(mixer, systems):
    mixer.system, mixer.match_levels = "network", True
    assert mixer.gains_db() == pytest.approx(dict.fromkeys(systems["truth"], 6.02), abs=0.05)
    np.testing.assert_allclose(mixer.mixdown(), mix(systems["truth"], {}), rtol=0.01, atol=1e-3)
    other = StemMixer(systems, RATE, reference="network", match_levels=True)
    assert other.gains_db() == pytest.approx(dict.fromkeys(systems["truth"], -6.02), abs=0.05)


def test_a_system_may_lack_stems(systems):
    systems["pair"] = {"vocals": noise(7), "accompaniment": noise(8)}
    mixer = StemMixer(systems, RATE, system="pair", gains={"accompaniment": -3, "drums": -9}, match_levels=False)
    assert mixer.gains_db() == {"vocals": 0.0, "accompaniment": -3.0}


def test_levels_are_matched_where_there_is_something_to_compare_and_nothing_to_hide(systems):
    assert StemMixer(systems, RATE).match_levels
    assert not StemMixer(systems["truth"], RATE).match_levels
    assert not StemMixer(systems, RATE, blind=True).match_levels


def test_a_closed_mixer_lets_go_of_its_sounds_and_says_so(systems, monkeypatch):
    mixer = StemMixer(systems, RATE)
    mixer._repr_mimebundle_()
    held = weakref.ref(systems["truth"]["drums"])
    systems.clear()
    assert held() is not None
    mixer.close()
    gc.collect()
    assert held() is None
    assert mixer._encoded.size == 0
    assert "_page_players" not in vars(mixer)
    with pytest.raises(SepnbError, match="this mixer was closed"):
        mixer.mixdown()
    with pytest.raises(SepnbError, match="this mixer was closed"):
        mixer.gains_db()
    mixer.close()  # twice is no harm


def test_mono_and_any_rate_will_do():
    mixer = StemMixer({"voice": noise(0, channels=1, rate=16000)}, 16000)
    assert mixer.config["channels"] == 1
    assert mixer.mixdown().shape == (1, 16000)


def test_stems_that_do_not_fit_are_refused():
    with pytest.raises(SepnbError, match="cut them to one length"):
        StemMixer({"a": noise(0), "b": noise(0, 0.5)}, RATE)


def test_an_exported_page_has_plain_players_and_names_are_text(monkeypatch):
    mixer = StemMixer({"<i>A</i>": {"<b>": noise(0)}, "B": {"<b>": noise(1), "rest": noise(2)}}, RATE)
    bundle = mixer._repr_mimebundle_()[0]
    page = bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert page.count("<audio controls") == 3
    assert "&lt;i&gt;A&lt;/i&gt;" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    audio, rate = soundfile.read(io.BytesIO(base64.b64decode(re.findall(r"base64,([^']+)'", page)[0])), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(audio.T, noise(0), atol=1e-6)
    made = []
    monkeypatch.setattr(module, "page_players", lambda *given: made.append(given))
    assert mixer._repr_mimebundle_()[0]["text/html"] == page  # made once, however often it is shown
    assert not made


def test_a_blind_mixer_has_no_players_that_would_tell():
    bundle = StemMixer({"A": {"sound": noise(0)}, "B": {"sound": noise(1)}}, RATE, blind=True)._repr_mimebundle_()[0]
    assert "<audio" not in bundle["text/html"]
    assert "needs a running notebook" in bundle["text/html"]


def test_a_notebook_without_saved_widgets_exports_to_players():
    from nbconvert import HTMLExporter

    mixer = StemMixer({"drums": noise(0), "bass": noise(1)}, RATE)
    data, _ = mixer._repr_mimebundle_()
    cell = nbformat.v4.new_code_cell("mixer", outputs=[nbformat.v4.new_output("display_data", data)])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert page.count("<audio ") == 2
