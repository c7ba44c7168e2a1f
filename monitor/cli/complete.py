"""Names for shell completion: of clusters from the config and the state, of jobs from the state or the cluster.

A shell waits for them: nothing takes longer than ``TIMEOUT``, nothing is printed but names, and what cannot be read has
none.
"""

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.store import StoreReader

TIMEOUT: Final = 1.5
"""Seconds for which a shell waits at most."""

_MAX_NAMES: Final = 200
"""Names that are offered at most: nobody reads more."""

_WORD: Final = re.compile(r"[\w.@/+-]+")
"""Names that need no quotes in any shell; others are left out, since a server could choose one that runs code."""


def cluster_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of clusters that begin with a text."""
    return _within_timeout(lambda: _cluster_names(ctx.params), incomplete)


def job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of jobs that begin with a text: unfinished ones first, then those that changed lately."""
    return _within_timeout(lambda: _job_ids(ctx.params), incomplete)


def _within_timeout(names: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    matches: list[str] = []

    def collect() -> None:
        # A completion cannot report a fault: without names, the shell completes nothing.
        with suppress(Exception):
            from monitor.log import configure  # noqa: PLC0415 - only a completion needs all this
            from monitor.redaction import Redactor  # noqa: PLC0415

            configure("json", "error", Redactor(), io.StringIO())
            matching = (name for name in names() if name.startswith(incomplete) and _WORD.fullmatch(name))
            matches.extend(islice(matching, _MAX_NAMES))

    thread = Thread(target=collect, daemon=True)  # the process ends although a server, or a pipe, keeps it waiting
    thread.start()
    thread.join(TIMEOUT)
    return list(dict.fromkeys(matches.copy()))


def _load(params: dict[str, Any]) -> "Config":
    from monitor.cli.config_options import default_file  # noqa: PLC0415
    from monitor.config import load  # noqa: PLC0415

    path = params.get("config") or default_file()
    if path is None:
        raise FileNotFoundError
    return load(path, os.environ)


def _reading(config: "Config", params: dict[str, Any]) -> AbstractContextManager["StoreReader"]:
    from monitor.store import reading  # noqa: PLC0415

    return reading(params.get("store") or config.state.url.get_secret_value())


def _cluster_names(params: dict[str, Any]) -> Iterator[str]:
    config = _load(params)
    yield from (cluster.name for cluster in config.clusters)
    if config.discovery:
        with _reading(config, params) as store:
            yield from sorted(store.cluster_names())


def _job_ids(params: dict[str, Any]) -> Iterator[str]:
    from monitor.store import StoreError  # noqa: PLC0415

    config, name, has_recorded = _load(params), params.get("cluster"), False
    with suppress(StoreError):
        for job_id in _recorded_ids(config, name, params):
            has_recorded = True
            yield job_id
    if not has_recorded:
        yield from _listed_ids(config, name)


def _recorded_ids(config: "Config", name: str | None, params: dict[str, Any]) -> Iterator[str]:
    from monitor.jobs import JobState  # noqa: PLC0415
    from monitor.jobs.model import TERMINAL  # noqa: PLC0415
    from monitor.store import JobFilter, TransitionFilter  # noqa: PLC0415

    unfinished = frozenset(JobState) - TERMINAL
    with _reading(config, params) as store:
        page = store.jobs(JobFilter(cluster=name, states=unfinished), _MAX_NAMES)
        yield from (entry.job.job_id for entry in page.entries)
        recent = store.transitions(TransitionFilter(cluster=name), _MAX_NAMES)
        yield from (entry.transition.job_id for entry in recent.entries)


def _listed_ids(config: "Config", name: str | None) -> Iterator[str]:
    """Yield the ids that the one cluster in question lists."""
    from monitor.client import Network, connect  # noqa: PLC0415
    from monitor.jobs import JobList  # noqa: PLC0415

    clusters = [cluster for cluster in config.clusters if name in (None, cluster.name)]
    if len(clusters) == 1:
        with closing(Network(connections=1)) as network:
            api = connect(clusters[0].model_copy(update={"timeout": TIMEOUT}), network)
            api.session.begin_poll()
            yield from api.list_jobs(JobList()).records
