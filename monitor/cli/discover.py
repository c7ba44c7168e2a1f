"""``discover``: the clusters that the discoveries find, and of each why it is watched or not."""

from collections.abc import Mapping
from typing import Final

import typer

from monitor.cli.config_options import Store, load_config
from monitor.cli.discovered import failures, find_clusters
from monitor.cli.options import ConfigFile, print_error, print_warning
from monitor.cli.output import Fields, Output, OutputFormat, print_rows
from monitor.config import Config
from monitor.discovery import REMOVED
from monitor.discovery.filters import included_by
from monitor.discovery.reconcile import Decision

_FIELDS: Final[Fields] = {
    "discovery": lambda decision, _: decision.discovery,
    "name": lambda decision, _: decision.listed.name,
    "id": lambda decision, _: decision.listed.id,
    "project": lambda decision, _: decision.listed.project or decision.listed.project_id,
    "region": lambda decision, _: decision.listed.region,
    "plan": lambda decision, _: decision.listed.plan,
    "status": lambda decision, _: decision.listed.status,
    "watched": lambda decision, _: _watched(decision),
    "cluster": lambda decision, _: None if decision.watched is None else decision.watched.cluster.name,
    "labels": lambda decision, _: {} if decision.watched is None else decision.watched.cluster.labels,
    "reason": lambda _, reason: reason or None,
}
_COLUMNS: Final = ("discovery", "name", "id", "project", "region", "plan", "status", "watched", "reason")


def discover(config: ConfigFile = None, output: Output = OutputFormat.TABLE, store: Store = None) -> None:
    """List the clusters that the discoveries find.

    The reason why each is watched or not is printed, too. Every discovery lists its clusters once; no cluster is
    polled. Names of clusters that a monitor has recorded are read from its store, which may be in use and is not
    changed.

    Exit codes: 0 success, also if nothing is found; 1 a discovery failed, the others are printed; 2 invalid input.
    """
    loaded = load_config(config)
    if not loaded.discovery:
        print_warning(f"{loaded.path} has no discovery")
    plan, errors = find_clusters(loaded, store)
    rows = [(decision, _reason(loaded, errors, decision)) for decision in plan.decisions]
    print_rows(output, rows, _FIELDS, _COLUMNS)
    for line in failures(errors):
        print_error(line)
    if errors:
        raise typer.Exit(1)


def _reason(config: Config, errors: Mapping[str, str], decision: Decision) -> str:
    """Return why a cluster is watched or not, and under which name if it is not that of the list."""
    listed, watched = decision.listed, decision.watched
    discovery = next(discovery for discovery in config.discovery if discovery.name == decision.discovery)
    reasons = [decision.reason or included_by(discovery, listed)]
    if watched is not None and watched.cluster.name != listed.name:
        reasons.append(f"watched as {watched.cluster.name}")
    if discovery.name in errors:
        reasons.append("from an earlier list")
    elif watched is not None and watched.missing:
        reasons.append("not in the list any more")
    return "; ".join(filter(None, reasons))


def _watched(decision: Decision) -> str:
    """Return ``yes``, ``no``, ``paused`` (watched, and not polled), or ``removed`` (only its failures are shown)."""
    if decision.watched is None:
        return "no"
    if decision.watched.status == REMOVED:
        return REMOVED
    return "yes" if decision.watched.polled else "paused"
