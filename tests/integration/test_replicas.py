"""Monitors on one PostgreSQL share the clusters, each of which has one owner, whatever happens to them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from monitor.replicas import open_replicas
from monitor.replicas.membership import Membership
from monitor.replicas.session import ReplicaSession, ReplicasRefusedError
from monitor.store import StoreError
from tests.pgbouncer import running_pgbouncer
from tests.replica import CLUSTERS

TAKEOVER, HEARTBEAT = 5.0, 0.3
WAIT = 60.0

pytestmark = pytest.mark.timeout(300)  # a busy machine takes its time to start processes
CONTINUOUS = 1.0
"""Seconds between two samples, at most, for a cluster that is owned in both to count as owned in between."""


def wait_until(condition, *, within=WAIT):
    """Wait for something that happens in another process or in PostgreSQL."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Replica:
    """A membership in a process of its own."""

    def __init__(self, url):
        command = [sys.executable, "-m", "tests.replica", url, str(TAKEOVER), str(HEARTBEAT)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[2]
        )
        self.samples = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.samples.append(json.loads(line))

    def owned(self):
        alive = self.process.poll() is None and self.samples
        return set(self.samples[-1]["owned"]) if alive else set()

    def next_sample(self):
        """Wait for a sample that was taken from now on."""
        now = time.monotonic()
        wait_until(lambda: self.samples and self.samples[-1]["at"] > now)
        return self.samples[-1]

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(timeout=WAIT)
        self._reader.join(WAIT)
        self.process.stdout.close()

    def owned_periods(self):
        """From when to when each cluster was certainly owned."""
        return [
            (first["at"], second["at"], name)
            for first, second in pairwise(self.samples)
            if second["at"] - first["at"] < CONTINUOUS
            for name in set(first["owned"]) & set(second["owned"])
        ]


class Fleet:
    def __init__(self, url):
        self._url = url
        self.all = []

    def start(self):
        self.all.append(Replica(self._url))
        return self.all[-1]

    def wait_until_shared(self, *replicas):
        """Wait until each of these has a share, and every cluster an owner among them."""

        def shared():
            shares = [replica.owned() for replica in replicas]
            return all(shares) and sum(map(len, shares)) == len(CLUSTERS) == len(set.union(*shares))

        wait_until(shared)

    def owned_twice(self):
        """Whatever two owned at the same time."""
        by_cluster = {}
        for replica in self.all:
            for start, end, name in replica.owned_periods():
                by_cluster.setdefault(name, []).append((start, end, replica.process.pid))
        twice = []
        for name, periods in by_cluster.items():
            periods.sort()
            for (_, end, one), (start, _, other) in pairwise(periods):
                if one != other and start < end:
                    twice.append((name, start, end))
        return twice


@contextmanager
def fleet_on(postgres):
    fleet = Fleet(postgres.url)
    try:
        yield fleet
    finally:
        for replica in fleet.all:
            if replica.process.poll() is None:
                replica.end(signal.SIGKILL)


def test_replicas_take_over_from_one_another_and_no_cluster_has_two_owners(server):
    with fleet_on(server) as fleet:
        one, two, three = fleet.start(), fleet.start(), fleet.start()
        fleet.wait_until_shared(one, two, three)
        share = three.owned()
        kept = one.owned()

        three.process.send_signal(signal.SIGSTOP)
        fleet.wait_until_shared(one, two)
        assert one.owned() >= kept  # only what was the other's has moved
        three.process.send_signal(signal.SIGCONT)
        resumed = three.next_sample()
        fleet.wait_until_shared(one, two, three)
        assert three.owned() == share
        assert resumed["owned"] == []

        two.end(signal.SIGKILL)
        fleet.wait_until_shared(one, three)
        four = fleet.start()
        fleet.wait_until_shared(one, three, four)
        one.end(signal.SIGTERM)
        fleet.wait_until_shared(three, four)

        assert one.samples[-1]["owned"] == []
        assert fleet.owned_twice() == []


