"""A monitor's membership alone, as a process: it writes which clusters it owns, until it is ended.

``python -m tests.replica URL TAKEOVER HEARTBEAT``; SIGTERM makes it leave.
"""

import json
import signal
import sys
import time
from threading import Event

import structlog

from monitor.replicas import replica_name
from monitor.replicas.membership import Membership

CLUSTERS = [f"prod-{number}" for number in range(40)]
SAMPLE_INTERVAL = 0.05


def main(url: str, takeover: str, heartbeat: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stopping = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    membership = Membership(url, replica_name(), takeover=float(takeover), heartbeat=float(heartbeat))
    membership.start()
    while not stopping.is_set():
        write([name for name in CLUSTERS if membership.owns(name)], len(membership.members()))
        stopping.wait(SAMPLE_INTERVAL)
    membership.release()
    write([name for name in CLUSTERS if membership.owns(name)], 0)


def write(owned: list[str], members: int) -> None:
    line = json.dumps({"at": time.monotonic(), "owned": owned, "members": members})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
