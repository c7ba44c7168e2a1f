"""``wait``: blocks until a job ends."""

import signal
import time
from contextlib import closing
from typing import Annotated, Any, Final

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from monitor import client
from monitor.cli.complete import cluster_names, job_ids
from monitor.cli.config_options import duration_option, load_config, select_clusters
from monitor.cli.options import ConfigFile, fail, option
from monitor.cli.output import percent, printable, rough_duration
from monitor.client.errors import BadRequestError, NotFoundError, UnauthorizedError
from monitor.config import Cluster, format_duration
from monitor.jobs import Job, JobList, JobState, eta_seconds, first_seen, follow
from monitor.poller import policy

TIMED_OUT: Final = 124
"""Exit code after ``--timeout``, the same as that of ``timeout`` of GNU coreutils."""

RETRY_LIMIT: Final = 60.0
"""Seconds until the next request after a failure, at most."""

_PERMANENT_ERRORS: Final = (UnauthorizedError, BadRequestError, NotFoundError)
"""Errors that do not pass by themselves: they end the command, unless the job has been seen before."""


def wait(
    job: Annotated[str, option("--job", "Id of the job.", "ID", autocompletion=job_ids)],
    config: ConfigFile = None,
    cluster: Annotated[
        str | None,
        option("--cluster", "The job's cluster, if there are several.", "NAME", autocompletion=cluster_names),
    ] = None,
    timeout: Annotated[float | None, duration_option("--timeout", "Give up after this time, such as 2h.")] = None,
) -> None:
    """Wait until a job ends.

    Shows a progress bar on standard error and prints one line on standard output. Temporary errors are reported and
    retried.

    Exit codes: 0 completed; 1 failed, vanished, or no such job; 2 invalid input; 124 timed out; 130 after Ctrl-C.
    """
    loaded = load_config(config)
    clusters = select_clusters(loaded, cluster)
    if len(clusters) > 1:
        fail(f"--cluster: {loaded.path} has {len(clusters)} clusters; name the one that has the job")
    with closing(client.Network(connections=1)) as network, _progress_bar(job) as progress:
        waiting = _Wait(clusters[0], client.connect(clusters[0], network), job, progress)
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, timeout or 0.0)
        try:
            code, outcome = waiting.run()
        except _TimeUpError:
            code, outcome = TIMED_OUT, f"{job} is {waiting.state()}; gave up after {format_duration(timeout or 0.0)}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    typer.echo(printable(f"{clusters[0].name}: {outcome}"))
    raise typer.Exit(code)


class _TimeUpError(BaseException):
    """The timeout has passed; like an interrupt, no other handler may catch it."""


def _give_up(*_: Any) -> None:
    raise _TimeUpError


def _progress_bar(job_id: str) -> Progress:
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal or console.is_dumb_terminal,
    )
    progress.add_task(f"{printable(job_id)} …", total=None, note="")
    return progress


class _Wait:
    def __init__(self, cluster: Cluster, api: client.ImportApi, job_id: str, progress: Progress) -> None:
        self._cluster = cluster
        self._api = api
        self._job_id = job_id
        self._job: Job | None = None
        self._progress = progress
        self._printed = ""

    def run(self) -> tuple[int, str]:
        """Return the exit code and what has become of the job; exit with 1 where waiting is in vain."""
        while True:
            try:
                job = self._poll(time.time())
            except client.JobGoneError:
                if self._job is None:
                    fail(printable(f"{self._cluster.name}: there is no job {self._job_id!r}"), code=1)
                return 1, f"{self._name()} vanished; it was {self.state()}, and now the server has no such job"
            except client.ApiError as error:
                message = f"{self._cluster.name}: {error.kind}: {error}"
                if self._job is None and isinstance(error, _PERMANENT_ERRORS):
                    fail(printable(message), code=1)
                pause = min(max(self._cluster.poll_interval(active=True), error.retry_after or 0.0), RETRY_LIMIT)
                self._print(message, f"{message}; retrying in {rough_duration(pause)}")
            else:
                pause = self._cluster.poll_interval(active=True)
                self._show(job)
                if job.state is JobState.FAILED:
                    return 1, f"{self._name()} failed ({job.failure}): {job.reason or 'no reason reported'}"
                if job.finished:
                    return 0, f"{self._name()} {job.state}"
            time.sleep(pause)

    def state(self) -> str:
        job = self._job
        if job is None:
            return "not seen yet"
        return job.state.value + ("" if job.progress is None else f" at {percent(job.progress)}")

    def _name(self) -> str:
        return f"{(self._job and self._job.collection) or 'job'} {self._job_id}"

    def _poll(self, now: float) -> Job:
        """Ask the server about the job; the whole list is read only where a describe has no state (v1)."""
        self._api.session.begin_poll()
        record = self._api.describe(self._job_id)
        if not record.state:
            listed = self._api.list_jobs(JobList()).records.get(self._job_id)
            record = record if listed is None else replace(record, state=listed.state)
        if self._job is None:
            self._job = first_seen(record, now)
        else:
            self._job = follow(self._job, record, now, policy(self._cluster))
        return self._job

    def _show(self, job: Job) -> None:
        eta = eta_seconds(job, time.time())
        note = "stalled" if job.stalled else "" if eta is None else f"~{rough_duration(eta)} left"
        self._progress.update(
            self._progress.task_ids[0],
            description=printable(f"{job.collection or job.job_id} {job.state}"),
            total=None if job.progress is None else 1.0,
            completed=job.progress or 0.0,
            note="waiting for its commit" if job.state is JobState.UNCOMMITTED else note,
        )
        stalled = ", stalled" if job.stalled else ""
        self._print(f"{job.state}{stalled}", f"{job.job_id} {self.state()}{stalled}")

    def _print(self, key: str, line: str) -> None:
        """Print a line above the bar, once while the key stays the same."""
        if self._printed != key:
            self._printed = key
            self._progress.console.print(Text(printable(line)), soft_wrap=True)
