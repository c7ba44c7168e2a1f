"""Discoveries in the background: what they find, keep and log, with a clock that tests set."""

from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Condition

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.client import Network
from monitor.config import parse
from monitor.discovery.discoverer import Discoverer
from monitor.store import open_store
from tests.recorder import Answer, Recorder

WAIT = 20.0


class Running:
    """A discoverer whose lists are used one after the other, as by the daemon."""

    def __init__(self, folder: Path, text: str, store) -> None:
        self.folder = folder
        self.now = 1000.0
        self.lists = 0
        self._more = Condition()
        self.network = Network(backoff=0.0)
        self.config = self.read(text)
        self.discoverer = Discoverer(
            self.network, store, lambda _path: SecretStr("key"), self._run, self._apply, lambda: self.now
        )
        self._apply()

    def read(self, text: str):
        return parse(text, source="config.yml", directory=self.folder, environ={}, path=self.folder / "config.yml")

    def reload(self, text: str) -> None:
        with self._more:
            self.config = self.read(text)
            self._apply()

    def _apply(self) -> None:
        self.plan = self.discoverer.plan(self.config)
        self.discoverer.apply_plan(self.config, self.plan)

    def _run(self, use):
        done = Future()
        with self._more:
            use()
            self.lists += 1
            self._more.notify_all()
        done.set_result(None)
        return done

    def wait(self, lists: int = 2) -> None:
        """Wait for so many more lists; of two the second began afterwards."""
        with self._more:
            target = self.lists + lists
            assert self._more.wait_for(lambda: self.lists >= target, WAIT)

    @property
    def watched(self):
        return {
            watched.cluster.name: watched.status or ("polled" if watched.polled else "not polled")
            for watched in self.plan.watched
        }


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path}/state.db", retention=1e6, connections=2)
    yield opened
    opened.close()


@contextmanager
def running(folder, text, store):
    monitor = Running(folder, text, store)
    with closing(monitor.network):
        monitor.discoverer.start()
        try:
            yield monitor
        finally:
            monitor.network.stop()
            monitor.discoverer.stop()


def entry(name, **settings):
    return {"name": name, "url": f"http://{name}", **settings}


def inventory(server, **more):
    settings = "".join(f", {key}: {value}" for key, value in more.items())
    return f"discovery: [{{http: {{url: '{server.url}'}}, interval: 100ms{settings}}}]"


def test_a_deleted_cluster_is_removed_after_a_while_and_forgotten_later(tmp_path, store):
    with (
        Recorder(Answer([entry("a"), entry("b")])) as server,
        capture_logs() as logs,
        running(tmp_path, inventory(server, failed_retention="1h"), store) as monitor,
    ):
        monitor.wait()
        server.answers(Answer([entry("b")]))
        monitor.wait(6)
        before = monitor.watched
        monitor.now += 900.0
        monitor.wait()
        removed = monitor.watched
        monitor.now += 3600.0
        monitor.wait()
        forgotten = monitor.watched

    assert before == {"a": "polled", "b": "polled"}
    assert removed == {"a": "removed", "b": "polled"}
    assert forgotten == {"b": "polled"}
    events = [(line["event"], line["milvus_cluster"]) for line in logs if "milvus_cluster" in line]
    assert events == [("cluster_discovered", "a"), ("cluster_discovered", "b"), ("cluster_removed", "a")]
    assert next(line for line in logs if line["event"] == "cluster_removed")["reason"] == "no longer listed"


