from __future__ import annotations

import re
import threading
import tracemalloc
from dataclasses import dataclass
from itertools import pairwise

import pytest

from monitor.simulator import Life, SimulatedCluster, World
from monitor.simulator.crowd import LIVES
from monitor.simulator.ids import JobIds
from monitor.simulator.lives import FOREVER

EPOCH = 1_795_000_000.0


@dataclass
class Clock:
    now: float = EPOCH

    def __call__(self) -> float:
        return self.now


def seen(cluster: SimulatedCluster) -> dict[str, tuple[str, int]]:
    return {job.id: (moment.state, moment.progress) for job, moment in cluster.listing(cluster.now()).rows}


@pytest.mark.parametrize(
    ("generation", "pattern"),
    [
        ("milvus", r"\d{18}"),
        ("milvus-2.3", r"\d{18}"),
        ("zilliz", r"job-[0-9a-z]{22}"),
        ("v1", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_ids_look_like_those_of_their_generation_and_lead_back(generation: str, pattern: str) -> None:
    ids = JobIds(generation, 17)
    made = [ids.id(number) for number in (0, 1, 2, 99, 10**6, 3 * 10**9)]

    assert all(re.fullmatch(pattern, made_id) for made_id in made)
    assert [ids.number(made_id) for made_id in made] == [0, 1, 2, 99, 10**6, 3 * 10**9]
    assert len({ids.id(number) for number in range(10_000)}) == 10_000
    assert [ids.number(wrong) for wrong in ("", "job-", "x" * 22, "-5", JobIds(generation, 18).id(1))] == [None] * 5


def test_the_same_seed_and_clock_make_the_same_world() -> None:
    one, two, other = World(5, seed=3, clock=Clock()), World(5, seed=3, clock=Clock()), World(5, seed=4, clock=Clock())

    assert one.truth() == two.truth()
    assert one.truth() != other.truth()


def test_every_kind_of_life_shows_itself_within_the_first_minute() -> None:
    clock = Clock()
    world = World(1, clock=clock)
    (cluster,) = world.clusters.values()
    progress: dict[str, list[int]] = {}
    for _ in range(60):
        for job, moment in cluster.listing(clock.now).rows:
            progress.setdefault(job.id, []).append(moment.progress)
        clock.now += 1

    ways = {tuple(state for _, state in changes) for changes in world.truth().changes.values()}
    assert {
        ("pending", "importing", "completed"),
        ("pending", "importing", "failed"),
        ("pending", "importing", "vanished"),
        ("pending", "importing", "completed", "failed"),
        ("pending", "importing", "uncommitted"),
        ("pending",),
    } <= ways
    assert any(told[-20:] == [80] * 20 for told in progress.values())
    assert any(a > b > 0 for told in progress.values() for a, b in pairwise(told))


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


def test_no_life_of_a_crowd_goes_on_for_ever() -> None:
    assert all(life.at(2000).state in {"completed", "failed", "vanished"} for life in LIVES)


def test_speed_makes_everything_faster() -> None:
    clock = Clock()
    cluster = World(clock=clock, speed=60).add_cluster("c", retention=120)
    job = cluster.add_job(Life.completing(60))
    clock.now += 1.01

    assert seen(cluster)[job.id] == ("completed", 100)
    clock.now += 2
    assert seen(cluster) == {}


def test_a_finished_job_is_dropped_after_the_retention_and_did_not_vanish() -> None:
    clock = Clock()
    world = World(clock=clock)
    cluster = world.add_cluster("c", generation="milvus", retention=30)
    job = cluster.add_job(Life.failing(after=10))
    clock.now += 39
    assert seen(cluster) == {job.id: ("failed", 0)}

    clock.now += 1.1
    assert seen(cluster) == {}
    assert cluster.remembered(job.id, clock.now) is None
    assert [state for _, state in world.truth().changes["c", job.id]] == ["pending", "importing", "failed"]
    assert cluster.job(job.id) is job


def test_retention_is_that_of_the_real_servers() -> None:
    world = World()

    assert world.add_cluster("a", generation="milvus").retention == 3 * 3600
    assert world.add_cluster("b", generation="milvus-2.3").retention == 24 * 3600
    assert world.add_cluster("c", generation="zilliz").retention == FOREVER


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
        job.set(**given)  # type: ignore[arg-type]
        assert seen(cluster)[job.id] == expected
    assert job.at(clock.now).reason == "why"
    assert [state for _, state in world.truth().changes["c", job.id]] == [
        "pending",
        "importing",
        "Reticulating",
        "completed",
        "failed",
    ]


def test_a_forgotten_job_is_gone_and_the_truth_says_when() -> None:
    clock = Clock()
    world = World(clock=clock)
    cluster = world.add_cluster("c")
    job = cluster.add_job(Life.frozen("importing", 50))
    clock.now += 7
    cluster.forget(job.id)

    assert seen(cluster) == {}
    assert cluster.remembered(job.id, clock.now) is None
    assert world.truth().changes["c", job.id] == [(EPOCH, "importing"), (EPOCH + 7, "vanished")]
    with pytest.raises(KeyError):
        cluster.forget("never-was")


def test_a_job_of_a_crowd_can_be_taken_in_hand() -> None:
    world = World(clock=Clock())
    cluster = world.add_cluster("c", generation="milvus")
    cluster.populate(10, life=Life.frozen("importing", 50))
    chosen = sorted(seen(cluster))[3]
    cluster.job(chosen).set(state="failed", reason="import timeout")
    cluster.forget(sorted(seen(cluster))[4])

    told = seen(cluster)
    assert len(told) == 9
    assert told[chosen] == ("failed", 0)
    assert len(world.truth().changes) == 10
    with pytest.raises(KeyError):
        cluster.job("449000000000000001")


def test_rows_and_files_follow_the_progress() -> None:
    clock = Clock()
    cluster = World(clock=clock).add_cluster("c")
    job = cluster.add_job(Life.frozen("pending", 0), total_rows=1001, files=2)
    told = []
    for state, progress in (("pending", 0), ("importing", 30), ("importing", 60), ("importing", 80), ("failed", 0)):
        job.set(state=state, progress=progress, reason="broken" if state == "failed" else "")
        moment = job.at(clock.now)
        files = [(f.state, f.progress, f.imported_rows, f.total_rows, f.reason) for f in job.file_progress(moment)]
        told.append((job.counted_rows(moment), job.imported_rows(moment), files))

    assert told == [
        (0, 0, []),
        (0, 0, [("importing", 30, 0, 0, ""), ("importing", 30, 0, 0, "")]),
        (1001, 500, [("importing", 99, 500, 501, ""), ("importing", 30, 0, 500, "")]),
        (1001, 1001, [("completed", 100, 501, 501, ""), ("completed", 100, 500, 500, "")]),
        (0, 0, [("failed", 0, 0, 0, "broken"), ("failed", 0, 0, 0, "")]),
    ]


def test_a_fleet_of_a_million_jobs_is_compact() -> None:
    tracemalloc.start()
    try:
        world = World(10_000, jobs=100, arrivals=None)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(world.clusters) == 10_000
    assert used < 60 << 20
    assert len(seen(world.clusters["milvus-02"])) == 100


def test_many_threads_may_pull_at_a_cluster_that_is_being_read() -> None:
    cluster = World().add_cluster("c")
    errors: list[BaseException] = []

    def pull() -> None:
        try:
            for _ in range(100):
                job = cluster.add_job(Life.frozen())
                job.set(state="failed")
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


def test_clusters_are_found_by_id_and_by_project() -> None:
    world = World()
    cluster = world.add_cluster("in01-x")

    assert world.cluster("in01-x") is cluster
    assert world.on_demand(cluster.project_id, cluster.region_id) is cluster
    assert world.on_demand(cluster.project_id, "moon") is None
    assert world.on_demand("proj-none", cluster.region_id) is None
    with pytest.raises(ValueError, match="already"):
        world.add_cluster("in01-x")
    with pytest.raises(ValueError, match="no generation 'v9'"):
        world.add_cluster("other", generation="v9")  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        world.cluster("none")
