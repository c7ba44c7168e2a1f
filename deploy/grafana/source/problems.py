"""Counts of problems, shown first on all three dashboards."""

from grafana_foundation_sdk.builders import stat

from deploy.grafana.source import links, queries
from deploy.grafana.source.panels import BAD_FROM_1, WARN_FROM_1, number
from deploy.grafana.source.queries import Scope


def failed(scope: Scope, width: int) -> stat.Panel:
    """Build the panel of failed jobs."""
    return number(
        "Failed jobs",
        "Failed jobs within jobs.failed_retention (24 h by default).",
        queries.count(queries.failed(scope)),
        width=width,
        steps=BAD_FROM_1,
    ).links([links.runbook("MilvusImportJobFailed")])


def latest_failed(scope: Scope, width: int) -> stat.Panel:
    """Build the panel of collections with a failed latest import."""
    return number(
        "Latest import failed",
        "Collections with a failed latest import. A later completed import clears it.",
        queries.count(queries.latest_failed(scope)),
        width=width,
        steps=BAD_FROM_1,
    ).links([links.runbook("MilvusImportLastImportFailed")])


def stalled(scope: Scope, width: int) -> stat.Panel:
    """Build the panel of stalled jobs."""
    return number(
        "Stalled jobs",
        "Jobs that have been pending, importing or committing without progress for longer than the limit of the state.",
        queries.count(queries.stalled(scope, 'state!="uncommitted"')),
        width=width,
        steps=WARN_FROM_1,
    ).links([links.runbook("MilvusImportJobStalled")])


def vanished(scope: Scope, width: int) -> stat.Panel:
    """Build the panel of vanished jobs."""
    return number(
        "Vanished jobs",
        "Unfinished jobs that no longer exist according to the server. Their result is unknown.",
        queries.count(queries.vanished(scope)),
        width=width,
        steps=WARN_FROM_1,
    ).links([links.runbook("MilvusImportJobVanished")])


def uncommitted(scope: Scope, width: int) -> stat.Panel:
    """Build the panel of uncommitted jobs."""
    return number(
        "Uncommitted jobs",
        "Two-phase imports with loaded data that is not visible until the job is committed.",
        queries.count(queries.uncommitted(scope)),
        width=width,
        steps=WARN_FROM_1,
    ).links([links.runbook("MilvusImportJobUncommittedTooLong")])
