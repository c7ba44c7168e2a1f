"""What a poll costs as the fleet grows, and as its clusters grow."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.bench.poll import STILL, Load, cost
from tests.bench.processes import replay
from tests.bench.replay import Plan
from tests.bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

POLLS_A_SECOND: Final = 100
"""The same for each number of clusters."""

ALL_SERIES: Final = 1_000_000
"""What a cluster may show: with the usual bound on series, large clusters would seem cheaper than they are."""

FLAT: Final = 1.2 / 0.8
"""The dearest beside the cheapest, where all are within 20 % of one value."""

LINEAR: Final = 1.2

_CLUSTERS_OF: Final = {10: 100, 100: 100, 1000: 20, 10_000: 3}
"""Clusters to be polled each second, by jobs."""


def clusters(*, quick: bool) -> Iterator[Row]:
    """More clusters, as many polls a second; nothing changes."""
    sizes, seconds, rounds = ((10, 50), 1.0, 1) if quick else ((10, 100, 1000, 10_000), 12.0, 2)
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    with replay(STILL) as server:
        for number in range(rounds):
            for size in sizes[: len(sizes) - number]:  # the largest once: its first polls take a minute
                costs[size].append(cost(server, Load(size, size / POLLS_A_SECOND), seconds))
    micros = {size: 1e6 * median(found) for size, found in costs.items()}
    for size, found in micros.items():
        yield Row(f"a poll, {size:,} clusters", found, "µs CPU")
    dearest, cheapest = max(micros.values()), min(micros.values())
    yield Row("dearest poll", dearest, "µs CPU", "cheapest poll", cheapest, FLAT)


def jobs(*, quick: bool) -> Iterator[Row]:
    """More jobs in each cluster; a tenth of them progresses from poll to poll."""
    sizes, seconds, rounds = ((10, 100), 1.0, 1) if quick else ((10, 100, 1000, 10_000), 12.0, 2)
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            with replay(Plan(size, unfinished=size // 5, progressing=size // 10, step_every=1)) as server:
                load = Load(5 if quick else _CLUSTERS_OF[size], 1.0, ALL_SERIES)
                costs[size].append(cost(server, load, seconds))
    micros = {size: 1e6 * median(found) for size, found in costs.items()}
    for size, found in micros.items():
        yield Row(f"a poll of {size:,} jobs", found, "µs CPU")
    for fewer, more in pairwise(sizes):
        per_job = micros[more] / more, micros[fewer] / fewer
        yield Row(f"each of {more:,} jobs", per_job[0], "µs CPU", f"each of {fewer:,} jobs", per_job[1], LINEAR)
