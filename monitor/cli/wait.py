"""``wait``: for one job, to its end."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Final, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from monitor.api import ApiError, BadRequestError, JobGoneError, Network, NotFoundError, UnauthorizedError
from monitor.cli.bars import in_words
from monitor.cli.following import Follower
from monitor.cli.given import chosen, loaded, seconds
from monitor.cli.options import ConfigFile, fail, option
from monitor.cli.printing import harmless
from monitor.config import Cluster, format_duration
from monitor.jobs import JobState, TrackedJob, classify, eta_seconds

TIMED_OUT: Final = 124
"""Exit code of ``timeout`` of GNU coreutils, which scripts know."""

_NEEDS_SOMEBODY: Final = (UnauthorizedError, BadRequestError, NotFoundError)
"""Errors that do not pass by themselves: where nothing has ever worked, waiting is in vain."""


def wait(
    config: ConfigFile,
    job: Annotated[str, option("--job", "The id of the job.", "ID")],
    cluster: Annotated[
        str | None, option("--cluster", "The job's cluster; can be left out where the config has only one.", "NAME")
    ] = None,
    timeout: Annotated[
        str | None, option("--timeout", "Give up after this time, such as 2h; without it, never.", "DURATION")
    ] = None,
) -> None:
    """Wait until a job ends.

    With a progress bar on standard error, and one line at the end on standard output. Exit with 0 when it completed, 1
    when it failed or vanished, 124 when the time is up. What is wrong with the API for a while is said and waited out.
    """
    limit = seconds("--timeout", timeout)
    clusters = chosen(loaded(config), config, cluster)
    if len(clusters) > 1:
        fail(f"--cluster: {config} has {len(clusters)} clusters; say which one has the job")
    network = Network(connections=1)
    follower = Follower(clusters[0], network, job)
    try:
        with _time_limit(limit), _shown(job) as show:
            code, line = _wait(follower, job, show)
    except _TimeUpError:
        code, line = TIMED_OUT, _given_up(follower, job, limit or 0.0)
    finally:
        network.close()
    typer.echo(line)
    raise typer.Exit(code)


class _Show(Protocol):
    def job(self, tracked: TrackedJob) -> None: ...

    def trouble(self, message: str) -> None: ...


class _TimeUpError(BaseException):
    """The time is up; like an interrupt, it is nobody's to catch but ours."""


@contextmanager
def _time_limit(limit: float | None) -> Iterator[None]:
    """Raise ``_TimeUpError`` after so many seconds, also in the middle of a request."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _TimeUpError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit or 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _wait(follower: Follower, job_id: str, show: _Show) -> tuple[int, str]:
    """Poll until the job has ended; return the exit code and what to say. Where that is in vain, exit with 1."""
    cluster = follower.cluster
    while True:
        pause = follower.pause()
        try:
            follower.poll()
        except JobGoneError:
            fail(harmless(f"{cluster.name}: there is no job {job_id!r}"), code=1)
        except ApiError as error:
            if follower.job() is None and isinstance(error, _NEEDS_SOMEBODY):
                fail(harmless(f"{cluster.name}: {error.kind}: {error}"), code=1)
            pause = follower.pause(error)
            show.trouble(harmless(f"{cluster.name}: {error.kind}: {error}; asking again in {in_words(pause)}"))
        else:
            tracked = follower.job()
            if tracked is not None:
                show.job(tracked)
                if tracked.finished:
                    return int(tracked.job.state is not JobState.COMPLETED), _ended(cluster, tracked)
        time.sleep(pause)


def _given_up(follower: Follower, job_id: str, limit: float) -> str:
    tracked = follower.job()
    state = "not seen yet" if tracked is None else _how_far(tracked)
    return harmless(f"{follower.cluster.name}: {job_id} is {state}; gave up after {format_duration(limit)}")


def _how_far(tracked: TrackedJob) -> str:
    progress = tracked.job.progress
    return tracked.job.state.value + ("" if progress is None else f" at {int(progress * 100)}%")


def _ended(cluster: Cluster, tracked: TrackedJob) -> str:
    """Return how a job ended, on one line."""
    job = tracked.job
    line = f"{cluster.name}: {job.collection or 'job'} {job.job_id} {job.state}"
    if job.state is JobState.FAILED:
        line += f" ({classify(job.reason)}): {job.reason or 'the server gives no reason'}"
    elif job.state is JobState.VANISHED:
        line += f" at {int((job.progress or 0.0) * 100)}%: the server says that it does not exist any more"
    return harmless(line)


@contextmanager
def _shown(job_id: str) -> Iterator[_Show]:
    """Give what shows a job: a bar on a terminal, else a line for each change."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        yield _Bar(progress, job_id)


class _Bar:
    """A bar on the terminal."""

    def __init__(self, progress: Progress, job_id: str) -> None:
        self._progress = progress
        self._task = progress.add_task(f"{job_id} …", total=None, left="")

    def job(self, tracked: TrackedJob) -> None:
        """Show how far the job is."""
        job = tracked.job
        eta = eta_seconds(tracked, time.time())
        left = "stalled" if tracked.stalled else "" if eta is None else f"~{in_words(eta)} left"
        if job.state is JobState.UNCOMMITTED:
            left = "waits for somebody to commit it"
        self._progress.update(
            self._task,
            description=harmless(f"{job.collection or job.job_id} {job.state}"),
            total=None if job.progress is None else 1.0,
            completed=job.progress or 0.0,
            left=left,
        )

    def trouble(self, message: str) -> None:
        """Say what is wrong, beside the bar, which stays."""
        self._progress.update(self._task, left=message)


class _Lines:
    """A line on standard error for each change."""

    def __init__(self, say: Callable[[str], None] = lambda line: typer.echo(line, err=True)) -> None:
        self._say = say
        self._last: dict[str, str] = {}

    def job(self, tracked: TrackedJob) -> None:
        """Tell a state that is not the last one."""
        stalled = ", stalled" if tracked.stalled else ""
        self._tell("state", f"{tracked.job.state}{stalled}", f"{tracked.job.job_id} {_how_far(tracked)}{stalled}")
        self._last.pop("trouble", None)

    def trouble(self, message: str) -> None:
        """Tell what is wrong, once while it is the same."""
        self._tell("trouble", message.partition("; asking")[0], message)

    def _tell(self, what: str, value: str, line: str) -> None:
        if self._last.get(what) != value:
            self._last[what] = value
            self._say(harmless(line))
