"""Writes what has changed of clusters, many rows in a statement."""

from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select, text, update

from monitor.jobs import CollectionKey, CollectionOutcome, Job, Snapshot, Transition
from monitor.store.pages import ClusterRef
from monitor.store.schema import clusters, expectations, jobs, outcomes, samples, statuses, transitions
from monitor.store.statements import execute, put_rows

_encode: Final = msgspec.json.Encoder().encode
_columns: Final = attrgetter(
    "database", "collection", "state", "reason", "stalled", "finished_at", "missing_since", "incomplete"
)

_rows = list[dict[str, Any]]


class ClusterChanges(msgspec.Struct, frozen=True):
    """A cluster as it is to be stored; the difference is written.

    Attributes:
        revision: The stored revision on which the changes are based; 0 where the cluster is not stored.
        next_revision: The revision afterwards; the same one for mere progress.
        at: The time, in seconds since the epoch.
        stored: What is stored.
        snapshot: What was seen.
        tracked: Of its tracked jobs what is to be stored.
        finished: Jobs by id that are to be stored and are not tracked.
        transitions: Transitions to add, the latest last.
        to_log: How many of the latest transitions are not in the log yet.
        delisted: Ids of finished jobs that have left the list.
        compare_list: Whether other finished jobs can have left the list, too.
    """

    ref: ClusterRef
    revision: int
    next_revision: int
    at: float
    stored: Snapshot
    snapshot: Snapshot
    tracked: Mapping[str, Job]
    finished: Mapping[str, Job]
    transitions: Collection[Transition]
    to_log: int
    delisted: Collection[str]
    compare_list: bool


class Written(msgspec.Struct, frozen=True):
    """What has been written of some changes.

    Attributes:
        stale: The names of the clusters that have another revision by now, of which nothing is written.
        transition_ids: The ids of the transitions, in their order.
        delisted: Ids of finished jobs that are not in the list any more, by the names of the clusters whose list was
            compared.
    """

    stale: Collection[str]
    transition_ids: list[int]
    delisted: Mapping[str, Collection[str]]


def write_changes(connection: Connection, changes: Collection[ClusterChanges]) -> Written:
    """Write changes, in a transaction."""
    stale, new = _lock_revisions(connection, changes)
    compared = dict[str, Collection[str]]()
    put, moved, removed, ended, reset, delisted, added = (_rows() for _ in range(7))
    for change in changes:
        if change.ref.name in stale:
            continue
        tracked, before = change.tracked, change.stored.tracked
        put += [job_row(change.ref.name, job) for job in change.finished.values()]
        for job_id, job in tracked.items():
            old = before.get(job_id)
            if old == job:
                continue
            if old is not None and is_progress(old, job):
                moved.append(_key(change, job_id, new_facts=_facts(job)))
            else:
                put.append(job_row(change.ref.name, job))
        dropped = before.keys() - tracked.keys() - change.finished.keys()
        removed += [_key(change, job_id) for job_id in dropped if not before[job_id].finished]
        now, then = change.snapshot.outcomes, change.stored.outcomes
        if now is not then:
            ended += [_outcome_row(change, key, outcome) for key, outcome in now.items() if then.get(key) != outcome]
            reset += [_key(change, key[1], db=key[0]) for key in then.keys() - now.keys()]
        left = set(change.delisted)
        if change.compare_list and change.ref.name not in new:
            listed = connection.execute(_LISTED, {"cluster_name": change.ref.name}).scalars()
            unnoticed = set(listed) - change.snapshot.listing.records.keys() - tracked.keys()
            compared[change.ref.name] = unnoticed
            left |= unnoticed
        delisted += [_key(change, job_id, since=change.at) for job_id in left]
        logged = len(change.transitions) - change.to_log
        added += [_transition_row(change, step, n < logged) for n, step in enumerate(change.transitions)]
    put_rows(connection, jobs, put)
    put_rows(connection, outcomes, ended)
    for statement, rows in (
        (_MOVE_JOB, moved),
        (_DELETE_JOB, removed),
        (_DELETE_OUTCOME, reset),
        (_DELIST, delisted),
    ):
        if rows:
            execute(connection, statement, rows)
    return Written(stale, _add_transitions(connection, added), compared)


