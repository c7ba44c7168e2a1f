"""Simulated clusters by id, under one clock."""

import random
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import msgspec

from monitor.simulator.account import Account
from monitor.simulator.cluster import CloudFields, SimulatedCluster
from monitor.simulator.dialects import DIALECTS
from monitor.simulator.lifecycles import FOREVER
from monitor.simulator.quota import Quota

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
        account: The account API of Zilliz Cloud, with troubles of its own.
        quota: How many requests a second Zilliz Cloud accepts for each key and endpoint.
    """

    def __init__(self, clusters: int = 0, *, seed: int = 0, clock: Callable[[], float] = time.time) -> None:
        """Make a world with so many clusters, of all generations in turn, with jobs that keep coming."""
        self.clusters: dict[str, SimulatedCluster] = {}
        self.account = Account(clock=clock)
        self.quota = Quota(clock)
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
        **cloud: Any,
    ) -> SimulatedCluster:
        """Add a cluster without jobs that accepts only `api_key`, or any key where it is None.

        It remembers finished jobs for `retention` seconds; `cloud` are `CloudFields`, by default a name and a project
        of its own.
        """
        if not cluster_id or cluster_id in self.clusters:
            raise ValueError(f"there is a cluster {cluster_id!r} already" if cluster_id else "the cluster needs an id")
        if generation not in DIALECTS:
            raise ValueError(f"no generation {generation!r}; there are {', '.join(DIALECTS)}")
        ending = cluster_id[-6:]
        cluster = SimulatedCluster(
            id=cluster_id,
            generation=generation,
            dialect=DIALECTS[generation],
            api_key=api_key,
            seed=random.Random(f"{self._seed}/{cluster_id}").getrandbits(64),
            clock=self._clock,
            retention=retention,
            cloud=msgspec.convert({"name": f"cluster-{ending}", "project": f"project-{ending}", **cloud}, CloudFields),
        )
        self.clusters[cluster_id] = cluster
        return cluster

    def change_cluster(self, cluster_id: str, **cloud: Any) -> SimulatedCluster:
        """Rename, suspend, resume or otherwise change a cluster: `cloud` are `CloudFields`."""
        cluster = self.clusters[cluster_id]
        cluster.cloud = msgspec.convert({**msgspec.structs.asdict(cluster.cloud), **cloud}, CloudFields)
        return cluster

    def delete_cluster(self, cluster_id: str) -> None:
        """Delete a cluster and its jobs; raise KeyError where there is none with that id."""
        del self.clusters[cluster_id]
