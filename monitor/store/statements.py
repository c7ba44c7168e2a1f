"""What every poll and every start asks of a database: SQLAlchemy writes the statements once, the driver runs them.

Run by SQLAlchemy, a poll with ten jobs and a transition costs five times what SQLite needs for it.
"""

from importlib import import_module
from typing import Any, Final

from sqlalchemy import BindParameter, Dialect, bindparam, delete, insert, literal_column, select, update

from monitor.store.tables import clusters, jobs, outcomes, transitions

_COLUMNS: Final = [column.name for column in transitions.c if column.name != "id"]


class Statements:
    """The text of what is read and written of a cluster, for one database. Parameters count by where they stand.

    Args:
        dialect: The database's.
    """

    def __init__(self, dialect: Dialect) -> None:
        on = import_module(f"sqlalchemy.dialects.{dialect.name}")  # the other one is large, and needed nowhere
        name: BindParameter[str] = bindparam("of")
        job_id: BindParameter[str] = bindparam("id")
        put_job, put_outcome, add_transition = on.insert(jobs), on.insert(outcomes), insert(transitions)
        facts = {"facts": put_job.excluded.facts}
        ended = ("last_failed", "last_completed_at", "last_finished_at")
        at_revision = (clusters.c.identity == bindparam("whose"), clusters.c.revision == bindparam("seen"))

        def text(statement: Any, columns: list[str] | None = None) -> str:
            return str(statement.compile(dialect=dialect, column_keys=columns))

        self.cluster = text(
            select(clusters.c.identity, clusters.c.revision, clusters.c.baseline_at).where(clusters.c.name == name)
        )
        self.jobs = text(select(jobs.c.facts).where(jobs.c.cluster == name))
        self.outcomes = text(
            select(outcomes.c.database, outcomes.c.collection, *(outcomes.c[column] for column in ended)).where(
                outcomes.c.cluster == name
            )
        )
        self.advance = text(
            update(clusters)
            .where(clusters.c.name == name, *at_revision)
            .values(revision=clusters.c.revision + literal_column("1"))
        )
        self.forget_cluster = text(delete(clusters).where(clusters.c.name == name))
        self.add_cluster = text(on.insert(clusters).on_conflict_do_nothing())
        self.forget_jobs = text(delete(jobs).where(jobs.c.cluster == name))
        self.forget_job = text(delete(jobs).where(jobs.c.cluster == name, jobs.c.job_id == job_id))
        self.put_job = text(put_job.on_conflict_do_update(index_elements=["cluster", "job_id"], set_=facts))
        self.forget_outcomes = text(delete(outcomes).where(outcomes.c.cluster == name))
        self.forget_outcome = text(
            delete(outcomes).where(
                outcomes.c.cluster == name,
                outcomes.c.database == bindparam("in"),
                outcomes.c.collection == bindparam("into"),
            )
        )
        self.put_outcome = text(
            put_outcome.on_conflict_do_update(
                index_elements=["cluster", "database", "collection"],
                set_={column: put_outcome.excluded[column] for column in ended},
            )
        )
        self.add_transition = text(add_transition.returning(transitions.c.id), _COLUMNS)
        self.add_told = text(add_transition.inline(), _COLUMNS)
