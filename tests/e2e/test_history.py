"""The recorded state, printed by the commands that read it: while a monitor runs, and when none does."""

import csv
import io
import json
import time

import pytest
from sqlalchemy import create_engine, text

from monitor.jobs import JobList, JobRecord, Policy, PollResult, compare_lists, diff
from monitor.simulator import Lifecycle, World
from monitor.store import ClusterRef, open_store
from tests.commands import as_csv, finished
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer
from tests.postgres import running_postgres


def as_json(*arguments, **environment):
    ended = finished(*arguments, "-o", "json", **environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def record(url, cluster, identity, *polls):
    """Record polls, given as (time, records of the list), as a monitor does; missing jobs have vanished."""
    store = open_store(url, retention=1e9, connections=2)
    store.watch([ClusterRef(cluster, identity)])
    for at, *records in polls:
        previous = store.snapshot(cluster)
        listing, new_ids = compare_lists(previous, JobList({record.job_id: record for record in records}))
        absent = frozenset() if previous is None else frozenset(previous.tracked.keys() - listing.records.keys())
        result = PollResult(listing, new_ids, confirmed_absent=absent)
        store.mark_logged(store.record(cluster, diff(previous, result, at, Policy())))
    store.close()


def importing(job_id, collection, percent=50):
    return JobRecord(job_id, "Importing", collection, percent)


@pytest.fixture
def recorded(tmp_path):
    """A config whose state holds six transitions of two clusters."""
    url, now = f"sqlite:///{tmp_path}/state.db", time.time()
    addresses = {"books": "http://127.0.0.1:1", "songs": "http://127.0.0.1:2"}
    for name, begin in (("books", now - 7200), ("songs", now - 600)):
        novels = [importing("1", "novels"), JobRecord("1", "Completed", "novels", 100)]
        poems = [importing("2", "poems"), JobRecord("2", "Failed", "poems", 0, "disk quota\nexceeded")]
        later = [(begin + 60, novels[0]), (begin + 120, novels[1], poems[0]), (begin + 180, novels[1], poems[1])]
        record(url, name, addresses[name], (begin,), *later)
    clusters = [f"{{name: {name}, url: '{address}'}}" for name, address in addresses.items()]
    return write_config(tmp_path, *clusters, state=f"{{url: '{url}'}}")


def test_history_prints_each_transition_the_latest_last(recorded):
    steps = as_json("history", "-c", recorded, "--cluster", "books")

    assert [(step["job_id"], step["from_state"], step["to_state"]) for step in steps] == [
        ("1", "new", "importing"),
        ("1", "importing", "completed"),
        ("2", "new", "importing"),
        ("2", "importing", "failed"),
    ]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    last = steps[-1]
    assert (last["collection"], last["failure"], last["reason"]) == ("poems", "quota_exceeded", "disk quota\nexceeded")
    assert last["duration_seconds"] == 60


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 8),
        (("--since", "1h"), 4),
        (("--since", "1s"), 0),
        (("--collection", "poems"), 4),
        (("--collection", "poems", "--cluster", "songs"), 2),
        (("--job", "1"), 4),
        (("--state", "failed", "--state", "completed"), 4),
        (("--state", "vanished"), 0),
        (("--limit", "3"), 3),
        (("-n", "8"), 8),
    ],
)
def test_history_can_be_narrowed(recorded, options, count):
    assert len(as_json("history", "-c", recorded, *options)) == count


def test_history_doubts_a_cluster_that_neither_the_config_nor_the_record_has(recorded):
    ended = finished("history", "-c", recorded, "--cluster", "boks", "-o", "json")

    assert (ended.returncode, json.loads(ended.stdout)) == (0, [])
    assert ended.stderr == (
        "warning: --cluster: no such transition is recorded, "
        f"and {recorded} has no cluster 'boks'; it has books, songs\n"
    )


def test_history_prints_a_cluster_that_the_config_no_longer_has(recorded):
    recorded.write_text(recorded.read_text().replace("name: books", "name: films"))
    ended = finished("history", "-c", recorded, "--cluster", "books", "-o", "json")

    assert (len(json.loads(ended.stdout)), ended.stderr) == (4, "")


def test_history_says_that_there_is_more_than_it_prints(recorded):
    ended = finished("history", "-c", recorded, "-n", "2", COLUMNS="200")

    assert ended.stderr == "warning: there are more than 2 transitions; --limit sets how many are printed\n"
    assert [line.split()[1] for line in ended.stdout.splitlines()[1:]] == ["songs", "songs"]


def test_history_as_csv_and_as_a_table_hold_the_same(recorded):
    steps = as_json("history", "-c", recorded)
    rows = list(csv.DictReader(io.StringIO(finished("history", "-c", recorded, "-o", "csv").stdout)))
    header, *lines = finished("history", "-c", recorded, COLUMNS="200").stdout.splitlines()

    assert rows == [as_csv(step) for step in steps]
    assert header.split() == ["AT", "CLUSTER", "COLLECTION", "JOB", "FROM", "TO", "PROGRESS", "REASON"]
    assert len(lines) == 8
    assert lines[-1].endswith("disk quota exceeded")


def test_history_can_be_read_from_elsewhere(recorded, tmp_path):
    elsewhere = tmp_path / "elsewhere.db"
    (tmp_path / "state.db").rename(elsewhere)

    assert len(as_json("history", "-c", recorded, "--store", f"sqlite:///{elsewhere}")) == 8
    assert len(as_json("history", "-c", recorded, MILVUS_IMPORT_MONITOR_STATE=f"sqlite:///{elsewhere}")) == 8