def test_each_replica_goes_on_with_its_share_while_postgres_is_away_and_comes_back(server):
    with fleet_on(server) as fleet:
        one, two, three = fleet.start(), fleet.start(), fleet.start()
        fleet.wait_until_shared(one, two, three)
        wait_until(lambda: agree(server, 3))
        shares, away_since = [replica.owned() for replica in fleet.all], time.monotonic()
        server.stop()
        try:
            wait_until(lambda: all(each.next_sample()["at"] > away_since + 1.5 * TAKEOVER for each in fleet.all))
        finally:
            server.start()
        wait_until(lambda: agree(server, 3))
        end_sessions(server)
        wait_until(lambda: agree(server, 3))
        until = min(each.next_sample()["at"] for each in fleet.all)
        two.end(signal.SIGKILL)
        fleet.wait_until_shared(one, three)

    for replica, share in zip(fleet.all, shares, strict=True):
        samples = [sample for sample in replica.samples if away_since < sample["at"] < until]
        assert [sample for sample in samples if set(sample["owned"]) != share] == []
    assert fleet.owned_twice() == []


def agree(server, number):
    """Say whether so many members act by the same members, which they show by a lock on one number."""
    with psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT classid, objid, count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 GROUP BY 1, 2"
        ).fetchall()
    return sorted(holders for *_, holders in rows) == [*[1] * number, number]


def end_sessions(server):
    with psycopg.connect(server.url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name LIKE 'milvus-import-monitor@%'"
        )


@contextmanager
def member(url, name="one", **options):
    membership = Membership(url, name, **{"takeover": TAKEOVER, "heartbeat": HEARTBEAT} | options)
    try:
        yield membership
    finally:
        membership.release()


def owns_all(membership):
    return all(membership.owns(name) for name in CLUSTERS)


def test_the_members_are_known_by_name_and_changes_are_logged_once(server):
    changes = []
    with capture_logs() as logged, member(server.url, "pod-a", on_change=changes.append) as one:
        one.start()
        wait_until(lambda: owns_all(one))
        with member(server.url, "pod-b") as two:
            two.start()
            wait_until(lambda: changes and len(changes[-1]) == 2 and any(map(two.owns, CLUSTERS)))
            seen = [[each.name for each in replica.members()] for replica in (one, two)]
            owners = {replica.owner(name) == replica.owner(name) for name in CLUSTERS for replica in (one, two)}
            names = {one.owner(name).name for name in CLUSTERS}
        wait_until(lambda: owns_all(one))
        wait_until(lambda: len(changes[-1]) == 1)

    assert seen == [["pod-a", "pod-b"]] * 2
    assert owners == {True}
    assert names == {"pod-a", "pod-b"}
    assert [[each.name for each in change] for change in changes] == [["pod-a"], ["pod-a", "pod-b"], ["pod-a"]]
    by_first = [(line["event"], line["replica"], line["replicas"]) for line in logged]
    assert sorted(by_first) == sorted(
        [
            ("replica_joined", "pod-a", 1),
            ("replica_joined", "pod-b", 2),  # in the log of the one
            ("replica_joined", "pod-b", 2),  # and in that of the other
            ("replica_lost", "pod-b", 1),
        ]
    )


def test_a_long_name_of_a_pod_keeps_the_end_that_is_its_own(server):
    name = "a-very-long-name-of-a-release-milvus-import-monitor-6d5c7b9f4-x2x9k"
    with member(server.url, name) as one, member(server.url, "two") as two:
        one.start()
        two.start()
        wait_until(lambda: len(two.members()) == 2)

        assert one.myself.name == name
        assert any(each.name.endswith("-6d5c7b9f4-x2x9k") for each in two.members())


def test_a_session_that_freezes_is_replaced_by_another_one(server):
    with member(server.url) as one:
        one.start()
        wait_until(lambda: owns_all(one))
        [frozen] = sessions(server)
        os.kill(frozen, signal.SIGSTOP)
        try:
            kept = []
            wait_until(lambda: kept.append(owns_all(one)) or set(sessions(server)) - {frozen})
            wait_until(lambda: owns_all(one) and one.in_contact())
        finally:
            with suppress(ProcessLookupError):
                os.kill(frozen, signal.SIGCONT)
        wait_until(lambda: frozen not in sessions(server))

    assert kept[0]


