"""What is buffered is written out before a snapshot, however it was opened, without a look at every object each time."""

import gc
import io
import os

import pytest

from survivor.training import ending


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(ending, "_streams", ending._Streams())


def test_files_are_flushed_whether_they_were_there_before_or_came_later(tmp_path):
    with (tmp_path / "first").open("w") as first:
        first.write("1")
        ending.flush_everything()
        first.write("2")
        with (tmp_path / "second").open("w") as second:
            second.write("3")
            ending.flush_everything()
            assert ((tmp_path / "first").read_text(), (tmp_path / "second").read_text()) == ("12", "3")
            second.write("4")
            ending.flush_everything()
            assert (tmp_path / "second").read_text() == "34"


def test_a_file_that_is_closed_and_opened_again_is_flushed(tmp_path):
    """The same number, the same inode, another object."""
    file = (tmp_path / "log").open("a")
    file.write("1")
    ending.flush_everything()
    number = file.fileno()
    file.close()
    file = (tmp_path / "log").open("a")
    assert file.fileno() == number
    file.write("2")
    ending.flush_everything()
    assert (tmp_path / "log").read_text() == "12"
    file.close()


def test_a_descriptor_that_gets_a_buffer_later_is_flushed_once_the_opening_was_told(tmp_path):
    number = os.open(tmp_path / "raw", os.O_WRONLY | os.O_CREAT)
    ending.flush_everything()
    file = io.open(number, "w")  # noqa: UP020, SIM115 - survivor watches io.open
    ending.opened_to_write()
    file.write("x")
    ending.flush_everything()
    assert (tmp_path / "raw").read_text() == "x"
    file.close()


def test_objects_are_looked_through_only_when_something_has_changed(tmp_path, monkeypatch):
    looks = []
    real = gc.get_objects
    monkeypatch.setattr(gc, "get_objects", lambda: looks.append(1) or real())
    with (tmp_path / "log").open("w") as file:
        for _ in range(5):
            file.write("x")
            ending.flush_everything()
        assert (tmp_path / "log").read_text() == "xxxxx"
    assert len(looks) == 1
