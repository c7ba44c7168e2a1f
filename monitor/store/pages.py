"""What can be asked of the store page by page, and the transitions that are remembered for when it is away."""

from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import Final

import msgspec

from monitor.jobs import Job, JobState, Transition

PAGE_LIMIT: Final = 1000
"""Entries of one page, at most."""

RECENT_LIMIT: Final = 10_000
"""Transitions that are remembered for when the database is away; the oldest go first."""


class CursorError(ValueError):
    """The cursor comes from no page, or from one that cannot be continued; ask again without it."""


class ClusterRef(msgspec.Struct, frozen=True):
    """Which cluster is meant.

    Attributes:
        name: The cluster's name.
        identity: What makes it the same cluster: a name can come to stand for another one.
        cluster_id: Its id on Zilliz Cloud, for the log.
    """

    name: str
    identity: str
    cluster_id: str = ""


class RecordedTransition(msgspec.Struct, frozen=True, gc=False):
    """A transition with the name of its cluster, and an id that is a greater number for what was recorded later.

    With ``m`` before it, the id counts only in this process.
    """

    id: str
    cluster: str
    transition: Transition


class TransitionFilter(msgspec.Struct, frozen=True):
    """Which transitions are wanted: into one of ``states``, from ``since`` until before ``until`` (epoch seconds).

    What is None or empty excludes none; but an empty ``database`` is that of APIs that do not report it.
    """

    cluster: str | None = None
    database: str | None = None
    collection: str | None = None
    job_id: str | None = None
    states: frozenset[JobState] = frozenset()
    since: float | None = None
    until: float | None = None

    def matches(self, entry: RecordedTransition) -> bool:
        """Say whether a transition is wanted."""
        step = entry.transition
        names = (entry.cluster, step.database, step.collection, step.job_id)
        wanted = (self.cluster, self.database, self.collection, self.job_id)
        return (
            all(want is None or want == name for want, name in zip(wanted, names, strict=True))
            and (not self.states or step.to_state in self.states)
            and (self.since is None or step.at >= self.since)
            and (self.until is None or step.at < self.until)
        )


class TransitionPage(msgspec.Struct, frozen=True):
    """One page of transitions, the one recorded last first; a poll has the time of its begin.

    ``next_cursor`` asks for the next page, and is None on the last one. The page is not ``complete`` while the database
    is away: then it holds what this process remembers.
    """

    entries: tuple[RecordedTransition, ...]
    next_cursor: str | None
    complete: bool


class JobFilter(msgspec.Struct, frozen=True):
    """Which jobs are wanted: stalled or not, in the latest list or not, with a text in a name, the id or the reason.

    What is None or empty excludes none; but an empty ``database`` is that of APIs that do not report it.
    """

    cluster: str | None = None
    database: str | None = None
    collection: str | None = None
    states: frozenset[JobState] = frozenset()
    stalled: bool | None = None
    listed: bool | None = None
    text: str = ""


class StoredJob(msgspec.Struct, frozen=True):
    """A job, and the name of its cluster."""

    cluster: str
    job: Job


class JobPage(msgspec.Struct, frozen=True):
    """One page of jobs.

    ``after`` asks for the next page, and is None on the last one. ``total`` is how many there are, up to a bound, or
    None where that was not asked for.
    """

    entries: tuple[StoredJob, ...]
    after: tuple[str, str] | None = None
    total: int | None = None


class RecentTransitions:
    """The latest transitions, in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, RecordedTransition]] = deque(maxlen=RECENT_LIMIT)
        self._number = 0
        self._lock = Lock()

    def add(self, cluster: str, steps: Iterable[Transition]) -> list[RecordedTransition]:
        """Remember transitions, in their order, and return them with ids of this process."""
        with self._lock:
            added = []
            for step in steps:
                self._number += 1
                added.append(RecordedTransition(f"m{self._number}", cluster, step))
                self._entries.append((self._number, added[-1]))
            return added

    def page(self, wanted: TransitionFilter, limit: int, cursor: str, oldest: float) -> TransitionPage:
        """Return a page of those that are not older than a time."""
        before = parse_cursor(cursor, memory=True)
        with self._lock:
            entries = list(self._entries)
        matching = [
            entry
            for number, entry in reversed(entries)
            if (before is None or number < before) and entry.transition.at >= oldest and wanted.matches(entry)
        ]
        return TransitionPage(tuple(matching[:limit]), matching[limit - 1].id if matching[limit:] else None, False)


def parse_cursor(cursor: str, *, memory: bool) -> int | None:
    """Return the number in a cursor, None for an empty one.

    Raises:
        CursorError: No page gave it, or one from the other source: of a database where ``memory`` is meant, or reverse.
    """
    if not cursor:
        return None
    digits = cursor.removeprefix("m")
    if not (digits.isascii() and digits.isdigit() and len(digits) < len(str(2**63))):
        raise CursorError("this cursor was given by no page")
    if cursor.startswith("m") is not memory:
        raise CursorError("the history comes from another source by now: begin again without a cursor")
    return int(digits)
