"""A run that is killed while it ends: all is done when it is called again, with the very same weights."""

import pytest
from training_runs import TINY, assert_same_end, at_copy, at_finish, killed, tones, weights

from sepnb.files import read_json
from sepnb.training import train

QUIET = {"progress": False, "resume": True}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """A run that was never stopped; its last checkpoint is kept in `mirror`."""
    folder = tmp_path_factory.mktemp("whole")
    return train(store, folder / "out", TINY, mirror=folder / "mirror", progress=False)


# At the end: its checkpoint, the best weights, their settings, the table and the history are renamed in this order.
@pytest.mark.parametrize(("trap", "point"), [*((at_finish, number) for number in range(6)), (at_copy, 2)])
def test_killed_at_its_end_it_ends_with_the_same_bits_and_nothing_is_left(store, whole, tmp_path, trap, point):
    done = {path.name for path in whole.iterdir()}
    killed(store.path, tmp_path / "out", trap, point, mirror=tmp_path / "mirror")
    history = read_json(tmp_path / "out" / "history.json")
    assert history["finished"] == (point == 0)
    train(store, tmp_path / "out", TINY, mirror=tmp_path / "mirror", **QUIET)
    assert_same_end(tmp_path / "out", whole)
    assert {path.name for path in (tmp_path / "out").iterdir()} == done
    assert weights(tmp_path / "mirror") == weights(whole)
