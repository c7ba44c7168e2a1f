"""Same-named collections in several databases of self-hosted Milvus, whose list does not name the databases."""

from contextlib import closing
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from monitor.client import ErrorKind, Network, connect
from monitor.database_lookup import LOOKUPS_PER_POLL
from monitor.metrics import ClusterMetrics, Exposition, ProcessMetrics
from monitor.poller import Poller
from monitor.simulator import Lifecycle, World
from monitor.store import ClusterRef, open_store
from tests.clusters import cluster
from tests.daemon import Metrics
from tests.fakes.databases import DatabaseServer
from tests.fakes.simulator import SimulatorServer, set_status

IMPORTING = Lifecycle.frozen("Importing", 40)
LAST_FAILED = "milvus_import_collection_last_finished_failed"
LAST_COMPLETED = "milvus_import_collection_last_completed_timestamp_seconds"


class Monitored:
    """A cluster, the poller that watches it, and a clock of its own."""

    def __init__(self, url, network, databases, state, now=1_000_000.0, **settings):
        self.now = now
        self.store = open_store(state, retention=86_400.0, connections=2)
        self.store.watch([ClusterRef("prod", "")])
        process = ProcessMetrics()
        settings = cluster(url, name="prod", databases=databases, **settings)
        self.metrics = ClusterMetrics(settings, [kind.value for kind in ErrorKind])
        self.poller = Poller(settings, connect(settings, network), self.store, self.metrics, process, lambda: self.now)
        self._exposition = Exposition(process.registry)
        self._exposition.show([self.metrics])

    def poll(self, after=30.0):
        """Poll once more, later; return the transitions that were logged, as (database, id, state)."""
        self.now += after
        with capture_logs() as logged:
            self.outcome = self.poller.poll()
        assert self.outcome.ok
        steps = [line for line in logged if line["event"] == "import_job_transition"]
        return [(step["database"], step["job_id"], step["to_state"]) for step in steps]

    def by_database(self, name, **labels):
        shown = Metrics(self._exposition.scrape("", self.now)[0].decode())
        return {labels["database"]: value for labels, value in shown.named(name, **labels)}


@pytest.fixture
def server():
    with DatabaseServer(tenant_a=["docs"], tenant_b=["docs"]) as running:
        yield running


@pytest.fixture
def monitor(server):
    with closing(Network(backoff=0.0)) as network:
        yield lambda databases=("tenant_a", "tenant_b"), state="memory://", **options: Monitored(
            server.url, network, databases, state, **options
        )


def fail_in_a_then_complete_in_b(server, monitored):
    server.put("1", "tenant_a", "Importing")
    server.put("2", "tenant_b", "Importing")
    monitored.poll()
    server.put("1", "tenant_a", "Failed", 0)
    steps = monitored.poll()
    server.put("2", "tenant_b", "Completed", 100)
    return steps + monitored.poll()


def test_a_success_in_one_database_ends_no_failure_in_another(server, monitor):
    monitored = monitor()
    steps = fail_in_a_then_complete_in_b(server, monitored)

    assert steps == [("tenant_a", "1", "failed"), ("tenant_b", "2", "completed")]
    assert monitored.by_database(LAST_FAILED) == {"tenant_a": 1, "tenant_b": 0}
    assert monitored.by_database(LAST_COMPLETED) == {"tenant_b": monitored.now}
    assert monitored.by_database("milvus_import_jobs", state="completed") == {"tenant_b": 1}

    server.put("3", "tenant_a", "Completed", 100)
    monitored.poll()
    assert monitored.by_database(LAST_FAILED) == {"tenant_a": 0, "tenant_b": 0}


def test_the_success_of_an_unknown_database_ends_no_failure_and_is_no_fresh_data(server, monitor):
    server.filters = False
    monitored = monitor()
    steps = fail_in_a_then_complete_in_b(server, monitored)

    assert steps == [("", "1", "failed"), ("", "2", "completed")]
    assert monitored.by_database(LAST_FAILED) == {"": 1}
    assert monitored.by_database(LAST_COMPLETED) == {}


