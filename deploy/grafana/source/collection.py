"""One collection: whether its data is up to date, and the progress of its imports."""

from grafana_foundation_sdk.builders import statetimeline
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import problems, progress, queries, tables
from deploy.grafana.source.frame import (
    DATASOURCE,
    cluster_variable,
    collection_variable,
    database_variable,
    framed,
)
from deploy.grafana.source.links import COLLECTION_UID
from deploy.grafana.source.panels import OK_OR_FAILED, lines, mapped, number, over_time
from deploy.grafana.source.queries import COLLECTION_SCOPE as SCOPE


def collection() -> model.Dashboard:
    """Build the dashboard of a collection; if several databases have it, of the selected databases."""
    latest = f"max({queries.collections(SCOPE, 'collection_last_finished_failed')})"
    completed = f"max({queries.collections(SCOPE, 'collection_last_completed_timestamp_seconds')})"
    now = (
        number(
            "Latest import",
            "Result of the most recently finished import of the collection.",
            latest,
            width=4,
            words=OK_OR_FAILED,
            trend=False,
        ),
        number(
            "Last success",
            "Time since an import into the collection last completed, which is the age of its newest data.",
            queries.age(completed),
            width=4,
            unit="s",
            trend=False,
        ),
        problems.failed(SCOPE, 4),
        problems.stalled(SCOPE, 4),
        problems.vanished(SCOPE, 4),
        problems.uncommitted(SCOPE, 4),
        tables.failed_jobs(SCOPE, 8),
        tables.stuck_jobs(SCOPE, 8),
        tables.vanished_jobs(SCOPE, 8),
    )
    running = (
        tables.running_jobs(SCOPE, 24),
        progress.by_state(SCOPE, 8),
        progress.progress(SCOPE, 8),
        progress.throughput(SCOPE, "collection", 8),
        lines(
            "Time left",
            "Estimated from the recent pace of each job. No value while the pace is unknown.",
            over_time(queries.jobs(SCOPE, "job_eta_seconds"), "{{job_id}}"),
            width=8,
            unit="s",
        ),
        lines(
            "Imported rows",
            "Rows imported by each unfinished job, if the API reports rows.",
            over_time(queries.jobs(SCOPE, "job_imported_rows"), "{{job_id}}"),
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
        .description("Result of the most recently finished import, over time.")
        .datasource(DATASOURCE)
        .height(8)
        .span(8)
        .mappings(mapped(OK_OR_FAILED))
        .merge_values(merge_values=True)
        .show_value(common_model.VisibilityMode.AUTO)
        .with_target(over_time(latest, "latest import")),
        progress.finished(SCOPE, 8),
        progress.success(SCOPE, 8).height(8),
        lines(
            "Usual duration",
            "Median duration of the last 20 completed imports. No value until 5 are known.",
            over_time(f"max({queries.collections(SCOPE, 'collection_typical_duration_seconds')})", "usual duration"),
            width=12,
            unit="s",
        ),
        lines(
            "Failures in a row",
            "Imports that have failed since one last completed, without aborted ones.",
            over_time(f"max({queries.collections(SCOPE, 'collection_failures_in_a_row')})", "failures in a row"),
            width=12,
        ),
    )
    return framed(
        COLLECTION_UID,
        "Milvus imports: collection",
        "The bulk imports of one collection.",
        SCOPE,
        cluster_variable(many=False),
        database_variable(),
        collection_variable(many=False),
        rows=(("Now", now), ("Running", running), ("History", history)),
    )
