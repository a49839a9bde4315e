"""Places to work at: held by what runs, waited for by a few, and given back whatever happens."""

import threading
import time

import pytest

from sepnb.errors import SepnbError
from sepnb.webdemo.places import LINE, Places


def test_a_place_is_given_back_after_an_error():
    places = Places(1)
    for _ in range(2 * LINE):
        with pytest.raises(ZeroDivisionError), places.held(0):
            raise ZeroDivisionError
    with places.held(0):
        pass


def test_who_finds_none_in_time_is_told():
    places = Places(1)
    for _ in range(2 * LINE):  # and its place in the line is given back
        with places.held(0), pytest.raises(SepnbError, match="the demo is busy"), places.held(0):
            pass


def test_who_waits_may_give_up():
    class Enough(Exception):
        pass

    def look():
        raise Enough

    places = Places(1)
    with places.held(0), pytest.raises(Enough), places.held(60, look):
        pass
    with pytest.raises(Enough), places.held(60, look):  # also where there was no wait
        pass
    with places.held(0):
        pass


def test_the_line_is_bounded():
    places, over = Places(1), threading.Event()

    def wait():
        with places.held(60):
            over.wait(60)

    threads = [threading.Thread(target=wait) for _ in range(LINE)]
    for thread in threads:
        thread.start()
    while places._line._value:
        time.sleep(0.01)
    with pytest.raises(SepnbError, match="the demo is busy"), places.held(60):
        pass
    over.set()
    for thread in threads:
        thread.join(60)
    with places.held(0):
        pass
