"""Clusters that change hands: taken over before they are polled, and let go at once."""

import pytest
from structlog.testing import capture_logs

from monitor.replicas import Handover, Member, SingleReplica
from monitor.replicas.handover import CLUSTERS_AT_ONCE

NAMES = ["books", "films", "songs"]


class Owned:
    """Replicas of which a test says what this one owns."""

    myself = Member("pod-a", 1)

    def __init__(self, *owned):
        self.owned = set(owned)
        self.known = True

    def owns(self, cluster):
        return cluster in self.owned

    def ownership(self):
        return self.owned.__contains__

    def members(self):
        return (self.myself, Member("pod-b", 2))

    def knows_owners(self):
        return self.known


class Handled:
    """What was done with clusters, and whether they were polled meanwhile."""

    def __init__(self, handover):
        self.handover = handover
        self.steps = []

    def take_over(self, names):
        self.steps.append(("take over", names, [self.handover.polls(name) for name in names]))

    def let_go(self, names):
        self.steps.append(("let go", names, [self.handover.polls(name) for name in names]))


@pytest.fixture
def replicas():
    return Owned()


@pytest.fixture
def handover(replicas):
    return Handover(replicas)


@pytest.fixture
def handled(handover):
    return Handled(handover)


def test_a_cluster_is_polled_and_shown_only_after_it_was_taken_over(replicas, handover, handled):
    replicas.owned = {"books"}
    before = handover.polls("books"), handover.holds("books")
    handover.refresh(NAMES, handled)

    assert before == (False, False)
    assert handled.steps == [("take over", ["books"], [False])]
    assert (handover.polls("books"), handover.holds("books")) == (True, True)
    assert not handover.polls("films")


def test_a_cluster_that_is_owned_no_longer_is_not_polled_from_that_moment_and_hidden_before_it_is_stored(
    replicas, handover, handled
):
    replicas.owned = {"books", "films"}
    handover.refresh(NAMES, handled)
    replicas.owned = {"films", "songs"}
    at_once = handover.polls("books")
    handover.refresh(NAMES, handled)

    assert not at_once
    assert handled.steps[1:] == [("let go", ["books"], [False]), ("take over", ["songs"], [False])]
    assert handover.held == {"films", "songs"}


def test_what_stays_is_neither_let_go_nor_taken_over_again(replicas, handover, handled):
    replicas.owned = set(NAMES)
    handover.refresh(NAMES, handled)
    handover.refresh(NAMES, handled)

    assert len(handled.steps) == 1


def test_no_cluster_is_looked_at_while_nothing_has_changed(replicas, handover, handled):
    looked_at = []
    replicas.ownership = lambda: looked_at.append
    for _ in range(3):
        handover.refresh(frozenset(NAMES), handled)

    assert sorted(looked_at) == NAMES


def test_a_cluster_that_was_removed_is_forgotten_and_taken_over_when_it_comes_back(replicas, handover, handled):
    replicas.owned = {"books"}
    handover.refresh(NAMES, handled)
    handover.refresh(["films"], handled)
    handover.refresh(NAMES, handled)

    assert [step[:2] for step in handled.steps] == [("take over", ["books"])] * 2


def test_the_first_of_many_clusters_are_polled_while_the_others_are_loaded(replicas, handover, handled):
    names = [f"prod-{number:04}" for number in range(2 * CLUSTERS_AT_ONCE + 1)]
    replicas.owned = set(names)
    polled = []
    handled.take_over = lambda some: polled.append((len(some), len(handover.held)))
    handover.refresh(names, handled)

    assert polled == [(CLUSTERS_AT_ONCE, 0), (CLUSTERS_AT_ONCE, CLUSTERS_AT_ONCE), (1, 2 * CLUSTERS_AT_ONCE)]


def test_changes_are_logged_with_their_counts(replicas, handover, handled):
    replicas.owned = {"books", "films"}
    with capture_logs() as logged:
        handover.refresh(NAMES, handled)
        replicas.owned = {"films"}
        handover.refresh(NAMES, handled)
        handover.refresh(NAMES, handled)

    assert [(line["event"], line["clusters"], line["owned"], line["replicas"]) for line in logged] == [
        ("clusters_taken_over", 2, 2, 2),
        ("clusters_released", 1, 1, 2),
    ]


def test_it_is_ready_once_the_owners_are_known_and_stays_so(replicas, handover, handled):
    replicas.known = False
    handover.refresh(NAMES, handled)
    before = handover.ready()
    replicas.known = True
    handover.refresh(NAMES, handled)
    replicas.known = False
    handover.refresh(NAMES, handled)

    assert not before
    assert handover.ready()


def test_a_monitor_with_a_database_of_its_own_polls_everything_from_the_start(handled):
    handover = Handover(SingleReplica("pod-a"))
    handover.refresh(NAMES, handled)

    assert handover.ready()
    assert all(handover.polls(name) and handover.holds(name) for name in NAMES)
    assert handled.steps == []
