"""Every hostile upstream that we can think of, served by one process: each kind of trouble, and raw servers.

Run as a program, ``python -m tests.fakes.enemies``: it prints one JSON array of `Enemy` objects and serves until its
standard input is closed.
"""

import gzip
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import count, cycle
from typing import Any

from monitor.simulator import SimulatedCluster, Trouble, World
from tests.fakes import hostile
from tests.fakes.hostile import MEGABYTE
from tests.fakes.simulator import SimulatorServer, wait_for_requests
from tests.recorder import Answer, Recorder

MARK = "forged"
"""Stands in everything that a server tries to pass off as something else."""

FORGERIES = (
    f'x"}} 1\nmilvus_import_{MARK}{{milvus_cluster="{MARK}"}} 1\n',
    f"\n# TYPE milvus_import_{MARK} counter\nmilvus_import_{MARK}_total 1\n# EOF\n",
    f'\n{{"event": "{MARK}", "level": "error", "timestamp": "2026-01-01T00:00:00Z"}}\n',
    f'\r{{"event": "{MARK}"}}\r\n',
    f'\x85{{"event": "{MARK}"}}\u2028{{"event": "{MARK}"}}\u2029',
    f'", "event": "{MARK}", "x": "',
    f'x",job_id="{MARK}"}} 1',
    f"{MARK}\\",
    f'{MARK}\\"',
    f"{MARK}\\n",
    f"\x1b[2K\x1b[1G{MARK}\x07\x08\x00",
    f"{MARK}\ud800\udfff",
    f"\u202e{MARK}\u2066",
    f"<script>{MARK}</script>",
    f"${{jndi:ldap://{MARK}}} %s %(x)s {{0}} {{event}}",
)
"""Texts that end a label, a line or a string where nothing was built for them, and begin one of their own."""

_THROTTLED = Trouble.http(429, retry_after=3600)
_TROUBLES = (
    Trouble.http(503),
    Trouble.http(500),
    _THROTTLED,
    Trouble.code(401, FORGERIES[2], status=401),
    Trouble.code(),
    Trouble.hang(),
    Trouble.slow(4),
    Trouble.false_empty(),
    Trouble.body(b'{"code":0,"data":' + b"9" * MEGABYTE),
    Trouble.body(b"[" * 4 * MEGABYTE),
    *(make() for make in hostile.KINDS.values()),
    hostile.drip(headers=True),
    hostile.huge(announced=False),
    hostile.wrong_types("top"),
    hostile.wrong_types("data"),
    hostile.wrong_types("code"),
    hostile.redirect(f"http://127.0.0.1:1/{FORGERIES[6]}"),
)
_IN_DESCRIBE = (
    Trouble.http(503),
    Trouble.code(2),
    Trouble.hang(),
    hostile.drip(),
    hostile.truncated(),
    hostile.html(),
    hostile.wrong_types(),
    hostile.huge(),
    hostile.gzip_bomb(),
)
"""Troubles that also come in the describe of jobs that left the list."""

_FLOOD = b"x" * MEGABYTE
_FLOODED = 1024
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BODY_LIMIT = 16 * MEGABYTE - 100
_CROWD = 20_000


@dataclass(frozen=True, slots=True)
class Enemy:
    """A hostile cluster, as the config file has to name it.

    Attributes:
        name: Its name.
        kind: The trouble of the simulator, or what our own server does.
        url: Its address.
        api: The generation to ask for.
        rounds: How often it lets itself be polled within a test.
    """

    name: str
    kind: str
    url: str
    api: str = "v2"
    rounds: int = 2


