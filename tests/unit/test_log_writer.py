"""Log lines reach standard error, or wait, or are counted; nobody waits for their reader."""

import os
from contextlib import closing

import pytest

from monitor.log_writer import LogWriter

LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as read, os.fdopen(writer, "w", encoding="utf-8") as written:
        yield read, written


def fill(writer, lines):
    for number in range(lines):
        writer.write(f"{number:03} {LINE}")


def test_lines_wait_for_a_reader_that_comes_back_and_are_whole_and_in_order(pipe):
    reader, stream = pipe
    writer = LogWriter(stream)
    fill(writer, 200)

    assert [reader.readline() for _ in range(200)] == [f"{number:03} {LINE}" for number in range(200)]
    assert writer.dropped == 0


def test_what_is_beyond_the_limit_is_dropped_and_counted(pipe):
    reader, stream = pipe
    writer = LogWriter(stream, backlog_limit=50_000)
    fill(writer, 200)
    waiting = 200 - writer.dropped

    assert 100 < waiting < 120  # 64 KiB in the pipe and 50 kB that wait
    assert [reader.readline()[:3] for _ in range(waiting)] == [f"{number:03}" for number in range(waiting)]
    writer.close()
    writer.write("again\n")
    assert reader.readline() == "again\n"


def test_a_pipe_that_its_reader_made_non_blocking_loses_nothing(pipe):
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = LogWriter(stream)
    fill(writer, 200)

    assert [reader.readline()[:3] for _ in range(200)] == [f"{number:03}" for number in range(200)]


def test_a_line_that_is_longer_than_an_atomic_write_is_whole(pipe):
    reader, stream = pipe
    writer = LogWriter(stream)
    writer.write("a" * 60_000 + "\n")
    writer.write("b\n")

    assert [reader.readline(), reader.readline()] == ["a" * 60_000 + "\n", "b\n"]


def test_a_closed_pipe_costs_the_lines_and_nothing_else():
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w", encoding="utf-8") as stream, closing(LogWriter(stream)) as writer:
        fill(writer, 3)

    assert writer.dropped == 3


def test_a_line_in_a_file_is_there_at_once(tmp_path):
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        LogWriter(stream).write("é" * 9000 + "\n")

        assert (tmp_path / "log").read_text(encoding="utf-8") == "é" * 9000 + "\n"
