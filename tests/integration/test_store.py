"""The promises of the store, on SQLite, in memory and on PostgreSQL."""

import os
from pathlib import Path
from random import Random
from threading import Thread

import pytest
from structlog.testing import capture_logs

from monitor.jobs import Failure, JobState, Snapshot
from monitor.store import ClusterRef, NewerSchemaError, StoreError, TransitionFilter, open_store
from tests.rights import without_rights
from tests.stored import PROD, Stored, count, record, run

IMPORTING, COMPLETED, FAILED, VANISHED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED, JobState.VANISHED


def without_list(snapshot):
    """What a restart leaves of a snapshot: the records of the list are not stored."""
    return Snapshot(tracked=snapshot.tracked, outcomes=snapshot.outcomes, baseline_at=snapshot.baseline_at)


def test_a_snapshot_outlives_a_restart_in_every_detail(url):
    first = Stored(url)
    first.poll()
    first.poll(
        record("1", progress=40, total_rows=10, create_time="5.5"), record("2", "Failed", reason="zwölf „Dateien“\n☃")
    )
    first.poll(record("1", progress=60), record("3", "Completed"))

    assert first.reopened().snapshot == without_list(first.snapshot)


def test_a_very_large_list_that_is_written_keeps_no_other_cluster_from_being_recorded(tmp_path):
    other = ClusterRef("other", "in01-2", "in01-2")
    store = Stored(f"sqlite:///{tmp_path}/state.db", PROD, other)
    store.poll(cluster="other")
    jobs = [record(str(number), "Completed") for number in range(60_000)]
    large = Thread(target=lambda: store.poll(*jobs))
    large.start()
    steps = [store.poll(record("1"), cluster="other")]
    while large.is_alive():
        steps.append(store.poll(record("1", progress=len(steps)), cluster="other"))
        store.maintain()
    large.join()
    store.maintain()
    store.store.close()

    assert store.store.failures == 0
    assert steps[0] == [("1", None, IMPORTING)]
    assert count(store.url) == 1


def test_an_incomplete_job_and_an_abort_outlive_a_restart(url):
    first = Stored(url)
    first.poll(record("1"), record("2", collection="films"))
    first.poll(
        record("1", "Completed", imported_rows=0), record("2", "Failed", collection="films", reason="aborted by user")
    )
    snapshot = first.reopened().snapshot

    assert snapshot.tracked["1"].incomplete
    assert snapshot.outcomes["", "films"].last_aborted


def test_progress_is_written_by_maintain_and_by_close(url):
    first = Stored(url)
    first.poll(record(progress=10))
    first.maintain()
    first.poll(record(progress=20))
    second = first.reopened()

    assert second.snapshot.tracked["1"].progress == 0.2


def test_what_happened_during_a_restart_is_reported_and_nothing_twice(url):
    first = Stored(url)
    first.poll(record("1", progress=40), record("2"), record("3", "Completed"))
    second = first.reopened(now=90_000)

    assert second.poll(record("1", "Failed", reason="no such file"), record("3", "Completed"), gone={"2"}) == [
        ("1", IMPORTING, FAILED),
        ("2", IMPORTING, VANISHED),
    ]
    assert second.poll(record("1", "Failed", reason="no such file"), record("3", "Completed")) == []


@pytest.mark.parametrize("restart", [True, False])
def test_a_finished_job_that_comes_back_is_no_news(url, restart):
    first = Stored(url)
    first.poll()
    first.poll(record("1", "Completed"), record("2"))
    first.poll(record("2"))
    second = first.reopened() if restart else first
    second.maintain()

    assert second.poll(record("1", "Completed"), record("2")) == []
    assert second.poll(record("1", "Failed"), record("2")) == [("1", COMPLETED, FAILED)]


@pytest.mark.parametrize("restart", [True, False])
def test_a_finished_job_that_left_the_list_is_marked_as_missing(url, restart):
    first = Stored(url)
    first.poll(record("1", "Completed"), record("2", "Completed"))
    second = first.reopened() if restart else first
    second.poll(record("2", "Completed"))
    second.poll(record("2", "Completed"))
    second.store.close()

    assert run(url, "SELECT job_id FROM jobs WHERE missing_since IS NOT NULL") == [("1",)]


