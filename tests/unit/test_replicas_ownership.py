"""Which clusters are whose: as few as possible move, and none has two owners."""

import os
import random
import socket
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.replicas import open_replicas, replica_name
from monitor.replicas.ownership import Ownership, owner, view_id

CLUSTERS = [f"prod-{number}" for number in range(60)]
SESSION_TIMEOUT, HEARTBEAT, SETTLE, MARGIN = 8.0, 1.0, 1.5, 0.5
IDS = st.integers(0, 2**31 - 1)


@given(st.sets(IDS, min_size=1, max_size=10), IDS, st.lists(st.text(), max_size=20))
def test_only_the_clusters_of_a_member_move_when_it_joins_or_leaves(members, other, clusters):
    for cluster in clusters:
        before, after = owner(cluster, members - {other}), owner(cluster, members | {other})

        assert after in {before, other}


@given(st.lists(IDS, min_size=1, max_size=10, unique=True), st.text())
def test_the_owner_is_the_same_in_whatever_order_the_members_are_seen(members, cluster):
    shuffled = random.Random(1).sample(members, len(members))

    assert owner(cluster, members) == owner(cluster, shuffled)
    assert view_id(frozenset(members)) == view_id(frozenset(shuffled))


def test_the_owner_is_the_same_in_every_version():
    """Monitors of two versions share the clusters during an update."""
    assert [owner(name, [1, 2, 3]) for name in ("a", "b", "c", "d", "größe")] == [1, 3, 2, 2, 1]


def test_each_member_owns_about_its_share():
    shares = Counter(owner(f"cluster-{number}", range(10)) for number in range(10_000))

    assert len(shares) == 10
    assert all(850 < share < 1150 for share in shares.values()), shares


def test_nobody_owns_a_cluster_where_there_are_no_members():
    assert owner("a", []) is None


@pytest.mark.parametrize("url", ["memory://", "sqlite:///state.db"])
def test_a_monitor_with_a_database_of_its_own_owns_everything(url):
    single = open_replicas(url, takeover=8.0)
    single.start()
    single.release()

    assert single.owns("a")
    assert single.owner("a") == single.myself
    assert single.members() == (single.myself,)
    assert single.in_contact()


def test_a_monitor_is_called_by_its_pod_or_by_its_host_and_process():
    assert replica_name({"POD_NAME": "monitor-0"}) == "monitor-0"
    assert replica_name({}) == f"{socket.gethostname()}:{os.getpid()}"


class Server:
    """Which members there are, and by which view each of them acts."""

    def __init__(self):
        self.sessions = {}  # by id: the time of the last contact, and the view
        self.is_up = True

    def end_idle_sessions(self, now):
        self.sessions = {number: it for number, it in self.sessions.items() if now < it[0] + SESSION_TIMEOUT}

    def contact(self, replica, now):
        """Return the members as a replica sees them, whether all act by that, and whether it has joined just now."""
        joined = replica.id not in self.sessions
        self.sessions[replica.id] = (now, None if joined else self.sessions[replica.id][1])
        members = frozenset(self.sessions)
        return members, all(view == members for _, view in self.sessions.values()), joined


class Replica:
    def __init__(self, number, now):
        self.id = number
        self.is_running = True
        self.next_at = now
        self.ownership = Ownership(number, now, session_timeout=SESSION_TIMEOUT, settle=SETTLE, margin=MARGIN)

    def heartbeat(self, server, now):
        self.next_at = now + HEARTBEAT
        if not server.is_up:
            self.ownership.out_of_contact(now)
            return
        members, agreed, joined = server.contact(self, now)
        self.ownership.seen(members, agreed=agreed, joined=joined, asked_at=now, answered_at=now)
        server.sessions[self.id] = (now, members)

    def owned(self, now):
        return {name for name in CLUSTERS if self.is_running and self.ownership.owns(name, now)}


