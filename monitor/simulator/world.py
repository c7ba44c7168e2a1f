"""Simulated clusters by id, under one clock."""

import random
import threading
import time
from collections.abc import Callable
from itertools import cycle

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects import DIALECTS, Generation

_MIX: tuple[Generation, ...] = ("zilliz", "milvus", "zilliz", "milvus-2.3", "v1")
"""The generations of the clusters that a world starts with, in turn."""
_DEMO_RETENTION = 300.0
"""Seconds for which the servers of a demo remember finished jobs, so that its lists stay short."""


class World:
    """Simulated clusters under one clock; the same seed and clock give the same world. Thread-safe.

    Attributes:
        clusters: By id. Clusters on Zilliz Cloud share one URL, the others have a path each.
    """

    def __init__(
        self,
        clusters: int = 0,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        api_key: str | None = None,
        jobs: int = 12,
        arrivals: float | None = 20.0,
    ) -> None:
        """Make a world with clusters of all generations in turn.

        Each starts with so many jobs and gets another one every `arrivals` seconds, or none where it is None.
        They accept only `api_key`; any key where it is None.
        """
        self.clusters: dict[str, SimulatedCluster] = {}
        self._lock = threading.Condition(threading.RLock())
        self._seed = seed
        self._clock = clock
        self._api_key = api_key
        retention = _DEMO_RETENTION if arrivals else None
        for generation, index in zip(cycle(_MIX), range(clusters)):
            name = f"{generation.replace('.', '-')}-{index + 1:02d}"
            if DIALECTS[generation].hosted:
                name = f"in01-{random.Random(f'{seed}/{index}').getrandbits(60):015x}"
            self.add_cluster(name, generation=generation, retention=retention).populate(jobs, every=arrivals)

    def add_cluster(
        self,
        cluster_id: str,
        *,
        generation: Generation = "zilliz",
        api_key: str | None = None,
        retention: float | None = None,
        databases: tuple[str, ...] = ("default",),
    ) -> SimulatedCluster:
        """Add a cluster without jobs; self-hosted Milvus has its id in its path.

        The key is by default that of the world, and the seconds for which it remembers finished jobs are those of
        the real server.
        """
        dialect = DIALECTS[generation]
        with self._lock:
            if cluster_id in self.clusters:
                raise ValueError(f"there is a cluster {cluster_id!r} already")
            cluster = self.clusters[cluster_id] = SimulatedCluster(
                cluster_id,
                generation,
                dialect,
                api_key=self._api_key if api_key is None else api_key,
                seed=random.Random(f"{self._seed}/{cluster_id}").getrandbits(64),
                clock=self._clock,
                lock=self._lock,
                retention=dialect.retention if retention is None else retention,
                databases=databases,
            )
            return cluster

    def hosted_clusters(self) -> list[SimulatedCluster]:
        """Return the clusters on Zilliz Cloud."""
        with self._lock:
            return [cluster for cluster in self.clusters.values() if cluster.dialect.hosted]