def test_one_that_leaves_the_list_and_comes_back_at_once_is_not_missing(url):
    first = Stored(url)
    first.poll(record("1", "Completed"))
    first.maintain()
    first.poll()
    first.poll(record("1", "Completed"))
    first.store.close()

    assert run(url, "SELECT missing_since FROM jobs") == [(None,)]


def test_the_stall_clock_goes_on_where_it_was(url):
    first = Stored(url)
    first.poll(record(progress=40))
    since = first.snapshot.tracked["1"].last_change
    second = first.reopened(now=5000)
    second.poll(record(progress=40))

    assert second.snapshot.tracked["1"].last_change == since
    assert second.snapshot.tracked["1"].stalled


def test_the_time_of_the_baseline_outlives_a_restart(url):
    first = Stored(url)
    first.poll()

    assert first.reopened(now=5000.0).snapshot.baseline_at == first.now == first.snapshot.baseline_at


def test_the_outcome_of_a_collection_is_replaced_and_the_others_stay(url):
    first = Stored(url)
    first.poll(record("1", "Completed"), record("2", "Failed", collection="films"), record("3", collection="songs"))
    first.poll(
        record("1", "Failed"), record("2", "Failed", collection="films"), record("3", "Completed", None, "songs")
    )
    outcomes = first.reopened().snapshot.outcomes

    assert outcomes == first.snapshot.outcomes
    assert {name: one.last_failed for (_, name), one in outcomes.items()} == {
        "books": True,
        "films": True,
        "songs": False,
    }


def test_a_transition_that_was_recorded_and_not_logged_is_logged_at_the_next_start_once(url):
    first = Stored(url)
    first.poll()
    first.poll(record("1", "Failed", reason="quota exceeded"), log=False)
    second = first.reopened()
    run(url, "UPDATE transitions SET recorded_at = 0")  # as if another monitor had left it long ago

    assert second.maintain() == [("prod", "1", None, FAILED)]
    assert second.maintain() == []
    assert second.reopened().maintain() == []


def test_a_transition_that_was_logged_is_not_logged_again(url):
    first = Stored(url)
    first.poll()
    first.poll(record("1"))
    assert first.maintain() == []
    first.poll(record("1", "Completed"))

    assert first.reopened(now=9000).maintain() == []


def test_one_that_is_about_to_be_logged_here_is_left_alone(url):
    first = Stored(url)
    first.poll()
    first.poll(record("1"), log=False)
    first.now += 9

    assert first.maintain() == []


