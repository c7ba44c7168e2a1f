"""Crowds: thousands of jobs of one cluster that are computed from their numbers, so that nobody has to keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.simulator.ids import mix
from monitor.simulator.job import SimulatedJob
from monitor.simulator.lives import FOREVER, Life, Phase, State
from monitor.simulator.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulator.ids import JobIds
    from monitor.simulator.job import Owner

COLLECTIONS = ("events", "books", "products", "medium_articles", "reviews", "images", "quick_setup", "support_tickets")
LONGEST = 1200.0
"""No life of a crowd lasts longer than this many seconds, or the crowds of a long demo would only grow."""

_FAILURES = tuple(reason for reasons in REASONS.values() for reason in reasons)


def _ending(life: Life, seconds: float, *last: Phase) -> Life:
    *phases, endless = life.phases
    return Life((*phases, Phase(endless.state, seconds, endless.start, endless.end), *last), kind=life.kind)


def _one_of_each() -> tuple[Life, ...]:
    timeout = Phase(State.FAILED, FOREVER, 0, 0, REASONS["timeout"][0])
    return (
        Life.completing(40),
        Life.failing(REASONS["file_not_found"][0], after=20),
        _ending(Life.stalling(80, after=20), 900, timeout),
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


def _catalogue() -> tuple[Life, ...]:
    often = tuple(Life.completing(20 + 15 * index) for index in range(30))
    failing = tuple(
        Life.failing(reason, after=15 + 7 * index, at=(10, 35, 60, 90)[index % 4])
        for index, reason in enumerate(_FAILURES)
    )
    return (*_one_of_each(), *often, *often, *failing)


FIRST = _one_of_each()
"""The lives of the first jobs of each crowd: every kind there is, and each shows itself within a minute."""
LIVES = _catalogue()
"""The lives of all others: most complete, some fail, and each reason and each oddity turns up."""


_FILES = tuple(tuple(f"exports/2026-09/part-{index}.parquet" for index in range(count)) for count in (1, 1, 2, 4, 8))


@dataclass(slots=True)
class Crowd:
    """Jobs of which `count` are there from the beginning, and another arrives every `every` seconds.

    Attributes:
        owner: The cluster they belong to.
        ids: Writes their ids.
        databases: They are spread over these.
        seed: Decides everything else about them.
        started: When the crowd began, in seconds since the epoch.
        count: How many jobs there are at the beginning, created over the `past` seconds before it.
        every: Seconds from one arrival to the next; None for no arrivals.
        past: See `count`.
        life: The life of all of them; None for a mixture.
        first: All numbers below have been dropped by the server.
    """

    owner: Owner
    ids: JobIds
    databases: Sequence[str]
    seed: int
    started: float
    count: int
    every: float | None = None
    past: float = 10.0
    life: Life | None = None
    first: int = 0

    def last(self, now: float) -> int:
        """Returns the number of jobs created until `now`, dropped ones included."""
        if self.every is None or now < self.started:
            return self.count
        return self.count + int((now - self.started) / self.every)

    def next_arrival(self, now: float) -> float:
        """Returns when the next job will arrive, in seconds since the epoch."""
        return FOREVER if self.every is None else self.created(self.last(now))

    def created(self, number: int) -> float:
        """Returns when job `number` is created, in seconds since the epoch."""
        if number < self.count:
            return self.started - self.past * (self.count - number) / self.count
        return self.started + (number - self.count + 1) * (self.every or 0.0)

    def job(self, number: int) -> SimulatedJob:
        """Returns job `number`, always the same one."""
        bits = mix(self.seed, number)
        life = self.life
        if life is None:
            life = FIRST[number] if number < len(FIRST) else LIVES[bits % len(LIVES)]
        return SimulatedJob(
            self.owner,
            self.ids.id(number),
            life,
            self.created(number),
            COLLECTIONS[(bits >> 8) % len(COLLECTIONS)],
            self.databases[number % len(self.databases)],
            _FILES[(bits >> 16) % len(_FILES)],
            1000 * (1 + (bits >> 24) % 500),
        )
