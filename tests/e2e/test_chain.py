"""A failed import wakes somebody: from the server to the notification, every link of the chain the real program."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from monitor.jobs.durations import DURATIONS_NEEDED
from monitor.simulator import Lifecycle, SimulatedCluster, Trouble, World
from monitor.simulator.lifecycles import Phase
from tests.alertmanager import Notification
from tests.daemon import write_config
from tests.e2e.chain import Chain, running_chain
from tests.fakes.simulator import SimulatorServer, set_status
from tests.grafana import choices, dashboards, targets, wait_for_data
from tests.integration.milvus_server import REQUIREMENTS, MilvusServer, free_ports, running_milvus, write_rows
from tests.venvs import environment

# Five programs on a machine that is busy with other tests; each wait has a limit of its own.
pytestmark = pytest.mark.timeout(400)

REASON = "open file failed, path=books/part-0.parquet: file does not exist"
FAILED = {1, 7}
"""States of an import in Milvus 2.3: failed, and failed with its leavings removed."""

CLUSTERS = {"archive", "gone", "locked", "shop", "slow", "vectors"}
ALWAYS_ZERO = {"Store errors in 1 h A"}
"""Queries that show nothing but 0 in a world where the monitor itself is well."""


@dataclass(frozen=True, slots=True)
class Story:
    """What was done to the servers, and what came of it.

    Attributes:
        chain: It still runs.
        failed_job: The id of a job that failed while everybody watched.
        failed_at: When it did, on the server, in seconds since the epoch.
        failure: The first notification of it.
        latest: The notification that the collection's latest import failed.
        resolved: The notification that this is over, once a later import had succeeded.
        jobs: The ids of jobs in trouble, by the alert that tells of them.
    """

    chain: Chain
    failed_job: str
    failed_at: float
    failure: Notification
    latest: Notification
    resolved: Notification
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("chain")
    world = World()
    with SimulatorServer(world) as server, running_fleet(folder, world, server.url) as chain:
        shop = world.clusters["shop"]
        jobs = trouble_in(world, chain)
        for _ in range(DURATIONS_NEEDED):
            complete(shop, chain)
        failed = shop.add_job(Lifecycle.frozen("Importing", 40), collection="books", database="sales")
        chain.prometheus.wait_for(f'milvus_import_job_state{{job_id="{failed.id}", state="importing"}}')

        failed_at = time.time()
        set_status(failed, state="Failed", reason=REASON)
        failure = chain.receiver.wait_for("MilvusImportJobFailed", where=lambda one: one.labels["job_id"] == failed.id)
        latest = chain.receiver.wait_for("MilvusImportLastImportFailed", where=of_books)
        complete(shop, chain)
        resolved = chain.receiver.wait_for("MilvusImportLastImportFailed", "resolved", where=of_books)
        yield Story(chain, failed.id, failed_at, failure, latest, resolved, jobs)


@contextmanager
def running_fleet(folder: Path, world: World, url: str) -> Iterator[Chain]:
    """A chain that watches clusters of every kind, also those that nobody can watch."""
    world.add_cluster("shop", api_key="right-key")
    world.add_cluster("locked", api_key="right-key")
    world.add_cluster("vectors", generation="milvus")
    world.add_cluster("archive", generation="milvus-2.3")
    world.add_cluster("slow", generation="milvus").trouble(Trouble.hang())
    world.add_cluster("resting", api_key="account-key", status="SUSPENDED")
    world.add_cluster("deleted", api_key="account-key")
    world.add_cluster("stock", api_key="account-key")
    (nobody,) = free_ports(1)
    config = write_config(
        folder,
        f"{{name: shop, url: '{url}', cluster_id: shop, api_key: right-key, databases: [default, sales]}}",
        f"{{name: locked, url: '{url}', cluster_id: locked, api_key: wrong-key}}",
        f"{{name: vectors, url: '{url}/clusters/vectors', series_per_cluster: 20}}",
        f"{{name: archive, url: '{url}/clusters/archive', api: milvus-2.3}}",
        f"{{name: slow, url: '{url}/clusters/slow', timeout: 1s}}",
        f"{{name: gone, url: 'http://127.0.0.1:{nobody}'}}",
        state="{url: 'sqlite:///state.db'}",
        jobs="{stall_after: 10s, pending_after: 3s, uncommitted_after: 3s}",
        discovery=f"[{{zilliz: {{api_key: account-key, url: '{url}'}}, interval: 1s}}]",
    )
    with running_chain(folder, config) as chain:
        for name in ("shop", "vectors", "archive"):
            chain.daemon.wait_for("cluster_baseline", milvus_cluster=name)
        chain.daemon.wait_for("cluster_discovered", count=3)
        world.delete_cluster("deleted")
        yield chain


def trouble_in(world: World, chain: Chain) -> dict[str, str]:
    """Let jobs run and get into every kind of trouble, and return the ids of those in trouble, by alert."""
    vectors, archive, shop = (world.clusters[name] for name in ("vectors", "archive", "shop"))
    stalled = vectors.add_job(Lifecycle.frozen("Importing", 80), collection="images")
    pending = vectors.add_job(Lifecycle.frozen("Pending"), collection="images")
    uncommitted = vectors.add_job(Lifecycle.frozen("Uncommitted", 99), collection="images")
    lost = vectors.add_job(Lifecycle.frozen("Importing", 10), collection="images")
    for job_id in (stalled.id, pending.id, uncommitted.id, lost.id):
        chain.daemon.wait_for("import_job_transition", job_id=job_id)
    vectors.forget(lost.id)
    chain.daemon.wait_for("import_job_transition", job_id=lost.id, to_state="vanished")
    failed = vectors.add_job(Lifecycle.frozen("Importing", 10), collection="reviews")
    chain.daemon.wait_for("import_job_transition", job_id=failed.id)
    set_status(failed, state="Failed", reason="disk quota exceeded")
    # A step of progress every five seconds, well within stall_after, of a job whose files are read: it has row counts.
    shop.add_job(Lifecycle((Phase("importing", 300, 40, 99),)), collection="books", database="sales")
    archive.add_job(Lifecycle((Phase("importing", 200, 40, 80),)), collection="logs")
    archive.trouble(Trouble.http(429, retry_after=1), times=2)
    readable = {"jobId": stalled.id, "collectionName": "images", "state": "Importing", "progress": 80}
    half_readable = json.dumps({"code": 0, "data": {"records": [{"no": "job"}, readable]}})
    vectors.trouble(Trouble.body(half_readable), endpoint="list", times=2)
    return {
        "MilvusImportJobStalled": stalled.id,
        "MilvusImportJobPendingTooLong": pending.id,
        "MilvusImportJobUncommittedTooLong": uncommitted.id,
        "MilvusImportJobVanished": lost.id,
        "MilvusImportJobFailed": failed.id,
    }


def complete(cluster: SimulatedCluster, chain: Chain) -> None:
    """Let an import into sales/books complete, and Prometheus see it."""
    job = cluster.add_job(Lifecycle.frozen("Importing", 40), collection="books", database="sales")
    chain.prometheus.wait_for(f'milvus_import_job_state{{job_id="{job.id}", state="importing"}}')
    set_status(job, state="Completed")
    chain.daemon.wait_for("import_job_transition", job_id=job.id, to_state="completed")


def of_books(notification: Notification) -> bool:
    return notification.labels["collection"] == "books"


def test_the_notification_names_cluster_database_collection_job_and_reason(story: Story) -> None:
    labels = {
        "alertname": "MilvusImportJobFailed",
        "milvus_cluster": "shop",
        "database": "sales",
        "collection": "books",
        "job_id": story.failed_job,
        "reason": "file_not_found",
        "severity": "warning",
    }
    assert labels.items() <= story.failure.labels.items()
    assert story.failure.path == "/team"
    summary = f"Import job {story.failed_job} into sales/books on shop failed: file_not_found"
    assert story.failure.annotations["summary"] == summary
    page = f"{story.chain.daemon.url}/job?cluster=shop&id={story.failed_job}"
    assert story.failure.annotations["link"] == page


def test_the_notification_comes_soon(story: Story, record_property: Callable[[str, object], None]) -> None:
    seconds = story.failure.at - story.failed_at
    record_property("chain_seconds_failure_to_notification", round(seconds, 2))
    print(f"from the failure on the server to the notification: {seconds:.2f} s")

    assert seconds > 0


def test_who_is_on_call_is_told_of_the_collection_until_a_later_import_succeeds(story: Story) -> None:
    labels = {"milvus_cluster": "shop", "database": "sales", "collection": "books", "severity": "critical"}
    assert labels.items() <= story.latest.labels.items()
    assert story.latest.annotations["summary"] == "The latest import into sales/books on shop failed"
    assert f"{story.failed_job} (file_not_found)" in story.latest.annotations["description"]
    assert (story.latest.path, story.resolved.path) == ("/on-call", "/on-call")
    assert story.latest.at < story.resolved.at
    told = [one.status for one in story.chain.receiver.all() if one.labels == story.latest.labels]
    assert told == ["firing", "resolved"]


def test_the_failed_job_itself_stays_known_when_a_later_import_succeeds(story: Story) -> None:
    about = [one for one in story.chain.receiver.all() if one.labels.get("job_id") == story.failed_job]

    assert [one.status for one in about] == ["firing"]
    assert story.chain.prometheus.query(f'ALERTS{{job_id="{story.failed_job}", alertstate="firing"}}')


@pytest.mark.parametrize(
    "alert",
    [
        "MilvusImportJobFailed",
        "MilvusImportJobPendingTooLong",
        "MilvusImportJobStalled",
        "MilvusImportJobUncommittedTooLong",
        "MilvusImportJobVanished",
    ],
)
def test_every_other_trouble_of_a_job_is_told_with_its_id(story: Story, alert: str) -> None:
    told = story.chain.receiver.wait_for(alert, where=lambda one: one.labels["job_id"] == story.jobs[alert])

    assert told.labels["milvus_cluster"] == "vectors"
    assert story.jobs[alert] in told.annotations["summary"]


@pytest.mark.parametrize("name", ["fleet", "cluster", "collection"])
def test_the_variables_of_a_dashboard_offer_what_there_is(story: Story, name: str) -> None:
    offered = list(choices(story.chain.prometheus, dashboards()[name]))

    if name == "collection":  # nothing is known of the collections of clusters that never answered
        assert {choice["collection"] for choice in offered} == {"books", "images", "logs", "reviews"}
        assert {choice["database"] for choice in offered} == {".*", "sales"}
    else:
        assert {choice["cluster"] for choice in offered} >= CLUSTERS


@pytest.mark.parametrize("name", ["fleet", "cluster", "collection"])
def test_every_query_of_a_dashboard_has_data(story: Story, name: str, subtests: pytest.Subtests) -> None:
    dashboard = dashboards()[name]
    for title, target in targets(dashboard):
        with subtests.test(title):
            zero = title in ALWAYS_ZERO
            wait_for_data(story.chain.prometheus, dashboard, target, story.chain.since, zero=zero)


def says_failed(milvus: MilvusServer) -> float:
    """Ask a server for its imports until one has failed, and return when it first said so."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        body = {"collection_name": "", "limit": 0}
        answer = requests.get(f"{milvus.management_url}/api/v1/import/tasks", json=body, timeout=10)
        if any(task.get("state") in FAILED for task in answer.json().get("tasks", [])):
            return time.time()
        time.sleep(0.02)
    raise AssertionError("no import failed")


