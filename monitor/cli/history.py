"""``history``: the recorded transitions."""

import time
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

from monitor.cli.complete import job_ids
from monitor.cli.config_options import Store, duration_option, load_config, unknown_cluster
from monitor.cli.options import ClusterName, ConfigFile, fail, option, print_warning, source_of
from monitor.cli.output import Fields, JobStates, Output, OutputFormat, iso_time, print_rows
from monitor.store import StoreError, TransitionFilter, reading

_MAX_LIMIT: Final = 1_000_000
"""Transitions that are printed at most: they are read into memory."""

_FIELDS: Final[Fields] = {
    "at": lambda _, step: iso_time(step.at),
    "cluster": lambda cluster, _: cluster.name,
    "labels": lambda cluster, _: cluster.labels,
    "database": lambda _, step: step.database,
    "collection": lambda _, step: step.collection,
    "job_id": lambda _, step: step.job_id,
    "from_state": lambda _, step: "new" if step.from_state is None else step.from_state.value,
    "to_state": lambda _, step: step.to_state.value,
    "progress": lambda _, step: step.progress,
    "duration_seconds": lambda _, step: round(step.duration, 3),
    "failure": lambda _, step: None if step.failure is None else step.failure.value,
    "unexpected": lambda _, step: step.unexpected,
    "reason": lambda _, step: step.reason or None,
}
_COLUMNS: Final = ("at", "cluster", "collection", "job_id", "from_state", "to_state", "progress", "reason")


class _RecordedCluster(NamedTuple):
    """A cluster of the store: its name, and its labels if the config still has it."""

    name: str
    labels: Mapping[str, str]


def history(
    config: ConfigFile = None,
    since: Annotated[float | None, duration_option("--since", "Only transitions of the last 24h, for example.")] = None,
    cluster: ClusterName = None,
    collection: Annotated[str | None, option("--collection", "Only jobs of this collection.", "NAME")] = None,
    state: JobStates = None,
    job: Annotated[str | None, option("--job", "Only this job.", "ID", autocompletion=job_ids)] = None,
    limit: Annotated[int, option("--limit", "Only the latest N.", "N", short="-n", min=1, max=_MAX_LIMIT)] = 100,
    output: Output = OutputFormat.TABLE,
    store: Store = None,
) -> None:
    """Print the recorded transitions, oldest first.

    They are in the order in which they were recorded, so times of different clusters can be slightly out of order. They
    are read from the store of a monitor, which may be running; nothing in it is changed.

    Exit codes: 0 success, also without transitions; 2 invalid input, or the store is empty or cannot be read.
    """
    begin = None if since is None else time.time() - since
    selection = TransitionFilter(
        cluster=cluster, collection=collection, job_id=job, states=frozenset(state or ()), since=begin
    )
    loaded = load_config(config)
    try:
        with reading(store or loaded.state.url.get_secret_value()) as database:
            page = database.transitions(selection, limit)
    except StoreError as error:
        fail(str(error))
    labels = {configured.name: configured.labels for configured in loaded.clusters}
    steps = [
        (_RecordedCluster(entry.cluster, labels.get(entry.cluster, {})), entry.transition)
        for entry in reversed(page.entries)
    ]
    print_rows(output, steps, _FIELDS, _COLUMNS)
    is_unknown = not loaded.discovery and all(configured.name != cluster for configured in loaded.clusters)
    if cluster is not None and not steps and is_unknown:
        # Transitions stay when the config no longer has their cluster, so an unknown name is no error.
        name = source_of("--cluster", cluster)
        problem = unknown_cluster(loaded.path, loaded.clusters, cluster)
        print_warning(f"{name}: no such transition is recorded, and {problem}")
    if page.next_cursor is not None:
        print_warning(f"there are more than {limit} transitions; --limit sets how many are printed")