def claim(connection: Connection, refs: Iterable[ClusterRef]) -> None:
    """Advance the revisions of clusters, so that nobody who had them until now can write anything of them."""
    identities = {ref.name: ref.identity for ref in refs}
    rows = connection.execute(_LOCK, {"names": [*identities]})
    ours = [name for name, identity, _ in rows if identity == identities[name]]
    connection.execute(_CLAIM, {"names": ours})


def _lock_revisions(connection: Connection, changes: Collection[ClusterChanges]) -> tuple[set[str], set[str]]:
    """Take clusters to their next revisions, lock the others' rows, and return the names of outdated and of new ones.

    Of a new one nothing was stored so far.
    """
    stale, new = set[str](), set[str]()
    progress = [change for change in changes if change.next_revision == change.revision]
    if progress:
        rows = connection.execute(_LOCK, {"names": [change.ref.name for change in progress]})
        stored = {name: (identity, revision) for name, identity, revision in rows}
        stale = {c.ref.name for c in progress if stored.get(c.ref.name) != (c.ref.identity, c.revision)}
    for change in changes:
        if change.next_revision != change.revision:
            ref = change.ref
            if not change.revision and _add_cluster(connection, change):
                new.add(ref.name)
                continue
            values = {
                "cluster_name": ref.name,
                "cluster_identity": ref.identity,
                "seen": change.revision,
                "next": change.next_revision,
            }
            if execute(connection, _ADVANCE, values).rowcount != 1:
                stale.add(ref.name)
    return stale, new


def _add_cluster(connection: Connection, change: ClusterChanges) -> bool:
    """Add the row of a cluster, in place of another cluster of that name; return False if it has one already."""
    ref = change.ref
    stored = connection.execute(_STORED, {"cluster_name": ref.name}).one()
    if stored.identity == ref.identity:
        if not isinstance(stored.revision, int):
            connection.execute(_RESET_REVISION, {"cluster_name": ref.name})
        return False
    if stored.has_rows:
        delete_cluster(connection, ref.name)
        connection.execute(delete(jobs).where(jobs.c.cluster == ref.name))
        connection.execute(delete(samples).where(samples.c.cluster == ref.name))
    row = {
        "name": ref.name,
        "identity": ref.identity,
        "revision": change.next_revision,
        "baseline_at": change.snapshot.baseline_at,
    }
    return connection.execute(_ADD_CLUSTER, row).rowcount == 1  # else another monitor has just added it


def _add_transitions(connection: Connection, rows: _rows) -> list[int]:
    """Add transitions and return their ids, in their order."""
    if connection.dialect.name == "sqlite":  # one statement for all of them costs three times as much
        return [execute(connection, _ADD_TRANSITION, row).scalar_one() for row in rows]
    return list(connection.execute(_ADD_TRANSITIONS, rows).scalars()) if rows else []


def delete_cluster(connection: Connection, name: str) -> None:
    """Forget a cluster, but not its jobs, which can be many."""
    connection.execute(delete(outcomes).where(outcomes.c.cluster == name))
    connection.execute(delete(statuses).where(statuses.c.name == name))
    connection.execute(delete(expectations).where(expectations.c.cluster == name))
    connection.execute(delete(clusters).where(clusters.c.name == name))


