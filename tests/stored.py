"""A store that is filled by polls of which a test says what they see."""

import sqlite3
from contextlib import closing

import psycopg

from monitor.jobs import JobList, JobRecord, Policy, PollResult, compare_lists, diff
from monitor.store import ClusterRef, open_store

OPENED = []

PROD = ClusterRef("prod", "in01-1", "in01-1")


def record(job_id="1", state="Importing", progress=None, collection="books", **facts):
    return JobRecord(job_id, state, collection, progress, **facts)


class Stored:
    """A store, and polls of the clusters in it, half a minute apart."""

    def __init__(self, url, *refs, now=1000.0, **options):
        self.now = now
        self.url = url
        self.store = open_store(url, **{"retention": 86400.0, "connections": 4, "clock": lambda: self.now, **options})
        OPENED.append(self.store)
        self.refs = refs or (PROD,)
        self.store.watch(self.refs)

    @property
    def snapshot(self):
        return self.store.snapshot("prod")

    def compare(self, *records, cluster="prod", gone=()):
        """Return what a poll that sees these records changes."""
        previous = self.store.snapshot(cluster)
        listing, new_ids = compare_lists(previous, JobList({one.job_id: one for one in records}))
        tracked = {} if previous is None else previous.tracked
        finished = self.store.finished_jobs(cluster, new_ids - tracked.keys())
        result = PollResult(listing, new_ids, confirmed_absent=frozenset(gone), finished=finished)
        return diff(previous, result, self.now, Policy())

    def poll(self, *records, cluster="prod", gone=(), log=True, is_ours=True):
        """Poll once; return the transitions as (id, from, to), or None where another snapshot counts."""
        self.now += 30
        changed = self.compare(*records, cluster=cluster, gone=gone)
        ids = self.store.record(cluster, changed, lambda: is_ours)
        if ids is None:
            return None
        if log:
            self.store.mark_logged(ids)
        return [(step.job_id, step.from_state, step.to_state) for step in changed.transitions]

    def maintain(self):
        """Return what was recorded and had not been logged."""
        logged = []
        self.store.maintain(lambda *one: logged.append(one))
        return [(name, step.job_id, step.from_state, step.to_state) for name, _, step in logged]

    def reopened(self, **options):
        """Close the store, and open it again."""
        self.store.close()
        return Stored(self.url, *self.refs, **{"now": self.now, **options})


def store_url(request, folder):
    """Return the URL of an empty store of the kind that a fixture's parameter names."""
    if request.param == "memory":
        return "memory://"
    return f"sqlite:///{folder}/state.db" if request.param == "sqlite" else request.getfixturevalue("server").url


def close_all():
    while OPENED:
        OPENED.pop().close()


def run(url, *statements):
    """Run statements on the database of a store; return the rows of the last one."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            return [connection.execute(one).fetchall() for one in statements][-1]
    with psycopg.connect(url, autocommit=True) as connection:
        for one in statements:
            cursor = connection.execute(one)
        return cursor.fetchall() if cursor.description else []


def count(url, table="transitions"):
    return run(url, f"SELECT count(*) FROM {table}")[0][0]


def break_tables(url):
    """Take a table away, so that nothing can be written; return how to bring it back."""
    run(url, "ALTER TABLE jobs RENAME TO stolen")
    return lambda: run(url, "ALTER TABLE stolen RENAME TO jobs")