class Fleet:
    """Replicas with one server, at a time of its own."""

    def __init__(self, *numbers):
        self.now = 1000.0
        self.server = Server()
        self.replicas = {number: Replica(number, self.now) for number in numbers}
        self.most_owners = 0
        self.fewest_owners = 0

    def watch_from_now(self):
        """Count the owners of each cluster from now on."""
        self.most_owners, self.fewest_owners = 0, len(self.replicas)

    def run(self, seconds):
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.server.end_idle_sessions(self.now)
            for replica in self.replicas.values():
                if replica.is_running and replica.next_at <= self.now:
                    replica.heartbeat(self.server, self.now)
            owners = self.owners()
            self.most_owners = max([self.most_owners, *owners.values()])
            self.fewest_owners = min([self.fewest_owners, *(owners[name] for name in CLUSTERS)])

    def owners(self):
        return Counter(name for replica in self.replicas.values() for name in replica.owned(self.now))

    def join(self, number):
        self.replicas[number] = Replica(number, self.now)

    def kill(self, number):
        del self.replicas[number]
        self.server.sessions.pop(number, None)

    def is_shared(self):
        return self.owners() == dict.fromkeys(CLUSTERS, 1)

    def cut_off(self, number, seconds):
        """Let one replica alone not reach the server, which ends its session."""
        replica = self.replicas[number]
        for _ in range(round(seconds / HEARTBEAT)):
            replica.ownership.out_of_contact(self.now)
            replica.next_at = self.now + 2 * HEARTBEAT
            self.run(HEARTBEAT)
        replica.next_at = self.now

    def restart_server(self, seconds):
        self.server.is_up, self.server.sessions = False, {}
        self.run(seconds)
        self.server.is_up = True


def test_members_share_the_clusters_and_take_over_within_three_heartbeats():
    fleet = Fleet(1, 2, 3)
    fleet.run(3.5)
    assert fleet.is_shared()
    fleet.join(4)
    fleet.run(3.5)
    assert fleet.is_shared()
    assert fleet.replicas[4].owned(fleet.now)
    fleet.kill(2)
    fleet.run(3.5)
    assert fleet.is_shared()
    assert fleet.most_owners == 1


def test_a_suspended_member_loses_its_clusters_and_has_none_when_it_is_resumed():
    fleet = Fleet(1, 2, 3)
    fleet.run(4)
    share = fleet.replicas[3].owned(fleet.now)
    fleet.replicas[3].is_running = False
    fleet.run(SESSION_TIMEOUT + 3.5)
    assert fleet.is_shared()
    fleet.replicas[3].is_running = True
    assert fleet.is_shared()
    fleet.run(4)
    assert fleet.is_shared()
    assert fleet.replicas[3].owned(fleet.now) == share
    assert fleet.most_owners == 1


def test_each_member_goes_on_with_its_clusters_while_the_database_is_away():
    fleet = Fleet(1, 2, 3)
    fleet.run(4)
    shares = [replica.owned(fleet.now) for replica in fleet.replicas.values()]
    for _ in range(100):
        fleet.restart_server(1)
        fleet.server.is_up = False
        assert [replica.owned(fleet.now) for replica in fleet.replicas.values()] == shares
    fleet.server.is_up = True
    fleet.run(4)
    assert fleet.is_shared()
    assert fleet.most_owners == 1


@given(st.lists(st.tuples(st.floats(0.1, 10), st.lists(st.floats(0, 3), min_size=3, max_size=3)), max_size=3))
def test_each_cluster_has_one_owner_all_the_time_while_the_server_restarts(restarts):
    fleet = Fleet(1, 2, 3)
    fleet.run(4)
    fleet.watch_from_now()
    for seconds, delays in restarts:
        fleet.restart_server(seconds)
        for replica, delay in zip(fleet.replicas.values(), delays, strict=True):
            replica.next_at = fleet.now + delay
        fleet.run(3.5)  # each is in contact again: one that does nothing for longer counts as suspended
    fleet.run(6)

    assert (fleet.fewest_owners, fleet.most_owners) == (1, 1)
    assert fleet.is_shared()


def test_who_was_cut_off_alone_goes_on_and_the_others_let_go_what_they_took_over_at_once():
    fleet = Fleet(1, 2, 3)
    fleet.run(4)
    share = fleet.replicas[3].owned(fleet.now)
    fleet.watch_from_now()
    fleet.cut_off(3, 2 * SESSION_TIMEOUT)
    while_cut_off = fleet.most_owners, fleet.replicas[3].owned(fleet.now)
    fleet.run(HEARTBEAT + 0.2)
    fewest = fleet.fewest_owners
    fleet.watch_from_now()
    fleet.run(4)

    assert while_cut_off == (2, share)
    assert (fewest, fleet.fewest_owners, fleet.most_owners) == (1, 1, 1)
    assert fleet.replicas[3].owned(fleet.now) == share


def test_who_was_cut_off_while_another_joined_leaves_to_it_what_is_its_own_by_now():
    fleet = Fleet(1, 2)
    fleet.run(4)
    fleet.replicas[2].next_at = fleet.now + 2 * SESSION_TIMEOUT
    fleet.join(3)
    fleet.cut_off(2, 2 * SESSION_TIMEOUT)
    fleet.run(HEARTBEAT + 0.2)
    fleet.watch_from_now()
    fleet.run(4)

    assert fleet.is_shared()
    assert (fleet.fewest_owners, fleet.most_owners) == (1, 1)


