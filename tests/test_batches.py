"""Batches hold what the store holds, varied as asked, and go on exactly where they stopped."""

import json

import numpy as np
import pytest
import torch

from sepnb import audio
from sepnb.batches import Augment, Batches
from sepnb.errors import StoreError
from sepnb.store import Store, prepare

RATE = 8000
SOURCES = ("bass", "drums", "vocals")
LENGTHS = {"train/A": 1.0, "train/B": 3.0, "test/C": 2.0, "train/D": 0.1}


def make_store(folder, dtype: str = "int16", level: float = 0.5) -> Store:
    """Songs of noise; no two samples of a channel's beginning are alike, so a chunk can be found in its song."""
    rng = np.random.default_rng(0)
    for name, seconds in LENGTHS.items():
        for source in SOURCES:
            sound = rng.uniform(-level, level, (2, round(seconds * RATE))).astype(np.float32)
            audio.write(folder / "tracks" / name / f"{source}.wav", sound, RATE, subtype="32f")
    return prepare(folder / "tracks", folder / "store", dtype=dtype, progress=False).store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return make_store(tmp_path_factory.mktemp("songs"))


def where(store: Store, chunk: np.ndarray, source: int) -> tuple[str, int, float, bool]:
    """The song, first sample, factor and swap by which a stem's chunk (channels, samples) was made."""
    for entry, song in zip(store.entries, [store.read(i)[source] for i in range(len(store))], strict=True):
        for swapped in (False, True):
            channels = song[::-1] if swapped else song
            windows = np.lib.stride_tricks.sliding_window_view(channels[0], 8)
            # Compare shapes, not levels: chunk = factor × window.
            factors = (windows @ chunk[0, :8]) / np.einsum("ws,ws->w", windows, windows)
            fits = np.abs(windows * factors[:, None] - chunk[0, :8]).max(axis=1) < 1e-6
            for start in np.flatnonzero(fits):
                there = channels[:, start : start + chunk.shape[-1]]
                if np.allclose(there * factors[start], chunk[:, : there.shape[-1]], atol=1e-6):
                    return entry.name, int(start), float(factors[start]), swapped
    raise AssertionError("the chunk is in no song")


# --- what is in a batch ----------------------------------------------------------------------------------------------


