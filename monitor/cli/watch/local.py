"""Polls the clusters of a config: a daemon without a server, whose state is in memory."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from pydantic import SecretStr

from monitor.cli.options import exit_process
from monitor.cli.watch.state import COMPLETED_SHOWN, JobKey, View, completed_job
from monitor.config import Cluster, Config
from monitor.daemon import Daemon
from monitor.jobs import Job, JobState, current_pace, typical_duration
from monitor.log import configure
from monitor.redaction import Redactor
from monitor.store import TransitionFilter

_typical_duration: Final = lru_cache(10_000)(typical_duration)
"""Computed once for each outcome of a collection, not for each job and frame."""


@contextmanager
def local_source(config: Config, clusters: tuple[Cluster, ...]) -> Iterator[Callable[[], View]]:
    """Poll clusters until the block is left, and give a function that returns the current view.

    Where polls hang at the end, the process exits.
    """
    state = config.state.model_copy(update={"url": SecretStr("memory://")})
    with open(os.devnull, "w") as null:  # noqa: PTH123 - no path; what is logged is on the screen
        redactor = Redactor(config.secrets())
        configure("json", "error", redactor, null)
        daemon = Daemon(
            config.model_copy(update={"clusters": clusters, "discovery": (), "state": state}), None, redactor
        )
        daemon.start()
        try:
            yield lambda: _view(daemon, time.time())
        finally:
            if daemon.stop():
                exit_process()


def _view(daemon: Daemon, now: float) -> View:
    recent = TransitionFilter(states=frozenset({JobState.COMPLETED}), since=now - COMPLETED_SHOWN)
    jobs: dict[JobKey, Job] = {}
    usual: dict[JobKey, float] = {}
    for entry in daemon.store.transitions(recent).entries:
        step = entry.transition
        job = completed_job(step.job_id, step.database, step.collection, step.at, step.duration)
        jobs[entry.cluster, step.job_id] = job
    statuses = daemon.fleet.clusters()
    for status in statuses:
        for job in status.tracked.values():
            jobs[status.cluster.name, job.job_id] = job
            typical = _typical_duration(status.snapshot.outcomes.get((job.database, job.collection)))
            if typical is not None:
                usual[status.cluster.name, job.job_id] = typical.median
    paces = {key: current_pace(job, now) for key, job in jobs.items()}
    return View(
        jobs,
        {key: pace.done_at for key, pace in paces.items() if pace is not None},
        {status.cluster.name: status.why if status.status in ("up", "down") else None for status in statuses},
        usual=usual,
    )
