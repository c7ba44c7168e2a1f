from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from itertools import groupby, pairwise

import pytest

from monitor.simulator import Lifecycle, SimulatedCluster, World
from monitor.simulator.dialects import DIALECTS
from monitor.simulator.lifecycles import LATER_LIFECYCLES
from tests.fakes.simulator import set_status

EPOCH = 1_795_000_000.0


@dataclass
class Clock:
    now: float = EPOCH

    def __call__(self) -> float:
        return self.now


def seen(cluster: SimulatedCluster) -> dict[str, tuple[str, int]]:
    return {job.id: (status.state, status.progress) for job, status in cluster.jobs()}


@pytest.mark.parametrize(
    ("generation", "pattern"),
    [
        ("milvus", r"\d{18}"),
        ("milvus-2.3", r"\d{18}"),
        ("zilliz", r"job-[0-9a-z]{22}"),
        ("v1", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_ids_look_like_those_of_their_generation_and_differ(generation: str, pattern: str) -> None:
    ids = {DIALECTS[generation].job_id(seed, number) for seed in (17, 18) for number in range(5000)}

    assert len(ids) == 10_000
    assert all(re.fullmatch(pattern, job_id) for job_id in ids)


def test_the_same_seed_and_clock_make_the_same_world() -> None:
    def jobs(seed: int) -> list[dict[str, tuple[str, int]]]:
        return [seen(cluster) for cluster in World(5, seed=seed, clock=Clock()).clusters.values()]

    assert jobs(3) == jobs(3)
    assert jobs(3) != jobs(4)


def test_every_kind_of_life_is_visible_within_the_first_minute() -> None:
    clock = Clock()
    (cluster,) = World(1, clock=clock).clusters.values()
    states: dict[str, list[str]] = {}
    progress: dict[str, list[int]] = {}
    for _ in range(60):
        listed = seen(cluster)
        for job_id in states.keys() | listed.keys():
            state, percent = listed.get(job_id, ("gone", 0))
            states.setdefault(job_id, []).append(state)
            progress.setdefault(job_id, []).append(percent)
        clock.now += 1

    ways = {tuple(state for state, _ in groupby(each) if state != "pending") for each in states.values()}
    assert {
        ("importing", "completed"),
        ("importing", "failed"),
        ("importing", "gone"),
        ("importing", "completed", "failed"),
        ("importing", "uncommitted"),
        (),
    } <= ways
    assert any(each[-20:] == [80] * 20 for each in progress.values())
    assert any(a > b > 0 for each in progress.values() for a, b in pairwise(each))


def test_a_demo_uses_all_generations_and_never_stops_and_never_only_grows() -> None:
    clock = Clock()
    world = World(5, clock=clock)
    assert {cluster.generation for cluster in world.clusters.values()} == {"zilliz", "milvus", "milvus-2.3", "v1"}

    sizes = []
    known: set[str] = set()
    for _ in range(48):
        clock.now += 300
        for cluster in world.clusters.values():
            known |= seen(cluster).keys()
        sizes.append(len(seen(next(iter(world.clusters.values())))))

    assert max(sizes) < 80
    assert len(known) > 1000


def test_no_generated_job_goes_on_for_ever() -> None:
    assert all(lifecycle.at(2000).state in {"completed", "failed", "vanished"} for lifecycle in LATER_LIFECYCLES)


def test_a_finished_job_is_dropped_after_the_retention() -> None:
    clock = Clock()
    world = World(clock=clock)
    cluster = world.add_cluster("c", generation="milvus", retention=30)
    job = cluster.add_job(Lifecycle.failing(after=10))
    clock.now += 39
    assert seen(cluster) == {job.id: ("failed", 0)}

    clock.now += 1.1
    assert seen(cluster) == {}
    assert cluster.find_job(job.id) is None


def test_a_test_can_set_a_job_to_any_state() -> None:
    clock = Clock()
    world = World(clock=clock)
    cluster = world.add_cluster("c")
    job = cluster.add_job()
    clock.now += 5

    for given, expected in (
        ({"state": "Importing", "progress": 42}, ("importing", 42)),
        ({"progress": -7}, ("importing", -7)),
        ({"state": "Reticulating"}, ("Reticulating", -7)),
        ({"state": "completed"}, ("completed", 100)),
        ({"state": "Failed", "reason": "why"}, ("failed", 0)),
    ):
        clock.now += 1
        set_status(job, **given, now=clock.now)  # type: ignore[arg-type]
        assert seen(cluster)[job.id] == expected
    assert job.status(clock.now).reason == "why"


def test_a_forgotten_job_is_gone() -> None:
    cluster = World().add_cluster("c")
    job = cluster.add_job(Lifecycle.frozen("importing", 50))
    cluster.forget(job.id)

    assert seen(cluster) == {}
    assert cluster.find_job(job.id) is None
    with pytest.raises(KeyError):
        cluster.forget("never-was")


def test_a_generated_job_can_be_changed() -> None:
    cluster = World(clock=Clock()).add_cluster("c", generation="milvus")
    cluster.populate(10)
    changed, forgotten = sorted(seen(cluster))[3:5]
    set_status(cluster.find_job(changed).job, state="failed", reason="import timeout", now=EPOCH)
    cluster.forget(forgotten)

    assert len(seen(cluster)) == 9
    assert seen(cluster)[changed] == ("failed", 0)


def test_rows_and_files_follow_the_progress() -> None:
    clock = Clock()
    cluster = World(clock=clock).add_cluster("c")
    job = cluster.add_job(Lifecycle.frozen("pending", 0), total_rows=1000, files=2)
    rows = []
    for state, progress in (("pending", 0), ("importing", 30), ("importing", 60), ("importing", 80), ("failed", 0)):
        set_status(job, state=state, progress=progress, now=EPOCH)
        data = DIALECTS["zilliz"].describe_job(cluster.find_job(job.id))["data"]
        files = [(file["progress"], file["importedRows"], file["totalRows"]) for file in data["details"]]
        rows.append((data["importedRows"], data["totalRows"], files))

    assert rows == [
        (0, 0, []),
        (0, 0, [(30, 0, 0), (30, 0, 0)]),
        (500, 1000, [(60, 250, 500), (60, 250, 500)]),
        (1000, 1000, [(80, 500, 500), (80, 500, 500)]),
        (0, 0, [(0, 0, 0), (0, 0, 0)]),
    ]


def test_many_threads_may_pull_at_a_cluster_that_is_being_read() -> None:
    cluster = World().add_cluster("c")
    errors: list[BaseException] = []

    def pull() -> None:
        try:
            for _ in range(100):
                job = cluster.add_job(Lifecycle.frozen())
                set_status(job, state="failed")
                cluster.forget(job.id)
                seen(cluster)
        except BaseException as error:  # noqa: BLE001 - a thread's errors would be lost
            errors.append(error)

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert seen(cluster) == {}


def test_a_cluster_id_is_unique() -> None:
    world = World()
    cluster = world.add_cluster("in01-x")

    assert world.clusters["in01-x"] is cluster
    with pytest.raises(ValueError, match="already"):
        world.add_cluster("in01-x")
