"""One look at the fleet: what a search finds, worst first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.fleet.index import ClusterIndex
from monitor.fleet.search import Search
from monitor.fleet.seen import Seen
from monitor.jobs import JobState, TrackedJob

Found = tuple[str, TrackedJob]
"""A job with the name of its cluster."""

_WORST: Final = {JobState.FAILED: 0, JobState.VANISHED: 1}
_STALLED: Final = 2
_UNCOMMITTED: Final = 3
_ENDED: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.VANISHED})


@dataclass(frozen=True, slots=True)
class Look:
    """What a search finds.

    Attributes:
        version: Of the fleet that was looked at; a greater one has changed since.
        totals: Jobs of the clusters looked at, by state, whatever else is searched for.
        stalled: How many of them are stalled.
        statuses: Clusters by status: up, down, not_polled.
        clusters: The clusters looked at, those that need somebody first.
        unreachable: Those of them that are down.
        attention: Jobs that need somebody: lately failed or vanished, stalled, uncommitted; in this order, the latest
            first.
        running: Other unfinished jobs; those that began first come first.
        ended: Completed jobs, and those that failed or vanished too long ago to matter; the latest first. Only where
            the search asks for something.
    """

    version: int
    totals: Counter[JobState]
    stalled: int
    statuses: Counter[str]
    clusters: Sequence[tuple[Seen, ClusterIndex | None]]
    unreachable: Sequence[Seen]
    attention: Sequence[Found]
    running: Sequence[Found]
    ended: Sequence[Found]


def look_at(
    fleet: Iterable[tuple[Seen, ClusterIndex | None]], search: Search, now: float, version: int, *, ended_too: bool
) -> Look:
    """Look at some clusters.

    Args:
        fleet: The clusters, with their jobs where they have been polled.
        search: What is searched for.
        now: The time, for what failed too long ago.
        version: Of the fleet.
        ended_too: Whether jobs that have ended well, or long ago, are wanted.
    """
    totals: Counter[JobState] = Counter()
    statuses: Counter[str] = Counter()
    clusters: list[tuple[Seen, ClusterIndex | None]] = []
    attention: list[Found] = []
    running: list[Found] = []
    ended: list[Found] = []
    stalled = 0
    every = search.takes_all
    for seen, index in fleet:
        clusters.append((seen, index))
        statuses[seen.status] += 1
        if index is None:
            continue
        for state, count in index.counts.items():
            totals[state] += count
        stalled += index.stalled
        since = now - seen.cluster.failed_retention
        name = seen.cluster.name
        for tracked in index.lost:
            lately = (tracked.finished_at or 0.0) > since
            if (lately or (ended_too and tracked.missing_since is None)) and (every or search.takes(name, tracked)):
                (attention if lately else ended).append((name, tracked))
        others = ((index.waiting, attention), (index.running, running), (index.completed if ended_too else (), ended))
        for jobs, section in others:
            section.extend([(name, one) for one in jobs if every or search.takes(name, one)])
    attention.sort(key=_urgency)
    running.sort(key=lambda found: found[1].first_seen)
    ended.sort(key=lambda found: found[1].finished_at or 0.0, reverse=True)
    clusters.sort(key=_need)
    unreachable = [seen for seen, _ in clusters if seen.status == "down"]
    return Look(version, totals, stalled, statuses, clusters, unreachable, attention, running, ended)


def _urgency(found: Found) -> tuple[int, float]:
    tracked = found[1]
    rank = _WORST.get(tracked.job.state)
    if rank is None:
        rank = _STALLED if tracked.stalled else _UNCOMMITTED
    return rank, -tracked.state_since


def _need(pair: tuple[Seen, ClusterIndex | None]) -> tuple[int, str]:
    seen, index = pair
    if seen.status == "down":
        rank = 0
    elif index is None:
        rank = 3
    else:
        troubled = index.waiting or any(index.counts[state] for state in _WORST)
        rank = 1 if troubled else 2
    return rank, seen.cluster.name


def asks_for_ended(search: Search) -> bool:
    """Say whether a search asks for something, so that what has ended belongs to its answer."""
    if search.states:
        return bool(search.states & _ENDED)
    return search.stalled is None and search != Search()
