"""How imports come along: the panels that all three dashboards have in common, each for its part of the fleet."""

from grafana_foundation_sdk.builders import stat, timeseries

from deploy.grafana.source import queries
from deploy.grafana.source.panels import BY_STATE, lines, number, over_time
from deploy.grafana.source.queries import Scope


def by_state(scope: Scope, width: int) -> timeseries.Panel:
    """Unfinished jobs over time."""
    return lines(
        "Unfinished jobs by state",
        "Jobs in the latest lists that have neither completed nor failed.",
        over_time(queries.unfinished(scope, "state"), BY_STATE),
        width=width,
        stacked=True,
        steps=True,
    )


def finished(scope: Scope, width: int) -> timeseries.Panel:
    """Outcomes over time."""
    return lines(
        "Jobs finished in an hour",
        "Jobs that completed, failed or vanished in the hour before, over all monitors.",
        over_time(queries.outcomes(scope, "state", "1h"), BY_STATE),
        width=width,
    )


def throughput(scope: Scope, by: str, width: int) -> timeseries.Panel:
    """Rows a second."""
    return lines(
        "Rows imported a second",
        "From the rows that jobs in progress count, so only where the API counts them.",
        over_time(queries.rows_per_second(scope, by), f"{{{{{by}}}}}"),
        width=width,
        unit="rowsps",
        stacked=True,
    )


def durations(scope: Scope, width: int) -> timeseries.Panel:
    """How long imports take."""
    quantiles = (
        (0.5, "half are faster than", "A"),
        (0.9, "90 % are faster than", "B"),
        (0.99, "99 % are faster than", "C"),
    )
    return lines(
        "Time that completed imports took",
        "From the poll that first saw a job unfinished to the one that saw it completed, over the jobs that completed "
        "in the hour before. Read from buckets: the true value lies between the two neighbours of 10 s, 30 s, 1 min, "
        "2 min, 5 min, 10 min, 30 min, 1 h, 2 h, 4 h, 12 h and 24 h.",
        *(over_time(queries.durations(scope, quantile, "1h"), legend, ref) for quantile, legend, ref in quantiles),
        width=width,
        unit="s",
    )


def progress(scope: Scope, width: int) -> timeseries.Panel:
    """Each job's way."""
    return lines(
        "Progress of unfinished jobs",
        "A flat line is not always a stuck job: servers stay at about 10, 40, 45 and 80 % for a while, and at 99 % "
        "until somebody commits.",
        over_time(queries.jobs(scope, "job_progress_ratio", by="collection, job_id"), "{{collection}} {{job_id}}"),
        width=width,
        unit="percentunit",
        top=1,
    )


def success(scope: Scope, width: int) -> stat.Panel:
    """The share that completed."""
    return number(
        "Completed, of those finished in 24 h",
        "The share of the jobs finished in the last 24 hours that completed; the rest failed or vanished.",
        queries.success_ratio(scope, "24h"),
        width=width,
        unit="percentunit",
        steps=((None, "red"), (0.9, "orange"), (0.99, "green")),
        trend=False,
    )
