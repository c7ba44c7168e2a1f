"""Daemons that share the clusters on one PostgreSQL are killed, stopped, ended and joined by others.

Each cluster goes on being polled by one of them, and each transition is recorded and logged once.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise

import psycopg
import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import finished, started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.fakes.swallowing import SwallowingProxy
from tests.postgres import running_postgres

CLUSTERS = 60
INTERVAL, TAKEOVER = 2.0, 5.0
ROUNDS = int(os.environ.get("MONITOR_REPLICA_ROUNDS", "1"))
"""How often everything happens to the daemons."""

LONGEST_GAP = INTERVAL + TAKEOVER + 2.0
"""Seconds: the others notice a monitor that hangs after ``takeover``, and have agreed about that a little later."""

BUSY_MACHINE = 3.0
"""Seconds by which a poll may be later than promised, because all these processes share few cores with other tests."""

NOT_YET_MARKED = 4.0
"""Seconds before a monitor is killed or stopped: what it logged in them may be logged by another one again."""

LIFE = ("Pending", "Importing", "Completed")
CHANCE = 0.15
"""Of a cluster to go on with its story at each of its moments."""
WAIT = 60.0

pytestmark = pytest.mark.timeout(600)


class Polls:
    """When each cluster was asked for its list."""

    def __init__(self, world):
        self.times = {name: [] for name in world.clusters}
        for cluster in world.clusters.values():
            self._watch(cluster)

    def _watch(self, cluster):
        record_request, times = cluster.record_request, self.times[cluster.id]

        def watched(endpoint):
            if endpoint == "list":
                times.append(time.monotonic())
            return record_request(endpoint)

        cluster.record_request = watched

    def longest_gap(self, since):
        return max(
            later - earlier
            for times in self.times.values()
            for earlier, later in pairwise([each for each in times if each >= since] + [time.monotonic()])
        )

    def number(self, since):
        return sum(each >= since for times in self.times.values() for each in times)


class Story(threading.Thread):
    """A job in each cluster, which takes its next step once the previous one has been recorded."""

    def __init__(self, world, url):
        super().__init__(daemon=True)
        self._url = url
        self._random = random.Random(1)
        self._stopping = threading.Event()
        self._lives = {cluster: [] for cluster in world.clusters.values()}
        self._jobs = {}

    def run(self):
        while not self._stopping.wait(0.5):
            with suppress(psycopg.Error):  # restarted
                self._go_on(Counter(step for step, _ in recorded(self._url)))

    def _go_on(self, known):
        for cluster, life in self._lives.items():
            if (not life or known[life[-1]]) and self._random.random() < CHANCE:
                self._lives[cluster] = [*life, self._next_step(cluster, life)]

    def _next_step(self, cluster, life):
        number = len(life) % len(LIFE)
        if number == 0:
            self._jobs[cluster] = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen(LIFE[0]))
            return cluster.id, self._jobs[cluster].id, "new", LIFE[0].lower()
        set_status(self._jobs[cluster], state=LIFE[number])
        return cluster.id, self._jobs[cluster].id, LIFE[number - 1].lower(), LIFE[number].lower()

    @property
    def happened(self):
        """Each step of each job."""
        return [step for life in self._lives.values() for step in life]

    def end(self):
        """End the story, and wait until all of it is recorded."""
        self._stopping.set()
        self.join(WAIT)
        wait_until(lambda: {step for step, _ in recorded(self._url)} >= set(self.happened))


def recorded(url):
    """Each recorded transition, and when it was recorded."""
    with psycopg.connect(url, connect_timeout=2) as connection:
        rows = connection.execute("SELECT cluster, job_id, from_state, to_state, recorded_at FROM transitions")
        return [((name, job_id, before or "new", after), at) for name, job_id, before, after, at in rows]


def assert_older_version_is_refused(config, url):
    """Start a monitor while the store is of a newer version, as one that was not yet updated would find it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE schema SET version = version + 1")
        older = finished("run", "-c", config)
        connection.execute("UPDATE schema SET version = version - 1")
    assert older.returncode == 1
    assert "newer version" in older.stderr


def owned(scrape):
    return {labels["milvus_cluster"] for labels, _ in scrape.named("milvus_import_cluster_owned")}


def wait_until(condition, within=WAIT):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Fleet:
    def __init__(self, stack, config):
        self._stack = stack
        self._config = config
        self.all = []
        self.cut_short = []

    def start(self, **environment):
        name = f"pod-{len(self.all)}"
        daemon = self._stack.enter_context(started("run", "-c", self._config, POD_NAME=name, **environment))
        self.all.append(daemon)
        return daemon

    def send(self, daemon, number):
        if number in (signal.SIGKILL, signal.SIGSTOP):
            self.cut_short.append(time.time())
        daemon.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            daemon.process.wait(timeout=WAIT)

    def wait_until_shared(self, *daemons):
        """Wait until each of these polls some clusters, and every cluster is polled by one of them."""

        def shared():
            scrapes = [daemon.metrics() for daemon in daemons]
            shares = [owned(scrape) for scrape in scrapes]
            return (
                all(shares)
                and sum(map(len, shares)) == len(set.union(*shares)) == CLUSTERS
                and {scrape.value("milvus_import_replicas") for scrape in scrapes} == {len(daemons)}
            )

        wait_until(shared)

    def number_of(self, event):
        return sum(len(daemon.lines(event)) for daemon in self.all)

    def lines_of(self, steps):
        """Who has logged these transitions, and when."""
        lines = [(number, line) for number, one in enumerate(self.all) for line in one.lines("import_job_transition")]
        return [(number, line) for number, line in lines if (line["milvus_cluster"], line["job_id"]) in steps]

    def logged(self):
        return Counter(
            (line["milvus_cluster"], line["job_id"], line["from_state"], line["to_state"])
            for daemon in self.all
            for line in daemon.lines("import_job_transition")
        )


