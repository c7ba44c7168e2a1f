"""How good the estimates of the time left are: `python tests/bench/estimates.py [--lives N] [--seed N]`.

Plays a recorded life of an import job, and simulated ones, poll by poll through the real diff, and compares what is
estimated with what came to pass. The same seed gives the same tables; docs/estimates.md holds them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from dataclasses import dataclass, field
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from monitor.jobs import Job, JobList, JobRecord, Policy, PollResult, compare_lists, diff, eta_seconds
from monitor.simulator import Lifecycle, State
from monitor.simulator.lifecycles import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Estimator = "Callable[[Job, float], float | None]"

RECORDED = Path(__file__).parents[1] / "samples" / "milvus-2.3.5-life.json"
MARKS = (0.25, 0.5, 0.75)
INTERVAL = 30.0
SHORTEST, LONGEST = 300.0, 4 * 3600.0
POLICY = Policy()


# Lives: each is made of its length in seconds and of chance


def steady(seconds: float, _chance: random.Random) -> Lifecycle:
    return _life([(seconds, 0, 99)])


def simulated(seconds: float, _chance: random.Random) -> Lifecycle:
    """The simulator's own: files are checked up to 40, rows written up to 80, then indexes built."""
    return Lifecycle.completing(seconds)


def plateaus(seconds: float, chance: random.Random) -> Lifecycle:
    """Stands at 10, 40, 45 and 80 for a while each, as servers do, and goes forward in between."""
    shares = [chance.uniform(0.02, 0.1), 0.2, chance.uniform(0.02, 0.1), 0.05, chance.uniform(0.02, 0.1), 0.3]
    shares += [chance.uniform(0.05, 0.3), 0.1]
    marks = [(10, 10), (10, 40), (40, 40), (40, 45), (45, 45), (45, 80), (80, 80), (80, 99)]
    return _life([(seconds * share / sum(shares), *mark) for share, mark in zip(shares, marks, strict=True)])


def slow_fast_slow(seconds: float, _chance: random.Random) -> Lifecycle:
    return _life([(seconds * 0.4, 0, 20), (seconds * 0.2, 20, 80), (seconds * 0.4, 80, 99)])


def bursts(seconds: float, chance: random.Random) -> Lifecycle:
    """Files of different sizes: nothing moves until one is in."""
    ends = sorted(chance.sample(range(1, 99), 14))
    waits = [chance.uniform(0.3, 1.7) for _ in range(len(ends) + 1)]
    return _life(
        [(seconds * wait / sum(waits), at, at) for wait, at in zip(waits, [0, *ends], strict=True)],
    )


def uneven(seconds: float, chance: random.Random) -> Lifecycle:
    """Goes forward all the time, at a pace that changes with every tenth."""
    waits = [chance.lognormvariate(0, 0.5) for _ in range(9)]
    parts = enumerate(waits)
    return _life([(seconds * wait / sum(waits), number * 11, number * 11 + 11) for number, wait in parts])


def falling_back(seconds: float, chance: random.Random) -> Lifecycle:
    return Lifecycle.jumping_back(seconds, at=chance.randint(40, 90), to=chance.randint(10, 35))


LIVES = (steady, simulated, uneven, bursts, slow_fast_slow, plateaus, falling_back)


def _life(parts: list[tuple[float, int, int]]) -> Lifecycle:
    phases = [Phase(State.IMPORTING, seconds, start, end) for seconds, start, end in parts]
    return Lifecycle((*phases, Phase(State.COMPLETED, float("inf"), 100, 100)))


# Other ways to estimate, from the same samples and shown by the same rule


def _with_pace(pace: Callable[[list[tuple[float, float]]], float]) -> Estimator:
    def estimate(tracked: Job, now: float) -> float | None:
        samples = tracked.samples
        if eta_seconds(tracked, now) is None:
            return None
        end, high = samples[-1]
        return max(0.0, (1.0 - high) / pace(list(samples)) - (now - end))

    return estimate


def _first_to_last(samples: list[tuple[float, float]]) -> float:
    (begin, low), (end, high) = samples[0], samples[-1]
    return (high - low) / (end - begin)


def _theil_sen(samples: list[tuple[float, float]]) -> float:
    return statistics.median((high - low) / (end - begin) for (begin, low), (end, high) in combinations(samples, 2))


def _median_step(samples: list[tuple[float, float]]) -> float:
    return statistics.median((high - low) / (end - begin) for (begin, low), (end, high) in pairwise(samples))


def _weighted(samples: list[tuple[float, float]]) -> float:
    forward = took = 0.0
    for (begin, low), (end, high) in pairwise(samples):
        forward, took = 0.7 * forward + high - low, 0.7 * took + end - begin
    return forward / took


SHIPPED = "moving steps (the monitor's)"
ESTIMATORS = {
    SHIPPED: eta_seconds,
    "first to last": _with_pace(_first_to_last),
    "median of steps": _with_pace(_median_step),
    "Theil-Sen": _with_pace(_theil_sen),
    "weighted to recent": _with_pace(_weighted),
}


