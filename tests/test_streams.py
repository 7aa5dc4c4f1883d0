"""Streams that are closed, full or read by nobody: nothing raises, and nothing waits for Python's end."""

import errno
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from keras_resnet.streams import LossyStream


class Sometimes(io.StringIO):
    """A stream whose disk is full at the second writing only."""

    writings = 0

    def write(self, text: str) -> int:
        self.writings += 1
        if self.writings == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_what_cannot_be_written_is_lost_and_the_rest_is_written() -> None:
    beneath = Sometimes()
    stream = LossyStream(beneath)

    for text in ("one ", "two ", "three"):
        assert stream.write(text) == len(text)

    assert beneath.getvalue() == "one three"
    assert stream.lost is not None
    assert stream.lost.errno == errno.ENOSPC


@pytest.mark.parametrize("is_there", [True, False])
def test_a_closed_stream_loses_everything_once_something_is_written(is_there: bool) -> None:
    beneath = io.StringIO()
    beneath.close()
    stream = LossyStream(beneath if is_there else None)

    assert not stream.isatty()
    stream.write("text")
    stream.flush()

    assert stream.lost is not None
    assert stream.lost.strerror == "it is closed"


def test_what_is_flushed_without_being_written_is_not_lost() -> None:
    stream = LossyStream(None)

    stream.flush()

    assert stream.lost is None


def test_rich_goes_on_where_nobody_reads(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as beneath:
        stream = LossyStream(beneath)
        Console(file=stream).print("a line")  # alone, it would end the process

        assert isinstance(stream.lost, BrokenPipeError)
        stream.let_go()
        beneath.flush()  # as Python does at its end


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_what_waits_for_a_full_disk_is_dropped() -> None:
    with open("/dev/full", "w") as beneath:
        stream = LossyStream(beneath)
        stream.write("text")
        assert stream.lost is None

        stream.let_go()

        assert stream.lost is not None
        assert stream.lost.errno == errno.ENOSPC
