"""Simulator or server, monitor, Prometheus, Alertmanager, receiver: each the real program, with the project's examples.

Of the examples only this is changed: where the others are, and how long Prometheus and Alertmanager wait between two
looks. The rules are taken as they are.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.alertmanager import Receiver, receiving, running_alertmanager
from tests.daemon import Daemon, started
from tests.prometheus import Prometheus, running_prometheus

DEPLOY = Path(__file__).parents[2] / "deploy"
INTERVAL = "1s"
"""Between two scrapes, two evaluations of the rules, and two notifications of one group of alerts."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The running programs.

    Attributes:
        since: When it was complete, in seconds since the epoch.
    """

    daemon: Daemon
    prometheus: Prometheus
    receiver: Receiver
    since: float


@contextmanager
def running_chain(
    folder: Path, config: Path, prometheus: str = "prometheus", alertmanager: str = "prometheus-alertmanager"
) -> Iterator[Chain]:
    """Run everything behind the servers that a config of the monitor names, until the block is left."""
    with (
        receiving() as receiver,
        running_alertmanager(folder, _alertmanager(receiver.url), alertmanager) as alerts,
        started("run", "-c", config) as daemon,
        running_prometheus(folder, _prometheus(daemon.url, alerts), prometheus) as server,
    ):
        server.wait_for('up{job="milvus-import-monitor"} == 1')
        yield Chain(daemon, server, receiver, time.time())


def _prometheus(monitor: str, alertmanager: str) -> dict[str, Any]:
    config = _example("prometheus/prometheus.yml")
    config["global"] = {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL}
    config["rule_files"] = [str(DEPLOY / "prometheus" / files) for files in config["rule_files"]]
    (alertmanagers,) = config["alerting"]["alertmanagers"]
    (scraped,) = config["scrape_configs"]
    alertmanagers["static_configs"] = [{"targets": [alertmanager.removeprefix("http://")]}]
    scraped["static_configs"] = [{"targets": [monitor.removeprefix("http://")]}]
    return config


def _alertmanager(receiver: str) -> dict[str, Any]:
    config = _example("alertmanager/alertmanager.yml")
    config["route"] |= {"group_wait": "0s", "group_interval": INTERVAL}
    for one in config["receivers"]:
        for webhook in one.get("webhook_configs", []):
            webhook["url"] = webhook["url"].replace("http://localhost:9095", receiver)
    return config


def _example(path: str) -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8")))
