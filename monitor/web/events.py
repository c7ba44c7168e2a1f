"""The stream of changes as server-sent events: a bounded queue per client; a slow one has to fetch everything again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, get_args

import msgspec

from monitor.web.context import Context
from monitor.web.overview import StatusChange
from monitor.web.params import EventName
from monitor.web.views import cluster_view, job_view, transition_view

EVENTS: Final[tuple[str, ...]] = get_args(EventName)
_PULSE: Final = frozenset({"pulse"})


class TooManyStreamsError(Exception):
    """There are too many streams, in all or from one address."""


_Events = tuple[tuple[str, bytes], ...]
"""Names of events, with the events as they are sent: encoded once for all streams."""


class Stream:
    """The events that one client waits for."""

    def __init__(self, cluster: str | None, events: frozenset[str], address: str) -> None:
        self.cluster = cluster
        self.events = events or frozenset(EVENTS) - _PULSE
        self.address = address
        self.version = 0
        self.queue: list[bytes] = []
        self.dropped = self.pulse = self.ended = False
        self.ready = asyncio.Event()

    def put(self, version: int, cluster: str | None, events: _Events, limit: int) -> None:
        """Queue the events of a change, unless it is about another cluster."""
        if None not in {self.cluster, cluster} and self.cluster != cluster:
            return
        self.version, self.pulse = version, "pulse" in self.events
        if self.events != _PULSE:
            self.queue += [data for name, data in events if name in self.events or name == "refetch"]
        if len(self.queue) > limit:
            self.queue.clear()
            self.dropped = True
        self.ready.set()


class EventStreams:
    """Passes the changes of the fleet, made in any thread, to the streams in the event loop."""

    def __init__(self, context: Context) -> None:
        self._fleet = context.fleet
        self._clock = context.clock
        self._limits = context.limits
        self._streams: set[Stream] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fleet.subscribe(self._publish)

    def open(self, cluster: str | None, events: frozenset[str], address: str) -> Stream:
        """Return a stream to read.

        Raises:
            TooManyStreamsError: There are too many.
        """
        same = sum(stream.address == address for stream in self._streams)
        if len(self._streams) >= self._limits.streams or same >= self._limits.streams_per_address:
            raise TooManyStreamsError
        return Stream(cluster, events, address)

    def end(self) -> None:
        """End every stream: the monitor stops, or other clients are allowed from now on."""
        for stream in list(self._streams):
            stream.ended = True
            stream.ready.set()

    async def read(self, stream: Stream) -> AsyncIterator[bytes]:
        """Yield what changes from now on until the stream is ended."""
        self._loop = asyncio.get_running_loop()
        self._streams.add(stream)  # not before: a client that leaves early never starts this generator
        stream.version = self._fleet.version
        try:
            async for part in self._read(stream):
                yield part
        finally:
            self._streams.discard(stream)

    async def _read(self, stream: Stream) -> AsyncIterator[bytes]:
        yield encode_event("hello", {"version": stream.version})
        next_pulse = 0.0
        while not stream.ended:
            wait = max(0.0, next_pulse - time.monotonic()) if stream.pulse else self._limits.heartbeat
            try:
                await asyncio.wait_for(stream.ready.wait(), wait)
            except TimeoutError:
                if not stream.pulse:
                    yield b": still here\n\n"
                    continue
            stream.ready.clear()
            if stream.dropped:
                stream.dropped = False
                yield encode_event("refetch", {"version": stream.version})
            if stream.queue:
                part = b"".join(stream.queue)
                stream.queue.clear()
                yield part
            if stream.pulse and time.monotonic() >= next_pulse and not stream.ended:
                stream.pulse, next_pulse = False, time.monotonic() + self._limits.pulse_interval
                yield encode_event("pulse", {"version": stream.version})
        yield encode_event("end", {})

    def _publish(self, change: StatusChange) -> None:
        """Encode the events of a change in the thread of its poll, if anybody wants them."""
        loop, streams = self._loop, list(self._streams)
        if loop is None or not streams:
            return
        events = () if all(stream.events == _PULSE for stream in streams) else self._events(change)
        cluster = None if change.status is None else change.status.cluster.name
        with suppress(RuntimeError):  # the loop has ended, and all streams with it
            loop.call_soon_threadsafe(self._queue, change.version, cluster, events)

    def _queue(self, version: int, cluster: str | None, events: _Events) -> None:
        for stream in self._streams:
            stream.put(version, cluster, events, self._limits.stream_queue)

    def _events(self, change: StatusChange) -> _Events:
        status, diff = change.status, change.diff
        if status is None:
            return (("refetch", encode_event("refetch", {"version": change.version})),)
        name, now = status.cluster.name, self._clock()
        events: list[tuple[str, object]] = [("cluster", cluster_view(status))]
        if diff is not None:
            gone = _delisted(change)
            if len(diff.changed) + len(gone) > self._limits.jobs_per_poll:
                return (("refetch", encode_event("refetch", {"version": change.version})),)
            events += [("job", job_view(name, job, now)) for job in diff.changed]
            events += [("gone", {"cluster": name, "job_id": job_id}) for job_id in gone]
        events += [("transition", transition_view(recorded)) for recorded in change.transitions]
        return tuple((event, encode_event(event, data)) for event, data in events)


def _delisted(change: StatusChange) -> list[str]:
    """Return the ids of jobs that are shown no more: not listed, and tracked no more."""
    if change.diff is None:
        return []
    snapshot = change.diff.snapshot
    ids = (*change.diff.removed_ids, *change.diff.delisted_ids, *(job.job_id for job in change.diff.changed))
    return [job_id for job_id in ids if job_id not in snapshot.tracked and job_id not in snapshot.listing.records]


def encode_event(name: str, data: object) -> bytes:
    """Return a server-sent event; JSON has no line breaks of its own."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
