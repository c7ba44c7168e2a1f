"""What several monitors on one PostgreSQL cost: the database's load, and each monitor's.

``python -m tests.bench.sharing --clusters 10000 --interval 30`` prints a table; docs/scaling.md has such tables.
The monitors have one processor together, where there are two; so has everything else.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from tests.bench.processes import Monitor, cpu_seconds, monitor, replay, resident, write_config
from tests.bench.replay import Plan
from tests.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.postgres import Postgres

JOBS, UNFINISHED = 20, 2
IMPORTING_SHARE: Final = 0.2
"""Share of the clusters with unfinished jobs: with each list one of them progresses, with each tenth one completes."""

SHOWN_INTERVAL: Final = 10.0
"""Seconds from one look at whether a monitor shows all clusters to the next: a page of 20,000 is no small thing."""

_COUNTERS: Final = """
    SELECT SUM(xact_commit), SUM(tup_inserted + tup_updated + tup_deleted), SUM(tup_fetched),
           (SELECT wal_bytes FROM pg_stat_wal), SUM(pg_database_size(datname))
    FROM pg_stat_database WHERE datname LIKE 'fleet%'
"""


@dataclass(frozen=True)
class Load:
    """What has been used since the start of each process."""

    at: float
    cpu: float
    commits: int
    rows_written: int
    rows_read: int
    wal_bytes: int
    size: int


def postgres_cpu(server: Postgres) -> float:
    """Return the CPU time of a PostgreSQL, with that of the sessions that have ended."""
    pid = int((server.folder / "data/postmaster.pid").read_text().splitlines()[0])
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / 100
    children = (Path(f"/proc/{pid}/task/{pid}/children")).read_text().split()
    return ended + sum(map(cpu_seconds, (pid, *map(int, children))))


def load(server: Postgres) -> Load:
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute(_COUNTERS).fetchone()
    assert row is not None
    return Load(time.monotonic(), postgres_cpu(server), *map(int, row))


def shows_everything(running: Monitor, clusters: int) -> bool:
    """Say whether a monitor shows that every cluster has been polled, by several monitors."""
    page = running.http.request("GET", "/").data.decode()
    return page.count("Polled by") > 0 and f">{clusters:,}<span".replace(",", "\N{NARROW NO-BREAK SPACE}") in page


def measured(
    clusters: int, fleets: int, interval: float, replicas: int, seconds: float, patience: float
) -> Iterator[tuple[str, float, str]]:
    """Yield what is measured, as name, number and unit."""
    size = clusters // fleets
    plan = Plan(JOBS, UNFINISHED, 1, 10, idle_after=int(size * IMPORTING_SHARE))
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres())
        answers = stack.enter_context(replay(plan))
        monitors, started = [], time.monotonic()
        for fleet in range(fleets):
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE fleet{fleet}")
            url = server.url.replace("/postgres?", f"/fleet{fleet}?")
            for number in range(replicas):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                config = write_config(folder, answers.clusters(size), interval=interval)
                config.write_text(config.read_text().replace(f"sqlite:///{folder / 'state.db'}", url))
                monitors.append(stack.enter_context(monitor(config, POD_NAME=f"pod-{number}")))
        _wait_until_shown(monitors, size, started + patience)
        yield "until all clusters are shown", time.monotonic() - started, "s"
        yield "CPU of the monitors until then", sum(cpu_seconds(each.pid) for each in monitors), "s"
        yield "CPU of PostgreSQL until then", postgres_cpu(server), "s"
        time.sleep(interval)
        yield from _differences(server, monitors, answers, seconds)
        for number, each in enumerate(monitors):
            yield f"memory of monitor {number}", resident(each.pid) / 1e6, "MB"


def _wait_until_shown(monitors: Sequence[Monitor], size: int, end: float) -> None:
    waiting = [*monitors]
    while waiting := [each for each in waiting if not shows_everything(each, size)]:
        if time.monotonic() > end:
            up = [each.total("milvus_import_cluster_up") for each in monitors]
            raise AssertionError(f"after this time the monitors have polled only {up} clusters with success")
        time.sleep(SHOWN_INTERVAL)


def _differences(
    server: Postgres, monitors: Sequence[Monitor], answers, seconds: float
) -> Iterator[tuple[str, float, str]]:
    missed = sum(each.total("milvus_import_polls_missed_total") for each in monitors)
    used, before = [cpu_seconds(each.pid) for each in monitors], load(server)
    answers.begin()
    time.sleep(seconds)
    polls, after = answers.count() / (time.monotonic() - before.at), load(server)
    took = after.at - before.at
    yield "load average meanwhile", os.getloadavg()[0], ""
    yield "polls", polls, "a second"
    yield "polls missed", sum(each.total("milvus_import_polls_missed_total") for each in monitors) - missed, ""
    yield "CPU of PostgreSQL", 100 * (after.cpu - before.cpu) / took, "% of a core"
    yield "transactions", (after.commits - before.commits) / took, "a second"
    yield "rows written", (after.rows_written - before.rows_written) / took, "a second"
    yield "rows read by index", (after.rows_read - before.rows_read) / took, "a second"
    yield "write-ahead log", (after.wal_bytes - before.wal_bytes) / took / 1e3, "kB a second"
    yield "size of the database", after.size / 1e6, "MB"
    for number, each in enumerate(monitors):
        yield f"CPU of monitor {number}", 100 * (cpu_seconds(each.pid) - used[number]) / took, "% of a core"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sharing", description=__doc__)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--fleets", type=int, default=1, help="each with a database and a share of the clusters")
    parser.add_argument("--interval", type=float, default=30.0, help="seconds from poll to poll of a cluster")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure")
    parser.add_argument("--patience", type=float, default=1200.0, help="seconds until all clusters have to be shown")
    chosen = parser.parse_args()
    about = f"{chosen.clusters:,} clusters every {chosen.interval:g} s, {chosen.fleets} x {chosen.replicas} monitors"
    arguments = chosen.clusters, chosen.fleets, chosen.interval, chosen.replicas, chosen.seconds, chosen.patience
    print(f"| {about}, {chosen.seconds:g} s | | |", "|---|--:|---|", sep="\n", flush=True)
    for name, number, unit in measured(*arguments):
        print(f"| {name} | {number:,.{0 if number >= 100 else 1}f} | {unit} |", flush=True)


if __name__ == "__main__":
    main()