def test_a_transition_of_another_monitor_is_left_to_it_for_a_while(postgres):
    run(postgres.url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    first = Stored(postgres.url)
    first.poll()
    first.poll(record("1"), log=False)
    other = Stored(postgres.url, now=first.now)

    assert other.maintain() == []
    other.now += 11
    assert other.maintain() == [("prod", "1", None, IMPORTING)]


def test_one_of_a_slow_poll_is_left_to_its_monitor_as_well(postgres):
    run(postgres.url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    first = Stored(postgres.url)
    first.poll()
    slow = first.compare(record("1"))
    first.now += 60
    first.store.record("prod", slow)

    assert Stored(postgres.url, now=first.now + 1).maintain() == []


def test_what_is_logged_after_the_fact_is_whole(url):
    first = Stored(url)
    first.poll()
    first.poll(record("1", progress=50))
    first.poll(record("1", "Failed", reason="disk quota exceeded"), log=False)
    logged = []
    second = first.reopened(now=9000)
    second.store.maintain(lambda *one: logged.append(one))

    ((name, cluster_id, step),) = logged
    assert (name, cluster_id) == ("prod", "in01-1")
    assert (step.reason, step.failure, step.progress, step.duration) == (
        "disk quota exceeded",
        Failure.QUOTA_EXCEEDED,
        0.5,
        30.0,
    )


def test_two_monitors_record_each_transition_once_and_see_the_same(url):
    one, two = Stored(url), Stored(url)
    assert one.poll() == []
    assert two.poll() is None
    story = [
        (one.poll(record("1")), two.poll(record("1"))),
        (two.poll(record("1", "Completed")), one.poll(record("1", "Completed"))),
    ]

    assert story == [([("1", None, IMPORTING)], None), ([("1", IMPORTING, COMPLETED)], None)]
    assert count(url) == 2
    assert without_list(one.snapshot) == without_list(two.snapshot)


def test_an_older_observation_that_comes_later_undoes_nothing(url):
    one, two = Stored(url), Stored(url)
    one.poll(record("1"))
    two.poll(record("1"))
    one.poll(record("1", "Completed"))

    assert two.poll(record("1", progress=90), record("2")) is None
    assert two.poll(record("1", "Completed")) == []
    assert count(url) == 1


def test_progress_overwrites_nothing_that_another_monitor_has_recorded_since(url):
    one, two = Stored(url), Stored(url)
    one.poll(record("1", progress=10))
    two.poll(record("1", progress=10))
    two.poll(record("1", progress=20))
    one.poll(record("1", "Completed"))
    two.maintain()

    assert two.snapshot.tracked == {}
    assert run(url, "SELECT state FROM jobs") == [("completed",)]
    assert two.poll(record("1", "Completed")) == []


def test_a_name_that_stands_for_another_cluster_begins_anew(url):
    first = Stored(url)
    first.poll(record("1"))
    first.store.close()
    other = Stored(url, ClusterRef("prod", "in01-2"))

    assert other.snapshot is None
    assert other.poll(record("9", "Failed")) == []
    assert other.reopened().snapshot == without_list(other.snapshot)
    assert run(url, "SELECT job_id FROM jobs") == [("9",)]


def test_a_cluster_that_has_got_another_name_meanwhile_keeps_its_jobs_and_its_history(url):
    first = Stored(url)
    first.poll(record("1"), record("2"), record("3", "Completed"))
    first.poll(record("1"), record("2", "Failed"), record("3", "Completed"))
    first.store.close()
    production = ClusterRef("production", PROD.identity, PROD.cluster_id)
    with capture_logs() as logged:
        again = Stored(url, production, now=first.now)
    seen = (record("1", "Failed"), record("2", "Failed"), record("3", "Completed"))
    steps = again.poll(*seen, cluster="production")
    renamed = [line for line in logged if line["event"] == "cluster_renamed"]
    history = again.store.transitions(TransitionFilter(cluster="production")).entries
    again.store.close()
    third = Stored(url, production, now=again.now)

    assert [(line["milvus_cluster"], line["previous_name"]) for line in renamed] == [("production", "prod")]
    assert steps == [("1", IMPORTING, FAILED)]
    assert [entry.transition.job_id for entry in history] == ["1", "2"]
    assert third.poll(*seen, cluster="production") == []
    assert run(url, "SELECT name FROM clusters") == [("production",)]
    assert run(url, "SELECT DISTINCT cluster FROM jobs") == [("production",)]


def test_a_cluster_that_is_watched_by_two_names_has_what_is_stored_of_it_once(url):
    first = Stored(url)
    first.poll(record("1"))
    first.store.close()
    both = Stored(url, PROD, ClusterRef("copy", PROD.identity), now=first.now)

    assert both.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]
    assert both.poll(record("1", "Failed"), cluster="copy") == []
    assert run(url, "SELECT name FROM clusters ORDER BY name") == [("copy",), ("prod",)]


def two_spellings(url):
    """Return the stores of two monitors, the one that came last and has the row second."""
    one = Stored(url, ClusterRef("prod", "http://127.0.0.1:19530"), flush_interval=0.0)
    one.poll(record("1"))
    two = Stored(url, ClusterRef("prod", "http://localhost:19530"), now=one.now)
    two.poll(record("1"))
    return one, two


def test_two_spellings_of_a_url_are_warned_about_and_nothing_is_recorded_twice(url):
    with capture_logs() as logged:
        one, two = two_spellings(url)
        story = []
        for records in ([record("1"), record("2")], [record("1", "Failed"), record("2")], [record("2", "Completed")]):
            story += [store.poll(*records) for store in (one, one, two)]
            one.maintain(), two.maintain()
    warnings = [line for line in logged if line["event"] == "store_identity_conflict"]
    expected = [("2", None, IMPORTING), ("1", IMPORTING, FAILED), ("2", IMPORTING, COMPLETED)]

    assert [(line["milvus_cluster"], line["identity"], line["other_identity"]) for line in warnings] == [
        ("prod", "http://127.0.0.1:19530", "http://localhost:19530")
    ]
    assert {line["event"] for line in logged} == {"store_identity_conflict"}
    assert [step for steps in story for step in steps or ()] == [step for step in expected for _ in range(2)]
    rows = run(url, "SELECT job_id, from_state, to_state FROM transitions ORDER BY id")
    assert [(job_id, before and JobState(before), JobState(after)) for job_id, before, after in rows] == expected


def test_a_row_that_another_spelling_has_abandoned_is_written_again(url):
    one, two = two_spellings(url)
    one.poll(record("1"), record("2", "Completed")), one.poll(record("1"), record("2", "Completed"))
    two.store.close()
    one.store.availability.mark_unavailable(ConnectionError("so that maintenance is due"))
    one.maintain()
    kept = run(url, "SELECT identity FROM clusters")
    one.now += 700
    one.store.availability.mark_unavailable(ConnectionError("so that maintenance is due"))
    one.maintain(), one.maintain()
    taken = run(url, "SELECT identity FROM clusters")
    one.poll(record("1", "Failed"), record("2", "Completed"))

    assert (kept, taken) == ([("http://localhost:19530",)], [("http://127.0.0.1:19530",)])
    assert run(url, "SELECT job_id, to_state FROM transitions") == [("1", "failed")]
    assert run(url, "SELECT job_id, state FROM jobs ORDER BY job_id") == [("1", "failed"), ("2", "completed")]


def test_a_cluster_of_another_spelling_is_not_forgotten_with_ours(url):
    one, two = two_spellings(url)
    one.poll(record("1"), record("2"))
    one.store.forget("prod")

    assert two.poll(record("1"), record("2")) == [("2", None, IMPORTING)]
    assert run(url, "SELECT identity FROM clusters") == [("http://localhost:19530",)]


def test_a_forgotten_cluster_leaves_its_transitions(url):
    first = Stored(url)
    first.poll()
    first.poll(record("1"))
    first.store.forget("prod")
    first.maintain()

    assert first.reopened().snapshot is None
    assert (count(url), count(url, "jobs"), count(url, "clusters")) == (1, 0, 0)


def test_old_transitions_and_jobs_that_left_the_list_long_ago_are_pruned(url):
    first = Stored(url, retention=3600)
    first.poll()
    for number in range(5):
        first.poll(record(str(number), "Completed"))
    first.poll(record("running"))
    first.poll()
    first.maintain()
    assert (count(url), count(url, "jobs")) == (6, 6)
    first.now += 8 * 86400
    second = first.reopened(retention=3600)
    second.poll(record("9", "Completed"))
    second.maintain()

    assert [row[0] for row in run(url, "SELECT job_id FROM jobs ORDER BY job_id")] == ["9", "running"]
    assert count(url) == 1


@pytest.mark.parametrize(("days", "kept"), [(8, ["failed", "vanished"]), (365, ["failed", "vanished"]), (368, [])])
def test_a_failed_or_vanished_job_stays_for_as_long_as_it_can_be_shown(url, days, kept):
    first = Stored(url)
    first.poll(record("done"), record("failed"), record("vanished"))
    first.poll(record("done", "Completed"), record("failed", "Failed"), gone={"vanished"})
    first.poll()
    first.maintain()
    first.now += days * 86400
    second = first.reopened()
    second.maintain()

    assert [row[0] for row in run(url, "SELECT job_id FROM jobs ORDER BY job_id")] == kept
    assert set(second.snapshot.tracked) == set(kept)


def test_many_threads_record_into_memory_and_nothing_is_lost():
    names = [f"c{number}" for number in range(32)]
    fleet = Stored("memory://", *(ClusterRef(name, name) for name in names))

    def poll_often(name):
        for number in range(20):
            fleet.poll(*(record(str(one)) for one in range(number)), cluster=name)

    threads = [Thread(target=poll_often, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert fleet.store.up
    assert all(len(fleet.store.snapshot(name).tracked) == 19 for name in names)


def test_polls_and_maintenance_at_the_same_time_lose_nothing(url):
    names = [f"c{number}" for number in range(6)]
    fleet = Stored(url, *(ClusterRef(name, name) for name in names), flush_interval=0.0)
    chance = Random(7)
    stories = {name: [story(chance) for _ in range(40)] for name in names}

    def poll_often(name):
        for records in stories[name]:
            fleet.poll(*records, cluster=name)

    threads = [Thread(target=poll_often, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        fleet.maintain()
    for thread in threads:
        thread.join()
    later = fleet.reopened(now=9000)

    assert fleet.store.failures == 0
    for name in names:
        assert later.store.snapshot(name) == without_list(fleet.store.snapshot(name))
        assert later.poll(*stories[name][-1], cluster=name) == []
    later.store.close()
    assert {(row[0], row[1]) for row in run(url, "SELECT cluster, job_id FROM jobs WHERE missing_since IS NULL")} == {
        (name, one.job_id) for name in names for one in stories[name][-1]
    }


def story(chance):
    """Return a list of jobs, of which some move, some finish, some are not listed, and some come back."""
    numbers = chance.sample(range(12), 8)
    return [
        record(str(number), chance.choice(["Importing", "Importing", "Completed", "Failed"]), chance.randrange(100))
        for number in numbers
    ]


# Files


@pytest.mark.parametrize("content", [b"clusters: []\n", b"SQLite", b"\0" * 8192], ids=["config", "short", "zeros"])
def test_a_file_that_is_no_database_is_refused_in_one_sentence_and_left_as_it_is(tmp_path, content):
    file = tmp_path / "config.yml"
    file.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        open_store(f"sqlite:///{file}", retention=1, connections=1)

    assert str(refused.value) == (
        f"{file} is no SQLite database, and is left as it is: name another place with state.url or --state, "
        "or move the file away"
    )
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == content


def test_an_empty_file_becomes_a_database(tmp_path):
    (tmp_path / "state.db").touch()
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(record("1"))

    assert set(first.reopened().snapshot.tracked) == {"1"}


@pytest.mark.parametrize("before", [None, 0o644])
def test_the_state_is_readable_by_its_owner_alone(tmp_path, before):
    file = tmp_path / "state.db"
    if before:
        file.touch(before)
    Stored(f"sqlite:///{file}").poll(record("1"))

    assert {one.name: oct(one.stat().st_mode & 0o777) for one in tmp_path.iterdir()} == {
        "state.db": "0o600",
        "state.db-wal": "0o600",
        "state.db-shm": "0o600",
    }


def test_tables_of_another_program_are_refused_and_left_as_they_are(url):
    run(url, "CREATE TABLE jobs (id INTEGER)")
    with pytest.raises(StoreError, match=r"tables of another program \(jobs\): name another place"):
        Stored(url)

    assert run(url, "SELECT * FROM jobs") == []


def test_a_schema_table_of_another_program_is_refused(url):
    run(url, "CREATE TABLE schema (name TEXT)")
    with pytest.raises(StoreError, match="a table named schema that the monitor did not make"):
        Stored(url)


def test_a_store_of_a_newer_monitor_is_refused_and_left_alone(url):
    Stored(url).store.close()
    run(url, "UPDATE schema SET version = 99")

    with pytest.raises(NewerSchemaError, match="has version 99"):
        Stored(url)
    assert count(url, "schema") == 1


def test_a_store_of_a_newer_monitor_without_a_table_of_ours_is_left_alone(url):
    Stored(url).store.close()
    run(url, "UPDATE schema SET version = 99", "DROP TABLE outcomes")

    with pytest.raises(NewerSchemaError, match="has version 99"):
        Stored(url)


def test_a_folder_that_does_not_exist_is_one_clear_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"the folder of the store, .*nowhere, does not exist"):
        open_store(f"sqlite:///{tmp_path}/nowhere/state.db", retention=1, connections=1)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_one_clear_sentence(tmp_path, kind):
    place = tmp_path / "state.db"
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    with pytest.raises(
        StoreError, match=r"^.*/state\.db is no file, .*: name another place with state\.url or --state$"
    ):
        open_store(f"sqlite:///{place}", retention=1, connections=1)


@pytest.mark.parametrize("refused", ["the folder", "the file", "a new file", "the way there"])
def test_a_place_that_cannot_be_written_is_one_clear_sentence_at_the_start(refused):
    with without_rights() as folder:
        file = folder / "state.db"
        if refused != "a new file":
            open_store(f"sqlite:///{file}", retention=1, connections=1).close()
        which = file if refused == "the file" else folder
        which.chmod({"the file": 0o444, "the way there": 0o000}.get(refused, 0o555))
        with pytest.raises(StoreError) as error:
            open_store(f"sqlite:///{file}", retention=1, connections=1)

    assert str(error.value) == (
        f"the store needs to write {which}, and cannot (Permission denied): let the monitor do so, "
        "or name another place with state.url or --state"
    )


@pytest.mark.parametrize("damage", ["cut in the middle", "nothing but its header", "pages overwritten"])
def test_a_corrupt_file_is_set_aside_and_a_fresh_one_begun(tmp_path, damage):
    file = tmp_path / "state.db"
    first = Stored(f"sqlite:///{file}")
    first.poll(*(record(str(number), reason="x" * 200) for number in range(2000)))
    first.store.close()
    content = bytearray(file.read_bytes())
    if damage == "cut in the middle":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "nothing but its header":
        file.write_bytes(content[:16] + b"\xff" * 8192)
    else:
        content[8192 : 8192 + 40_960] = b"\xff" * 40_960
        file.write_bytes(content)
    with capture_logs() as logged:
        second = Stored(first.url)

    (event,) = [line for line in logged if line["event"] == "store_set_aside"]
    assert Path(event["kept_as"]).stat().st_size > 0
    assert second.store.up
    assert second.poll(record("1")) == []
    assert set(second.reopened().snapshot.tracked) == {"1"}


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE jobs",
        "DROP TABLE schema",
        "DELETE FROM schema",
        "UPDATE schema SET version = 'x'",
        "UPDATE schema SET version = -1",
        "ALTER TABLE transitions DROP COLUMN progress",
    ],
)
def test_a_file_of_ours_with_damaged_tables_is_set_aside_and_a_fresh_one_begun(tmp_path, damage):
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(record("1"))
    first.store.close()
    run(first.url, damage)
    with capture_logs() as logged:
        second = Stored(first.url)

    assert [line["event"] for line in logged] == ["store_set_aside"]
    assert run(f"sqlite:///{logged[0]['kept_as']}", "SELECT identity FROM clusters") == [("in01-1",)]
    assert second.poll(record("1")) == []
    assert second.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]
    assert second.store.up


@pytest.mark.parametrize("tables", [["schema"], ["schema", "jobs"], ["jobs", "transitions"], ["ours", "and another"]])
def test_a_file_with_some_names_of_ours_is_refused_and_left_as_it_is(tmp_path, tables):
    url = f"sqlite:///{tmp_path}/state.db"
    if tables[0] == "ours":
        Stored(url).store.close()
        run(url, "DROP TABLE schema", "CREATE TABLE another (name TEXT)")
    else:
        run(url, *(f"CREATE TABLE {name} (version INTEGER)" for name in tables))
    before = run(url, "SELECT name, sql FROM sqlite_master")
    with pytest.raises(StoreError, match="is left as it is"):
        Stored(url)

    assert run(url, "SELECT name, sql FROM sqlite_master") == before


def test_a_damaged_row_costs_itself(url):
    first = Stored(url)
    first.poll(record("1"), record("2"), record("3", "Failed"), record("4", "Completed", collection="films"))
    first.poll(record("1"), record("2"), record("3", "Failed"), record("4", "Failed", collection="films"), record("5"))
    first.poll(record("1"), record("2"), record("3", "Completed"), record("4", "Failed", None, "films"), record("5"))
    first.store.close()
    run(
        url,
        "UPDATE jobs SET facts = '{\"job_id\":' WHERE job_id = '1'",
        "UPDATE jobs SET facts = replace(facts, 'importing', 'compacting') WHERE job_id = '2'",
        "UPDATE transitions SET to_state = 'compacting' WHERE job_id = '5'",
        "UPDATE transitions SET logged = (1 = 0), recorded_at = 0",
    )
    if url.startswith("sqlite"):
        run(url, "UPDATE outcomes SET last_failed = 'x' WHERE collection = 'films'")
        run(url, "UPDATE jobs SET missing_since = 'soon' WHERE job_id = '4'", "UPDATE clusters SET baseline_at = 'x'")
    with capture_logs() as logged:
        second = Stored(url, now=9000)
        pending = second.maintain()
        page = second.store.transitions
    events = [line["event"] for line in logged]

    assert set(second.snapshot.tracked) >= {"5"}
    assert not {"1", "2"} & set(second.snapshot.tracked)
    assert [step[1:] for step in pending] == [("4", COMPLETED, FAILED), ("3", FAILED, COMPLETED)]
    assert events.count("store_rows_skipped") in {1, 2}
    assert "store_unavailable" not in events
    assert second.store.up
    assert page is not None
    assert second.maintain() == []
    steps = second.poll(record("1"), record("2"), record("5"))
    assert ("5", None, IMPORTING) not in steps


@pytest.mark.parametrize("revision", ["'many'", "x'00ff'", "2.5"])
@pytest.mark.parametrize("restart", [True, False])
def test_an_unreadable_row_of_a_cluster_is_logged_and_replaced(tmp_path, revision, restart):
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(record("1"), record("2"))
    if restart:
        first.store.close()
    run(first.url, f"UPDATE clusters SET revision = {revision}, baseline_at = 'then'")
    with capture_logs() as logged:
        first = Stored(first.url, now=2000) if restart else first
        story = [first.poll(record("1", "Failed"), record("2")), first.poll(record("1", "Failed"), record("2"))]
        story.append(first.poll(record("1", "Failed"), record("2", "Completed")))
        first.maintain()

    assert [step for steps in story for step in steps or ()] == [("1", IMPORTING, FAILED), ("2", IMPORTING, COMPLETED)]
    assert [line["event"] for line in logged] == ["store_rows_skipped"]
    assert logged[0]["row"] == "clusters prod"
    assert run(first.url, "SELECT typeof(revision) FROM clusters") == [("integer",)]
    assert count(first.url) == 2


def test_a_row_that_cannot_be_updated_hides_no_poll(tmp_path):
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(record("1"))
    run(
        first.url,
        "CREATE TRIGGER held BEFORE UPDATE OF revision ON clusters BEGIN SELECT RAISE(IGNORE); END",
    )
    with capture_logs() as logged:
        story = [first.poll(record("1", "Failed")) for _ in range(3)]

    assert ("1", IMPORTING, FAILED) in (story[1] or [])
    assert set(first.snapshot.tracked) == {"1"}
    assert [line["event"] for line in logged] == ["store_unavailable"]
    run(first.url, "DROP TRIGGER held")
    first.maintain()
    assert run(first.url, "SELECT to_state FROM transitions") == [("failed",)]
