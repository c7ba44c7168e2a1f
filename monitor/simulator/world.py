"""The simulated world: clusters by id, one clock, and the truth about what happened."""

from __future__ import annotations

import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.simulator.cluster import Generation, SimulatedCluster
from monitor.simulator.ids import mix
from monitor.simulator.trouble import Script, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIX: tuple[Generation, ...] = ("zilliz", "milvus", "zilliz", "milvus-2.3", "v1")
"""The generations of the clusters that a world has from the beginning, in turn."""
DEMO_RETENTION = 300.0
"""A demo's servers forget finished jobs after five minutes, so that its lists stay short."""
CONTROL_PLANE = ""
"""Stands for the cluster id where a request is about no cluster."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened in a world.

    Attributes:
        changes: By (cluster id, job id): the (time, state) changes, the state it was created in first; a job that
            the server forgot ends with `vanished`, one that it dropped some time after its end does not.
        requests: By cluster id: how often each endpoint was asked. The id "" holds what is about no cluster.
    """

    changes: Mapping[tuple[str, str], list[tuple[float, str]]]
    requests: Mapping[str, Mapping[str, int]]


class World:
    """Simulated clusters under one clock; the same seed and clock make the same world. Safe to use from any thread.

    Attributes:
        clusters: By id. Zilliz Cloud clusters share one endpoint, the others have a path each.
        requests: How often each endpoint was asked that is about no cluster.
        lock: Guards everything in this world.
        script: The troubles of the endpoints that are about no cluster.
    """

    def __init__(
        self,
        clusters: int = 0,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        speed: float = 1.0,
        api_key: str | None = None,
        jobs: int = 12,
        arrivals: float | None = 20.0,
    ) -> None:
        """Makes a world.

        Args:
            clusters: How many clusters it has from the beginning, of all generations in turn.
            seed: Decides everything that looks random.
            clock: Returns the time in seconds since the epoch.
            speed: How many simulated seconds pass in one second.
            api_key: The key of its clusters; None to take any.
            jobs: How many jobs each of these clusters has at the beginning.
            arrivals: After how many simulated seconds each of these clusters gets another job; None for never.
        """
        self.clusters: dict[str, SimulatedCluster] = {}
        self.requests: Counter[str] = Counter()
        self.lock = threading.Condition(threading.RLock())
        self.script = Script()
        self.speed = speed
        self._seed = seed
        self._clock = clock
        self._api_key = api_key
        for index in range(clusters):
            generation = MIX[index % len(MIX)]
            cluster = self.add_cluster(_name(generation, seed, index), generation=generation)
            cluster.retention = DEMO_RETENTION if arrivals else cluster.retention
            cluster.paging_as_text = index % 2 == 0
            cluster.populate(jobs, every=arrivals)

    def now(self) -> float:
        """Returns the time of this world, in seconds since the epoch."""
        return self._clock()

    def add_cluster(
        self,
        cluster_id: str,
        *,
        generation: Generation = "zilliz",
        api_key: str | None = None,
        retention: float | None = None,
        databases: tuple[str, ...] = ("default",),
    ) -> SimulatedCluster:
        """Adds a cluster without jobs.

        Args:
            cluster_id: Its id, or on self-hosted Milvus the name in its path.
            generation: The API it speaks.
            api_key: The only key it takes; by default that of the world.
            retention: For how many (simulated) seconds it remembers finished jobs; by default as the real server.
            databases: Its databases.

        Raises:
            ValueError: There is such a cluster, or there is no such generation.
        """
        with self.lock:
            if cluster_id in self.clusters:
                raise ValueError(f"there is a cluster {cluster_id!r} already")
            cluster = SimulatedCluster(
                cluster_id,
                generation=generation,
                api_key=self._api_key if api_key is None else api_key,
                seed=mix(self._seed, zlib.crc32(cluster_id.encode())),
                clock=self._clock,
                speed=self.speed,
                lock=self.lock,
                retention=retention,
                databases=databases,
            )
            self.clusters[cluster_id] = cluster
            return cluster

    def cluster(self, cluster_id: str) -> SimulatedCluster:
        """Returns a cluster.

        Raises:
            KeyError: There is none with that id.
        """
        return self.clusters[cluster_id]

    def on_demand(self, project_id: str, region_id: str) -> SimulatedCluster | None:
        """Returns the Zilliz Cloud cluster of a project in a region, if there is one."""
        for cluster in self.clusters.values():
            if cluster.generation == "zilliz" and cluster.project_id == project_id:
                return cluster if cluster.region_id == region_id else None
        return None

    def trouble(
        self, trouble: Trouble, *, endpoint: str | None = None, times: int | None = None, seconds: float | None = None
    ) -> None:
        """Lets the endpoints `clusters` and `projects` go wrong; see `SimulatedCluster.trouble`."""
        with self.lock:
            self.script.add(trouble, endpoint, times, None if seconds is None else self._clock() + seconds)

    def recover(self) -> None:
        """Ends all trouble, everywhere."""
        with self.lock:
            self.script.clear()
            for cluster in self.clusters.values():
                cluster.recover()

    def truth(self) -> Truth:
        """Returns what really happened up to now, for tests to compare with what a monitor saw."""
        with self.lock:
            now = self._clock()
            changes = {
                (cluster.id, job_id): found
                for cluster in self.clusters.values()
                for job_id, found in cluster.changes(now)
            }
            requests = {cluster.id: dict(cluster.requests) for cluster in self.clusters.values()}
            return Truth(changes, {CONTROL_PLANE: dict(self.requests), **requests})


def _name(generation: str, seed: int, index: int) -> str:
    if generation in ("zilliz", "v1"):
        return f"in01-{mix(seed, index):016x}"[:20]
    return f"{generation.replace('.', '-')}-{index + 1:02d}"
