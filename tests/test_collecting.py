"""The garbage collector is back as it was after a capture, whatever happened in it."""

import gc

import pytest

from survivor.collecting import paused


@pytest.fixture(autouse=True)
def as_before():
    was_on = gc.isenabled()
    yield
    gc.enable() if was_on else gc.disable()


def test_nothing_is_collected_meanwhile():
    @paused()
    def inside():
        return gc.isenabled()

    gc.enable()
    assert not inside()
    assert not inside()
    assert gc.isenabled()


def test_it_is_back_after_an_error():
    gc.enable()
    with pytest.raises(ValueError), paused():
        raise ValueError
    assert gc.isenabled()


def test_a_script_that_has_switched_it_off_keeps_it_off():
    gc.disable()
    with paused():
        pass
    assert not gc.isenabled()
