"""What a poll costs beside the bare call: ``python -m tests.bench.poll``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import urllib3

from tests.bench.processes import HERE, cpu_seconds, monitor, replay, write_config
from tests.integration.test_simulator_peers import PYMILVUS
from tests.venvs import environment

_PYMILVUS: Final = """
import sys, time
from pymilvus.bulk_writer import list_import_jobs
for count in (20, int(sys.argv[2])):
    before = time.process_time()
    for _ in range(count):
        list_import_jobs(url=sys.argv[1], api_key="", cluster_id="").json()
print((time.process_time() - before) / count)
"""


def pymilvus(url: str, calls: int) -> float:
    """Return the CPU seconds of one call of pymilvus and of decoding its body."""
    line = ["taskset", "-c", str(HERE), str(environment("pymilvus", PYMILVUS)), "-c", _PYMILVUS, url, str(calls)]
    return float(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def bare_urllib3(url: str, calls: int) -> float:
    """Return the CPU seconds of one urllib3 request for the same bytes, on a kept connection."""
    line = [
        "taskset",
        "-c",
        str(HERE),
        sys.executable,
        "-m",
        "tests.bench.poll",
        "--urllib3",
        url,
        "--calls",
        str(calls),
    ]
    return float(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def _urllib3(url: str, calls: int) -> float:
    with urllib3.PoolManager() as http:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        for count in (20, calls):
            before = time.process_time()
            for _ in range(count):
                body = b'{"pageSize":100,"currentPage":1}'
                assert http.request("POST", f"{url}/v2/vectordb/jobs/import/list", body=body, headers=headers).data
        return (time.process_time() - before) / calls


def daemon(port: int, clusters: int, interval: float, seconds: float, *, state: str) -> dict[str, float]:
    """Return the CPU seconds of a poll of the whole daemon in steady state, and how many polls were counted."""
    with tempfile.TemporaryDirectory() as folder:
        places = [(f"c{index:05}", f"http://127.0.0.1:{port}/c{index:05}") for index in range(clusters)]
        url = f"sqlite:///{folder}/state.db" if state == "sqlite" else "memory://"
        config = write_config(Path(folder), places, state=url, interval=f"{round(interval * 1000)}ms")
        with monitor(config, Path(folder) / "log") as running:
            running.wait_until_ready()
            time.sleep(interval * 1.5)
            polls, missed = (
                running.total("milvus_import_polls_total"),
                running.total("milvus_import_polls_missed_total"),
            )
            before = cpu_seconds(running.pid)
            time.sleep(seconds)
            used = cpu_seconds(running.pid) - before
            count = running.total("milvus_import_polls_total") - polls
            return {
                "cpu": used / count,
                "polls": count,
                "missed": running.total("milvus_import_polls_missed_total") - missed,
                "up": running.total("milvus_import_cluster_up"),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--only", choices=("still", "moving"))
    parser.add_argument("--urllib3", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.urllib3:
        sys.stdout.write(f"{_urllib3(chosen.urllib3, chosen.calls)}\n")
        return
    results = {}
    for kind, arguments in (("still", ("--unfinished", 2)), ("moving", ("--unfinished", 50, "--moving"))):
        if chosen.only not in (None, kind):
            continue
        with replay(*arguments) as port:
            url = f"http://127.0.0.1:{port}/bare"
            results[kind] = {
                "pymilvus": pymilvus(url, chosen.calls),
                "urllib3": bare_urllib3(url, chosen.calls),
                "daemon": daemon(port, chosen.clusters, chosen.interval, chosen.seconds, state="sqlite"),
            }
            sys.stdout.write(f"{kind}: {json.dumps(results[kind])}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
