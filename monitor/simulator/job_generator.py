"""Generates the jobs of a simulated cluster: the same seed gives the same jobs."""

import random
from collections.abc import Iterator
from itertools import count as numbers
from typing import TYPE_CHECKING

from monitor.simulator.job import SimulatedJob
from monitor.simulator.lifecycles import REASONS, Life

if TYPE_CHECKING:
    from monitor.simulator.cluster import SimulatedCluster

COLLECTIONS = ("events", "books", "products", "medium_articles", "reviews", "images", "quick_setup", "support_tickets")
_FILE_COUNTS = (1, 1, 2, 4, 8)
_PAST = 10.0
"""Seconds before now over which the first jobs are created."""

FIRST_LIVES = (
    Life.completing(40),
    Life.failing(REASONS["file_not_found"][0], after=20),
    Life.stalling(80, after=20, fails_after=900),  # else the lists of a long demo would only grow
    Life.vanishing(after=30),
    Life.failing(REASONS["schema_mismatch"][0], after=28, at=25),
    Life.completed_then_failed(22, 20),
    Life.pending(600),
    Life.uncommitted(25, commit_after=400),
    Life.jumping_back(50),
    Life.failing(REASONS["permission_denied"][0], after=35, at=10),
    Life.failing(REASONS["quota_exceeded"][0], after=40, at=40),
    Life.completing(90),
)
"""The lifecycles of the first jobs of a cluster: each kind, and each is visible within a minute."""
LATER_LIVES = (
    *FIRST_LIVES,
    *(Life.completing(20 + 15 * (index % 30)) for index in range(60)),
    *(
        Life.failing(reason, after=15 + 7 * index, at=(10, 35, 60, 90)[index % 4])
        for index, reason in enumerate(reason for reasons in REASONS.values() for reason in reasons)
    ),
)
"""The lifecycles of all later jobs: most complete, some fail, and every reason occurs."""


def generate_jobs(
    cluster: "SimulatedCluster", count: int, start: float, *, every: float | None, life: Life | None
) -> Iterator[SimulatedJob | None]:
    """Yield jobs in the order of their creation, and None while the next one does not exist yet.

    `count` jobs were created shortly before `start`, and another one is every so many seconds, if at all.
    They have the given lifecycle; where it is None, every kind occurs.
    """
    chance = random.Random(cluster.seed)
    for number in numbers():
        if number < count:
            created = start - _PAST * (count - number) / count
        elif every is not None:
            created = start + every * (number - count + 1)
        else:
            return
        while created > cluster.clock():
            yield None
        chosen = FIRST_LIVES[number] if number < len(FIRST_LIVES) else chance.choice(LATER_LIVES)
        yield SimulatedJob(
            id=cluster.dialect.job_id(cluster.seed, number),
            collection=chance.choice(COLLECTIONS),
            database=cluster.databases[number % len(cluster.databases)],
            files=[f"exports/2026-09/part-{index}.parquet" for index in range(chance.choice(_FILE_COUNTS))],
            total_rows=1000 * chance.randint(1, 500),
            created=created,
            life=(created, life or chosen),
            clock=cluster.clock,
        )
