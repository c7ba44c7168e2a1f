"""Polls of one cluster, step by step, against a simulated server on a real socket."""

import json
import logging
from contextlib import closing
from threading import Thread

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.client import ErrorKind, Network, connect
from monitor.fetch import DESCRIBES_PER_POLL
from monitor.metrics import ClusterMetrics, Exposition, ProcessMetrics
from monitor.poller import Poller
from monitor.simulator import Lifecycle, Trouble, World
from monitor.store import ClusterRef, open_store
from tests.clusters import cluster
from tests.daemon import Metrics
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer, set_status, wait_for_requests


class Watched:
    """One simulated cluster, the poller that watches it, and a clock of its own."""

    def __init__(self, url, network, generation, world):
        self.server = world.add_cluster("prod", generation=generation)
        self.now = 1_000_000.0
        self.store = open_store("memory://", retention=86_400.0, connections=2)
        self.store.watch([ClusterRef("prod", "")])
        process = ProcessMetrics()
        if generation in ("zilliz", "v1"):
            settings = cluster(url, name="prod", cluster_id="prod", api="v1" if generation == "v1" else "v2")
        else:
            api = "milvus-2.3" if generation == "milvus-2.3" else "v2"
            settings = cluster(f"{url}/clusters/prod", name="prod", api=api)
        self.metrics = ClusterMetrics(settings, [kind.value for kind in ErrorKind])
        self.ours = True
        api = connect(settings, network)
        self.poller = Poller(
            settings, api, self.store, self.metrics, process, lambda: self.now, is_ours=lambda _: self.ours
        )
        self._exposition = Exposition(process.registry)
        self._exposition.show([self.metrics])

    def poll(self, after=30.0):
        """Poll once more, later; return what was logged."""
        self.now += after
        with capture_logs() as logged:
            self.outcome = self.poller.poll()
        return logged

    def steps(self, after=30.0):
        return [
            (line["job_id"], line["from_state"], line["to_state"])
            for line in self.poll(after)
            if line["event"] == "import_job_transition"
        ]

    def shown(self):
        return Metrics(self._exposition.scrape("", self.now)[0].decode())


@pytest.fixture
def watch():
    world = World()
    with SimulatorServer(world) as server, closing(Network()) as network:
        yield lambda generation="zilliz": Watched(server.url, network, generation, world)


def events(logged):
    return [line["event"] for line in logged if line["event"] not in ("poll_finished", "describe_failed")]


@pytest.mark.parametrize("generation", ["zilliz", "milvus", "v1", "milvus-2.3"])
def test_every_generation_tells_the_same_story(watch, generation):
    watched = watch(generation)
    assert events(watched.poll()) == ["cluster_baseline"]
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Pending"))
    story = watched.steps()
    set_status(job, state="Importing", progress=40)
    story += watched.steps()
    progress = watched.shown().value("milvus_import_job_progress_ratio", job_id=job.id)
    set_status(job, state="Failed", progress=0, reason="open file failed, path=a.parquet: file does not exist")
    (failed,) = [line for line in watched.poll() if line["event"] == "import_job_transition"]

    assert story == [(job.id, "new", "pending"), (job.id, "pending", "importing")]
    assert progress == pytest.approx(0.4)
    assert (failed["to_state"], failed["failure"], failed["log_level"]) == ("failed", "file_not_found", "error")
    assert failed["reason"] == "open file failed, path=a.parquet: file does not exist"
    assert failed["progress"] == pytest.approx(0.4)


@pytest.mark.parametrize("generation", ["zilliz", "milvus", "v1", "milvus-2.3"])
def test_in_every_generation_a_job_vanishes_on_the_servers_word(watch, generation):
    watched = watch(generation)
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.poll()
    watched.server.forget(job.id)

    assert watched.steps() == [(job.id, "importing", "vanished")]
    assert watched.steps() == []
    assert watched.shown().value("milvus_import_job_state", job_id=job.id, state="vanished") == 1


