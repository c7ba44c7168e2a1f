"""Kills the daemon with SIGKILL at random moments, and compares what it recorded and logged with what happened."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.postgres import running_postgres
from tests.stored import run

KILLS = {
    "sqlite": int(os.environ.get("MONITOR_KILLS", "60")),
    "postgresql": int(os.environ.get("MONITOR_KILLS_POSTGRESQL", "0")),
}
SEED = int(os.environ.get("MONITOR_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
LONGEST_LIFE = {"sqlite": 0.7, "postgresql": 6.0}
"""Seconds until a daemon is killed; with PostgreSQL it waits for some until the previous one is known to be dead."""

GENERATIONS = ("zilliz", "milvus", "v1", "milvus-2.3")
LIVES = (
    ("Pending", "Importing", "Completed"),
    ("Pending", "Importing", "Failed"),
    ("Importing", "Uncommitted", "Committing", "Completed"),
    ("Pending", "Importing", "Completed", "Failed"),
    ("Pending", "vanished"),
    ("Importing", "vanished"),
    ("Failed",),
)
OLD_LIVES = tuple(life for life in LIVES if not {"Uncommitted", "Committing"} & set(life))

pytestmark = pytest.mark.timeout(900)


class Daemons:
    """One daemon after the other."""

    def __init__(self, config, log):
        self._forks = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(config), str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=Path(__file__).parents[2],
        )
        self._heard("ready")
        self._pid = 0

    def _heard(self, expected=None):
        line = self._forks.stdout.readline().strip()
        assert line, "the process that forks daemons has ended"
        assert expected in (None, line)
        return line

    def start(self):
        print("start", file=self._forks.stdin)
        self._pid = int(self._heard())

    def end(self, number):
        os.kill(self._pid, number)
        print("reap", file=self._forks.stdin)
        return int(self._heard())

    def close(self):
        self._forks.stdin.close()
        assert self._forks.wait(timeout=20) == 0
        self._forks.stdout.close()


class Story:
    """Jobs that move on. A patient one waits until its state is recorded, so each of its states has to be there."""

    def __init__(self, clusters, chance):
        self._clusters = clusters
        self._chance = chance
        self._open = []
        self.happened = {}
        self.patient = set()

    def _begin(self):
        cluster = self._chance.choice(self._clusters)
        first, *rest = self._chance.choice(OLD_LIVES if cluster.generation in ("v1", "milvus-2.3") else LIVES)
        job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen(first))
        key = cluster.id, job.id
        self.happened[key] = [first.lower()]
        if self._chance.random() < 0.7:
            self.patient.add(key)
        self._open.append((cluster, job, rest))

    def go_on(self, recorded, *, more):
        """Move every job that may move, and begin new ones; say whether some are still under way."""
        waiting, self._open = self._open, []
        for cluster, job, rest in waiting:
            key = cluster.id, job.id
            is_known = recorded.get(key, [])[-1:] == self.happened[key][-1:]
            if not (is_known if key in self.patient else self._chance.random() < 0.3):
                self._open.append((cluster, job, rest))
            elif rest:
                state, *later = rest
                if state == "vanished":
                    cluster.forget(job.id)
                else:
                    set_status(job, state=state, progress=50, reason="no such file" if state == "Failed" else "")
                self.happened[key].append(state.lower())
                self._open.append((cluster, job, later))
        while more and len(self._open) < 12:
            self._begin()
        return bool(self._open)


def recorded_in(url):
    """What the store has of each job: its states in order."""
    states, query = {}, "SELECT cluster, job_id, to_state FROM transitions ORDER BY id"
    if url.startswith("sqlite"):  # only read: to recover the file is the next daemon's business
        with closing(
            sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=5)
        ) as connection:
            rows = connection.execute(query).fetchall()
    else:
        rows = run(url, query)
    for cluster, job_id, state in rows:
        states.setdefault((cluster, job_id), []).append(state)
    return states


def logged_in(file):
    """How often the log tells each transition."""
    told = Counter()
    for line in file.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last words of one that was killed
        if entry["event"] == "import_job_transition":
            told[entry["milvus_cluster"], entry["job_id"], entry["to_state"]] += 1
    return told


def is_within(part, whole):
    """Whether a list holds another in its order, with gaps allowed."""
    rest = iter(whole)
    return all(one in rest for one in part)


def test_no_transition_is_lost_or_invented_however_often_the_daemon_is_killed(tmp_path, record_property):
    results = kill_again_and_again(tmp_path, "sqlite", f"sqlite:///{tmp_path}/state.db")

    record_property("crash_kills", results["kills"])
    record_property("crash_seed", SEED)
    record_property("crash_transitions", results["transitions"])
    record_property("crash_lost", results["lost"])
    record_property("crash_duplicated", results["duplicated"])


@pytest.mark.skipif(not KILLS["postgresql"], reason="takes minutes: make reliability runs it; see also test_sharing.py")
def test_none_is_lost_or_invented_with_postgresql(tmp_path, record_property):
    with running_postgres() as postgres:
        results = kill_again_and_again(tmp_path, "postgresql", postgres.url)

    record_property("crash_postgresql_kills", results["kills"])
    record_property("crash_postgresql_transitions", results["transitions"])
    record_property("crash_postgresql_lost", results["lost"])
    record_property("crash_postgresql_duplicated", results["duplicated"])


def kill_again_and_again(tmp_path, kind, url):
    """Kill one daemon after the other while jobs move on; return what was counted, where nothing is lost."""
    longest_life, number = LONGEST_LIFE[kind], KILLS[kind]
    print(f"MONITOR_SEED={SEED} kills={number}")
    chance = random.Random(SEED)
    world = World()
    clusters = [world.add_cluster(f"c-{generation}", generation=generation) for generation in GENERATIONS]
    log = tmp_path / "log"
    with SimulatorServer(world) as server:
        config = write_config(
            tmp_path,
            f"{{name: c-zilliz, url: '{server.url}', cluster_id: c-zilliz, api_key: any}}",
            f"{{name: c-v1, api: v1, url: '{server.url}', cluster_id: c-v1, api_key: any}}",
            f"{{name: c-milvus, url: '{server.url}/clusters/c-milvus'}}",
            f"{{name: c-milvus-2.3, api: milvus-2.3, url: '{server.url}/clusters/c-milvus-2.3'}}",
            state=f"{{url: '{url}'}}",
            poll="{interval: 100ms, timeout: 2s, requests_per_second: 1000}",
            log="{format: json, level: info}",
        )
        story, kills = Story(clusters, chance), 0
        with closing(Daemons(config, log)) as daemons:
            daemons.start()
            wait_for_baselines(log, len(clusters))
            unfinished = True
            while kills < number or unfinished:
                dies_at = time.monotonic() + chance.uniform(0.02, longest_life)
                while kills >= number or time.monotonic() < dies_at:
                    unfinished = story.go_on(recorded_in(url), more=kills < number)
                    if not unfinished:
                        break
                    time.sleep(0.02)
                if kills < number:
                    assert daemons.end(signal.SIGKILL) == -signal.SIGKILL, log.read_text()[-2000:]
                    kills += 1
                    daemons.start()
            settle(url, story)
            time.sleep(1.5)  # what was recorded and not logged by those who were killed is told once a second
            assert daemons.end(signal.SIGTERM) == 0

    recorded, logged = recorded_in(url), logged_in(log)
    steps = {(*key, state) for key, states in recorded.items() for state in states}
    print(f"kills={kills} transitions={len(steps)} logged={logged.total()}")
    missing = sum((Counter(story.happened[key]) - Counter(recorded.get(key, []))).total() for key in story.patient)
    assert kills >= number
    for key, happened in story.happened.items():
        if key in story.patient:
            assert recorded.get(key) == happened, key
        else:
            assert is_within(recorded.get(key, []), happened), (key, recorded.get(key), happened)
    assert set(recorded) <= set(story.happened)
    assert not steps - set(logged), "recorded and not logged"
    assert not set(logged) - steps, "logged and not recorded"
    return {
        "kills": kills,
        "transitions": sum(map(len, recorded.values())),
        "lost": missing + len(steps - set(logged)),
        "duplicated": sum(
            (Counter(states) - Counter(story.happened.get(key, []))).total() for key, states in recorded.items()
        ),
    }


def settle(url, story):
    """Wait until the patient jobs' last states are recorded."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        recorded = recorded_in(url)
        if all(recorded.get(key) == story.happened[key] for key in story.patient):
            return
        time.sleep(0.05)


def wait_for_baselines(log, count):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if log.exists() and log.read_text().count('"cluster_baseline"') >= count:
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
