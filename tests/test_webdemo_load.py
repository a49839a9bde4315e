"""Twenty visitors in a queue: none is lost, each gets its own result, memory is bounded, nothing is left behind."""

import pytest

pytest.importorskip("gradio", reason="no gradio: pip install 'gradio>=6'")

from benchmarks.demo_load import VISITORS, run
from sepnb.webdemo import DemoLimits

MEMORY = 1000  # MB above what the server has before


def test_twenty_visitors_are_served_each_with_its_own(tmp_path):
    load = run(tmp_path)
    assert [outcome.problem for outcome in load.outcomes] == [""] * VISITORS
    places = [outcome.places[0] for outcome in load.outcomes if outcome.places]
    assert len(places) == VISITORS  # everyone was told where it stands
    assert max(places) >= VISITORS // 3  # and there was a queue
    assert 1 <= load.side_by_side <= DemoLimits().jobs  # that two can be is shown where one is held up, not by chance
    assert load.peak_mb - load.idle_mb < MEMORY
    assert load.left == 0
    assert not load.root_left
