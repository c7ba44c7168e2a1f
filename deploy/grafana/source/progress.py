"""Panels about the progress of imports, shared by all three dashboards."""

from grafana_foundation_sdk.builders import stat, timeseries

from deploy.grafana.source import queries
from deploy.grafana.source.panels import BY_STATE, lines, number, over_time
from deploy.grafana.source.queries import Scope


def by_state(scope: Scope, width: int) -> timeseries.Panel:
    """Build the panel of unfinished jobs over time."""
    return lines(
        "Unfinished jobs by state",
        "Jobs in the latest lists that have not finished.",
        over_time(queries.unfinished(scope, "state"), BY_STATE),
        width=width,
        stacked=True,
        steps=True,
    )


def finished(scope: Scope, width: int) -> timeseries.Panel:
    """Build the panel of finished jobs over time."""
    return lines(
        "Finished jobs per hour",
        "Jobs that completed, failed or vanished within the last hour, over all monitors.",
        over_time(queries.outcomes(scope, "state", "1h"), BY_STATE),
        width=width,
    )


def throughput(scope: Scope, by: str, width: int) -> timeseries.Panel:
    """Build the panel of rows per second."""
    return lines(
        "Imported rows per second",
        "Computed from the imported rows of unfinished jobs, if the API reports rows.",
        over_time(queries.rows_per_second(scope, by), f"{{{{{by}}}}}"),
        width=width,
        unit="rowsps",
        stacked=True,
    )


def durations(scope: Scope, width: int) -> timeseries.Panel:
    """Build the panel of import durations."""
    quantiles = (
        (0.5, "median", "A"),
        (0.9, "90th percentile", "B"),
        (0.99, "99th percentile", "C"),
    )
    return lines(
        "Duration of completed imports",
        "From the poll that first saw a job unfinished to the poll that saw it completed, over jobs that completed "
        "within the last hour. Interpolated between the histogram buckets 10 s, 30 s, 1 min, 2 min, 5 min, 10 min, "
        "30 min, 1 h, 2 h, 4 h, 12 h and 24 h.",
        *(over_time(queries.durations(scope, quantile, "1h"), legend, ref) for quantile, legend, ref in quantiles),
        width=width,
        unit="s",
    )


def progress(scope: Scope, width: int) -> timeseries.Panel:
    """Build the panel of the progress of each job."""
    return lines(
        "Progress of unfinished jobs",
        "A flat line does not always mean that a job is stuck: servers stay at about 10, 40, 45 and 80 % for a while, "
        "and at 99 % until the job is committed.",
        over_time(queries.jobs(scope, "job_progress_ratio", by="collection, job_id"), "{{collection}} {{job_id}}"),
        width=width,
        unit="percentunit",
        top=1,
    )


def success(scope: Scope, width: int) -> stat.Panel:
    """Build the panel of the success rate."""
    return number(
        "Success rate in 24 h",
        "Fraction of jobs finished within the last 24 hours that completed; the others failed or vanished.",
        queries.success_ratio(scope, "24h"),
        width=width,
        unit="percentunit",
        steps=((None, "red"), (0.9, "orange"), (0.99, "green")),
        trend=False,
    )