def test_a_describe_that_fails_is_no_verdict_and_costs_the_poll_nothing(watch):
    watched = watch("milvus")
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.poll()
    watched.server.forget(job.id)
    watched.server.trouble(Trouble.code(65535, "something else"), endpoint="describe", times=2)

    assert watched.steps() == []
    assert watched.outcome.ok
    assert watched.steps() == []
    assert watched.steps() == [(job.id, "importing", "vanished")]


def test_the_describes_of_one_poll_are_bounded_and_the_rest_wait_their_turn(watch):
    watched = watch("zilliz")
    jobs = [watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40)) for _ in range(50)]
    known = []
    for _ in range(3):
        watched.poll()
        known.append(len(watched.shown().named("milvus_import_job_progress_ratio")))

    assert known == [DESCRIBES_PER_POLL, 2 * DESCRIBES_PER_POLL, len(jobs)]
    assert watched.server.requests["describe"] == 3 * DESCRIBES_PER_POLL


def test_a_server_whose_describe_hangs_costs_one_timeout_a_poll(watch):
    watched = watch("zilliz")
    for _ in range(5):
        watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.poller.reconfigure(*reconnected(watched, timeout=0.3))
    watched.server.trouble(Trouble.hang(), endpoint="describe")
    watched.poll()

    assert watched.outcome.ok
    assert watched.server.requests["describe"] == 1


def reconnected(watched, **changes):
    settings = watched.poller.cluster.model_copy(update=changes)
    return settings, connect(settings, Network(), watched.poller.usage)


def test_a_failed_poll_keeps_the_previous_snapshot(watch):
    watched = watch("zilliz")
    for _ in range(150):
        watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Completed", 100))
    watched.poll()
    before = watched.store.snapshot("prod")
    watched.server.trouble(hostile.html(), endpoint="list", times=1)

    assert events(watched.poll()) == ["cluster_unreachable"]
    assert watched.store.snapshot("prod") is before
    assert not watched.outcome.ok
    assert events(watched.poll()) == ["cluster_recovered"]


def test_an_unreachable_cluster_is_told_once_and_shown_at_once(watch):
    watched = watch("milvus")
    watched.poll()
    watched.server.trouble(Trouble.http(401))
    told = [events(watched.poll()) for _ in range(3)]

    assert told == [["cluster_unreachable"], [], []]
    assert watched.shown().value("milvus_import_cluster_up") == 0
    assert watched.shown().value("milvus_import_poll_failures_total", reason="unauthorized") == 3


def test_a_long_retry_after_is_part_of_the_outcome(watch):
    watched = watch("milvus")
    watched.server.trouble(Trouble.http(429, retry_after=120))
    watched.poll()

    assert (watched.outcome.ok, watched.outcome.retry_after) == (False, 120)


def test_a_bad_record_costs_only_itself_and_is_told_once(watch):
    watched = watch("milvus")
    watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    body = b'{"code": 0, "data": {"records": [{"jobId": "1", "state": "Importing", "progress": 5}, 7, {"state": "x"}]}}'
    watched.server.trouble(Trouble.body(body), endpoint="list")
    logged = [watched.poll(), watched.poll()]

    skipped = [line["message"] for line in logged[0] if line["event"] == "import_record_skipped"]
    assert skipped == ["a record is a number instead of an object", "a record's job id is missing"]
    assert "import_record_skipped" not in events(logged[1])
    assert watched.shown().value("milvus_import_bad_records_total") == 4
    assert watched.shown().named("milvus_import_job_progress_ratio", job_id="1")


def test_of_several_records_of_a_job_the_most_final_one_counts_and_this_is_logged_once(watch):
    watched = watch("milvus")
    watched.poll()
    records = [{"jobId": "1", "state": state, "progress": 5} for state in ("Importing", "Completed", "Pending")]
    body = json.dumps({"code": 0, "data": {"records": records}})
    watched.server.trouble(Trouble.body(body), endpoint="list")

    assert events(watched.poll()) == ["import_job_transition", "import_record_repeated"]
    assert events(watched.poll()) == []


