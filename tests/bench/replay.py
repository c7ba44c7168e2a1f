"""An import API that answers in as few instructions as possible, so that a bench measures who asks.

Every cluster has the same number of jobs. They stand still, or with each list that is asked for a tenth of them moves
on by one percent and one of them takes the next step of its life.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Final

LIFE: Final = ("Pending", "Importing", "Completed")
_PERCENT: Final = 100


class Jobs:
    """The jobs of one cluster, each kept as the bytes of its record.

    Args:
        count: How many.
        unfinished: How many of them are importing when it begins; the others are completed.
    """

    def __init__(self, count: int, unfinished: int) -> None:
        self._next_id = 449_000_000_000_000_001
        self._jobs = [self._new(LIFE[1] if index < unfinished else LIFE[2], index) for index in range(count)]
        self._records = [self._record(*job) for job in self._jobs]
        self._unfinished = unfinished
        self._at = 0
        self.body = self._whole()

    def step(self) -> None:
        """Move a tenth of the jobs on, and take one job to its next state; a completed one makes room for a new one."""
        count = len(self._jobs)
        for offset in range(count // 10):
            index = (self._at + offset) % max(1, self._unfinished)
            number, state, progress, name = self._jobs[index]
            self._jobs[index] = (number, state, min(99, progress + 1) if progress < 99 else 1, name)
            self._records[index] = self._record(*self._jobs[index])
        index = self._at % count
        number, state, progress, name = self._jobs[index]
        if state == LIFE[2]:
            self._jobs[index] = self._new(LIFE[0], index)
        else:
            after = LIFE[LIFE.index(state) + 1]
            self._jobs[index] = (number, after, _PERCENT if after == LIFE[2] else progress, name)
        self._records[index] = self._record(*self._jobs[index])
        self._at = (self._at + 1) % count
        self.body = self._whole()

    def change(self, index: int, state: str, reason: str = "") -> None:
        """Take one job to a state of its own."""
        number, _, _, name = self._jobs[index]
        self._jobs[index] = (number, state, 0, name)
        self._records[index] = self._record(number, state, 0, name, reason)
        self.body = self._whole()

    def _new(self, state: str, index: int) -> tuple[int, str, int, str]:
        self._next_id += 1
        return self._next_id, state, _PERCENT if state == LIFE[2] else index % _PERCENT, f"collection_{index % 10}"

    @staticmethod
    def _record(number: int, state: str, progress: int, name: str, reason: str = "") -> bytes:
        record = {"collectionName": name, "jobId": str(number), "progress": progress, "state": state}
        return json.dumps(record | ({"reason": reason} if reason else {})).encode()

    def _whole(self) -> bytes:
        body = b'{"code":0,"data":{"records":[' + b",".join(self._records) + b"]}}"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class World:
    """All clusters, made when they are first asked for."""

    def __init__(self, jobs: int, unfinished: int, *, moving: bool) -> None:
        self.jobs, self.unfinished, self.moving = jobs, unfinished, moving
        self.clusters: dict[bytes, Jobs] = {}

    def answer(self, path: bytes) -> bytes:
        """Return the answer to a list of the cluster that the path names: /CLUSTER/v2/..."""
        name = path.split(b"/", 2)[1]
        cluster = self.clusters.get(name)
        if cluster is None:
            cluster = self.clusters[name] = Jobs(self.jobs, self.unfinished)
        elif self.moving:
            cluster.step()
        return cluster.body


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
            lower = head.lower()
            length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(rest) < length:
                return
            self._data = rest[length:]
            path = head.split(b" ", 2)[1]
            assert isinstance(self._transport, asyncio.Transport)
            if path.startswith(b"/fail/"):
                _, _, name, index = path.split(b"/")
                self._world.clusters[name].change(int(index), "Failed", "file not found: part-7.parquet")
                self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                self._transport.write(self._world.answer(path))


async def serve(world: World) -> None:
    """Serve until standard input ends; the port is the first line that is printed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(world), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100, help="jobs of each cluster")
    parser.add_argument("--unfinished", type=int, default=0, help="how many of them are importing at first")
    parser.add_argument("--moving", action="store_true", help="move them with each list")
    chosen = parser.parse_args()
    asyncio.run(serve(World(chosen.jobs, chosen.unfinished, moving=chosen.moving)))


if __name__ == "__main__":
    main()
