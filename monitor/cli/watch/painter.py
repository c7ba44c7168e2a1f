"""Paints lines on a terminal without blanks at their ends."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text


class Painter:
    """Writes the lines of the screen that have changed; nothing else writes to the screen meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._size = (0, 0)
        self._lines: list[str] = []

    def paint(self, lines: Sequence[Text]) -> None:
        """Show these lines, from the first line of the screen on, and nothing else."""
        size = (self._console.width, self._console.height)
        frame = "" if size == self._size else "\x1b[2J"
        previous = [] if frame else self._lines
        self._size, self._lines = size, [self._rendered(line) for line in lines]
        padded = [*self._lines, *[""] * (len(previous) - len(lines))]
        for index, text in enumerate(padded):
            if index >= len(previous) or text != previous[index]:
                frame += f"\x1b[{index + 1};1H\x1b[2K{text}"  # erased first: at the right edge it would erase text
        self._console.file.write(frame)
        self._console.file.flush()

    def _rendered(self, line: Text) -> str:
        with self._console.capture() as rendered:
            self._console.print(line, soft_wrap=True, end="")
        return rendered.get()