def test_plain_chunks_are_slices_of_songs_of_the_subset(store):
    batches = Batches(store, 0.5, 4, augment=Augment.none())
    stems = next(batches)
    assert (stems.shape, stems.dtype) == ((4, 3, 2, RATE // 2), torch.float32)
    for _ in range(5):
        for example in next(batches).numpy():
            name, start, factor, swapped = where(store, example[0], 0)
            assert name in ("A", "B", "D")
            assert (factor, swapped) == (pytest.approx(1.0), False)
            if name != "D":
                np.testing.assert_array_equal(example, store.read(name, start, RATE // 2))


def test_another_subset_and_all_songs(store):
    assert {where(store, example[0], 0)[0] for example in next(Batches(store, 0.5, 8, subset="test")).numpy()} == {"C"}
    assert len(Batches(store, 0.5, 8, subset=None).songs) == 4
    with pytest.raises(StoreError, match="no songs in the subset 'valid'; it has test, train"):
        Batches(store, 0.5, 8, subset="valid")


def test_a_song_shorter_than_the_chunk_is_followed_by_silence(store):
    batches = Batches(store, 0.5, 16, augment=Augment.none())
    index = store.index("D")
    short = next(
        (number, b)
        for number in range(100)
        for b in range(16)
        if batches.songs[batches.plan(number).songs[b, 0]] == index
    )
    for _ in range(short[0]):
        next(batches)
    example = next(batches)[short[1]].numpy()
    np.testing.assert_array_equal(example[..., : RATE // 10], store.read("D"))
    assert not example[..., RATE // 10 :].any()


def test_chunks_are_drawn_in_proportion_to_length_and_from_everywhere(store):
    batches = Batches(store, 0.5, 500, augment=Augment.none())
    plan = batches.plan(0)
    share = np.mean(plan.songs[:, 0] == batches.songs.index(store.index("B")))
    assert share == pytest.approx(3.0 / 4.1, abs=0.06)
    starts = plan.starts[plan.songs[:, 0] == batches.songs.index(store.index("B")), 0]
    assert np.histogram(starts, bins=5, range=(0, 2.5 * RATE + 1))[0].min() > 40
    assert starts.max() <= 2.5 * RATE


def test_the_last_place_of_a_song_is_reached_and_not_passed(store):
    batches = Batches(store, 3.0 - 2 / RATE, 300, augment=Augment.none())  # three places in B, one in the others
    starts = batches.plan(0).starts
    in_b = batches.plan(0).songs == batches.songs.index(store.index("B"))
    assert set(starts[in_b]) == {0, 1, 2}
    assert set(starts[~in_b]) == {0}


# --- augmentation ----------------------------------------------------------------------------------------------------


def test_remix_takes_stems_from_different_songs(store):
    always = Batches(store, 0.5, 400, augment=Augment(remix=1.0)).plan(0)
    assert np.mean(always.starts[:, 0] == always.starts[:, 1]) < 0.1
    share = np.mean(always.songs[:, 0] != always.songs[:, 1])
    lengths = np.array([1.0, 3.0, 0.1]) / 4.1
    assert share == pytest.approx(1 - (lengths**2).sum(), abs=0.08)
    half = Batches(store, 0.5, 400, augment=Augment(remix=0.5)).plan(0)
    together = (half.songs == half.songs[:, :1]).all(axis=1) & (half.starts == half.starts[:, :1]).all(axis=1)
    assert np.mean(together) == pytest.approx(0.5, abs=0.08)


def test_gain_swap_and_polarity_are_done_to_each_stem_and_found_in_the_sound(store):
    batches = Batches(store, 0.5, 8, augment=Augment(gain_db=(-6.0, 6.0)))
    plan = batches.plan(0)
    for b, example in enumerate(next(batches).numpy()):
        for s, stem in enumerate(example):
            name, start, factor, swapped = where(store, stem, s)
            assert (name, start) == (store.entries[batches.songs[plan.songs[b, s]]].name, plan.starts[b, s])
            assert factor == pytest.approx(plan.factors[b, s] * 32768, rel=1e-5)
            assert swapped == plan.swapped[b, s]


def test_gains_polarity_and_swaps_are_drawn_as_asked(store):
    plan = Batches(store, 0.5, 1000, augment=Augment(gain_db=(-6.0, 6.0), swap=0.25, polarity=0.75)).plan(0)
    levels = 20 * np.log10(np.abs(plan.factors) * 32768)
    assert -6.0 <= levels.min() < -5.5
    assert 5.5 < levels.max() <= 6.0
    assert np.mean(plan.swapped) == pytest.approx(0.25, abs=0.03)
    assert np.mean(plan.factors < 0) == pytest.approx(0.75, abs=0.03)


def test_a_stored_gain_is_applied(tmp_path):
    store = make_store(tmp_path, level=3.0)
    assert min(store.entries[0].gains) > 2.9
    example = next(Batches(store, 0.05, 1, augment=Augment.none()))[0].numpy()
    assert np.abs(example).max() > 2.5
    where(store, example[0], 0)


# --- going on where it was -------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_batches_however_many_threads_make_them(store):
    one, two = Batches(store, 0.5, 4, threads=1, ahead=0), Batches(store, 0.5, 4, threads=3, ahead=6)
    other = Batches(store, 0.5, 4, seed=1)
    for _ in range(10):
        mine = next(one)
        assert torch.equal(mine, next(two))
        assert not torch.equal(mine, next(other))


def test_it_goes_on_exactly_where_it_was(store):
    first = Batches(store, 0.5, 4)
    for _ in range(5):
        next(first)
    state = json.loads(json.dumps(first.state_dict()))
    assert state["next"] == 5, "the state must be that of batches given out, not of batches made ahead"
    fresh, used = Batches(store, 0.5, 4), Batches(store, 0.5, 4)
    for _ in range(9):
        next(used)
    fresh.load_state_dict(state)
    used.load_state_dict(state)
    for _ in range(8):
        expected = next(first)
        assert torch.equal(expected, next(fresh))
        assert torch.equal(expected, next(used))


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"batch_size": 2}, {"seconds": 0.4}, {"augment": Augment.none()}, {"subset": None}]
)
def test_the_state_of_other_batches_is_refused(store, options):
    state = Batches(store, 0.5, 4).state_dict()
    with pytest.raises(StoreError, match="cannot go on.*differ"):
        Batches(**{"store": store, "seconds": 0.5, "batch_size": 4, **options}).load_state_dict(state)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int16", "float16"])
def test_a_resident_store_gives_the_same_batches(tmp_path, dtype):
    store = make_store(tmp_path, dtype)
    for seconds in (0.05, 0.5):  # the second is longer than one of the songs
        mapped, resident = Batches(store, seconds, 4), Batches(store, seconds, 4, resident=True)
        assert (mapped.resident, resident.resident) == (False, True)
        for _ in range(6):
            assert torch.equal(next(mapped), next(resident))


def test_a_gpu_holds_the_store_if_it_fits_into_half_of_what_is_free(store, monkeypatch):
    batches = Batches(store, 0.5, 4, subset=None)
    assert not batches.resident
    batches.device = torch.device("cuda")
    for free, fits in ((2 * store.nbytes, True), (2 * store.nbytes - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10 * free))
        assert batches._fits() is fits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("resident", [True, False])
def test_batches_on_a_gpu_are_those_on_the_host(store, resident):
    host, device = Batches(store, 0.5, 4), Batches(store, 0.5, 4, device="cuda", resident=resident)
    for _ in range(10):
        batch = next(device)
        assert batch.is_cuda
        assert torch.equal(next(host), batch.cpu())


def test_memory_is_used_again_only_when_nothing_refers_to_it(store):
    batches = Batches(store, 0.5, 4, ahead=1)
    kept = next(batches)
    copy = kept.clone()
    part = next(batches)[1, 2]  # holds the whole batch's memory
    part_copy = part.clone()
    addresses = set()
    for _ in range(30):
        addresses.add(next(batches).data_ptr())
    assert torch.equal(kept, copy)
    assert torch.equal(part, part_copy)
    assert kept.data_ptr() not in addresses
    assert len(addresses) < 10


def test_an_epoch_is_as_long_as_the_songs(store):
    assert Batches(store, 0.1, 4).per_epoch == round(4.1 / 0.4)


def test_empty_batches_are_refused(store):
    with pytest.raises(StoreError, match="empty"):
        Batches(store, 0.0, 4)
    with pytest.raises(StoreError, match="empty"):
        Batches(store, 1.0, 0)


# --- some of the songs, part of a batch ------------------------------------------------------------------------------


def test_only_the_first_songs_of_a_subset(store):
    batches = Batches(store, 0.5, 64, songs=2)
    assert [store.entries[i].name for i in batches.songs] == [
        entry.name for entry in store.entries if entry.subset == "train"
    ][:2]
    assert set(batches.plan(0).songs.ravel()) == {0, 1}
    with pytest.raises(StoreError, match="has 3 songs in the subset 'train', not 4"):
        Batches(store, 0.5, 4, songs=4)
    with pytest.raises(StoreError, match="songs differ"):
        Batches(store, 0.5, 64, songs=1).load_state_dict(batches.state_dict())


EVERYTHING = Augment(speed=(0.8, 1.25), eq_db=6.0, mute=0.2, drive=0.5, reverb=0.5, mono=0.5)


@pytest.mark.parametrize("augment", [Augment(), EVERYTHING], ids=["default", "everything"])
def test_parts_together_are_the_whole_batch(store, augment):
    whole = Batches(store, 0.2, 6, augment=augment)
    parts = [Batches(store, 0.2, 6, augment=augment, part=(k, 3)) for k in range(3)]
    for _ in range(4):
        expected = next(whole)
        for k, part in enumerate(parts):
            mine = next(part)
            assert mine.shape[0] == 2
            assert torch.equal(mine, expected[k::3])
    # A run may go on with another number of processes.
    parts[0].load_state_dict(whole.state_dict())


def test_parts_that_cannot_be_are_refused(store):
    for part in ((0, 3), (2, 2), (-1, 2)):
        with pytest.raises(StoreError, match="no part"):
            Batches(store, 0.5, 4, part=part)


def test_a_description_names_the_songs_and_places_of_a_batch(store):
    batches = Batches(store, 0.5, 4)
    described = batches.describe(3)
    for _ in range(3):
        next(batches)
    for example, said in zip(next(batches).numpy(), described, strict=True):
        for s, source in enumerate(store.sources):
            name, start, _, _ = where(store, example[s], s)
            assert said[source] == {"song": name, "start": round(start / RATE, 3)}
    json.dumps(described)


# --- augmentation that is off by default -----------------------------------------------------------------------------


def test_what_is_off_changes_nothing_and_what_is_on_changes_only_itself(store):
    plain, loud = Batches(store, 0.5, 8).plan(0), Batches(store, 0.5, 8, augment=EVERYTHING).plan(0)
    assert plain.speeds is None
    assert plain.effects is None
    np.testing.assert_array_equal(plain.songs, loud.songs)
    np.testing.assert_array_equal(plain.swapped, loud.swapped)
    sounding = loud.factors != 0
    np.testing.assert_array_equal(plain.factors[sounding], loud.factors[sounding])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_resident_store_sounds_the_same_with_every_effect(store, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    for seconds in (0.05, 0.5):
        mapped = Batches(store, seconds, 4, augment=EVERYTHING)
        resident = Batches(store, seconds, 4, augment=EVERYTHING, device=device, resident=True)
        for _ in range(6):
            torch.testing.assert_close(next(mapped), next(resident).cpu(), atol=2e-6, rtol=1e-4)


def test_effects_are_the_same_however_many_threads_make_them(store):
    one = Batches(store, 0.3, 4, augment=EVERYTHING, threads=1, ahead=0)
    two = Batches(store, 0.3, 4, augment=EVERYTHING, threads=3, ahead=6)
    for _ in range(6):
        assert torch.equal(next(one), next(two))


def test_the_state_with_effects_goes_through_json(store):
    state = json.loads(json.dumps(Batches(store, 0.5, 4, augment=EVERYTHING).state_dict()))
    Batches(store, 0.5, 4, augment=EVERYTHING).load_state_dict(state)
    with pytest.raises(StoreError, match="augment differ"):
        Batches(store, 0.5, 4).load_state_dict(state)


def test_speed_plays_a_song_faster_or_slower(tmp_path):
    """A tone's frequency is multiplied by the factor, and stems of a song that is not remixed keep together."""
    time = np.arange(4 * RATE) / RATE
    tone = np.stack([0.5 * np.sin(2 * np.pi * 400 * time)] * 2).astype(np.float32)
    for source in SOURCES:
        audio.write(tmp_path / "tracks" / "train" / "tone" / f"{source}.wav", tone, RATE, subtype="32f")
    store = prepare(tmp_path / "tracks", tmp_path / "store", progress=False).store
    augment = Augment(remix=0.5, gain_db=(0.0, 0.0), swap=0.0, polarity=0.0, speed=(0.7, 1.4))
    batches = Batches(store, 1.0, 16, augment=augment)
    plan, stems = batches.plan(0), next(batches).numpy()
    frequencies = np.abs(np.fft.rfft(stems[:, :, 0] * np.hanning(RATE))).argmax(axis=-1)  # bins of 1 Hz
    np.testing.assert_allclose(frequencies, 400 * plan.speeds, atol=1)
    # On straight lines, a tone of a twentieth of the rate is as loud as it was, to a hundredth.
    assert np.sqrt((stems**2).mean(axis=-1)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    together = (plan.starts == plan.starts[:, :1]).all(axis=1)
    assert 0 < together.sum() < 16
    assert (plan.speeds[together] == plan.speeds[together, :1]).all()
    assert all((stems[b, 0] == stems[b, 1]).all() for b in np.flatnonzero(together))
    assert len(np.unique(plan.speeds[~together])) == 3 * (~together).sum()


def test_a_faster_chunk_stays_within_its_song(store):
    # Chunks of 1 s at up to 2.9 times the speed are made of nearly all of the longest song.
    batches = Batches(store, 1.0, 200, augment=Augment(speed=(2.5, 2.9)), resident=False)
    plan = batches.plan(0)
    longest = plan.songs == batches.songs.index(store.index("B"))
    ends = plan.starts + np.floor((RATE - 1) * plan.speeds) + 2
    assert (ends[longest] <= 3 * RATE).all()
    assert plan.starts[longest].max() > 0.05 * RATE
    assert (plan.starts[~longest] == 0).all()


def test_mute_silences_stems_but_never_a_whole_example(store):
    batches = Batches(store, 0.2, 400, augment=Augment(mute=0.6))
    silent = batches.plan(0).factors == 0
    assert not silent.all(axis=1).any()
    assert silent.mean() == pytest.approx(0.6 * 2 / 3, abs=0.04)
    np.testing.assert_array_equal(~next(batches).numpy().any(axis=(2, 3)), silent)
    assert not (Batches(store, 0.2, 50, augment=Augment(mute=1.0)).plan(0).factors == 0).all(axis=1).any()
