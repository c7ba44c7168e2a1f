"""How well the clusters can be asked: the panels that the fleet and a single cluster have in common."""

from grafana_foundation_sdk.builders import timeseries

from deploy.grafana.source import queries
from deploy.grafana.source.panels import lines, over_time
from deploy.grafana.source.queries import Scope


def panels(scope: Scope, *, each: str) -> tuple[timeseries.Panel, ...]:
    """Six panels, two rows of three.

    Args:
        scope: The clusters.
        each: The label by which the lines of one panel differ, where a kind or an endpoint does not say it.
    """
    return (
        lines(
            "Polls that failed",
            "Failed polls a second, by the kind of error. unauthorized: the key. throttled: the server's rate limit. "
            "connection, timeout, transient: the server or the way to it.",
            over_time(f"{queries.counted(scope, 'poll_failures_total', 'reason')} > 0", "{{reason}}"),
            width=8,
            unit="cps",
        ),
        lines(
            "Time that polls take",
            "How long the last poll of each cluster took.",
            over_time(queries.clusters(scope, "cluster_last_poll_duration_seconds"), f"{{{{{each}}}}}"),
            width=8,
            unit="s",
        ),
        lines(
            "Age of what is shown",
            "Seconds since the last successful poll: everything on these dashboards is as old as this.",
            over_time(
                queries.age(queries.clusters(scope, "cluster_last_success_timestamp_seconds")), f"{{{{{each}}}}}"
            ),
            width=8,
            unit="s",
        ),
        lines(
            "Requests",
            "Requests a second to the import API, by endpoint. Zilliz Cloud allows a user about 20 at each.",
            over_time(queries.counted(scope, "api_requests_total", "endpoint"), "{{endpoint}}"),
            width=8,
            unit="reqps",
        ),
        lines(
            "Waiting for a rate limit",
            "The share of the time that polls wait for a limit, the monitor's own or the server's. Above 25 %, "
            "news come late.",
            over_time(queries.counted(scope, "api_throttled_seconds_total", each), f"{{{{{each}}}}}"),
            width=8,
            unit="percentunit",
        ),
        lines(
            "Missed, left out, unreadable",
            "Polls a second that did not run because the one before was still running; series left out because of "
            "jobs.series_per_cluster; records a second that were no import jobs. All three should be 0.",
            over_time(f"sum({queries.counted(scope, 'polls_missed_total', each)})", "missed polls", "A"),
            over_time(f"sum({queries.clusters(scope, 'cluster_series_dropped')})", "series left out", "B"),
            over_time(f"sum({queries.counted(scope, 'bad_records_total', each)})", "unreadable records", "C"),
            width=8,
        ),
    )
