"""The JSON API under ``/api/v1``."""

import heapq
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from monitor.store import CursorError, JobFilter, StoreUnavailableError, TransitionFilter
from monitor.web.context import Context, UnknownClusterError
from monitor.web.events import EventStreams, TooManyStreamsError
from monitor.web.overview import ClusterJob, finished_only
from monitor.web.pagination import cursor_page, decode_cursor
from monitor.web.params import (
    ClustersQuery,
    JobQuery,
    JobsQuery,
    ParameterError,
    StreamQuery,
    TransitionsQuery,
    read_query,
    read_time,
)
from monitor.web.views import ClusterView, JobView, TransitionView, cluster_view, job_view, transition_view
from monitor.web.workers import BusyError

PREFIX: Final = "/api/v1"

RETRY_AFTER: Final = "1"
"""Seconds after which a client that was refused because others wait may try again."""

EVENT_STREAM: Final = "text/event-stream"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_STREAM_HEADERS: Final = _HEADERS | {"X-Accel-Buffering": "no"}


class Clusters(msgspec.Struct, frozen=True, kw_only=True):
    """A page of clusters, by name."""

    clusters: list[ClusterView]
    next_cursor: str | None


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, by cluster and id."""

    jobs: list[JobView]
    next_cursor: str | None
    complete: bool
    """False while the database is unavailable: completed jobs are missing then."""


class Transitions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of transitions, latest recorded first."""

    transitions: list[TransitionView]
    next_cursor: str | None
    complete: bool
    """False while the database is unavailable: there are no transitions then."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a request."""

    error: str
    hint: str
    """What to do about it; may be empty."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint: the last part of its path, its parameters, and the type of its response (None for events)."""

    name: str
    summary: str
    query: type[msgspec.Struct]
    response: type[msgspec.Struct] | None
    statuses: tuple[int, ...] = (400, 404, 503)

    @property
    def path(self) -> str:
        """Its path."""
        return f"{PREFIX}/{self.name}"


ENDPOINTS: Final = (
    Endpoint("clusters", "The clusters, by name.", ClustersQuery, Clusters),
    Endpoint(
        "jobs",
        "The jobs that are listed, unfinished, or recently failed or vanished, by cluster and id.",
        JobsQuery,
        Jobs,
    ),
    Endpoint("job", "One job.", JobQuery, JobView),
    Endpoint(
        "transitions", "The recorded transitions, latest recorded first.", TransitionsQuery, Transitions, (400, 503)
    ),
    Endpoint("stream", "What changes from now on, as server-sent events.", StreamQuery, None),
)
"""Every endpoint of the API but its own description."""


