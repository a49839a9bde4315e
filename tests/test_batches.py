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