def test_the_server_ends_the_session_of_one_that_sends_nothing(server):
    silent = ReplicaSession(server.url, 1, "silent", session_timeout=1.0)
    silent.join()
    try:
        with member(server.url) as one:
            one.start()
            wait_until(lambda: owns_all(one))

        with pytest.raises(psycopg.errors.IdleSessionTimeout):
            silent.members()
    finally:
        silent.close()


def sessions(server):
    with psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'milvus-import-monitor@%'"
        ).fetchall()
    return [pid for (pid,) in rows]


def test_who_is_back_lets_nobody_take_over_before_it_has_recorded_what_it_has_seen(server):
    recorded = threading.Event()
    recorded.set()
    with (
        member(server.url, takeover=WAIT, is_recorded=recorded.is_set) as one,
        member(server.url, "two", takeover=WAIT) as two,
    ):
        one.start()
        wait_until(lambda: owns_all(one))
        recorded.clear()
        end_sessions(server)
        two.start()
        wait_until(lambda: len(one.members()) == len(two.members()) == 2)
        before = any(map(two.owns, CLUSTERS)), agree(server, 2)
        recorded.set()
        wait_until(lambda: any(map(two.owns, CLUSTERS)))
        recorded.clear()  # it is in contact: only its own outage counts
        two.release()
        wait_until(lambda: owns_all(one))

    assert before == (False, False)


def test_a_user_that_changes_is_used_for_the_next_session(server):
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE rotated LOGIN SUPERUSER")
    try:
        with member(server.url) as one:
            one.start()
            wait_until(lambda: owns_all(one))
            [first] = sessions(server)
            changed = one.change_credentials(server.url.replace("//postgres@", "//rotated@"))
            elsewhere = one.change_credentials("postgresql://rotated@localhost/other")
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", (first,))
            wait_until(lambda: [each for each in sessions(server) if each != first])
            users = session_users(server)
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("DROP ROLE rotated")

    assert (changed, elsewhere) == (True, False)
    assert users == ["rotated"]


def session_users(server):
    with psycopg.connect(server.url) as connection:
        rows = connection.execute(
            "SELECT usename FROM pg_stat_activity WHERE application_name LIKE 'milvus-import-monitor@%'"
        ).fetchall()
    return [user for (user,) in rows]


def test_who_cannot_reach_the_database_owns_everything_in_the_end_and_logs_it_once(tmp_path):
    with capture_logs() as logged, member(f"postgresql://me@localhost/none?host={tmp_path}", takeover=2.0) as one:
        one.start()
        assert not one.in_contact()
        assert one.members() == (one.myself,)
        assert one.owner(CLUSTERS[0]) is None
        wait_until(lambda: owns_all(one))

    assert [line["event"] for line in logged] == ["replicas_unreachable"]
    assert "No such file" in logged[0]["message"]


def test_monitors_in_two_schemas_of_one_database_do_not_share(server):
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
    other = server.url + "&options=-csearch_path%3Dother"
    with member(server.url) as one, member(other, "two") as two:
        one.start()
        two.start()
        wait_until(lambda: owns_all(one) and owns_all(two))
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA other")

        assert len(one.members()) == len(two.members()) == 1


@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused(server, pool_mode):
    with running_pgbouncer(server, pool_mode) as pooler, capture_logs() as logged, member(pooler.url) as one:
        with pytest.raises(ReplicasRefusedError, match=r"directly \(state\.url\), or set pool_mode = session"):
            one.start()

        assert not one.owns(CLUSTERS[0])
    assert logged == []


def test_a_pooler_of_sessions_is_as_good_as_none(server):
    with running_pgbouncer(server, "session") as pooler, member(pooler.url) as one, member(server.url, "two") as two:
        one.start()
        two.start()
        wait_until(lambda: any(map(one.owns, CLUSTERS)) and any(map(two.owns, CLUSTERS)))
        assert all(one.owns(name) != two.owns(name) for name in CLUSTERS)
        one.release()
        wait_until(lambda: owns_all(two))


def test_a_url_that_cannot_be_understood_is_refused_without_its_password():
    with pytest.raises(StoreError) as refused:
        open_replicas("postgresql://me:hunter2@host/database?unknown=1", takeover=TAKEOVER)

    assert "hunter2" not in str(refused.value)