# Playing and measuring


@dataclass
class Play:
    """A life as it was polled.

    Attributes:
        begin: When the import began.
        end: When it completed.
        polls: (time, job as followed) of each poll in between.
    """

    begin: float
    end: float
    polls: list[tuple[float, Job]]


def played(life: Lifecycle, chance: random.Random) -> Play:
    """Play a life; a poll comes a little late now and then, and one in 20 not at all."""
    starts = accumulate((phase.seconds for phase in life.phases), initial=0.0)
    ages = {phase.state: age for phase, age in reversed(list(zip(life.phases, starts, strict=False)))}
    begin, end = ages[State.IMPORTING], ages[State.COMPLETED]
    seen, age = [], chance.uniform(0, INTERVAL)
    while age < end:
        at = age + chance.uniform(0, 0.1) * INTERVAL
        if chance.random() >= 0.05 and begin <= at < end:
            seen.append((at, life.at(at).progress / 100))
        age += INTERVAL
    return Play(begin, end, list(_followed(seen)))


def recorded() -> Play:
    """A real import of 3,000,000 rows into Milvus 2.3.5, polled four times a second: (seconds, state, progress)."""
    points = json.loads(RECORDED.read_text(encoding="utf-8"))
    seen = [(at, None if percent is None else int(percent) / 100) for at, _, percent in points]
    return Play(seen[0][0], seen[-1][0], list(_followed(seen[:-1])))


def _followed(seen: Iterable[tuple[float, float | None]]) -> Iterator[tuple[float, Job]]:
    snapshot = None
    for at, progress in seen:
        record = JobRecord("1", "Importing", collection="books", progress=None if progress is None else progress * 100)
        listing, new_ids = compare_lists(snapshot, JobList(records={"1": record}))
        snapshot = diff(snapshot, PollResult(listing, new_ids), at, POLICY).snapshot
        yield at, snapshot.tracked["1"]


@dataclass
class Score:
    """What one estimator did in the lives of one kind."""

    polls: int = 0
    shown: int = 0
    lives: int = 0
    errors: dict[float, list[float]] = field(default_factory=lambda: {mark: [] for mark in MARKS})

    def __add__(self, other: Score) -> Score:
        errors = {mark: [*self.errors[mark], *other.errors[mark]] for mark in MARKS}
        return Score(self.polls + other.polls, self.shown + other.shown, self.lives + other.lives, errors)

    def row(self, name: str) -> str:
        cells = [f"{self.shown / self.polls:.0%}"]
        for errors in self.errors.values():
            if len(errors) <= 1:
                cells.append(f"{errors[0]:.0%}" if errors else "none")
                continue
            ninth = statistics.quantiles(errors, n=10)[-1]
            cells.append(f"{statistics.median(errors):.0%} / {ninth:.0%} ({len(errors) / self.lives:.0%})")
        return f"| {name} | " + " | ".join(cells) + " |"


def measure(plays: Iterable[Play], estimate: Estimator) -> Score:
    """Compare what is estimated at each poll with the time that was really left."""
    score = Score()
    for play in plays:
        left = list(MARKS)
        score.lives += 1
        for at, tracked in play.polls:
            said = estimate(tracked, at)
            score.polls += 1
            score.shown += said is not None
            while left and (at - play.begin) / (play.end - play.begin) >= left[0]:
                mark = left.pop(0)
                if said is not None:
                    score.errors[mark].append(abs(said - (play.end - at)) / (play.end - at))
    return score


def plays_of(kind: Callable[[float, random.Random], Lifecycle], lives: int, seed: int) -> list[Play]:
    """Play lives of one kind: a few minutes to a few hours long."""
    chance = random.Random(f"{seed} {kind.__name__}")
    return [played(kind(SHORTEST * (LONGEST / SHORTEST) ** chance.random(), chance), chance) for _ in range(lives)]


HEAD = "| {} | Shown | Error at 25 % | at 50 % | at 75 % |\n|---|---|---|---|---|\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=300, help="lives of each kind")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    plays = {"recorded": [recorded()]}
    plays |= {kind.__name__.replace("_", " "): plays_of(kind, chosen.lives, chosen.seed) for kind in LIVES}
    scores = {name: [measure(some, how) for some in plays.values()] for name, how in ESTIMATORS.items()}
    sys.stdout.write(HEAD.format("Lifecycle"))
    for kind, score in zip(plays, scores[SHIPPED], strict=True):
        sys.stdout.write(score.row(kind) + "\n")
    sys.stdout.write("\n" + HEAD.format("All simulated lives"))
    for name, (_, *of_kinds) in scores.items():
        sys.stdout.write(sum(of_kinds, Score()).row(name) + "\n")


if __name__ == "__main__":
    main()
