"""The metrics of the process, by prometheus-client."""

import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from monitor.discovery import DiscoveryStatus

_POLL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class ProcessMetrics:
    """The metrics that are not of one cluster, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        build_info = self._gauge(
            "build_info", "1, with the versions of the monitor and of Python.", "version", "python"
        )
        build_info.labels(version("milvus-import-monitor"), platform.python_version()).set(1)
        self._poll_duration = Histogram(
            "milvus_import_poll_duration_seconds",
            "How long polls take, over all clusters.",
            buckets=_POLL_BUCKETS,
            registry=self.registry,
        )
        self._reload_successful = self._gauge(
            "config_last_reload_successful", "1 when the last load of the config file succeeded."
        )
        self._reload_success_time = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the config file was last loaded with success."
        )
        self._store_up = self._gauge(
            "store_up", "1 while the store can be written; else everything goes on from memory."
        )
        self._store_write_failures = Counter(
            "milvus_import_store_write_failures_total",
            "Reads and writes of the store that failed.",
            registry=self.registry,
        )
        self._replicas = self._gauge("replicas", "Live monitors that share the clusters.")
        self._clusters = self._gauge("clusters", "Watched clusters, whether this monitor or another one polls them.")
        self._lines_dropped = Counter(
            "milvus_import_log_lines_dropped_total",
            "Log lines that were dropped because standard error was blocked or closed.",
            registry=self.registry,
        )
        self._discovery_up = self._gauge(
            "discovery_up", "1 when the latest list of the discovery was complete.", "discovery"
        )
        self._discovery_clusters = self._gauge(
            "discovery_clusters", "Clusters of the discovery that are watched.", "discovery"
        )
        self._discovery_success_time = self._gauge(
            "discovery_last_success_timestamp_seconds", "When the discovery last returned a complete list.", "discovery"
        )
        self._discoveries: frozenset[str] = frozenset()
        self._store_failures = 0

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"milvus_import_{name}", text, labels, registry=self.registry)

    def set_store(self, *, up: bool, failures: int) -> None:
        """Set whether the store can be written, and how often it has failed since the start."""
        self._store_up.set(int(up))
        self._store_write_failures.inc(failures - self._store_failures)
        self._store_failures = failures

    def set_discoveries(self, statuses: Mapping[str, DiscoveryStatus]) -> None:
        """Set how each discovery is doing, and show no others; what is not known yet is not shown."""
        gauges = self._discovery_up, self._discovery_clusters, self._discovery_success_time
        for name in self._discoveries - statuses.keys():
            for gauge in gauges:
                with suppress(KeyError):  # it was not known
                    gauge.remove(name)
        for name, status in statuses.items():
            for gauge, value in zip(gauges, (status.up, status.clusters, status.last_success), strict=True):
                if value is not None:
                    gauge.labels(name).set(float(value))
        self._discoveries = frozenset(statuses)

    def set_replicas(self, replicas: int) -> None:
        """Set how many monitors share the clusters, with this one."""
        self._replicas.set(replicas)

    def set_clusters(self, clusters: int) -> None:
        """Set how many clusters are watched, whoever polls them."""
        self._clusters.set(clusters)

    def add_dropped_lines(self, lines: int) -> None:
        """Count log lines that were dropped."""
        self._lines_dropped.inc(lines)

    def observe_poll(self, seconds: float) -> None:
        """Observe how long a poll took."""
        self._poll_duration.observe(seconds)

    def set_reload_succeeded(self, now: float) -> None:
        """Note that a config is in effect."""
        self._reload_successful.set(1)
        self._reload_success_time.set(now)

    def set_reload_failed(self) -> None:
        """Note that a config was rejected; the previous one stays in effect."""
        self._reload_successful.set(0)
