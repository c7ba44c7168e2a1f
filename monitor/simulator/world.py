"""Simulated clusters by id, under one clock."""

import random
import time
from collections.abc import Callable
from itertools import cycle

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects import DIALECTS
from monitor.simulator.lifecycles import FOREVER

_MIX = ("zilliz", "milvus", "zilliz", "milvus-2.3", "v1")
"""The generations of the clusters that a world starts with, in turn."""
_JOBS, _ARRIVAL_INTERVAL = 12, 20.0
"""How many jobs each of them starts with, and how many seconds later another one is created."""
_RETENTION = 300.0
"""Seconds for which they remember finished jobs, so that their lists stay short."""


class World:
    """Simulated clusters under one clock; the same seed and clock give the same world.

    Attributes:
        clusters: By id. Clusters on Zilliz Cloud share one URL, the others have a path each.
    """

    def __init__(self, clusters: int = 0, *, seed: int = 0, clock: Callable[[], float] = time.time) -> None:
        """Make a world with so many clusters, of all generations in turn, with jobs that keep coming."""
        self.clusters: dict[str, SimulatedCluster] = {}
        self._seed = seed
        self._clock = clock
        for generation, index in zip(cycle(_MIX), range(clusters)):
            name = f"{generation.replace('.', '-')}-{index + 1:02d}"
            if DIALECTS[generation].hosted:
                name = f"in01-{random.Random(f'{seed}/{index}').getrandbits(60):015x}"
            cluster = self.add_cluster(name, generation=generation, retention=_RETENTION)
            cluster.populate(_JOBS, every=_ARRIVAL_INTERVAL)

    def add_cluster(
        self,
        cluster_id: str,
        *,
        generation: str = "zilliz",
        api_key: str | None = None,
        retention: float = FOREVER,
    ) -> SimulatedCluster:
        """Add a cluster without jobs that accepts only `api_key`, or any key where it is None.

        It remembers finished jobs for `retention` seconds.
        """
        if cluster_id in self.clusters:
            raise ValueError(f"there is a cluster {cluster_id!r} already")
        seed = random.Random(f"{self._seed}/{cluster_id}").getrandbits(64)
        cluster = SimulatedCluster(cluster_id, generation, DIALECTS[generation], api_key, seed, self._clock, retention)
        self.clusters[cluster_id] = cluster
        return cluster