class Api:
    """Handlers of the endpoints."""

    def __init__(self, context: Context, streams: EventStreams) -> None:
        self._context = context
        self._fleet = context.fleet
        self._store = context.store
        self._clock = context.clock
        self._memory_pool = context.memory_pool
        self._store_pool = context.store_pool
        self._streams = streams

    def handlers(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """Return the handlers by path."""
        methods: dict[str, Callable[[Request, Any], Awaitable[Response]]] = {
            "clusters": self._clusters,
            "jobs": self._jobs,
            "job": self._job,
            "transitions": self._transitions,
            "stream": self._stream,
        }
        return {endpoint.path: _handler(endpoint, methods[endpoint.name]) for endpoint in ENDPOINTS}

    async def _clusters(self, _: Request, query: ClustersQuery) -> Response:
        after = decode_cursor(query.cursor, 1)[0] if query.cursor else ""

        only = None if query.cluster is None else await self._context.find_cluster(query.cluster)

        def load() -> Response:
            found = self._fleet.clusters(after) if only is None else [only]
            statuses = (status for status in found if status.cluster.name > after)
            page, cursor = cursor_page(statuses, query.limit, lambda status: (status.cluster.name,))
            return json_response(Clusters(clusters=[cluster_view(status) for status in page], next_cursor=cursor))

        return await self._memory_pool.run(load)

    async def _jobs(self, _: Request, query: JobsQuery) -> Response:
        after = decode_cursor(query.cursor, 2) if query.cursor else None
        if query.cluster is not None:
            await self._context.find_cluster(query.cluster)
        job_filter = JobFilter(
            cluster=query.cluster,
            database=query.database,
            collection=query.collection,
            states=frozenset(query.state),
            stalled=None if query.stalled is msgspec.UNSET else query.stalled == "true",
            text=query.q.casefold(),
        )

        def load() -> Response:
            position = (after[0], after[1]) if after else None
            # Memory first: a job that finishes meanwhile is in the store by then, and cannot be missed.
            tracked = list(islice(self._fleet.tracked_jobs(job_filter, position), query.limit + 1))
            complete, finished = True, list[ClusterJob]()
            try:
                finished = self._finished_jobs(job_filter, query.limit + 1, position, set(map(_position, tracked)))
            except StoreUnavailableError:
                complete = False
            page, cursor = cursor_page(heapq.merge(tracked, finished, key=_position), query.limit, _position)
            now = self._clock()
            views = [job_view(cluster, job, now) for cluster, job in page]
            return json_response(Jobs(jobs=views, next_cursor=cursor, complete=complete))

        return await self._store_pool.run(load)

    def _finished_jobs(
        self, job_filter: JobFilter, count: int, after: tuple[str, str] | None, shown: Container[tuple[str, str]]
    ) -> list[ClusterJob]:
        """Return listed finished jobs from the store, except tracked ones: what is in memory is newer."""
        wanted = finished_only(replace(job_filter, listed=True))
        jobs: list[ClusterJob] = []
        while wanted is not None and len(jobs) < count:
            page = self._store.jobs(wanted, count, after)
            for cluster, job in ((entry.cluster, entry.job) for entry in page.entries):
                status = self._fleet.cluster(cluster)
                known = (cluster, job.job_id) in shown or self._fleet.tracked_job(cluster, job.job_id) is not None
                if status is not None and status.may_list(job.job_id) and not known:
                    jobs.append((cluster, job))
            after = page.after
            if after is None:
                break
        return jobs

    async def _job(self, _: Request, query: JobQuery) -> Response:
        await self._context.find_cluster(query.cluster)
        job = self._fleet.tracked_job(query.cluster, query.id)
        job = job or await self._store_pool.run(lambda: self._store.job(query.cluster, query.id))
        if job is None:
            raise ParameterError("no such job", f"its transitions may still be recorded: {PREFIX}/transitions", 404)
        return json_response(job_view(query.cluster, job, self._clock()))

    async def _transitions(self, _: Request, query: TransitionsQuery) -> Response:
        now = self._clock()
        transition_filter = TransitionFilter(
            cluster=query.cluster,
            database=query.database,
            collection=query.collection,
            job_id=query.job,
            states=frozenset(query.state),
            since=read_time("since", query.since, now),
            until=read_time("until", query.until, now),
        )
        page = await self._store_pool.run(lambda: self._store.transitions(transition_filter, query.limit, query.cursor))
        views = [transition_view(recorded) for recorded in page.entries]
        return json_response(Transitions(transitions=views, next_cursor=page.next_cursor, complete=page.complete))

    async def _stream(self, request: Request, query: StreamQuery) -> Response:
        if query.cluster is not None:
            await self._context.find_cluster(query.cluster)
        if request.method == "HEAD":
            return Response(headers=_STREAM_HEADERS, media_type=EVENT_STREAM)  # nobody would read a stream to its end
        try:
            address = request.client.host if request.client else ""
            stream = self._streams.open(query.cluster, frozenset(query.event), address)
        except TooManyStreamsError:
            return problem(503, "too many streams are open", "close one, or poll instead")

        return StreamingResponse(self._streams.read(stream), media_type=EVENT_STREAM, headers=_STREAM_HEADERS)


def _handler(
    endpoint: Endpoint, method: Callable[[Request, Any], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return await method(request, read_query(request.query_params, endpoint.query))
        except ParameterError as error:
            return problem(error.status, str(error), error.hint)
        except UnknownClusterError as error:
            hint = f"did you mean {error.nearest}?" if error.nearest else f"{PREFIX}/clusters lists them"
            return problem(404, str(error), hint)
        except CursorError as error:
            return problem(400, str(error), "start again without a cursor")
        except BusyError:
            return problem(503, "too many requests are waiting", "try again in a moment")
        except StoreUnavailableError:
            return problem(503, "the database is unavailable", "only unfinished jobs and recent failures are in memory")

    return handle


def json_response(value: msgspec.Struct, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(value), status, headers=_HEADERS, media_type="application/json")


def problem(status: int, error: str, hint: str = "") -> Response:
    """Return what is wrong with a request as a JSON response."""
    response = json_response(Problem(error=error, hint=hint), status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def _position(entry: ClusterJob) -> tuple[str, str]:
    return entry[0], entry[1].job_id
