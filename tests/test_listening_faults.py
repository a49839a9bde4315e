"""Each fault that is made on purpose is the one that its measure hears."""

import numpy as np
import pytest

import sepnb
from sepnb.errors import SepnbError
from sepnb.listening import faults


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    (track,) = sepnb.find_tracks(
        sepnb.make_band(tmp_path_factory.mktemp("band"), subsets={"test": 1}, seconds=6, seed=1)
    )
    return track


@pytest.fixture(scope="module")
def stems(song):
    return dict(zip(song.sources, song.stems(), strict=True))


@pytest.fixture(scope="module")
def heard(song, stems):
    """What BSSEval says of the drums with each fault: medians of SDR, ISR, SIR and SAR in dB."""
    made = {
        "bleed": faults.bleed(stems, "drums"),
        "gurgle": faults.gurgle(stems, "drums"),
        "smear": faults.smear(stems, "drums"),
        "dull": faults.dull(stems, "drums", song.rate),
    }
    true, at = np.stack([*stems.values()]), song.sources.index("drums")
    scores = {}
    for name, audio in made.items():
        assert audio.shape == stems["drums"].shape
        assert audio.dtype == np.float32
        estimates = true.copy()
        estimates[at] = audio
        found = sepnb.bss_eval(true, estimates, song.rate)
        scores[name] = {kind: float(np.nanmedian(getattr(found, kind)[at])) for kind in ("sdr", "isr", "sir", "sar")}
    return scores


def test_bleed_is_interference(heard):
    assert heard["bleed"]["sir"] < heard["bleed"]["isr"] - 10
    assert heard["bleed"]["sir"] < heard["bleed"]["sar"] - 10
    assert heard["bleed"]["sir"] == min(scores["sir"] for scores in heard.values())


@pytest.mark.parametrize("fault", ["gurgle", "smear"])
def test_gurgle_and_smear_are_artifacts(heard, fault):
    assert heard[fault]["sar"] < heard[fault]["sir"] - 2
    assert heard[fault]["sar"] < heard[fault]["isr"] - 2


def test_dullness_is_a_filter_and_nothing_else(heard):
    assert heard["dull"]["isr"] == min(scores["isr"] for scores in heard.values())
    assert heard["dull"]["isr"] == pytest.approx(heard["dull"]["sdr"], abs=0.5)
    assert min(heard["dull"]["sir"], heard["dull"]["sar"]) > heard["dull"]["isr"] + 10


def test_a_smeared_stroke_is_heard_before_it_falls():
    stroke, hum = np.zeros((2, 1, 44100), np.float32)
    stroke[:, 20000:20200] = 0.5
    hum[:] = 0.5 * np.sin(0.05 * np.arange(44100))
    early = faults.smear({"drums": stroke, "bass": hum}, "drums")[:, 16000:19000]
    assert np.square(early).mean() > 1e-6
    assert not stroke[:, 16000:19000].any()


def test_bleed_is_as_loud_as_was_asked(stems):
    others = sum(audio for name, audio in stems.items() if name != "bass")
    added = faults.bleed(stems, "bass", -20.0) - stems["bass"]
    np.testing.assert_allclose(added, 0.1 * others, atol=1e-6)


def test_gurgling_is_the_same_again_and_another_with_another_seed(stems):
    np.testing.assert_array_equal(faults.gurgle(stems, "vocals"), faults.gurgle(stems, "vocals"))
    assert np.abs(faults.gurgle(stems, "vocals") - faults.gurgle(stems, "vocals", seed=1)).max() > 1e-3


def test_what_cannot_be_is_said(stems):
    with pytest.raises(SepnbError, match=r"no stem guitar; there are drums, bass"):
        faults.bleed(stems, "guitar")
    with pytest.raises(SepnbError, match="the only stem"):
        faults.smear({"vocals": stems["vocals"]}, "vocals")
    with pytest.raises(SepnbError, match="give less than 22050"):
        faults.dull(stems, "vocals", 44100, 30000)
