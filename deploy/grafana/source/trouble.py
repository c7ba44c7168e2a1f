"""What is on fire: the numbers that all three dashboards begin with, each for its part of the fleet."""

from grafana_foundation_sdk.builders import stat

from deploy.grafana.source import queries
from deploy.grafana.source.panels import BAD_FROM_1, WARN_FROM_1, number
from deploy.grafana.source.queries import Scope


def failed(scope: Scope, width: int) -> stat.Panel:
    """Failed jobs."""
    return number(
        "Failed jobs",
        "Jobs that failed and are still remembered: for a day, unless jobs.failed_retention says otherwise.",
        queries.how_many(queries.failed(scope)),
        width=width,
        steps=BAD_FROM_1,
    )


def latest_failed(scope: Scope, width: int) -> stat.Panel:
    """Collections that are not up to date."""
    return number(
        "Latest import failed",
        "Collections whose most recent finished import failed. It is good again when a later one completes.",
        queries.how_many(queries.latest_failed(scope)),
        width=width,
        steps=BAD_FROM_1,
    )


def stalled(scope: Scope, width: int) -> stat.Panel:
    """Jobs without progress."""
    return number(
        "Stalled jobs",
        "Jobs without progress for longer than the limit of their state: pending, importing or committing too long.",
        queries.how_many(queries.stalled(scope, 'state!="uncommitted"')),
        width=width,
        steps=WARN_FROM_1,
    )


def vanished(scope: Scope, width: int) -> stat.Panel:
    """Jobs that are gone."""
    return number(
        "Vanished jobs",
        "Unfinished jobs of which the server says that they do not exist. How they ended is not known.",
        queries.how_many(queries.vanished(scope)),
        width=width,
        steps=WARN_FROM_1,
    )


def uncommitted(scope: Scope, width: int) -> stat.Panel:
    """Jobs that wait for somebody."""
    return number(
        "Waiting for a commit",
        "Two-phase imports whose data is loaded and seen by nobody until somebody commits or aborts them.",
        queries.how_many(queries.uncommitted(scope)),
        width=width,
        steps=WARN_FROM_1,
    )