def sentence(config, *more):
    ended = finished("history", "-c", config, *more)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    return ended.stderr


def test_where_nothing_is_recorded_one_sentence_says_so(recorded, tmp_path):
    missing, folder = tmp_path / "missing.db", tmp_path / "nowhere" / "state.db"

    assert "is kept in memory" in sentence(recorded, "--store", "memory://")
    assert f"{missing} does not exist" in sentence(recorded, "--store", f"sqlite:///{missing}")
    assert f"{folder} does not exist" in sentence(recorded, "--store", f"sqlite:///{folder}")
    assert sentence(recorded, "--store", "bogus").startswith("error: --store: must be sqlite:///")
    assert not missing.exists()


def test_what_is_no_state_is_one_sentence(recorded, tmp_path):
    (tmp_path / "text.db").write_text("this is no database, however long it may be" * 100)
    (tmp_path / "empty.db").touch()

    assert "cannot be read: file is not a database" in sentence(recorded, "--store", f"sqlite:///{tmp_path}/text.db")
    assert "holds no state of a monitor" in sentence(recorded, "--store", f"sqlite:///{tmp_path}/empty.db")


def test_a_newer_schema_is_one_sentence_and_stays_as_it_is(recorded, tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/state.db")
    with engine.begin() as connection:
        connection.execute(text("update schema set version = 99"))
    engine.dispose()

    assert "the store's schema has version 99" in sentence(recorded)


def test_reading_does_not_disturb_a_monitor_that_writes(tmp_path):
    world = World()
    cluster = world.add_cluster("books", generation="milvus")
    with SimulatorServer(world) as server:
        config = write_config(
            tmp_path,
            f"{{name: books, url: '{server.url}/clusters/books'}}",
            state=f"{{url: 'sqlite:///{tmp_path}/state.db'}}",
        )
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline")
            for number in range(1, 6):
                job = cluster.add_job(lifecycle=Lifecycle.frozen("Importing", 10))
                daemon.wait_for("import_job_transition", number, to_state="importing")
                assert [step["job_id"] for step in as_json("history", "-c", config)][-1] == job.id
            assert daemon.lines("store_unavailable") == []
            assert daemon.stop() == 0
    assert len(as_json("history", "-c", config)) == 5


def test_history_of_postgresql(tmp_path):
    with running_postgres() as server:
        record(server.url, "books", "http://h", (1.0,), (2.0, importing("1", "novels")))
        config = write_config(tmp_path, "{name: books, url: 'http://h'}", state=f"{{url: '{server.url}'}}")

        assert [step["to_state"] for step in as_json("history", "-c", config)] == ["importing"]
        server.stop()
        message = sentence(config)
        server.start()
        assert message.startswith("error: the database cannot be read: ")


# What has vanished


@pytest.fixture
def forgetful(tmp_path):
    """A server that has forgotten a job, and a config whose state remembers it."""
    world = World()
    cluster = world.add_cluster("books", generation="milvus")
    kept = cluster.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    lost = cluster.add_job(collection="poems", lifecycle=Lifecycle.frozen("Importing", 70))
    with SimulatorServer(world) as server:
        url = f"{server.url}/clusters/books"
        store = f"sqlite:///{tmp_path}/state.db"
        record(
            store, "books", url, (time.time() - 60, importing(kept.id, "novels", 40), importing(lost.id, "poems", 70))
        )
        cluster.forget(lost.id)
        yield write_config(tmp_path, f"{{name: books, url: '{url}'}}", state=f"{{url: '{store}'}}"), lost.id


def test_jobs_knows_from_the_recorded_state_what_has_vanished(forgetful):
    config, lost = forgetful
    found = as_json("jobs", "-c", config, "--state", "vanished")

    assert [(job["job_id"], job["collection"], job["state"], job["progress"]) for job in found] == [
        (lost, "poems", "vanished", 0.7)
    ]
    assert as_json("history", "-c", config) == []  # only looked, recorded nothing


@pytest.mark.parametrize(("states", "code"), [(["vanished"], 1), (["failed", "vanished"], 1), (["failed"], 0)])
def test_a_nightly_load_can_fail_on_what_has_vanished(forgetful, states, code):
    options = [part for state in states for part in ("--fail-on", state)]

    assert finished("jobs", "-c", forgetful[0], *options).returncode == code


def test_where_nothing_is_recorded_nobody_can_say_what_has_vanished(forgetful, tmp_path):
    config, _ = forgetful
    ended = finished("jobs", "-c", config, "--fail-on", "vanished", "--store", f"sqlite:///{tmp_path}/missing.db")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: vanished jobs are known only from the store, and ")


def test_a_recorded_vanished_job_counts_though_the_cluster_is_down(tmp_path):
    url, now = "http://127.0.0.1:1", time.time()
    record(f"sqlite:///{tmp_path}/state.db", "books", url, (now - 9, importing("7", "poems")), (now - 5,))
    config = write_config(tmp_path, f"{{name: books, url: '{url}'}}", state=f"{{url: 'sqlite:///{tmp_path}/state.db'}}")

    ended = finished("jobs", "-c", config, "--state", "vanished", "-o", "json")

    assert [job["job_id"] for job in json.loads(ended.stdout)] == ["7"]
    assert ended.stderr.startswith("error: books: connection: ")