@pytest.mark.parametrize(
    "answer",
    [
        Answer([]),
        Answer([entry("a"), {"name": "c"}]),
        Answer({}, status=500),
        Answer(hang_up=True, raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[]"),
    ],
)
def test_what_is_not_a_whole_list_changes_nothing_and_is_logged_once(tmp_path, store, answer):
    with (
        Recorder(Answer([entry("a"), entry("b")])) as server,
        capture_logs() as logs,
        running(tmp_path, inventory(server), store) as monitor,
    ):
        monitor.wait()
        server.answers(answer)
        monitor.now += 5000.0
        monitor.wait(6)
        watched, down = monitor.watched, monitor.discoverer.statuses()["http"]
        server.answers(Answer([entry("a"), entry("b")]))
        monitor.wait()
        up = monitor.discoverer.statuses()["http"]

    assert watched == {"a": "polled", "b": "polled"}
    assert (down.up, down.clusters, down.last_success) == (False, 2, 1000.0)
    assert (up.up, up.last_success) == (True, 6000.0)
    events = [line["event"] for line in logs if line["event"].startswith("discovery_")]
    assert events == ["discovery_failed", "discovery_recovered"]


def test_an_outage_at_the_start_leaves_what_was_known_and_a_cluster_without_its_key_waits(tmp_path, store):
    listed = [entry("a"), entry("with-key", api_key="a-hidden-key")]
    with Recorder(Answer(listed)) as server, running(tmp_path, inventory(server), store) as monitor:
        monitor.wait()
        server.answers(Answer([{**listed[0], "name": "renamed"}, listed[1]]))
        monitor.wait()
    kept = store.discovered("http")

    with Recorder(Answer({}, status=503)) as server, running(tmp_path, inventory(server), store) as monitor:
        at_once = monitor.watched
        monitor.wait()
        failed = monitor.watched
        server.answers(Answer([{**listed[0], "name": "renamed"}, {**listed[1], "name": "renamed-with-key"}]))
        monitor.wait()
        later = monitor.watched

    assert "hidden" not in kept
    assert at_once == failed == {"a": "polled", "with-key": "without key"}
    assert later == {"a": "polled", "with-key": "polled"}


def test_a_store_that_is_not_available_costs_only_what_it_would_have_kept(tmp_path):
    class NoStore:
        def discovered(self, _name):
            return None

        def keep_discovered(self, _name, _clusters):
            return False

    with Recorder(Answer([entry("a")])) as server, running(tmp_path, inventory(server), NoStore()) as monitor:
        monitor.wait()
        assert monitor.watched == {"a": "polled"}


def test_a_reload_applies_filters_at_once_and_a_discovery_that_is_renamed_keeps_its_clusters(tmp_path, store):
    with Recorder(Answer([entry("a"), entry("b")])) as server, running(tmp_path, inventory(server), store) as monitor:
        monitor.wait()
        server.answers(Answer({}, status=503))
        monitor.reload(inventory(server, exclude="[{name: a}]"))
        excluded = monitor.watched
        monitor.reload(inventory(server, name="renamed"))
        renamed, statuses = monitor.watched, monitor.discoverer.statuses()
        monitor.reload("clusters: [{name: x, url: 'http://x'}]")
        removed = monitor.watched

    assert excluded == {"b": "polled"}
    assert renamed == {"a": "polled", "b": "polled"}
    assert statuses.keys() == {"renamed"}
    assert removed == {"x": "polled"}


def test_a_discovery_that_hangs_delays_no_other_and_not_the_end(tmp_path, store):
    with Recorder(lambda _connection, incoming: incoming.read()) as hanging, Recorder(Answer([entry("a")])) as server:
        text = (
            f"discovery: [{{http: {{url: '{hanging.url}'}}, timeout: 60s, name: slow}},"
            f" {{http: {{url: '{server.url}'}}, interval: 100ms}}]"
        )
        with running(tmp_path, text, store) as monitor:
            hanging.wait_for_requests(1)
            monitor.wait()
            assert monitor.watched == {"a": "polled"}
            assert not monitor.discoverer.ready()
            assert monitor.discoverer.statuses()["slow"].up is None


def test_too_many_and_invalid_clusters_are_logged_once(tmp_path, store):
    with (
        Recorder(Answer([entry("a"), entry("b"), entry("c")])) as server,
        capture_logs() as logs,
        running(tmp_path, inventory(server, max_clusters=1), store) as monitor,
    ):
        monitor.wait(4)
        assert monitor.watched == {"a": "polled"}

    (line,) = [line for line in logs if line["event"] == "discovered_clusters_skipped"]
    assert (line["clusters"], line["message"]) == (2, "b: beyond max_clusters (1)")


def test_a_damaged_list_in_the_store_is_replaced(tmp_path, store):
    store.keep_discovered("http", "[{]")
    with (
        Recorder(Answer([entry("a")])) as server,
        capture_logs() as logs,
        running(tmp_path, inventory(server), store) as monitor,
    ):
        monitor.wait()
    assert logs[0]["event"] == "discovered_clusters_unreadable"
    assert store.discovered("http").startswith('[{"listed":')


def test_a_discovery_without_a_name_keeps_its_clusters_when_one_before_it_is_removed(tmp_path, store):
    with Recorder(Answer([entry("a")])) as first, Recorder(Answer([entry("b")])) as second:
        both = f"discovery: [{{http: {{url: '{first.url}'}}}}, {{http: {{url: '{second.url}'}}, interval: 100ms}}]"
        with running(tmp_path, both, store) as one:
            one.wait(4)
            second.answers(Answer({}, status=503))
            one.reload(inventory(second))
            watched = one.watched

    assert watched == {"b": "polled"}


def test_a_restart_does_not_shorten_the_time_for_which_a_cluster_has_to_be_missing(tmp_path, store):
    with Recorder(Answer([entry("a"), entry("b")])) as server:
        with running(tmp_path, inventory(server), store) as one:
            one.wait()
            server.answers(Answer([entry("b")]))
            one.wait()
        with running(tmp_path, inventory(server), store) as one:
            one.now += 899.0
            one.wait(4)
            before = one.watched
            one.now += 1.0
            one.wait()
            after = one.watched

    assert before == {"a": "polled", "b": "polled"}
    assert after == {"a": "removed", "b": "polled"}


def test_reloads_while_a_source_hangs_leave_a_few_lists_behind(tmp_path, store):
    with (
        Recorder(lambda _connection, incoming: incoming.read()) as hanging,
        running(tmp_path, inventory(hanging, timeout="60s"), store) as one,
    ):
        hanging.wait_for_requests(1)
        for minutes in range(1, 21):
            one.reload(inventory(hanging, timeout="60s", stall_after=f"{minutes}m"))
        hanging.wait_for_requests(2)
        sent = len(hanging.requests)
        hanging.answers(Answer([entry("a")]))
        hanging.hang_up()
        one.wait()
        assert one.watched == {"a": "polled"}
        assert one.plan.watched[0].cluster.stall_after == 1200.0
    assert sent == 2
