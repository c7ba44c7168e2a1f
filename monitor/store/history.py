"""The recorded transitions, newest first, page by page; the latest of them in memory for when there is no database."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from monitor.jobs import JobState, Transition

RECENT: Final = 10_000
"""Transitions that are kept in memory; the oldest go first."""

PAGE_LIMIT: Final = 1000
"""Transitions of one page, at most."""

_MEMORY: Final = "m"
"""What an id begins with that counts only in this process, for the database has not given one."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A transition as it was recorded.

    Attributes:
        id: Where it stands in the history: a number, greater for what was recorded later. With ``m`` before it the
            number is this process' own, and means nothing after a restart.
        cluster: The cluster's name.
        transition: What happened.
    """

    id: str
    cluster: str
    transition: Transition


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which transitions are looked for. What is None or empty leaves every one in.

    Attributes:
        cluster: Of this cluster.
        database: In this database; empty is a name too, for APIs that do not say.
        collection: In this collection.
        job_id: Of this job.
        states: Into one of these states.
        since: Not before this time, in seconds since the epoch.
        until: Before this time.
    """

    cluster: str | None = None
    database: str | None = None
    collection: str | None = None
    job_id: str | None = None
    states: frozenset[JobState] = frozenset()
    since: float | None = None
    until: float | None = None

    def takes(self, one: Recorded) -> bool:
        """Say whether a transition is among them."""
        step = one.transition
        pairs = (
            (self.cluster, one.cluster),
            (self.database, step.database),
            (self.collection, step.collection),
            (self.job_id, step.job_id),
        )
        return (
            all(wanted is None or wanted == value for wanted, value in pairs)
            and (not self.states or step.to_state in self.states)
            and (self.since is None or step.at >= self.since)
            and (self.until is None or step.at < self.until)
        )


@dataclass(frozen=True, slots=True)
class History:
    """One page of transitions.

    Attributes:
        entries: The one recorded last first. Their times can be out of that order: a poll has the time of its begin.
        next_cursor: What to ask the next page with; None where this is the last one.
        whole: Whether the database was asked. Where it is ill, the page holds what this process remembers.
    """

    entries: tuple[Recorded, ...]
    next_cursor: str | None
    whole: bool


class CursorError(ValueError):
    """A cursor that no page has given, or one whose history cannot be gone on with; ask again without it."""


class Recent:
    """The transitions recorded last, in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, Recorded]] = deque(maxlen=RECENT)
        self._number = 0
        self._lock = Lock()

    def add(self, cluster: str, steps: Iterable[Transition]) -> list[Recorded]:
        """Keep some that have just been recorded, in their order, and return them with ids of this process."""
        with self._lock:
            added = []
            for step in steps:
                self._number += 1
                added.append(Recorded(f"{_MEMORY}{self._number}", cluster, step))
                self._entries.append((self._number, added[-1]))
            return added

    def page(self, wanted: Wanted, before: int | None, limit: int, *, whole: bool) -> History:
        """Return the newest of those that are wanted and older than a number.

        Args:
            wanted: Which.
            before: The number, or None to begin with the newest.
            limit: How many at most.
            whole: Whether there is no more to know than what is in memory.
        """
        with self._lock:
            entries = list(self._entries)
        found: list[tuple[int, Recorded]] = []
        for number, one in reversed(entries):
            if (before is None or number < before) and wanted.takes(one):
                found.append((number, one))
                if len(found) > limit:
                    break
        shown = found[:limit]
        cursor = f"{_MEMORY}{shown[-1][0]}" if len(found) > limit else None
        return History(tuple(one for _, one in shown), cursor, whole=whole)


def number_in(cursor: str, *, memory: bool) -> int | None:
    """Return the number in a cursor, or None for an empty one.

    Args:
        cursor: The cursor.
        memory: Whether the page comes from memory, so that the cursor has to.

    Raises:
        CursorError: It is not one of ours, or comes from the other place.
    """
    if not cursor:
        return None
    digits = cursor.removeprefix(_MEMORY)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(2**63 - 1)) - 1):
        raise CursorError("this cursor was given by no page")
    if cursor.startswith(_MEMORY) is not memory:
        raise CursorError("the history comes from another place by now: begin again without a cursor")
    return int(digits)
