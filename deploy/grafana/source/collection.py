"""One collection: is its data up to date, and what becomes of its imports."""

from grafana_foundation_sdk.builders import statetimeline
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import progress, queries, tables, trouble
from deploy.grafana.source.frame import (
    DATASOURCE,
    cluster_variable,
    collection_variable,
    database_variable,
    framed,
)
from deploy.grafana.source.links import COLLECTION_UID
from deploy.grafana.source.panels import OK_OR_FAILED, lines, mapped, number, over_time
from deploy.grafana.source.queries import COLLECTION_SCOPE as HERE


def collection() -> model.Dashboard:
    """One collection; where its name is used in several databases, those chosen."""
    latest = f"max({queries.collections(HERE, 'collection_last_finished_failed')})"
    completed = f"max({queries.collections(HERE, 'collection_last_completed_timestamp_seconds')})"
    now = (
        number(
            "Latest import",
            "How the collection's most recent finished import ended.",
            latest,
            width=4,
            words=OK_OR_FAILED,
            trend=False,
        ),
        number(
            "Last success",
            "Time since an import into the collection last completed: the age of its newest data.",
            queries.age(completed),
            width=4,
            unit="s",
            trend=False,
        ),
        trouble.failed(HERE, 4),
        trouble.stalled(HERE, 4),
        trouble.vanished(HERE, 4),
        trouble.uncommitted(HERE, 4),
        tables.failed_jobs(HERE, 8),
        tables.stuck_jobs(HERE, 8),
        tables.vanished_jobs(HERE, 8),
    )
    running = (
        tables.running_jobs(HERE, 24),
        progress.by_state(HERE, 8),
        progress.progress(HERE, 8),
        progress.throughput(HERE, "collection", 8),
        lines(
            "Time left",
            "Estimated from each job's recent pace; absent while it would be a guess.",
            over_time(queries.jobs(HERE, "job_eta_seconds"), "{{job_id}}"),
            width=8,
            unit="s",
        ),
        lines(
            "Rows in",
            "Rows that each unfinished job has imported, where the API counts them.",
            over_time(queries.jobs(HERE, "job_imported_rows"), "{{job_id}}"),
            width=8,
        ),
        lines(
            "Age of the newest data",
            "Time since an import into the collection last completed.",
            over_time(queries.age(completed), "last success"),
            width=8,
            unit="s",
        ),
    )
    history = (
        statetimeline.Panel()
        .title("Latest import")
        .description("How the latest finished import had ended, at each time.")
        .datasource(DATASOURCE)
        .height(8)
        .span(8)
        .mappings(mapped(OK_OR_FAILED))
        .merge_values(merge_values=True)
        .show_value(common_model.VisibilityMode.AUTO)
        .with_target(over_time(latest, "latest import")),
        progress.finished(HERE, 8),
        progress.success(HERE, 8).height(8),
    )
    return framed(
        COLLECTION_UID,
        "Milvus imports: collection",
        "The bulk imports of one collection.",
        HERE,
        cluster_variable(many=False),
        database_variable(),
        collection_variable(many=False),
        rows=(("Now", now), ("Running", running), ("History", history)),
    )