_ADD_CLUSTER: Final = text(
    "INSERT INTO clusters (name, identity, revision, baseline_at) VALUES (:name, :identity, :revision, :baseline_at)"
    " ON CONFLICT DO NOTHING"
)
_THE_CLUSTER: Final = clusters.c.name == bindparam("cluster_name")
_ROWS_OF_CLUSTER: Final = (
    clusters.c.name,
    jobs.c.cluster,
    samples.c.cluster,
    outcomes.c.cluster,
    statuses.c.name,
    expectations.c.cluster,
)
_STORED: Final = select(
    select(clusters.c.identity).where(_THE_CLUSTER).scalar_subquery().label("identity"),
    select(clusters.c.revision).where(_THE_CLUSTER).scalar_subquery().label("revision"),
    or_(*(exists().where(name == bindparam("cluster_name")) for name in _ROWS_OF_CLUSTER)).label("has_rows"),
)
_RESET_REVISION: Final = update(clusters).where(_THE_CLUSTER).values(revision=0)
_ADVANCE: Final = (
    update(clusters)
    .where(_THE_CLUSTER, clusters.c.identity == bindparam("cluster_identity"), clusters.c.revision == bindparam("seen"))
    .values(revision=bindparam("next"))
)
_LOCK: Final = (
    select(clusters.c.name, clusters.c.identity, clusters.c.revision)
    .where(clusters.c.name.in_(bindparam("names", expanding=True)))
    .order_by(clusters.c.name)
    .with_for_update()
)
_CLAIM: Final = (
    update(clusters)
    .where(clusters.c.name.in_(bindparam("names", expanding=True)))
    .values(revision=clusters.c.revision + 1)
)
_LISTED: Final = select(jobs.c.job_id).where(
    jobs.c.cluster == bindparam("cluster_name"), jobs.c.missing_since.is_(None), jobs.c.finished_at.is_not(None)
)
_ONE_JOB: Final = (jobs.c.cluster == bindparam("cluster_name"), jobs.c.job_id == bindparam("id"))
_MOVE_JOB: Final = update(jobs).where(*_ONE_JOB).values(facts=bindparam("new_facts"))
_DELETE_JOB: Final = delete(jobs).where(*_ONE_JOB)
_DELIST: Final = update(jobs).where(*_ONE_JOB).values(missing_since=bindparam("since"))
_DELETE_OUTCOME: Final = delete(outcomes).where(
    outcomes.c.cluster == bindparam("cluster_name"),
    outcomes.c.database == bindparam("db"),
    outcomes.c.collection == bindparam("id"),
)
_ADD_TRANSITIONS: Final = insert(transitions).returning(transitions.c.id, sort_by_parameter_order=True)
_ADD_TRANSITION: Final = (
    insert(transitions)
    .values({column.name: bindparam(column.name) for column in transitions.c if not column.primary_key})
    .returning(transitions.c.id)
)


def _key(change: ClusterChanges, key: str, **values: Any) -> dict[str, Any]:
    return {"cluster_name": change.ref.name, "id": key, **values}


def is_progress(before: Job, job: Job) -> bool:
    """Return whether a job has changed in nothing that is a column of its own."""
    return _columns(before) == _columns(job)


def _facts(job: Job) -> str:
    return _encode(job).decode()


def job_row(cluster: str, job: Job) -> dict[str, Any]:
    """Return the row of a job."""
    return {
        "cluster": cluster,
        "job_id": job.job_id,
        "facts": _facts(job),
        "database": job.database,
        "collection": job.collection,
        "state": job.state.value,
        "reason": job.reason,
        "stalled": job.stalled,
        "finished_at": (job.finished_at or job.state_since) if job.finished else None,
        "missing_since": job.missing_since,
        "incomplete": job.incomplete,
    }


def _outcome_row(change: ClusterChanges, key: CollectionKey, outcome: CollectionOutcome) -> dict[str, Any]:
    names = {"cluster": change.ref.name, "database": key[0], "collection": key[1]}
    return names | msgspec.structs.asdict(outcome)


def _transition_row(change: ClusterChanges, step: Transition, logged: bool) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(step),
        "cluster": change.ref.name,
        "cluster_id": change.ref.cluster_id,
        "from_state": None if step.from_state is None else step.from_state.value,
        "to_state": step.to_state.value,
        "failure": None if step.failure is None else step.failure.value,
        "logged": logged,
        "recorded_at": change.at,
    }
