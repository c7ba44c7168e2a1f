"""``jobs``: what is there now, printed once."""

from collections.abc import Iterable
from typing import Final

import typer
from rich.text import Text

from monitor.cli.given import chosen, loaded
from monitor.cli.looking import Look, look
from monitor.cli.options import ClusterName, ConfigFile, FailOn, JobStates, Output, Store, one_of, some_of, states_of
from monitor.cli.printing import Output as Form
from monitor.cli.printing import harmless, in_colour, iso, percent, place, plain, print_rows
from monitor.config import Cluster, Config
from monitor.jobs import Job, JobState, Picture, classify

_COLUMNS: Final = (
    "cluster",
    "database",
    "collection",
    "job_id",
    "state",
    "progress",
    "imported_rows",
    "total_rows",
    "created_at",
    "completed_at",
    "failure",
    "reason",
)


def jobs(
    config: ConfigFile,
    cluster: ClusterName = None,
    state: JobStates = None,
    output: Output = "table",
    fail_on: FailOn = None,
    store: Store = None,
) -> None:
    """Ask every cluster once and print its jobs.

    Exit with 1 when a job is in a state to fail on, or when a cluster cannot be asked. What has vanished is known only
    from what a monitor has recorded: --state vanished and --fail-on vanished read its state, and change nothing there.
    """
    form = one_of("--output", output, Form)
    wanted, bad = states_of(state, JobState), some_of("--fail-on", fail_on, JobState)
    loaded_config = loaded(config)
    clusters = chosen(loaded_config, config, cluster)
    pictures = _recorded(loaded_config, clusters, store) if JobState.VANISHED in wanted | bad else None
    looks = look(loaded_config, clusters, pictures)
    found = [(one.cluster, job) for one in looks for job in one.jobs()]
    rows = [_row(where, job) for where, job in found if not wanted or job.state in wanted]
    print_rows(form, _COLUMNS, rows, _table(rows))
    _tell_errors(looks)
    if any(one.error for one in looks) or any(job.state in bad for _, job in found):
        raise typer.Exit(1)


def _recorded(config: Config, clusters: tuple[Cluster, ...], store: str | None) -> dict[str, Picture]:
    from monitor.cli.recorded import recorded_pictures  # noqa: PLC0415 - importing SQLAlchemy takes longer than a look

    return recorded_pictures(config, clusters, store)


def _tell_errors(looks: Iterable[Look]) -> None:
    for one in looks:
        if one.error is not None:
            typer.echo(f"{one.cluster.name}: {one.error.kind.value}: {harmless(str(one.error))}", err=True)


_Row = dict[str, str | float | int | bool | None]


def _row(cluster: Cluster, job: Job) -> _Row:
    return {
        "cluster": cluster.name,
        "database": job.database,
        "collection": job.collection,
        "job_id": job.job_id,
        "state": job.state.value,
        "progress": job.progress,
        "imported_rows": job.imported_rows,
        "total_rows": job.total_rows,
        "created_at": iso(job.created_at),
        "completed_at": iso(job.completed_at),
        "failure": classify(job.reason).value if job.state is JobState.FAILED else None,
        "reason": job.reason or None,
    }


def _table(rows: list[_Row]) -> dict[str, list[Text]]:
    return {
        "CLUSTER": [plain(row["cluster"]) for row in rows],
        "COLLECTION": [place(row["database"], row["collection"]) for row in rows],
        "JOB": [plain(row["job_id"]) for row in rows],
        "STATE": [in_colour(str(row["state"])) for row in rows],
        "PROGRESS": [percent(row["progress"]) for row in rows],
        "REASON": [plain(row["reason"]) for row in rows],
    }