def test_a_stall_is_told_once_and_shown_until_it_ends(watch):
    watched = watch("milvus")
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 80))
    watched.poll()
    stalled = events(watched.poll(after=1801)), events(watched.poll())
    shown = watched.shown().value("milvus_import_job_stalled", job_id=job.id, state="importing")
    set_status(job, progress=81)

    assert stalled == (["import_job_stalled"], [])
    assert shown == 1
    assert events(watched.poll()) == ["import_job_resumed"]
    assert watched.shown().value("milvus_import_job_stalled", job_id=job.id) == 0


def test_a_reason_that_the_server_gives_later_is_told_and_shown(watch):
    watched = watch("v1")
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 80))
    watched.poll()
    watched.server.trouble(Trouble.code(2), endpoint="describe", times=3)
    set_status(job, state="Failed", reason="disk quota exceeded")
    (first,) = [line for line in watched.poll() if line["event"] == "import_job_transition"]
    shown = watched.shown().value("milvus_import_job_failed", job_id=job.id, reason="other")
    (explained,) = [line for line in watched.poll() if line["event"] == "import_job_explained"]

    assert (first["reason"], first["failure"], shown) == ("", "other", 1)
    assert (explained["reason"], explained["failure"]) == ("disk quota exceeded", "quota_exceeded")
    assert watched.shown().value("milvus_import_job_failed", job_id=job.id, reason="quota_exceeded") == 1
    assert events(watched.poll()) == []


def test_a_fault_of_the_monitor_itself_is_told_counted_and_passes(watch, monkeypatch):
    watched = watch("milvus")
    with monkeypatch.context() as patch:
        patch.setattr(watched.store, "record", lambda *_: 1 / 0)
        assert events(watched.poll()) == ["poll_crashed", "cluster_unreachable"]
    assert watched.shown().value("milvus_import_poll_failures_total", reason="other") == 1
    assert events(watched.poll()) == ["cluster_recovered", "cluster_baseline"]


def test_what_was_recorded_is_logged_where_it_cannot_be_shown_and_shown_when_it_can(watch, monkeypatch):
    watched = watch("milvus")
    watched.poll()
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Failed", 40, reason="no such file"))
    with monkeypatch.context() as patch:
        patch.setattr("monitor.metrics.job_texts.recent_pace", lambda *_: 1 / 0)
        logged = events(watched.poll())
    silent = events(watched.poll())

    assert logged == ["import_job_transition", "poll_crashed", "cluster_unreachable"]
    assert silent == ["cluster_recovered"]
    assert watched.shown().value("milvus_import_job_failed", job_id=job.id, reason="file_not_found") == 1


def test_what_a_retired_poller_finds_is_not_recorded(watch):
    watched = watch("milvus")
    watched.server.trouble(hostile.drip(0.05), endpoint="list")
    polling = Thread(target=watched.poll)
    polling.start()
    assert wait_for_requests(watched.server, "list", 1)
    watched.poller.retire()
    polling.join(timeout=10)

    assert watched.store.snapshot("prod") is None  # the poll is over, and nothing of it was kept


@pytest.mark.parametrize("ours", [True, False])
def test_only_the_monitor_that_polls_a_cluster_deletes_it_when_it_is_removed(watch, ours):
    watched = watch("milvus")
    watched.poll()
    watched.ours = ours
    watched.poller.retire()

    assert bool(watched.store.cluster_names()) is not ours


@pytest.mark.parametrize("fails", [False, True])
def test_a_poll_that_ends_when_the_cluster_is_no_longer_ours_is_neither_recorded_nor_shown_nor_logged(watch, fails):
    watched = watch("milvus")
    watched.poll()
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    if fails:
        watched.server.trouble(Trouble.http(400), endpoint="list", times=1)
    before, shown = watched.store.snapshot("prod"), watched.shown()
    watched.ours = False
    logged = watched.poll()
    dropped, shown_then = watched.store.snapshot("prod"), watched.shown()
    watched.ours = True

    assert logged == []
    assert dropped is before
    assert not watched.outcome.ok or not watched.outcome.error
    assert shown_then.value("milvus_import_cluster_up") == shown.value("milvus_import_cluster_up") == 1
    assert shown_then.value("milvus_import_polls_total") == 1
    assert watched.steps() == [(job.id, "new", "importing")]


