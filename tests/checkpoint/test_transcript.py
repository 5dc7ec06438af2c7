"""The output in a checkpoint: pieces that are written once, out of memory that a snapshot only points to."""

import os

import pytest

from survivor.checkpoint import transcript
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import FormatError

SMALL, LARGE = transcript.PIECE_BYTES[-1], transcript.PIECE_BYTES[-2]


@pytest.fixture
def memory():
    fd = os.memfd_create("output")
    yield fd
    os.close(fd)


def snapshot(size):
    return Snapshot(document={"output": {"size": size}}, blobs={}, step=1, position="")


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, LARGE - 1, LARGE, 3 * LARGE + 5 * SMALL + 7])
def test_the_output_comes_back_as_it_was_seen_whatever_was_printed_later(memory, size):
    text = os.urandom(size)
    os.write(memory, text)
    seen = snapshot(size)
    os.write(memory, b"later")
    made = transcript.joined_by(seen, memory)
    assert b"".join(transcript.pieces(made.document, made.blobs)) == text


def test_pieces_that_are_full_stay_as_they_are_and_are_few(memory):
    os.ftruncate(memory, 40 * LARGE)
    before = transcript.joined_by(snapshot(33 * LARGE + 15 * SMALL), memory).blobs
    after = transcript.joined_by(snapshot(33 * LARGE + 15 * SMALL + 9), memory).blobs
    assert len(after) == len(before) + 1 == 2 + 1 + 15 + 1
    assert all(after[name].shape == before[name].shape for name in before)


def test_a_snapshot_with_its_pieces_stays_as_it_is(memory):
    made = transcript.joined_by(snapshot(0), memory)
    assert transcript.joined_by(made, memory) is made


def test_a_missing_piece_is_an_error(memory):
    os.write(memory, bytes(2 * SMALL))
    made = transcript.joined_by(snapshot(2 * SMALL), memory)
    with pytest.raises(FormatError, match="output is not whole"):
        transcript.pieces(made.document, {})
