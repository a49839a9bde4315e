"""Separating while somebody waits: the stems are those of `separate`, progress is told, and a stop stops."""

import numpy as np
import pytest
from songs import noise, stacked

from sepnb.errors import SepnbError
from sepnb.listening.separating import Stopped, in_words, separate_with_progress
from sepnb.separators.base import separate
from sepnb.separators.streaming import StreamingSeparator

RATE = 8000


class Halves(StreamingSeparator):
    """Streams half the mixture twice, a second at a time."""

    name, sources, rate, channels, settings = "halves", ("left", "right"), RATE, 2, {}

    def stream(self, mixture):
        for first in range(0, mixture.shape[-1], RATE):
            block = mixture[:, first : first + RATE] / 2
            yield np.stack([block, -block])


class Whole:
    """Does not stream."""

    name, sources, rate = "whole", ("all",), RATE

    def __call__(self, mixture, rate):
        return {"all": mixture}


class Clock:
    """Each look at it is so many seconds later."""

    def __init__(self, step):
        self.now, self.step = -step, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.mark.parametrize("rate", [RATE, 11025])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_are_those_of_separate(rate, channels):
    mixture = noise(0, 3.3, channels, rate)
    stems = separate_with_progress(Halves(), mixture, rate)
    expected = separate(Halves(), mixture, rate)
    assert list(stems) == ["left", "right"]
    np.testing.assert_allclose(stacked(stems), stacked(expected), atol=1e-6)


def test_progress_is_told_with_the_time_that_is_left():
    told = []
    separate_with_progress(Halves(), noise(0, 4.0), RATE, lambda *report: told.append(report), clock=Clock(2.0))
    assert told == [
        (0.0, 4.0, None),
        (1.0, 4.0, 12.0),
        (2.0, 4.0, 6.0),
        (3.0, 4.0, pytest.approx(8 / 3)),
        (4.0, 4.0, 0),
    ]


def test_what_does_not_stream_tells_its_beginning_and_its_end():
    told = []
    stems = separate_with_progress(Whole(), noise(0, 2.0), RATE, lambda *report: told.append(report[:2]))
    assert told == [(0.0, 2.0), (2.0, 2.0)]
    np.testing.assert_array_equal(stems["all"], noise(0, 2.0))


def test_a_stop_is_heeded_between_blocks():
    told = []
    with pytest.raises(Stopped, match="stopped after 2 of 10 s"):
        separate_with_progress(
            Halves(), noise(0, 10.0), RATE, lambda *report: told.append(report[0]), lambda: len(told) == 2
        )
    assert told == [0.0, 1.0]


def test_a_time_limit_ends_it_with_a_sentence():
    with pytest.raises(SepnbError, match="halves was stopped after 5 s, with 3 of 10 s of music done: take a shorter"):
        separate_with_progress(Halves(), noise(0, 10.0), RATE, time_limit=5, clock=Clock(1.5))


def test_what_is_done_is_given_although_its_last_block_was_late():
    stems = separate_with_progress(Whole(), noise(0, 2.0), RATE, time_limit=5, clock=Clock(4.0))
    assert stems["all"].shape == (2, 16000)


def test_a_separator_that_gives_too_little_is_found_out():
    class Short(Halves):
        def stream(self, mixture):
            yield np.zeros((2, 2, 100), np.float32)

    with pytest.raises(SepnbError, match="halves gave 100 of 16000 samples"):
        separate_with_progress(Short(), noise(0, 2.0), RATE)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.2, "about 1 s left"), (7.4, "about 7 s left"), (42, "about 40 s left"), (170, "about 3 min left")],
)
def test_time_left_is_said_as_one_says_it(seconds, said):
    assert in_words(seconds) == said