@pytest.mark.parametrize("databases", [(), ("tenant_a",)])
def test_without_several_configured_databases_same_named_collections_are_one(server, monitor, databases):
    monitored = monitor(databases)
    fail_in_a_then_complete_in_b(server, monitored)

    assert monitored.by_database(LAST_FAILED) == {"": 0}
    assert monitored.by_database(LAST_COMPLETED) == {"": monitored.now}
    assert server.lookups == []


def test_a_collection_is_listed_once_in_each_database_for_its_new_jobs_and_not_again(server, monitor):
    monitored = monitor()
    server.put("1", "tenant_a", "Importing")
    server.put("2", "tenant_b", "Importing")
    before = monitored.poller.usage.requests["list"]
    monitored.poll()
    assert server.lookups == [("tenant_a", "docs"), ("tenant_b", "docs")]
    assert monitored.poller.usage.requests["list"] - before == 4  # the list is requested in each database, too

    for progress in (50, 60):
        server.put("1", "tenant_a", "Importing", progress)
        monitored.poll()
    server.put("1", "tenant_a", "Completed", 100)
    monitored.poll()
    monitored.poll(after=7200.0)
    assert len(server.lookups) == 2


def test_a_collection_that_one_database_lacks_is_found_in_the_other(server, monitor):
    server.databases["tenant_b"] = ["books"]
    server.put("1", "tenant_a", "Importing")
    server.put("2", "tenant_b", "Importing", collection="books")
    monitored = monitor()
    monitored.poll()

    assert monitored.by_database("milvus_import_jobs") == {"tenant_a": 1, "tenant_b": 1}


def test_a_job_that_no_list_contains_is_looked_up_ever_more_rarely(server, monitor):
    server.put("1", "tenant_c", "Importing")
    monitored = monitor()
    lookups = []
    for _ in range(600):
        monitored.poll(after=30.0)
        if len(server.lookups) > 2 * len(lookups):
            lookups.append(monitored.now)

    pauses = [later - earlier for earlier, later in pairwise(lookups)]
    assert pauses == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]


def test_a_new_job_is_looked_up_at_once_beside_one_that_cannot_be_found(server, monitor):
    server.put("1", "tenant_c", "Importing")
    monitored = monitor()
    for _ in range(4):
        monitored.poll()
    server.put("2", "tenant_b", "Importing")

    assert monitored.poll(after=1.0) == [("tenant_b", "2", "importing")]


@pytest.mark.parametrize(
    "error", [{"code": 1401, "message": "permission deny"}, {"code": 5, "message": "service unavailable"}]
)
def test_what_ended_while_lookups_failed_counts_once_its_database_is_found(server, monitor, error):
    server.errors = {"tenant_b": error}
    monitored = monitor()
    steps = fail_in_a_then_complete_in_b(server, monitored)
    completed_at = monitored.now
    assert {database for database, _, _ in steps} == {""}
    assert monitored.by_database(LAST_FAILED) == {"": 1}

    server.errors = {}
    assert monitored.poll(after=600.0) == []
    assert monitored.by_database(LAST_FAILED) == {"tenant_a": 1, "tenant_b": 0}
    assert monitored.by_database(LAST_COMPLETED) == {"tenant_b": completed_at}
    assert monitored.by_database("milvus_import_jobs") == {"tenant_a": 1, "tenant_b": 1}
    assert monitored.by_database("milvus_import_job_failed") == {"tenant_a": 1}


