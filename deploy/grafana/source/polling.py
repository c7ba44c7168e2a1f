"""Panels about polling, shared by the dashboards of the fleet and of a cluster."""

from grafana_foundation_sdk.builders import timeseries

from deploy.grafana.source import queries
from deploy.grafana.source.panels import lines, over_time
from deploy.grafana.source.queries import Scope


def panels(scope: Scope, *, each: str) -> tuple[timeseries.Panel, ...]:
    """Build eight panels: two rows of three, and one of two.

    Args:
        scope: The clusters.
        each: The label that distinguishes the lines of a panel without a reason or an endpoint.
    """
    return (
        lines(
            "Failed polls",
            "Failed polls per second, by reason. unauthorized: the API key. throttled: the rate limit of the server. "
            "connection, timeout, transient: the server or the network.",
            over_time(f"{queries.rate(scope, 'poll_failures_total', 'reason')} > 0", "{{reason}}"),
            width=8,
            unit="cps",
        ),
        lines(
            "Poll duration",
            "Duration of the last poll of each cluster.",
            over_time(queries.clusters(scope, "cluster_last_poll_duration_seconds"), f"{{{{{each}}}}}"),
            width=8,
            unit="s",
        ),
        lines(
            "Data age",
            "Time since the last successful poll, which is the age of all values on the dashboards.",
            over_time(
                queries.age(queries.clusters(scope, "cluster_last_success_timestamp_seconds")), f"{{{{{each}}}}}"
            ),
            width=8,
            unit="s",
        ),
        lines(
            "Requests",
            "Requests per second to the import API, by endpoint. Zilliz Cloud allows about 20 per user and endpoint.",
            over_time(queries.rate(scope, "api_requests_total", "endpoint"), "{{endpoint}}"),
            width=8,
            unit="reqps",
        ),
        lines(
            "Time spent waiting for a rate limit",
            "Fraction of time that polls wait for a rate limit of the monitor or of the server. Above 25 %, "
            "changes are reported late.",
            over_time(queries.rate(scope, "api_throttled_seconds_total", each), f"{{{{{each}}}}}"),
            width=8,
            unit="percentunit",
        ),
        lines(
            "Missed polls, dropped series, invalid records",
            "Polls per second that did not run because the previous poll was still running; series dropped because of "
            "jobs.series_per_cluster; invalid records per second. All three should be 0.",
            over_time(f"sum({queries.rate(scope, 'polls_missed_total', each)})", "missed polls", "A"),
            over_time(f"sum({queries.clusters(scope, 'cluster_series_dropped')})", "dropped series", "B"),
            over_time(f"sum({queries.rate(scope, 'bad_records_total', each)})", "invalid records", "C"),
            width=8,
        ),
        lines(
            "Poll interval",
            "Time from one poll of a cluster to the next: shorter with unfinished jobs, longer if the rate of the API "
            "key requires it, or while polls fail.",
            over_time(queries.clusters(scope, "poll_interval_seconds"), f"{{{{{each}}}}}"),
            width=12,
            unit="s",
            steps=True,
        ),
        lines(
            "Interval, as a multiple of the configured one",
            "By which factor the interval is longer than configured because the clusters of an API key need more "
            "requests than its rate allows; otherwise 1.",
            over_time(queries.clusters(scope, "poll_interval_stretch_ratio"), f"{{{{{each}}}}}"),
            width=12,
            unit="none",
            steps=True,
        ),
    )
