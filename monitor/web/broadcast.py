"""Tells whoever listens what changes: a bounded queue for each, and whoever is too slow is told to look anew."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec

from monitor.fleet import Change, Fleet, cluster_view, job_view, transition_view

READERS: Final = 200
"""Streams at a time; one more is answered 503."""

QUEUE: Final = 500
"""Changes that wait for a reader; the oldest go first."""

JOBS_AT_ONCE: Final = 500
"""Jobs of one change that are told one by one; of a greater change readers are told to look anew."""

HEARTBEAT: Final = 15.0
"""Seconds without an event after which a comment is sent, so that nobody on the way takes the stream for dead."""

PULSE_EVERY: Final = 1.0
"""Seconds from one ``pulse`` to the next, at least."""

_PULSE: Final = frozenset({"pulse"})


class FullError(Exception):
    """There are too many readers."""


class Reader:
    """Somebody who listens."""

    def __init__(self, cluster: str | None, events: frozenset[str], version: int) -> None:
        self.cluster = cluster
        self.events = events
        self.version = version
        self.queue: deque[Change] = deque()
        self.lost = self.pulse = self.ended = False
        self.more = asyncio.Event()

    def put(self, change: Change) -> None:
        """Take a change, unless it is about another cluster."""
        if self.cluster is not None and change.seen is not None and change.seen.cluster.name != self.cluster:
            return
        self.version, self.pulse = change.version, True
        if self.events != _PULSE:
            if len(self.queue) >= QUEUE:
                self.queue.popleft()
                self.lost = True
            self.queue.append(change)
        self.more.set()

    def end(self) -> None:
        """End the stream."""
        self.ended = True
        self.more.set()


class Broadcast:
    """Hands what a fleet tells, in whichever thread, to those who listen in the event loop."""

    def __init__(self) -> None:
        self._readers: set[Reader] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fleet: Fleet | None = None

    def join(self, fleet: Fleet, cluster: str | None, events: frozenset[str]) -> Reader:
        """Listen from now on; until `leave`.

        Args:
            fleet: Whose changes.
            cluster: Only of this cluster.
            events: The names of the events that are wanted.

        Raises:
            FullError: There is no room.
        """
        if len(self._readers) >= READERS:
            raise FullError
        self._loop = asyncio.get_running_loop()
        if self._fleet is not fleet:
            self._fleet = fleet
            fleet.listen(self._hear)
        reader = Reader(cluster, events, fleet.version)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Listen no more."""
        self._readers.discard(reader)

    def end(self) -> None:
        """End every stream: the monitor stops, or other people may listen from now on."""
        for reader in list(self._readers):
            reader.end()

    def _hear(self, change: Change) -> None:
        loop = self._loop
        if loop is None or not self._readers:
            return
        if change.seen is not None and any(reader.events != _PULSE for reader in list(self._readers)):
            fleet = self._fleet
            if fleet is not None:
                fleet.cluster(change.seen.cluster.name)  # what it takes time to count is counted here, not in the loop
        with suppress(RuntimeError):  # the loop has ended, and with it everybody who listened
            loop.call_soon_threadsafe(self._publish, change)

    def _publish(self, change: Change) -> None:
        for reader in self._readers:
            reader.put(change)


async def told(reader: Reader, fleet: Fleet, now: float) -> AsyncIterator[bytes]:
    """Yield the events of a stream as server-sent events, until it is ended.

    Args:
        reader: Whose stream.
        fleet: Whose changes.
        now: The time, for the estimates in the first events; later ones are made from what each change brings.
    """
    yield event("hello", {"version": fleet.version})
    pulse_at = 0.0
    while not reader.ended:
        pulse = reader.pulse and "pulse" in reader.events
        try:
            await asyncio.wait_for(reader.more.wait(), max(0.0, pulse_at - time.monotonic()) if pulse else HEARTBEAT)
        except TimeoutError:
            if not pulse:
                yield b": still here\n\n"
                continue
        reader.more.clear()
        if reader.lost:
            reader.lost = False
            yield event("refetch", {"version": reader.version})
        while reader.queue and not reader.ended:
            change = reader.queue.popleft()
            part = b"".join(_events(reader, fleet, change, change.seen.last_poll or now if change.seen else now))
            if part:
                yield part
        if reader.pulse and "pulse" in reader.events and time.monotonic() >= pulse_at and not reader.ended:
            reader.pulse, pulse_at = False, time.monotonic() + PULSE_EVERY
            yield event("pulse", {"version": reader.version})
    yield event("end", {})


def _events(reader: Reader, fleet: Fleet, change: Change, now: float) -> list[bytes]:
    """Return the events of a change that a reader wants."""
    if change.seen is None or len(change.jobs) + len(change.removed) > JOBS_AT_ONCE:
        return [event("refetch", {"version": change.version})]
    name = change.seen.cluster.name
    events = []
    if "cluster" in reader.events:
        found = fleet.cluster(name)
        events.append(event("cluster", cluster_view(change.seen, None if found is None else found[1])))
    if "job" in reader.events:
        events += [event("job", job_view(name, tracked, now)) for tracked in change.jobs]
    if "gone" in reader.events:
        events += [event("gone", {"cluster": name, "job_id": job_id}) for job_id in change.removed]
    if "transition" in reader.events:
        events += [event("transition", transition_view(one)) for one in change.transitions]
    return events


def event(name: str, data: object) -> bytes:
    """Return a server-sent event; JSON has no line ends of its own."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
