"""How long a start takes, to the first scrape that is answered: fresh, and with a million stored jobs."""

from __future__ import annotations

import http.client
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.bench.poll import store_finished_jobs
from tests.bench.processes import PATIENCE, printed, replay, started, write_config
from tests.bench.replay import COLLECTIONS, Plan
from tests.bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

IMPORTS: Final = "import requests, apscheduler, structlog, prometheus_client, starlette, uvicorn, pydantic, sqlalchemy"
_RESTORED: Final = b"\nmilvus_import_collection_last_completed_timestamp_seconds{"


def until_scraped(config: Path, port: int) -> tuple[float, bytes]:
    """Start a monitor, scrape it, stop it; return the seconds from its start to its first scrape, and the scrape."""
    begin = time.monotonic()
    with started(config) as (process, log):
        while time.monotonic() - begin < PATIENCE and process.poll() is None:
            scraped = _scraped(port)
            if scraped is not None:
                return time.monotonic() - begin, scraped
            time.sleep(0.001)
        raise AssertionError(f"the monitor did not start:\n{log.read_text()[-2000:]}")


def fresh(*, quick: bool) -> Iterator[Row]:
    """A start with one cluster, beside the import of the libraries."""
    rounds = 1 if quick else 15
    starts, imports = [], []
    with replay(Plan(100)) as server, tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        config = write_config(Path(folder), server.clusters(1), interval=30.0, listen=f"127.0.0.1:{port}")
        for _ in range(rounds):
            starts.append(until_scraped(config, port)[0])
            begin = time.monotonic()
            printed(sys.executable, "-c", IMPORTS)
            imports.append(time.monotonic() - begin)
    seconds = median(starts), median(imports)
    yield Row("start to first scrape", seconds[0], "s", "python -c 'import …' of the libraries", seconds[1], 1.5)


def restart(*, quick: bool) -> Iterator[Row]:
    """A start with many finished jobs in the store."""
    clusters, jobs, rounds = (10, 100, 1) if quick else (1000, 1000, 3)
    with replay(Plan(100)) as server, tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        places = server.clusters(clusters)
        config = write_config(Path(folder), places, interval=30.0, listen=f"127.0.0.1:{port}")
        store_finished_jobs(f"sqlite:///{folder}/state.db", places, jobs)
        starts = []
        for _ in range(rounds):
            seconds, scraped = until_scraped(config, port)
            assert scraped.count(_RESTORED) == clusters * min(COLLECTIONS, jobs), "what was stored was not restored"
            starts.append(seconds)
    what = f"restart with {clusters * jobs:,} finished jobs in the store to first scrape"
    yield Row(what, median(starts), "s", goal=3.0)


def _scraped(port: int) -> bytes | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    except ConnectionError:
        return None
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
