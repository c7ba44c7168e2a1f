"""Lines of the text format, which OpenMetrics reads as well."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

from monitor.jobs import TrackedJob
from monitor.metrics.families import JOB_FAMILIES

INDEX: Final = {family.name: index for index, family in enumerate(JOB_FAMILIES)}

Piece = tuple[int, bytes]
"""The index of a family in ``JOB_FAMILIES``, and lines of it."""


def labels(*pairs: tuple[str, str]) -> str:
    """Return label pairs, escaped and joined, without braces."""
    return ",".join([f'{name}="{escaped(value)}"' for name, value in pairs])


def escaped(value: str) -> str:
    """Return the value of a label as it stands between quotes."""
    if value.isalnum() or value.isidentifier():
        return value
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def encoded(text: str) -> bytes:
    """Return a text as it is sent; half a character becomes ``?``."""
    return text.encode("utf-8", "replace")


def line(family: str, label_text: str, value: float) -> bytes:
    """Return one line."""
    return encoded(f"milvus_import_{family}{{{label_text}}} {value!r}\n")


def by_family(pieces: Iterable[Piece]) -> tuple[bytes, ...]:
    """Return the text of each of ``JOB_FAMILIES``, in their order."""
    found = [b""] * len(JOB_FAMILIES)
    for index, text in pieces:
        found[index] += text
    return tuple(found)


class Sheet:
    """Families of which each of several jobs has a line, or none.

    Of a family, one text is kept, and how long the line of each job is. Where jobs have changed, their lines are put
    behind it, and all is put in order in a few cuts: no line takes memory of its own, nor has to be looked for there.

    Args:
        families: How many there are.
        render: Returns the line of a job in each family, an empty one where it has none.
    """

    __slots__ = ("_jobs", "_lengths", "_render", "_texts")

    def __init__(self, families: int, render: Callable[[TrackedJob], Sequence[str]]) -> None:
        self._render = render
        self._jobs: Sequence[TrackedJob] = ()
        self._texts = [b""] * families
        self._lengths = [array("L")] * families

    def show(self, jobs: Sequence[TrackedJob]) -> tuple[list[TrackedJob], list[int]]:
        """Show some jobs, in this order, in the place of those shown so far.

        Returns:
            The jobs that are not the very same as before; and for each job its place in the row of the jobs shown so
            far, followed by those.
        """
        places = {id(job): place for place, job in enumerate(self._jobs)}
        known = len(places)
        new = [job for job in jobs if id(job) not in places]
        places.update([(id(job), place) for place, job in enumerate(new, known)])
        order = [places[id(job)] for job in jobs]
        if order != list(range(known)):
            self._rewrite([[encoded(line) for line in self._render(job)] for job in new], order)
        self._jobs = jobs
        return new, order

    def _rewrite(self, new: Sequence[Sequence[bytes]], order: Sequence[int]) -> None:
        runs = _runs(order)
        for family, text in enumerate(self._texts):
            lines = [cells[family] for cells in new]
            if not text and not any(lines):
                self._lengths[family] = array("L", [0]) * len(order)
                continue
            row = b"".join([text, *lines])
            lengths = self._lengths[family] + array("L", map(len, lines))
            ends = list(accumulate(lengths, initial=0))
            cuts, kept = [], array("L")
            for first, behind in runs:
                cuts.append(row[ends[first] : ends[behind]])
                kept += lengths[first:behind]
            self._texts[family] = b"".join(cuts)
            self._lengths[family] = kept

    def texts(self, count: int) -> Sequence[bytes]:
        """Return the text of each family for so many jobs, the first of those shown."""
        if count == len(self._jobs):
            return self._texts
        return [text[: sum(lengths[:count])] for text, lengths in zip(self._texts, self._lengths, strict=True)]


def _runs(order: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of places that follow each other: the first of each, and the one behind its last."""
    runs: list[tuple[int, int]] = []
    first = behind = -1
    for place in order:
        if place != behind:
            runs.append((first, behind))
            first = place
        behind = place + 1
    return [*runs[1:], (first, behind)] if order else []


class Budget:
    """How many series may still be shown, and how many were left out."""

    def __init__(self, series: int) -> None:
        self.left = series
        self.dropped = 0

    def fitting(self, series: Sequence[int]) -> int:
        """Return how many jobs or collections may be shown: the first, as long as they fit, each whole.

        Args:
            series: How many series each has, in the order of their importance.
        """
        whole = list(accumulate(series))
        count = bisect_right(whole, self.left)
        if count == len(whole):
            self.left -= whole[-1] if whole else 0
        else:
            self.dropped += whole[-1] - (whole[count - 1] if count else 0)
            self.left = 0
        return count


Made = TypeVar("Made")


class Kept(Generic[Made]):
    """What was made of some facts last time, for as long as the facts are the same."""

    def __init__(self) -> None:
        self._facts: object = self
        self._made: Made

    def made(self, make: Callable[..., Made], *facts: object) -> Made:
        """Return what is made of the facts, which never change themselves."""
        if facts != self._facts:
            self._made = make(*facts)
            self._facts = facts
        return self._made
