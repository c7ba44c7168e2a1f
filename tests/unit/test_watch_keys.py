"""The keys of `watch`, however a terminal sends them."""

import os
import pty
import tty

import pytest

from monitor.cli.watch.keys import Keyboard, scroll


@pytest.fixture
def master():
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, Keyboard(slave)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (["\x1b[A", "\x1bOB"], ["up", "down"]),
        (["\x1b", "[", "5", "~", "\x1b[6", "~"], ["page up", "page down"]),
        (["gGq"], ["top", "bottom", "quit"]),
        (["\x1b[1~\x1b[4~\x1bOH\x1b[F"], ["top", "bottom", "top", "bottom"]),
        (["\x1bq", "é書", "\x1b[200~"], ["quit"]),
        (["\x1b[" + "1" * 40, "q"], ["quit"]),
        ([" b j k"], ["page down", "page up", "page down", "down", "page down", "up"]),
    ],
)
def test_keys_are_understood_also_in_parts(master, sent, keys):
    terminal, keyboard = master
    found = []
    for part in sent:
        os.write(terminal, part.encode())
        found += keyboard.pressed(5)

    assert found == keys
    assert keyboard.pressed(0) == []


def test_a_terminal_that_is_gone_presses_nothing():
    reader, writer = os.pipe()
    os.close(writer)
    keyboard = Keyboard(reader)
    assert keyboard.is_connected
    assert keyboard.pressed(5) == []
    assert not keyboard.is_connected
    assert keyboard.pressed(0) == []
    os.close(reader)


def test_nothing_is_above_the_first_line():
    assert [scroll(5, key, 10) for key in ("up", "down", "page up", "page down", "top", "quit")] == [4, 6, 0, 15, 0, 5]