def test_who_is_not_back_yet_after_an_outage_keeps_its_clusters_for_the_time_of_a_takeover():
    fleet = Fleet(1, 2, 3)
    fleet.run(4)
    fleet.restart_server(20)
    fleet.replicas[3].next_at = fleet.now + SESSION_TIMEOUT - 3
    fleet.run(SESSION_TIMEOUT - 2)
    assert fleet.most_owners == 1
    fleet.run(4)
    assert fleet.is_shared()
    assert fleet.most_owners == 1


def test_who_died_during_an_outage_is_replaced_after_the_time_of_a_takeover():
    fleet = Fleet(1, 2, 3)
    fleet.run(4)
    fleet.restart_server(20)
    fleet.kill(3)
    fleet.run(SESSION_TIMEOUT + 3)

    assert fleet.is_shared()
    assert fleet.most_owners == 1


def test_who_never_reached_the_database_owns_everything_after_the_time_of_a_takeover():
    fleet = Fleet(1)
    fleet.server.is_up = False
    fleet.run(SESSION_TIMEOUT - 0.5)
    early = fleet.owners()
    fleet.run(1)
    assert not early
    assert fleet.is_shared()
    fleet.server.is_up = True
    fleet.join(2)
    fleet.run(4)
    assert fleet.is_shared()
    assert fleet.most_owners == 1


def test_who_was_suspended_and_finds_the_database_away_goes_on_after_the_time_of_a_takeover():
    fleet = Fleet(1)
    fleet.run(4)
    fleet.replicas[1].is_running = fleet.server.is_up = False
    fleet.run(60)
    fleet.replicas[1].is_running = True
    fleet.run(1)
    assert not fleet.owners()
    fleet.run(SESSION_TIMEOUT)
    assert fleet.is_shared()


def test_a_session_that_breaks_at_every_contact_does_not_stop_the_polls_for_ever():
    fleet = Fleet(1, 2)
    fleet.run(4)
    replica, owned = fleet.replicas[1], []
    for _ in range(40):
        fleet.server.sessions.pop(1)
        fleet.run(0.5)
        replica.next_at = fleet.now
        owned.append(bool(replica.owned(fleet.now)))

    assert all(owned[20:])


def test_who_loses_its_session_and_is_a_little_late_to_notice_keeps_its_clusters_alone():
    fleet = Fleet(1, 2)
    fleet.run(4)
    fleet.server.sessions.pop(1)
    fleet.replicas[1].next_at, fleet.replicas[2].next_at = fleet.now + 1.3, fleet.now
    fleet.run(5)

    assert fleet.is_shared()
    assert fleet.most_owners == 1


def test_who_has_released_its_clusters_never_owns_one_again():
    fleet = Fleet(1)
    fleet.run(4)
    fleet.replicas[1].ownership.release()
    fleet.run(2)
    fleet.server.is_up = False
    fleet.run(20)

    assert not fleet.owners()


def events(*kinds):
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(1, 5), st.floats(0, 12)), max_size=12)


def happen(fleet, events):
    """Let these happen to replicas, each for some seconds, and wait until all of it is over."""
    for event, number, seconds in events:
        replica = fleet.replicas.get(number)
        if event == "join" and replica is None:
            fleet.join(number)
        elif replica is None:
            continue
        elif event == "kill":
            fleet.kill(number)
        elif event == "restart":
            fleet.restart_server(seconds)
        elif event == "cut off":
            if replica.is_running:
                fleet.cut_off(number, seconds)
        elif event == "delay":
            replica.next_at += seconds
        else:
            replica.is_running = event == "resume"
        fleet.run(seconds)
    fleet.run(2 * SESSION_TIMEOUT + 4)


@given(events("join", "kill", "suspend", "resume", "delay"))
def test_no_cluster_ever_has_two_owners_and_each_has_one_in_the_end(events):
    fleet = Fleet(1, 2, 3)
    happen(fleet, events)

    assert fleet.most_owners <= 1
    assert fleet.is_shared() or not any(replica.is_running for replica in fleet.replicas.values())


@given(events("join", "kill", "suspend", "resume", "delay", "cut off", "restart"))
def test_each_cluster_has_one_owner_in_the_end_also_when_replicas_are_cut_off_and_the_server_restarts(events):
    fleet = Fleet(1, 2, 3)
    happen(fleet, events)

    assert fleet.is_shared() or not any(replica.is_running for replica in fleet.replicas.values())
