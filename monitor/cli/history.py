"""``history``: the recorded transitions."""

import time
from typing import Annotated, Final

import typer
from rich.text import Text

from monitor.cli.given import lacks, loaded, seconds
from monitor.cli.options import ClusterName, ConfigFile, JobStates, Output, Store, given_as, one_of, option, states_of
from monitor.cli.printing import Output as Form
from monitor.cli.printing import in_colour, iso, percent, place, plain, print_rows
from monitor.cli.recorded import recorded_transitions
from monitor.jobs import JobState
from monitor.store import Recorded, Wanted

_COLUMNS: Final = (
    "at",
    "cluster",
    "database",
    "collection",
    "job_id",
    "from_state",
    "to_state",
    "progress",
    "duration_seconds",
    "failure",
    "unexpected",
    "reason",
)
_MOST: Final = 1_000_000


def history(
    config: ConfigFile,
    since: Annotated[
        str | None, option("--since", "Only the transitions of so long a time before now, such as 24h.", "DURATION")
    ] = None,
    cluster: ClusterName = None,
    collection: Annotated[str | None, option("--collection", "Only jobs of this collection.", "NAME")] = None,
    state: JobStates = None,
    job: Annotated[str | None, option("--job", "Only this job.", "ID")] = None,
    limit: Annotated[
        int, option("--limit", "How many transitions, those recorded last.", short="-n", min=1, max=_MOST)
    ] = 100,
    output: Output = "table",
    store: Store = None,
) -> None:
    """Print the transitions in the order in which they were recorded.

    Times of different clusters can be out of that order: a poll has the time of its begin, and is recorded at its end,
    or later where the store was ill. They are read from the state of a monitor, which may be running; nothing in it
    is changed.
    """
    form, states = one_of("--output", output, Form), states_of(state, JobState)
    before_now = seconds("--since", since)
    begin = None if before_now is None else time.time() - before_now
    wanted = Wanted(cluster=cluster, collection=collection, job_id=job, states=states, since=begin)
    known = loaded(config)
    found = recorded_transitions(known, store, wanted, limit)
    rows = [_row(one) for one in reversed(found.entries)]
    print_rows(form, _COLUMNS, rows, _table(rows))
    if cluster is not None and not rows and all(one.name != cluster for one in known.clusters):
        # What was recorded of a cluster stays when the config has it no more, so it may be one.
        name = given_as("--cluster", cluster)
        typer.echo(f"{name}: no such transition is recorded, and {lacks(known, config, cluster)}", err=True)
    if found.next_cursor is not None:
        typer.echo(f"there are more than {limit}; --limit says how many are printed", err=True)


_Row = dict[str, str | float | int | bool | None]


def _row(one: Recorded) -> _Row:
    step = one.transition
    return {
        "at": iso(step.at),
        "cluster": one.cluster,
        "database": step.database,
        "collection": step.collection,
        "job_id": step.job_id,
        "from_state": "new" if step.from_state is None else step.from_state.value,
        "to_state": step.to_state.value,
        "progress": step.progress,
        "duration_seconds": round(step.duration, 3),
        "failure": None if step.failure is None else step.failure.value,
        "unexpected": step.unexpected,
        "reason": step.reason or None,
    }


def _table(rows: list[_Row]) -> dict[str, list[Text]]:
    return {
        "AT": [Text(str(row["at"])[:19] + "Z") for row in rows],
        "CLUSTER": [plain(row["cluster"]) for row in rows],
        "COLLECTION": [place(row["database"], row["collection"]) for row in rows],
        "JOB": [plain(row["job_id"]) for row in rows],
        "FROM": [in_colour(str(row["from_state"])) for row in rows],
        "TO": [in_colour(str(row["to_state"])) for row in rows],
        "PROGRESS": [percent(row["progress"]) for row in rows],
        "REASON": [plain(row["reason"]) for row in rows],
    }
