"""The stream of changes as server-sent events: a bounded queue per client; a slow one has to fetch everything again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Final, get_args

import msgspec

from monitor.config import Cluster
from monitor.jobs import SnapshotDiff
from monitor.web.cluster_status import ClusterStatus
from monitor.web.errors import RequestError
from monitor.web.fleet import FleetStatus, StatusChange
from monitor.web.limits import WebLimits
from monitor.web.params import EventName
from monitor.web.views import cluster_view, job_view, transition_view

EVENTS: Final[tuple[str, ...]] = get_args(EventName)
_PULSE: Final = frozenset({"pulse"})

_Events = tuple[tuple[str, bytes], ...]
"""Names of events, with the events as they are sent: encoded once for all streams."""


class Stream:
    """The events that one client wants, and those that are queued for it."""

    def __init__(self, cluster: str | None, labels: Mapping[str, str], events: frozenset[str], address: str) -> None:
        self.cluster = cluster
        self.labels = labels
        self.events = events or frozenset(EVENTS) - _PULSE
        self.address = address
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self._version = 0
        self._queue: list[bytes] = []

    def put(self, version: int, cluster: Cluster | None, events: _Events, limit: int) -> None:
        """Queue the events of a change, unless it is about another cluster; None stands for all of them."""
        if cluster is not None and not self._wants(cluster):
            return
        self._version = version
        self._queue += [data for name, data in events if name in self.events or name == "refetch"]
        if len(self._queue) > limit:
            self._queue = [_encode("refetch", {"version": version})]
        self.changed.set()

    def _wants(self, cluster: Cluster) -> bool:
        return self.cluster in (None, cluster.name) and self.labels.items() <= cluster.labels.items()

    def drain(self) -> bytes:
        """Return the queued events, and empty the queue."""
        if "pulse" in self.events:
            self._queue.append(_encode("pulse", {"version": self._version}))
        events = b"".join(self._queue)
        self._queue.clear()
        self.changed.clear()
        return events


class EventStreams:
    """Passes the changes of the fleet, made in any thread, to the streams in the event loop."""

    def __init__(self, fleet: FleetStatus, clock: Callable[[], float], limits: WebLimits) -> None:
        self._fleet = fleet
        self._clock = clock
        self._limits = limits
        self._streams: set[Stream] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        fleet.subscribe(self._publish)

    def open(
        self, cluster: str | None, labels: Mapping[str, str], events: frozenset[str], address: str
    ) -> AsyncIterator[bytes]:
        """Return a stream of events; raises ``RequestError`` if there are too many, in all or from one address."""
        same = sum(stream.address == address for stream in self._streams)
        if len(self._streams) >= self._limits.streams or same >= self._limits.streams_per_address:
            raise RequestError(503, "too many streams are open", "close one, or poll instead")
        return self._read(Stream(cluster, labels, events, address))

    def end(self) -> None:
        """End every stream: the monitor stops, or its web config has changed."""
        for stream in self._streams:
            stream.ended.set()
            stream.changed.set()

    async def _read(self, stream: Stream) -> AsyncIterator[bytes]:
        """Yield what changes from now on until the stream is ended."""
        self._loop = asyncio.get_running_loop()
        self._streams.add(stream)  # not before: a client that leaves early never starts this generator
        try:
            yield _encode("hello", {"version": self._fleet.version})
            while not stream.ended.is_set():
                try:
                    await asyncio.wait_for(stream.changed.wait(), self._limits.heartbeat)
                except TimeoutError:
                    yield b": keep-alive\n\n"
                    continue
                if not stream.ended.is_set() and (events := stream.drain()):
                    yield events
                if "pulse" in stream.events:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stream.ended.wait(), self._limits.pulse_interval)
            yield _encode("end", {})
        finally:
            self._streams.discard(stream)

    def _publish(self, change: StatusChange) -> None:
        """Encode the events of a change in the thread of its poll, unless there are no streams."""
        loop, streams = self._loop, list(self._streams)
        if loop is None or not streams:
            return
        events = () if all(stream.events == _PULSE for stream in streams) else self._events(change)
        cluster = None if change.status is None else change.status.cluster
        with suppress(RuntimeError):  # the loop has ended, and all streams with it
            loop.call_soon_threadsafe(self._queue, change.version, cluster, events)

    def _queue(self, version: int, cluster: Cluster | None, events: _Events) -> None:
        for stream in self._streams:
            stream.put(version, cluster, events, self._limits.stream_queue)

    def _events(self, change: StatusChange) -> _Events:
        status, diff = change.status, change.diff
        delisted = [] if diff is None else _delisted(status, diff)
        if status is None or (diff is not None and len(diff.changed) + len(delisted) > self._limits.jobs_per_poll):
            return (("refetch", _encode("refetch", {"version": change.version})),)
        name, labels, now = status.cluster.name, status.cluster.labels, self._clock()
        events: list[tuple[str, object]] = [("cluster", cluster_view(status))]
        if diff is not None:
            events += [("job", job_view(name, job, now, status)) for job in diff.changed]
        events += [("gone", {"cluster": name, "job_id": job_id}) for job_id in delisted]
        events += [("transition", transition_view(recorded, labels)) for recorded in change.transitions]
        return tuple((event, _encode(event, data)) for event, data in events)


def _delisted(status: ClusterStatus | None, diff: SnapshotDiff) -> list[str]:
    """Return the ids of jobs that are shown no more: not listed, and tracked no more."""
    if status is not None and not status.polled_here:  # its list is not known
        return list(diff.removed_ids)
    snapshot = diff.snapshot
    ids = (*diff.removed_ids, *diff.delisted_ids, *(job.job_id for job in diff.changed))
    return [job_id for job_id in ids if job_id not in snapshot.tracked and job_id not in snapshot.listing.records]


def _encode(name: str, data: object) -> bytes:
    """Return a server-sent event; JSON has no line breaks of its own."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
