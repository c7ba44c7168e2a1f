"""The JSON API under ``/api/v1``."""

import base64
import heapq
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from monitor.store import CursorError, JobFilter, StoreUnavailableError, TransitionFilter
from monitor.web.context import Context
from monitor.web.errors import RequestError
from monitor.web.overview import ClusterJob, finished_only
from monitor.web.params import ClustersQuery, JobQuery, JobsQuery, StreamQuery, TransitionsQuery, read_query, read_time
from monitor.web.views import (
    Clusters,
    Jobs,
    JobView,
    Transitions,
    cluster_view,
    job_view,
    transition_view,
)

PREFIX: Final = "/api/v1"

EVENT_STREAM: Final = "text/event-stream"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_STREAM_HEADERS: Final = _HEADERS | {"X-Accel-Buffering": "no"}

_Entry = TypeVar("_Entry")
_Position = TypeVar("_Position", bound=tuple[str, ...])


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint: the last part of its path, its parameters, and the type of its response (None for events)."""

    name: str
    summary: str
    query: type[msgspec.Struct]
    response: type[msgspec.Struct] | None
    respond: Callable[[Context, Request, Any], Awaitable[Response]]
    statuses: tuple[int, ...] = (400, 404, 503)

    @property
    def path(self) -> str:
        """Its path."""
        return f"{PREFIX}/{self.name}"

    def handler(self, context: Context) -> Callable[[Request], Awaitable[Response]]:
        """Return its handler."""

        async def handle(request: Request) -> Response:
            return await self.respond(context, request, read_query(request.query_params, self.query))

        return handle


async def _clusters(context: Context, _: Request, query: ClustersQuery) -> Response:
    if query.cluster is not None:
        await context.find_cluster(query.cluster)
    (after,) = _decode_cursor(query.cursor, tuple[str]) or ("",)

    def load() -> Response:
        statuses = context.fleet.clusters(query.cluster, first=after)
        following = (status for status in statuses if status.cluster.name > after)
        page, cursor = _page(following, query.limit, lambda status: (status.cluster.name,))
        return json_response(Clusters(clusters=[cluster_view(status) for status in page], next_cursor=cursor))

    return await context.memory_pool.run(load)


async def _jobs(context: Context, _: Request, query: JobsQuery) -> Response:
    if query.cluster is not None:
        await context.find_cluster(query.cluster)
    after = _decode_cursor(query.cursor, tuple[str, str])
    search = JobFilter(
        cluster=query.cluster,
        database=query.database,
        collection=query.collection,
        states=frozenset(query.state),
        stalled=None if query.stalled is msgspec.UNSET else query.stalled == "true",
        text=query.q.casefold(),
    )

    def load() -> Response:
        # Memory first: a job that finishes meanwhile is in the store by then, and cannot be missed.
        tracked = list(islice(context.fleet.tracked_jobs(search, after), query.limit + 1))
        complete, finished = True, list[ClusterJob]()
        try:
            finished = _listed_finished_jobs(context, search, query.limit + 1, after)
        except StoreUnavailableError:
            complete = False
        merged = {_position(entry): entry for entry in heapq.merge(finished, tracked, key=_position)}
        page, cursor = _page(merged.values(), query.limit, _position)
        now = context.clock()
        views = [job_view(cluster, job, now) for cluster, job in page]
        return json_response(Jobs(jobs=views, next_cursor=cursor, complete=complete))

    return await context.store_pool.run(load)


def _listed_finished_jobs(
    context: Context, search: JobFilter, count: int, after: tuple[str, str] | None
) -> list[ClusterJob]:
    """Return listed finished jobs from the store, except tracked ones: what is in memory is newer."""
    wanted = finished_only(replace(search, listed=True))
    jobs: list[ClusterJob] = []
    while wanted is not None and len(jobs) < count:
        page = context.store.jobs(wanted, count, after)
        for entry in page.entries:
            status = context.fleet.cluster(entry.cluster)
            if status is not None and status.may_list(entry.job.job_id) and status.job(entry.job.job_id) is None:
                jobs.append((entry.cluster, entry.job))
        after = page.after
        if after is None:
            break
    return jobs


async def _job(context: Context, _: Request, query: JobQuery) -> Response:
    job = (await context.find_cluster(query.cluster)).job(query.id)
    job = job or await context.store_pool.run(lambda: context.store.job(query.cluster, query.id))
    if job is None:
        raise RequestError(404, "no such job", f"its transitions may still be recorded: {PREFIX}/transitions")
    return json_response(job_view(query.cluster, job, context.clock()))


async def _transitions(context: Context, _: Request, query: TransitionsQuery) -> Response:
    now = context.clock()
    wanted = TransitionFilter(
        cluster=query.cluster,
        database=query.database,
        collection=query.collection,
        job_id=query.job,
        states=frozenset(query.state),
        since=read_time("since", query.since, now),
        until=read_time("until", query.until, now),
    )
    page = await context.store_pool.run(lambda: context.store.transitions(wanted, query.limit, query.cursor))
    views = [transition_view(recorded) for recorded in page.entries]
    return json_response(Transitions(transitions=views, next_cursor=page.next_cursor, complete=page.complete))


async def _stream(context: Context, request: Request, query: StreamQuery) -> Response:
    if query.cluster is not None:
        await context.find_cluster(query.cluster)
    if request.method == "HEAD":
        return Response(headers=_STREAM_HEADERS, media_type=EVENT_STREAM)  # nobody would read a stream to its end
    address = request.client.host if request.client else ""
    stream = context.streams.open(query.cluster, frozenset(query.event), address)
    return StreamingResponse(context.streams.read(stream), media_type=EVENT_STREAM, headers=_STREAM_HEADERS)


ENDPOINTS: Final = (
    Endpoint("clusters", "The clusters, by name.", ClustersQuery, Clusters, _clusters),
    Endpoint(
        "jobs",
        "The jobs that are listed, unfinished, or recently failed or vanished, by cluster and id.",
        JobsQuery,
        Jobs,
        _jobs,
    ),
    Endpoint("job", "One job.", JobQuery, JobView, _job),
    Endpoint(
        "transitions",
        "The recorded transitions, latest recorded first.",
        TransitionsQuery,
        Transitions,
        _transitions,
        (400, 503),
    ),
    Endpoint("stream", "What changes from now on, as server-sent events.", StreamQuery, None, _stream),
)
"""Every endpoint of the API but its own description."""


def json_response(value: msgspec.Struct, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(value), status, headers=_HEADERS, media_type="application/json")


def _page(
    entries: Iterable[_Entry], limit: int, position: Callable[[_Entry], tuple[str, ...]]
) -> tuple[list[_Entry], str | None]:
    """Return the first entries, and the cursor of the next page if there are more."""
    page = list(islice(entries, limit + 1))
    if len(page) <= limit:
        return page, None
    cursor = msgspec.json.encode(position(page[limit - 1]))
    return page[:limit], base64.urlsafe_b64encode(cursor).rstrip(b"=").decode()


def _decode_cursor(cursor: str, kind: type[_Position]) -> _Position | None:
    """Return the position that a cursor stands for, None if it is empty; raises ``CursorError``."""
    if not cursor:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise CursorError("this cursor is not from a page of this endpoint") from None


def _position(entry: ClusterJob) -> tuple[str, str]:
    return entry[0], entry[1].job_id