def test_who_takes_a_cluster_over_says_anew_that_it_is_unreachable(watch):
    watched = watch("milvus")
    watched.server.trouble(Trouble.http(400), endpoint="list")
    first = events(watched.poll())
    watched.poller.take_over(None)
    again = events(watched.poll()), events(watched.poll())

    assert first == ["cluster_unreachable"]
    assert again == (["cluster_unreachable"], [])


def test_stopping_is_no_failure_of_the_cluster(watch):
    watched = watch("milvus")
    settings, _ = reconnected(watched)
    network = Network()
    network.stop()
    watched.poller.reconfigure(settings, connect(settings, network))

    assert watched.poll() == []
    assert watched.shown().value("milvus_import_cluster_up") is None


def test_one_debug_line_for_each_poll_counts_its_own_requests(watch, caplog):
    caplog.set_level(logging.DEBUG, "monitor")
    watched = watch("zilliz")
    watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    lines = [line for _ in range(2) for line in watched.poll() if line["event"] == "poll_finished"]

    assert [(line["requests"], line["jobs"], line["log_level"]) for line in lines] == [(2, 1, "debug"), (2, 1, "debug")]


def test_the_jobs_of_two_databases_are_told_apart_where_the_server_filters(watch):
    watched = watch("zilliz")
    watched.server.add_job(collection="books", database="default", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.server.add_job(collection="books", database="sales", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.poller.reconfigure(*reconnected(watched, databases=("default", "sales")))
    watched.poll()

    shown = watched.shown().named("milvus_import_jobs", collection="books", state="importing")
    assert {labels["database"]: value for labels, value in shown} == {"default": 1, "sales": 1}


def test_a_list_that_lags_behind_describe_invents_no_step(watch):
    watched = watch("zilliz")
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.poll()
    set_status(job, state="Completed", progress=100)
    record = {"jobId": job.id, "collectionName": "books", "state": "Importing"}
    lagging = json.dumps({"code": 0, "data": {"records": [record], "count": 1, "currentPage": 1, "pageSize": 100}})
    watched.server.trouble(Trouble.body(lagging), endpoint="list", times=4)
    watched.server.trouble(Trouble.code(2), endpoint="describe", times=4)

    assert [watched.steps() for _ in range(4)] == [[]] * 4
    assert watched.steps() == [(job.id, "importing", "completed")]


def test_a_describe_that_lags_behind_the_list_hides_no_failure(watch):
    watched = watch("zilliz")
    job = watched.server.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    watched.poll()
    lagging = json.dumps({"code": 0, "data": {"jobId": job.id, "state": "Importing", "progress": 50}})
    watched.server.trouble(Trouble.body(lagging), endpoint="describe")
    record = {"jobId": job.id, "collectionName": "books", "state": "Failed"}
    failed = json.dumps({"code": 0, "data": {"records": [record], "count": 1, "currentPage": 1, "pageSize": 100}})
    watched.server.trouble(Trouble.body(failed), endpoint="list")

    assert watched.steps() == [(job.id, "importing", "failed")]


def test_a_cluster_that_was_removed_is_not_told_as_unreachable(watch):
    watched = watch("milvus")
    watched.poll()
    watched.server.trouble(Trouble.http(401))
    watched.poller.retire()

    assert watched.poll() == []


def test_a_key_that_a_server_repeats_is_in_no_name_and_no_message(watch):
    watched = watch("zilliz")
    watched.poller.reconfigure(*reconnected(watched, api_key=SecretStr("root:very-secret-word")))
    body = json.dumps(
        {"code": 80001, "message": "x" * 960 + " bad password very-secret-word for root:very-secret-word"}
    )
    watched.server.trouble(Trouble.body(body), endpoint="list", times=1)
    told = watched.poll()
    record = {
        "jobId": "1",
        "collectionName": "root:very-secret-word",
        "state": "Failed",
        "reason": "root:very-secret-word",
    }
    watched.server.trouble(
        Trouble.body(json.dumps({"code": 0, "data": {"records": [record]}})), endpoint="list", times=1
    )
    watched.poll()

    assert "very-secret" not in str(told) + watched.poller.error
    assert "very-secret" not in watched._exposition.scrape("", watched.now)[0].decode()
