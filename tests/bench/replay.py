"""An import API that answers in as few instructions as possible, so that a bench measures who asks.

Every cluster has the same number of jobs. They stand still, or with each list that is asked for some of the importing
jobs progress by one percent, and with every few lists the oldest unfinished job completes and a new one takes the place
of the oldest completed one. So the number of unfinished jobs stays what it was.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

IMPORTING, COMPLETED, FAILED = "Importing", "Completed", "Failed"
REASON: Final = "file not found: part-7.parquet"
COLLECTIONS: Final = 10
_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What every cluster is like.

    Attributes:
        jobs: How many it has.
        unfinished: How many of them are importing; the others are completed.
        progressing: How many move on with each list.
        step_every: Lists from one job that completes, and one that is new, to the next; 0 for never.
        idle_after: Number of the first clusters that are so; in the others every job is completed. 0 for all.
    """

    jobs: int
    unfinished: int = 0
    progressing: int = 0
    step_every: int = 0
    idle_after: int = 0

    @property
    def moves(self) -> bool:
        return bool(self.progressing or self.step_every)


class Jobs:
    """The jobs of one cluster, each kept as the bytes of its record."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next_id = 449_000_000_000_000_001
        self._facts = [
            (self._new_id(), IMPORTING, 1 + index % 50) if index < plan.unfinished else (self._new_id(), COMPLETED, 100)
            for index in range(plan.jobs)
        ]
        self._records = [self._record(index) for index in range(plan.jobs)]
        self._importing = deque(range(plan.unfinished))
        self._completed = deque(range(plan.unfinished, plan.jobs))
        self._lists = 0
        self.answer = self._whole()

    def move(self) -> None:
        """Go on to the next list."""
        self._lists += 1
        for _ in range(min(self._plan.progressing, len(self._importing))):
            index = self._importing[0]
            self._importing.rotate(-1)
            number, state, progress = self._facts[index]
            self._change(index, number, state, min(_PERCENT - 1, progress + 1))
        if self._plan.step_every and self._lists % self._plan.step_every == 0:
            self._step()
        self.answer = self._whole()

    def fail(self, index: int) -> str:
        """Let a job fail, and return its id."""
        number = self._facts[index][0]
        self._change(index, number, FAILED, 0)
        self.answer = self._whole()
        return str(number)

    def _step(self) -> None:
        """Complete the oldest unfinished job, and replace the oldest completed one by a new job."""
        oldest = min(self._importing, key=lambda index: self._facts[index][0])
        self._importing.remove(oldest)
        self._completed.append(oldest)
        self._change(oldest, self._facts[oldest][0], COMPLETED, _PERCENT)
        replaced = self._completed.popleft()
        self._change(replaced, self._new_id(), IMPORTING, 0)
        self._importing.append(replaced)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _change(self, index: int, number: int, state: str, progress: int) -> None:
        self._facts[index] = (number, state, progress)
        self._records[index] = self._record(index)

    def _record(self, index: int) -> bytes:
        number, state, progress = self._facts[index]
        name = f"collection_{index % COLLECTIONS}"
        record = {"collectionName": name, "jobId": str(number), "progress": progress, "state": state}
        return json.dumps(record | ({"reason": REASON} if state == FAILED else {})).encode()

    def _whole(self) -> bytes:
        return _ok(b'{"code":0,"data":{"records":[' + b",".join(self._records) + b"]}}")


class World:
    """All clusters, made when they are first asked for, and when each was asked since `begin`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clusters: dict[str, Jobs] = {}
        self.arrivals: list[tuple[str, float]] = []

    def answer(self, path: str) -> bytes:
        """Answer a list of the cluster that the path names, ``/CLUSTER/v2/...``, or a bench, ``/-/...``."""
        _, name, *rest = path.split("/")
        if name == "-":
            return _ok(json.dumps(self._tell(*rest)).encode())
        self.arrivals.append((name, time.time()))
        cluster = self.clusters.get(name)
        if cluster is None:
            idle = self.plan.idle_after and int(name[1:]) >= self.plan.idle_after
            cluster = self.clusters[name] = Jobs(Plan(self.plan.jobs) if idle else self.plan)
        elif self.plan.moves:
            cluster.move()
        return cluster.answer

    def _tell(self, what: str, *arguments: str) -> object:
        if what == "begin":
            self.arrivals = []
            return None
        if what == "arrivals":
            return self.arrivals
        if what == "count":
            return len(self.arrivals)
        assert what == "fail", what
        name, index = arguments
        return self.clusters[name].fail(int(index))


class _Connection(asyncio.Protocol):
    def __init__(self, world: World) -> None:
        self._world = world
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(rest) < length:
                return
            self._data = rest[length:]
            assert isinstance(self._transport, asyncio.Transport)
            path = head.split(b" ", 2)[1].decode()
            described = path.endswith("/describe")
            self._transport.write(_described(rest[:length]) if described else self._world.answer(path))


def _described(request: bytes) -> bytes:
    """Answer a describe of a completed job, of which the monitor wants to know the rows."""
    job_id = json.loads(request)["jobId"]
    rows = f'"state":"{COMPLETED}","progress":{_PERCENT},"importedRows":1000,"totalRows":1000'
    return _ok(f'{{"code":0,"data":{{"jobId":"{job_id}",{rows},"details":[]}}}}'.encode())


def _ok(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(world: World) -> None:
    """Serve until standard input ends; the port is the first line that is printed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(world), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in Plan.__slots__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=0)
    gc.disable()  # a collection among a million records would look like a late poll
    asyncio.run(serve(World(Plan(**vars(parser.parse_args())))))


if __name__ == "__main__":
    main()