def test_a_job_that_completed_before_the_baseline_is_no_fresh_data_once_its_database_is_found(server, monitor):
    server.put("1", "tenant_a", "Failed", 0)
    server.put("2", "tenant_a", "Completed", 100)
    server.put("3", "tenant_b", "Completed", 100)
    server.put("4", "tenant_b", "Failed", 0)
    server.errors = {"tenant_b": {"code": 5, "message": "service unavailable"}}
    monitored = monitor()
    monitored.poll()
    server.errors = {}
    monitored.poll(after=600.0)

    assert monitored.by_database(LAST_FAILED) == {"tenant_a": 0, "tenant_b": 1}
    assert monitored.by_database(LAST_COMPLETED) == {}


def test_a_failure_of_an_unknown_database_ends_with_its_retention(server, monitor):
    server.put("1", "tenant_c", "Importing")
    monitored = monitor()
    monitored.poll()
    server.put("1", "tenant_c", "Failed", 0)
    monitored.poll()
    monitored.poll(after=86_300.0)
    assert monitored.by_database(LAST_FAILED) == {"": 1}

    monitored.poll(after=200.0)
    assert monitored.by_database(LAST_FAILED) == {}


def test_the_lookups_of_one_poll_are_bounded_and_unfinished_jobs_come_first(server, monitor):
    names = [f"c{number:02}" for number in range(30)]
    server.databases = {"tenant_a": names, "tenant_b": names}
    for name in names:
        server.put(name, "tenant_b", "Importing" if name == "c29" else "Completed", collection=name)
    monitored = monitor()
    monitored.poll()
    assert len(server.lookups) == LOOKUPS_PER_POLL
    assert server.lookups[0] == ("tenant_a", "c29")

    monitored.poll()
    monitored.poll()
    monitored.poll()
    assert len(server.lookups) == 2 * len(names)
    assert set(monitored.by_database("milvus_import_jobs")) == {"tenant_b"}


def test_databases_that_are_configured_by_a_reload_are_found(server, monitor):
    monitored = monitor(())
    fail_in_a_then_complete_in_b(server, monitored)
    settings = monitored.poller.cluster.model_copy(update={"databases": ("tenant_a", "tenant_b")})
    with closing(Network()) as network:
        monitored.poller.reconfigure(settings, connect(settings, network, monitored.poller.usage))
        assert monitored.poll() == []

    assert monitored.by_database(LAST_FAILED) == {"tenant_a": 1, "tenant_b": 0}
    assert monitored.by_database("milvus_import_jobs", state="completed") == {"tenant_b": 1}


def test_zilliz_cloud_filters_by_database_and_needs_no_lookup():
    world = World()
    simulated = world.add_cluster("prod", generation="zilliz")
    running = [simulated.add_job(database=name, collection="docs", lifecycle=IMPORTING) for name in ("a", "b")]
    with SimulatorServer(world) as cloud, closing(Network()) as network:
        monitored = Monitored(cloud.url, network, ("a", "b"), "memory://", cluster_id="prod")
        monitored.poll()
        set_status(running[0], state="Failed", reason="file does not exist")
        set_status(running[1], state="Completed")
        steps = monitored.poll()

    assert {(name, state) for name, _, state in steps} == {("a", "failed"), ("b", "completed")}
    assert monitored.by_database(LAST_FAILED) == {"a": 1, "b": 0}
    assert simulated.requests["list"] == 4


def test_a_restart_keeps_the_databases_also_of_jobs_that_have_finished(server, monitor, tmp_path):
    state = f"sqlite:///{tmp_path}/state.db"
    first = monitor(state=state)
    fail_in_a_then_complete_in_b(server, first)
    first.store.close()
    server.lookups.clear()
    second = monitor(state=state, now=first.now)

    assert second.poll() == []
    assert server.lookups == []
    server.put("3", "tenant_b", "Importing")
    assert second.poll() == [("tenant_b", "3", "importing")]
    assert second.by_database("milvus_import_jobs", state="completed") == {"tenant_b": 1}
    assert second.by_database("milvus_import_jobs", state="failed") == {"tenant_a": 1}
    assert second.by_database(LAST_FAILED) == {"tenant_a": 1, "tenant_b": 0}
    second.store.close()