@contextmanager
def clusters_and_config(folder, url):
    """Simulated clusters, and the config of monitors that share them; the URL of the state may be a variable's."""
    world = World()
    for number in range(CLUSTERS):
        world.add_cluster(f"prod-{number}", generation="milvus")
    with SimulatorServer(world) as server:
        yield (
            world,
            write_config(
                folder,
                *(f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in world.clusters),
                state=f"{{url: '{url}'}}",
                poll=f"{{interval: {INTERVAL:g}s, timeout: 5s}}",
                replicas=f"{{takeover: {TAKEOVER:g}s}}",
                log="{format: json, level: info}",
            ),
        )


def test_each_cluster_is_polled_by_one_and_nothing_is_lost_or_told_twice(tmp_path, record_property):
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        world, config = stack.enter_context(clusters_and_config(tmp_path, postgres.url))
        polls = Polls(world)
        fleet = Fleet(stack, config)
        one, two, three = fleet.start(), fleet.start(), fleet.start()
        fleet.wait_until_shared(one, two, three)
        wait_until(lambda: fleet.number_of("cluster_baseline") == CLUSTERS)
        since = time.monotonic()
        story = Story(world, postgres.url)
        story.start()
        for _ in range(ROUNDS):
            fleet.send(one, signal.SIGKILL)
            fleet.wait_until_shared(two, three)
            four = fleet.start()
            fleet.wait_until_shared(two, three, four)

            fleet.send(two, signal.SIGSTOP)
            fleet.wait_until_shared(three, four)
            fleet.send(two, signal.SIGCONT)
            fleet.wait_until_shared(two, three, four)

            assert_older_version_is_refused(config, postgres.url)
            fleet.send(three, signal.SIGTERM)
            fleet.wait_until_shared(two, four)
            postgres.stop()
            postgres.start()
            fleet.wait_until_shared(two, four)
            one, three = two, fleet.start()
            two = four
            fleet.wait_until_shared(one, two, three)
        longest_gap = polls.longest_gap(since)
        number, planned = polls.number(since), CLUSTERS * (time.monotonic() - since) / INTERVAL
        story.end()
        steps = recorded(postgres.url)
        wait_until(lambda: set(fleet.logged()) >= set(story.happened))
        logged = fleet.logged()

    told_again = [
        step
        for step, at in steps
        if logged[step] > 1 and not any(-1.0 <= cut - at <= NOT_YET_MARKED for cut in fleet.cut_short)
    ]
    record_property("replica_hand_overs", 6 * ROUNDS)
    record_property("replica_longest_gap", round(longest_gap, 1))
    record_property("replica_requests_of_plan", round(number / planned, 2))
    record_property("replica_transitions", len(steps))
    assert Counter(step for step, _ in steps) == Counter(story.happened)
    assert set(logged) == set(story.happened)
    assert told_again == [], fleet.lines_of({step[:2] for step in told_again})
    assert longest_gap <= LONGEST_GAP + BUSY_MACHINE
    assert number <= 1.05 * planned


def test_a_monitor_that_is_cut_off_goes_on_and_doubles_requests_but_no_transitions(tmp_path):
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        proxy = stack.enter_context(SwallowingProxy(f"{postgres.folder}/.s.PGSQL.5432"))
        world, config = stack.enter_context(clusters_and_config(tmp_path, "${STATE}"))
        polls = Polls(world)
        fleet = Fleet(stack, config)
        one, two = fleet.start(STATE=postgres.url), fleet.start(STATE=proxy.url)
        fleet.wait_until_shared(one, two)
        wait_until(lambda: fleet.number_of("cluster_baseline") == CLUSTERS)
        share = owned(two.metrics())
        story = Story(world, postgres.url)
        story.start()
        proxy.swallow()
        two.wait_for("replicas_unreachable")
        wait_until(lambda: len(owned(one.metrics())) == CLUSTERS)
        since = time.monotonic()
        name = min(share)
        wait_until(lambda: len([at for at in polls.times[name] if at >= since]) >= 8)
        polled_for = time.monotonic() - since
        kept = owned(two.metrics())
        proxy.forward()
        two.wait_for("replicas_reachable")
        fleet.wait_until_shared(one, two)
        story.end()
        steps = recorded(postgres.url)
        wait_until(lambda: set(fleet.logged()) >= set(story.happened))

    only_logged = {(before, after) for *_, before, after in set(fleet.logged()) - set(story.happened)}
    assert kept == share
    assert polled_for < 8 * INTERVAL  # by both
    assert Counter(step for step, _ in steps) == Counter(story.happened)
    assert only_logged <= {("new", "importing"), ("new", "completed"), ("pending", "completed")}  # two missed a state
