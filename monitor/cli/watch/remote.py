"""Reads the jobs of a running monitor over its API."""

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from monitor.cli.monitor_client import MonitorClient, MonitorError
from monitor.cli.options import fail
from monitor.cli.watch.state import COMPLETED_SHOWN, JobKey, View, completed_job
from monitor.jobs import Job, JobState

PAGE_SIZE: Final = 1000
MAX_PAGES: Final = 20
"""Pages of clusters, and of jobs, that are read at most; what is beyond them is left out, and a note says so."""

_INTERVAL: Final = 1.0
"""Seconds from one read to the next."""

_REST: Final = 9.0
"""Nothing is read for this many times as long as the last read took: a tenth of one core of the monitor at most."""

_RETRY: Final = 5.0
"""Seconds from a read that failed to the next."""

_STATES: Final = [state.value for state in JobState if state is not JobState.COMPLETED]
_TIMES: Final = ("first_seen", "state_since", "last_change", "missing_since", "created_at", "finished_at")


class RemoteSource:
    """A function that returns the current view, and reads it from the monitor at most once a second."""

    def __init__(
        self,
        client: MonitorClient,
        cluster: str | None = None,
        *,
        page_size: int = PAGE_SIZE,
        max_pages: int = MAX_PAGES,
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._page_size = page_size
        self._max_pages = max_pages
        try:
            self._view = self._read()
        except MonitorError as error:
            fail(str(error), code=1)
        self._next_read = time.monotonic() + _INTERVAL

    def __call__(self) -> View:
        """Return the jobs and clusters; where the monitor does not respond, the last ones with a note."""
        started = time.monotonic()
        if started >= self._next_read:
            try:
                self._view = self._read()
                self._next_read = started + max(_INTERVAL, _REST * (time.monotonic() - started))
            except MonitorError as error:
                note = f"{error}; retrying in {_RETRY:.0f}s"
                self._view = replace(self._view, note=note)
                self._next_read = time.monotonic() + _RETRY
        return self._view

    def _read(self) -> View:
        now = time.time()
        try:
            clusters, more_clusters = self._items("clusters")
            jobs, more_jobs = self._items("jobs", state=_STATES)
            completed, _ = self._items("transitions", state="completed", since=f"{COMPLETED_SHOWN:.0f}s")
            shown = {**_keyed(completed, _completed_job), **_keyed(jobs, _job)}
            seconds_left = _keyed(jobs, lambda job: job["eta_seconds"])
            done_at = {key: now + seconds for key, seconds in seconds_left.items() if seconds is not None}
            seconds = _keyed(jobs, lambda job: job.get("typical_duration_seconds"))
            usual = {key: float(typical) for key, typical in seconds.items() if typical is not None}
            why_down = {item["name"]: _why_down(item) for item in clusters}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise MonitorError(f"{self._client.url}: the response is not that of a monitor") from None
        cut = [f"{len(clusters):,} clusters"] * more_clusters + [f"{len(jobs):,} jobs"] * more_jobs
        hint = "" if self._cluster else "; --cluster NAME shows those of one cluster"
        note = f"{self._client.url}: more than {' and '.join(cut)}; the rest is left out{hint}" if cut else ""
        return View(shown, done_at, why_down, note, usual)

    def _items(self, resource: str, **parameters: Any) -> tuple[list[Any], bool]:
        """Return the items of a resource, and whether there are more than are read."""
        items: list[Any] = []
        cursor = None
        for _ in range(self._max_pages):
            query = parameters | {"cluster": self._cluster, "cursor": cursor, "limit": self._page_size}
            response = self._client.get(f"/api/v1/{resource}", query)
            page = response.json(parse_float=_finite_or_none, parse_constant=_finite_or_none)
            items += page[resource]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items, cursor is not None


def _finite_or_none(text: str) -> float | None:
    """Return a number of a response; NaN and infinity, which are no JSON, count as unknown."""
    number = float(text)
    return number if math.isfinite(number) else None


def _why_down(item: Mapping[str, Any]) -> str | None:
    """Return why a cluster is down, with the monitor that polls it where there are several."""
    if item["status"] not in ("up", "down"):
        return None
    why, polled_by = item["why"], item.get("polled_by")
    return f"{why} (polled by {polled_by})" if why and polled_by else str(why)


def _keyed(items: list[Any], value: Callable[[Any], Any]) -> dict[JobKey, Any]:
    return {(item["cluster"], item["job_id"]): value(item) for item in items}


def _job(item: dict[str, Any]) -> Job:
    """Return a job of the API; a state that only a newer monitor knows counts as unknown."""
    times = {name: item[name] and _timestamp(item[name]) for name in _TIMES}
    state = item["state"] if item["state"] in set(JobState) else JobState.UNKNOWN
    return msgspec.convert(item | times | {"state": state, "failure": None}, Job)


def _completed_job(step: Mapping[str, Any]) -> Job:
    at = _timestamp(step["at"])
    return completed_job(step["job_id"], step["database"], step["collection"], at, step["duration_seconds"])


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