def test_a_real_servers_failed_import_is_told_until_a_later_one_succeeds(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    missing, good = tmp_path / "missing.json", write_rows(tmp_path / "good.json", 1000)
    python = environment("milvus-2.3.5", *REQUIREMENTS)
    with running_milvus(python, tmp_path / "milvus") as milvus:
        config = write_config(tmp_path, f"{{name: real, url: '{milvus.management_url}', api: milvus-2.3}}")
        with running_chain(tmp_path, config) as chain, ThreadPoolExecutor(1) as beside:
            chain.daemon.wait_for("cluster_baseline")
            said = beside.submit(says_failed, milvus)
            (job_id,) = milvus.bulk_insert(("books", missing))
            failure = chain.receiver.wait_for("MilvusImportJobFailed")
            latest = chain.receiver.wait_for("MilvusImportLastImportFailed")
            milvus.bulk_insert(("books", good))
            resolved = chain.receiver.wait_for("MilvusImportLastImportFailed", "resolved")

    seconds = failure.at - said.result()
    record_property("chain_seconds_real_failure_to_notification", round(seconds, 2))
    print(f"from the failure on a real Milvus to the notification: {seconds:.2f} s")
    assert seconds > 0
    summary = f"Import job {job_id} into books on real failed: file_not_found"
    assert failure.annotations["summary"] == summary
    assert latest.labels["collection"] == resolved.labels["collection"] == "books"
