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

_MEMORY: Final = "m"
"""What the id of a transition begins with that only this process knows, for the database has not given it one."""


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
    """A recorded transition.

    Attributes:
        id: A number, greater for what was recorded later. With ``m`` before it, it counts only in this process.
        cluster: The cluster's name.
        transition: What happened.
    """

    id: str
    cluster: str
    transition: Transition


class TransitionFilter(msgspec.Struct, frozen=True):
    """Which transitions are wanted; what is None or empty excludes none.

    Attributes:
        cluster: Of this cluster.
        database: In this database; empty for APIs that do not report it.
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
    """One page of transitions.

    Attributes:
        entries: The one recorded last first. Their times can be out of that order: a poll has the time of its begin.
        next_cursor: What to ask for the next page with; None where this is the last one.
        complete: Whether the database was asked. While it is away, the page holds what this process remembers.
    """

    entries: tuple[RecordedTransition, ...]
    next_cursor: str | None
    complete: bool


class JobFilter(msgspec.Struct, frozen=True):
    """Which jobs are wanted; what is None or empty excludes none.

    Attributes:
        cluster: Of this cluster.
        database: In this database; empty for APIs that do not report it.
        collection: In this collection.
        states: In one of these states.
        stalled: Stalled, or not.
        listed: In the latest list, or not.
        text: With this text, in whatever case, in the cluster, database, collection, id or reason.
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

    Attributes:
        entries: The jobs.
        after: What to ask for the next page with, cluster and job id; None where this is the last one.
        total: How many there are in all, up to ``COUNT_LIMIT``; None where it was not asked for.
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
                added.append(RecordedTransition(f"{_MEMORY}{self._number}", cluster, step))
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
        cursor_after = matching[limit - 1].id if len(matching) > limit else None
        return TransitionPage(tuple(matching[:limit]), cursor_after, complete=False)


def parse_cursor(cursor: str, *, memory: bool) -> int | None:
    """Return the number in a cursor, or None for an empty one.

    Args:
        cursor: The cursor.
        memory: Whether the page comes from the memory of this process, so that the cursor has to.

    Raises:
        CursorError: No page gave it, or one from the other source.
    """
    if not cursor:
        return None
    digits = cursor.removeprefix(_MEMORY)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(2**63 - 1)) - 1):
        raise CursorError("this cursor was given by no page")
    if cursor.startswith(_MEMORY) is not memory:
        raise CursorError("the history comes from another source by now: begin again without a cursor")
    return int(digits)
