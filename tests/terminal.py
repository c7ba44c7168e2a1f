"""A program in a real pseudo-terminal, and what somebody who sits before it sees."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.daemon import command

WAIT = 60.0
_MAIN, _OTHER = "\x1b[?1049l", "\x1b[?1049h"


class Terminal:
    """The screen of a program, and its keyboard."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int, columns: int, lines: int) -> None:
        self.process = process
        self.written = ""
        self._master = master
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self._screen)

    @property
    def lines(self) -> list[str]:
        """What the screen shows."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def on_the_other_screen(self) -> bool:
        """Whether the program has left the screen on which the shell is."""
        return self.written.rfind(_OTHER) > self.written.rfind(_MAIN)

    @property
    def cursor_is_hidden(self) -> bool:
        return self.written.rfind("\x1b[?25l") > self.written.rfind("\x1b[?25h")

    def colours(self) -> set[str]:
        """The colours of what the screen shows."""
        return {char.fg for row in self._screen.buffer.values() for char in row.values()} - {"default"}

    def read(self, seconds: float) -> bool:
        """Read what comes within a time; False once nothing will come any more."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the program has ended
            return False
        text = data.decode("utf-8", "replace")
        self.written += text
        self._stream.feed(text)
        return bool(data)

    def wait_until(self, is_there: Callable[["Terminal"], bool]) -> None:
        """Read until something is there."""
        deadline = time.monotonic() + WAIT
        while not is_there(self):
            assert time.monotonic() < deadline, f"it never came; the screen:\n{self.text}"
            if not self.read(0.2):
                assert is_there(self), f"the program has ended; the screen:\n{self.text}"
                return

    def wait_for(self, *texts: str) -> None:
        """Read until the screen shows all of these."""
        self.wait_until(lambda terminal: all(text in terminal.text for text in texts))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        self._screen.resize(lines, columns)
        self._screen.reset()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Press keys, each as the characters that a terminal sends for it."""
        os.write(self._master, keys.encode())

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def ended(self) -> int:
        """Read to the end, and return the exit code."""
        deadline = time.monotonic() + WAIT
        while self.read(0.2):
            assert time.monotonic() < deadline, f"it does not end; the screen:\n{self.text}"
        return self.process.wait(timeout=WAIT)


@contextmanager
def terminal(
    *arguments: object, columns: int = 100, lines: int = 24, prefix: Sequence[str] = (), **environment: str
) -> Iterator[Terminal]:
    """A command of the monitor in a terminal of its own, run by another one if given; killed where it still runs."""
    with program_in_terminal([*prefix, *command(*arguments)], columns, lines, **environment) as shown:
        yield shown


@contextmanager
def program_in_terminal(
    program: Sequence[str], columns: int = 100, lines: int = 24, folder: Path | None = None, **environment: str
) -> Iterator[Terminal]:
    """Any program in a terminal of its own; killed where it still runs."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        program,
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=inherited | {"TERM": "xterm-256color"} | environment,
        preexec_fn=take_the_terminal,  # noqa: PLW1509 - Ctrl-C has to reach the program as it does in a shell
    ) as process:
        os.close(slave)
        shown = Terminal(process, master, columns, lines)
        try:
            yield shown
        finally:
            _end(shown)
            os.close(master)


def _end(shown: Terminal) -> None:
    """End a program that still runs: with a chance to end well, and for certain."""
    deadline = time.monotonic() + WAIT / 4
    if shown.process.poll() is None:
        shown.process.send_signal(signal.SIGTERM)
    while shown.process.poll() is None and time.monotonic() < deadline:
        shown.read(0.1)  # who does not read what is written to a terminal holds up who writes it
    if shown.process.poll() is None:
        shown.process.kill()
