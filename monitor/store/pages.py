"""What can be asked of the store page by page."""

from typing import Final

import msgspec

from monitor.jobs import Job, JobState, Transition

PAGE_LIMIT: Final = 1000
"""Entries of one page, at most."""


class CursorError(ValueError):
    """The cursor comes from no page; ask again without it."""


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

    The id is empty while the transition waits for an unavailable database.
    """

    id: str
    cluster: str
    transition: Transition


class TransitionFilter(msgspec.Struct, frozen=True):
    """Which transitions are wanted: into one of ``states``, from ``since`` until before ``until`` (epoch seconds).

    What is None or empty excludes none; but an empty ``database`` is that of APIs that do not report it, and empty
    ``clusters`` exclude all.
    """

    cluster: str | None = None
    clusters: frozenset[str] | None = None
    database: str | None = None
    collection: str | None = None
    job_id: str | None = None
    states: frozenset[JobState] = frozenset()
    since: float | None = None
    until: float | None = None


class TransitionPage(msgspec.Struct, frozen=True):
    """One page of transitions, the one recorded last first; a poll has the time of its begin.

    ``next_cursor`` asks for the next page, and is None on the last one. The page is empty and not ``complete`` while
    the database is away.
    """

    entries: tuple[RecordedTransition, ...]
    next_cursor: str | None = None
    complete: bool = True


class JobFilter(msgspec.Struct, frozen=True):
    """Which jobs are wanted: stalled or not, in the latest list or not, with a text in a name, the id or the reason.

    What is None or empty excludes none; but an empty ``database`` is that of APIs that do not report it, and empty
    ``clusters`` exclude all.
    """

    cluster: str | None = None
    clusters: frozenset[str] | None = None
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
