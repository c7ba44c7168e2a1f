"""Panels about the clusters that are found: discoveries, and clusters that are not polled or not listed."""

from grafana_foundation_sdk.builders import stat, table

from deploy.grafana.source import queries
from deploy.grafana.source.panels import UP_OR_DOWN, WARN_FROM_1, Column, number, rows
from deploy.grafana.source.queries import FLEET


def panels() -> tuple[stat.Panel | table.Panel, ...]:
    """Build three panels, in one row."""
    return (
        rows(
            "Discoveries",
            "Sources of clusters: whether the latest list was complete, how many of its clusters are watched, and the "
            "time since the latest complete list. The log contains the reason of a failure.",
            queries.discoveries("up", "min"),
            queries.discoveries("clusters", "max"),
            queries.age(queries.discoveries("last_success_timestamp_seconds", "min")),
            columns=(
                Column("discovery", "Discovery"),
                Column("Value #A", "Status", words=UP_OR_DOWN, width=90),
                Column("Value #B", "Clusters", unit="short", width=110),
                Column("Value #C", "Last list", unit="s", width=120),
            ),
            width=12,
            sort="Status",
            descending=False,
            height=6,
        ),
        number(
            "Paused clusters",
            "Clusters that are not polled: suspended, stopped, being deleted, or no longer found.",
            queries.count(f"{queries.clusters(FLEET, 'cluster_paused')} == 1"),
            width=6,
        ).height(6),
        number(
            "Missing clusters",
            "Clusters that the latest list of their discovery lacks. They are removed if they stay missing.",
            queries.count(f"{queries.clusters(FLEET, 'cluster_missing')} == 1"),
            width=6,
            steps=WARN_FROM_1,
        ).height(6),
    )
