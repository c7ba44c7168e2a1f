"""What the simulator costs: `python tests/bench/bench_simulator.py [--requests N] [--clusters N]`.

The server runs in a process of its own and the client is a raw keep-alive socket: the CPU seconds are the server's.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from monitor.simulator import Lifecycle, State, World
from tests.fakes.simulator import SimulatorServer, add_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

JOBS = 100
FLEET_PREFIX = "fleet"


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(clusters: int) -> None:
    """Serves; answers each line on stdin with the CPU seconds and the megabytes used so far."""
    world = World(clusters)
    for cluster in world.clusters.values():
        cluster.populate(JOBS)
    for generation in ("zilliz", "milvus", "v1", "milvus-2.3"):
        still, moving = Lifecycle.frozen(State.COMPLETED, 100), Lifecycle.completing(30)
        add_jobs(world.add_cluster(f"still-{generation}", generation=generation), JOBS, still)
        add_jobs(world.add_cluster(f"moving-{generation}", generation=generation), JOBS, moving)
    with SimulatorServer(world) as server:
        ids = [[cluster.id, cluster.generation] for cluster in list(world.clusters.values())[:clusters]]
        say(json.dumps([server.port, ids]))
        for _ in sys.stdin:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            say(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}")


def request(cluster: str, generation: str) -> bytes:
    """Returns the bytes of one request for the whole list."""
    if generation == "v1":
        path = f"/v1/vector/collections/import/list?clusterId={cluster}&pageSize={JOBS}&currentPage=1"
        return f"GET {path} HTTP/1.1\r\nHost: simulator\r\n\r\n".encode()
    if generation == "milvus-2.3":
        body, verb, path = '{"collection_name":"","limit":0}', "GET", f"/clusters/{cluster}/api/v1/import/tasks"
    elif generation == "milvus":
        body, verb, path = "{}", "POST", f"/clusters/{cluster}/v2/vectordb/jobs/import/list"
    else:
        body = json.dumps({"clusterId": cluster, "pageSize": JOBS, "currentPage": 1})
        verb, path = "POST", "/v2/vectordb/jobs/import/list"
    head = f"{verb} {path} HTTP/1.1\r\nHost: simulator\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def exchange(connection: socket.socket, requests: Iterable[bytes]) -> int:
    """Sends the requests one after the other, reads each answer to its end, and returns their number."""
    count = 0
    for sent in requests:
        connection.sendall(sent)
        data = connection.recv(1 << 18)
        while b"\r\n\r\n" not in data:
            data += connection.recv(1 << 18)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]) - len(body)
        while left > 0:
            left -= len(connection.recv(1 << 18))
        count += 1
    return count


@dataclass
class Meter:
    """The server process, and what it has used."""

    process: subprocess.Popen[str]

    def read(self) -> tuple[float, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        cpu, memory = self.process.stdout.readline().split()
        return float(cpu), float(memory)


def scenarios(count: int, fleet: list[tuple[str, str]]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yields what is measured: a name, and the requests."""
    for kind in ("still", "moving"):
        for generation in ("zilliz", "milvus", "v1", "milvus-2.3"):
            yield f"{kind} {generation}", [request(f"{kind}-{generation}", generation)] * count
    for turn in ("first", "second"):
        yield f"{turn} poll of {len(fleet)} clusters", [request(*cluster) for cluster in fleet]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000, help="requests in each scenario")
    parser.add_argument("--clusters", type=int, default=10_000, help="clusters in the fleet")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve)
        return
    command = [sys.executable, __file__, "--serve", str(chosen.clusters)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, fleet = json.loads(process.stdout.readline())
        meter = Meter(process)
        say(f"lists of {JOBS} jobs; {meter.read()[1]:.0f} MB with {len(fleet)} clusters before the first request\n")
        say(f"{'':34}{'requests':>9}{'wall s':>8}{'CPU s':>8}{'ms/req':>8}{'req/s on half a core':>22}{'MB':>6}")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for name, requests in scenarios(chosen.requests, [(a, b) for a, b in fleet]):
                before, begin = meter.read()[0], time.perf_counter()
                count = exchange(connection, requests)
                wall = time.perf_counter() - begin
                after, memory = meter.read()
                cost = (after - before) / count
                say(
                    f"{name:34}{count:9}{wall:8.2f}{after - before:8.2f}"
                    f"{cost * 1000:8.3f}{0.5 / cost:22.0f}{memory:6.0f}"
                )
        process.kill()


if __name__ == "__main__":
    main()