def _flood(before: bytes, piece: bytes = _FLOOD) -> Callable[..., None]:
    """A server that sends a gigabyte after these bytes, to the end or until nobody reads."""

    def serve(connection: Any, _: Any) -> None:
        connection.sendall(before)
        for _megabyte in range(_FLOODED * MEGABYTE // len(piece)):
            connection.sendall(piece)

    return serve


def _again(body: Callable[[], bytes], **headers: str) -> Callable[..., None]:
    """A server whose answer is made anew for each request."""

    def serve(connection: Any, _: Any) -> None:
        connection.sendall(Answer(body(), headers=headers).on_the_wire())

    return serve


def _listed(records: Any, **paging: Any) -> bytes:
    return json.dumps({"code": 0, "data": {"records": records} | paging}).encode()


def _dense(unit: bytes) -> bytes:
    return b'{"code":0,"data":{"records":[' + unit * (_BODY_LIMIT // len(unit)) + b"0]}}"


def _crowd() -> bytes:
    jobs = b",".join(b'{"jobId":"%d","collectionName":"c%d"}' % (number, number) for number in range(_CROWD))
    return b'{"code":0,"data":[' + jobs + b"]}"


def _forged_records() -> list[dict[str, Any]]:
    return [
        {"jobId": f"7{number}{text}" if field == "id" else f"{number}-{field}", "state": "Failed"}
        | {key: text for key in ("collectionName", "dbName", "reason") if field == key}
        | ({"state": text} if field == "state" else {})
        for number, text in enumerate(FORGERIES)
        for field in ("id", "collectionName", "dbName", "reason", "state")
    ]


def _forged_tasks() -> bytes:
    tasks = [
        {
            "id": number,
            "state": 1,
            "infos": [{"key": "collection", "value": text}, {"key": "failed_reason", "value": text}],
        }
        for number, text in enumerate(FORGERIES)
    ]
    return json.dumps({"status": {}, "tasks": tasks}).encode()


def _churn(number: Iterator[int] = count(1)) -> bytes:  # noqa: B008 - it has to go on from answer to answer
    """New jobs in each answer, with texts that no job before had; those of the last answer are gone."""
    begin = 200 * next(number)
    records = [
        {"jobId": f"{begin + index}", "collectionName": f"{begin + index}{FORGERIES[index % len(FORGERIES)]}"}
        for index in range(200)
    ]
    return _listed(records)


def _bulky(number: Iterator[int] = count(1)) -> bytes:  # noqa: B008 - the same
    """A full page of failed jobs with long reasons; there is always another one."""
    begin = 100 * next(number)
    reason = "\N{COLLISION SYMBOL}" + "r" * 4095
    records = [{"jobId": f"{begin + index}", "state": "Failed", "reason": reason} for index in range(100)]
    return _listed(records, pageSize=100, currentPage=1)


def _oversized() -> bytes:
    text = "o" * MEGABYTE
    keys = ("jobId", "collectionName", "dbName", "state", "reason", "progress", "createTime", text)
    return _listed([{"jobId": str(number)} | {key: text} for number, key in enumerate(keys)])


def _errors() -> Iterator[tuple[str, list[Any]]]:
    """Refusals whose words are forged, one server for each place of the words."""
    yield "forged_code", [{"code": 65535, "message": text} for text in FORGERIES]
    yield "forged_refusal", [Answer({"code": 65535, "message": text}, status=500) for text in FORGERIES]
    yield "forged_page", [Answer(text.encode("utf-8", "surrogatepass"), status=404) for text in FORGERIES]
    head = b"HTTP/1.1 302 \x1b[2K" + MARK.encode() + b"\r\nLocation: \x1b[2K{%s}\r\nContent-Length: 0\r\n\r\n"
    yield "forged_location", [Answer(raw=head.replace(b"%s", MARK.encode()))]


def _own() -> Iterator[tuple[str, list[Any]]]:
    """Servers for what the simulator has no trouble of; each plays its answers in turn, and the last one for ever."""
    chunked = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield "endless_status_line", [_flood(b"HTTP/1.1 200 ")]
    yield "endless_header", [_flood(_HEAD + b"X-Long: ")]
    yield "endless_headers", [_flood(_HEAD, b"X-Again: and again\r\n" * 50_000)]
    yield "endless_chunk_extension", [_flood(chunked + b"1;")]
    yield "endless_chunks", [_flood(chunked, b"1\r\nx\r\n" * 100_000)]
    yield "endless_trailers", [_flood(chunked + b"0\r\n", b"X-Again: and again\r\n" * 50_000)]
    yield "gigabyte_without_length", [_flood(_HEAD + b"\r\n")]
    yield "negative_length", [_flood(_HEAD + b"Content-Length: -1\r\n\r\n")]
    yield "absurd_length", [Answer(raw=_HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}")]
    yield "no_http", [Answer(raw=b"SSH-2.0-OpenSSH_9.2p1\r\n")]
    yield "silent_end", [Answer(raw=b"")]
    bomb = gzip.compress(gzip.compress(b" " * (256 * MEGABYTE), 9), 9)
    yield "gzip_of_gzip", [Answer(bomb, headers={"Content-Encoding": "gzip, gzip"})]
    yield "dense_objects", [_again(lambda: _dense(b'{"":0},'))]
    yield "dense_arrays", [_again(lambda: _dense(b"[],"))]
    yield "dense_error", [Answer(_dense(b"{},"), status=500)]
    yield "deep", [_again(lambda: b'{"code":0,"data":' + b'{"a":[' * MEGABYTE)]
    yield "crowd", [Answer(_crowd())]
    yield "churn", [_again(_churn)]
    yield "bulky_pages", [_again(_bulky)]
    yield "oversized", [Answer(_oversized())]
    yield "forged_records", [Answer(_listed([])), Answer(_listed(_forged_records()))]
    yield from _errors()


def _simulated(world: World, url: str) -> Iterator[tuple[Enemy, SimulatedCluster, Trouble, bool]]:
    """Clusters with each kind of trouble: from the start, and in the describe of jobs that left the list.

    The generations take turns, so that none is spared.
    """
    generations = cycle(("zilliz", "milvus", "v1", "milvus-2.3", "milvus"))
    troubles = [*((trouble, False) for trouble in _TROUBLES), *((trouble, True) for trouble in _IN_DESCRIBE)]
    for number, (trouble, later) in enumerate(troubles):
        generation = next(generations)
        cluster = world.add_cluster(f"enemy-{number}", generation=generation)
        cluster.populate(3, every=5.0)
        hosted = cluster.dialect.hosted
        enemy = Enemy(
            cluster.id,
            trouble.kind,
            url if hosted else f"{url}/clusters/{cluster.id}",
            cluster.dialect.api,
            1 if trouble is _THROTTLED else 2,
        )
        yield enemy, cluster, trouble, later


def _turn(cluster: SimulatedCluster, trouble: Trouble) -> None:
    """Once a cluster has been polled, hide its jobs from the list and let each describe of them go wrong."""
    if wait_for_requests(cluster, "list", 1, timeout=60):
        cluster.trouble(trouble, endpoint="describe")
        cluster.trouble(Trouble.false_empty())


def serve() -> None:
    """Print the enemies and serve them until standard input ends."""
    with ExitStack() as running:
        world = World()
        server = running.enter_context(SimulatorServer(world))
        enemies: list[Enemy] = []
        for enemy, cluster, trouble, later in _simulated(world, server.url):
            enemies.append(enemy)
            if later:
                threading.Thread(target=_turn, args=(cluster, trouble), daemon=True).start()
            else:
                cluster.trouble(trouble)
        for kind, answers in _own():
            enemies.append(Enemy(kind, kind, running.enter_context(Recorder(*answers)).url))
        old = running.enter_context(Recorder(Answer({"status": {}}), Answer(_forged_tasks())))
        enemies.append(Enemy("forged_tasks", "forged_records", old.url, "milvus-2.3"))
        plain = running.enter_context(Recorder(Answer(_listed([]))))
        enemies.append(Enemy("no_tls", "no_tls", plain.url.replace("http:", "https:")))
        print(json.dumps([asdict(enemy) for enemy in enemies]), flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
    # A server may still be in the middle of a gigabyte.
    os._exit(0)


if __name__ == "__main__":
    serve()
