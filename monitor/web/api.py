"""The JSON API under ``/api/v1``, and its description: both are made from the Structs of queries and responses."""

import base64
from collections.abc import Awaitable, Callable, Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from monitor.store import CursorError, JobFilter, StoreUnavailableError, TransitionFilter
from monitor.web.context import Context
from monitor.web.errors import RequestError
from monitor.web.expectation_views import Expectations, find_expectations
from monitor.web.overview import ClusterJob, finished_only
from monitor.web.params import (
    ClustersQuery,
    ExpectationsQuery,
    JobQuery,
    JobsQuery,
    StreamQuery,
    TransitionsQuery,
    read_labels,
    read_query,
    read_time,
)
from monitor.web.views import (
    Clusters,
    JobDetails,
    Jobs,
    Problem,
    Transitions,
    cluster_view,
    job_details,
    job_view,
    transition_view,
)

PREFIX: Final = "/api/v1"

OPENAPI_PATH: Final = f"{PREFIX}/openapi.json"
EVENT_STREAM: Final = "text/event-stream"
_SCHEMAS: Final = "#/components/schemas/{name}"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_STREAM_HEADERS: Final = _HEADERS | {"X-Accel-Buffering": "no"}

_Position = tuple[str, str]  # names of a cluster and of a job, in the order of pages; no job where clusters are listed
_Entry = TypeVar("_Entry")


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint: the last part of its path, its parameters, and the type of its response (None for events)."""

    name: str
    summary: str
    query: type[msgspec.Struct]
    response: type[msgspec.Struct] | None
    respond: Callable[[Context, Request, Any], Awaitable[Response]]

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
    after, _job_id = _decode_cursor(query.cursor)
    labelled = context.fleet.labelled(read_labels(query.label))

    def load() -> Response:
        statuses = context.fleet.clusters(query.cluster, after, labelled)
        entries = (((name, ""), status) for status in statuses if (name := status.cluster.name) > after)
        page, cursor = _page(entries, query.limit)
        return json_response(Clusters(clusters=[cluster_view(status) for _, status in page], next_cursor=cursor))

    return await context.memory_pool.run(load)


async def _jobs(context: Context, _: Request, query: JobsQuery) -> Response:
    if query.cluster is not None:
        await context.find_cluster(query.cluster)
    after = _decode_cursor(query.cursor)
    search = JobFilter(
        cluster=query.cluster,
        clusters=context.fleet.labelled(read_labels(query.label)),
        database=query.database,
        collection=query.collection,
        states=frozenset(query.state),
        stalled=None if query.stalled is msgspec.UNSET else query.stalled == "true",
        text=query.q.casefold(),
    )

    def load() -> Response:
        # Memory first: a job that finishes meanwhile is in the store by then, and cannot be missed.
        count, complete = query.limit + 1, True
        found = list(islice(context.fleet.tracked_jobs(search, after), count))
        try:
            found += list(islice(_listed_finished_jobs(context, search, after, count), count))
        except StoreUnavailableError:
            complete = False
        jobs = {(cluster, job.job_id): job for cluster, job in found}
        page, cursor = _page(sorted(jobs.items()), query.limit)
        now = context.clock()
        views = [job_view(cluster, job, now, context.fleet.cluster(cluster)) for (cluster, _), job in page]
        return json_response(Jobs(jobs=views, next_cursor=cursor, complete=complete))

    return await context.store_pool.run(load)


def _listed_finished_jobs(
    context: Context, search: JobFilter, after: _Position | None, page_size: int
) -> Iterator[ClusterJob]:
    """Yield listed finished jobs from the store, except tracked ones: what is in memory is newer."""
    finished = finished_only(replace(search, listed=True))
    while finished is not None and after is not None:
        page = context.store.jobs(finished, page_size, after)
        for entry in page.entries:
            status = context.fleet.cluster(entry.cluster)
            if status is not None and status.may_list(entry.job.job_id) and entry.job.job_id not in status.tracked:
                yield entry.cluster, entry.job
        after = page.after


async def _job(context: Context, _: Request, query: JobQuery) -> Response:
    cluster = await context.find_cluster(query.cluster)
    job = await context.find_job(cluster, query.id)
    if job is None:
        raise RequestError(404, "no such job", f"its transitions may still be recorded: {PREFIX}/transitions")
    return json_response(job_details(cluster, job, context.clock()))


async def _transitions(context: Context, _: Request, query: TransitionsQuery) -> Response:
    now = context.clock()
    wanted = TransitionFilter(
        cluster=query.cluster,
        clusters=context.fleet.labelled(read_labels(query.label)),
        database=query.database,
        collection=query.collection,
        job_id=query.job,
        states=frozenset(query.state),
        since=read_time("since", query.since, now),
        until=read_time("until", query.until, now),
    )
    page = await context.store_pool.run(lambda: context.store.transitions(wanted, query.limit, query.cursor))
    views = [transition_view(recorded, context.fleet.labels(recorded.cluster)) for recorded in page.entries]
    return json_response(Transitions(transitions=views, next_cursor=page.next_cursor, complete=page.complete))


async def _expectations(context: Context, _: Request, query: ExpectationsQuery) -> Response:
    clusters = context.fleet.labelled(read_labels(query.label))
    if query.cluster is not None:
        await context.find_cluster(query.cluster)
        named = frozenset({query.cluster})
        clusters = named if clusters is None else named & clusters
    return json_response(await find_expectations(context, clusters, query.limit))


async def _stream(context: Context, request: Request, query: StreamQuery) -> Response:
    if query.cluster is not None:
        await context.find_cluster(query.cluster)
    labels = read_labels(query.label)
    if request.method == "HEAD":
        return Response(headers=_STREAM_HEADERS, media_type=EVENT_STREAM)  # nobody would read a stream to its end
    address = request.client.host if request.client else ""
    events = context.streams.open(query.cluster, labels, frozenset(query.event), address)
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=_STREAM_HEADERS)


_LISTED: Final = "The jobs that are listed, unfinished, or recently failed or vanished, by cluster and id."
_RECORDED: Final = "The recorded transitions, latest recorded first."
_EXPECTED: Final = "The current occurrences of expected imports, those in trouble first."
_CHANGES: Final = "What changes from now on, as server-sent events."

ENDPOINTS: Final = (
    Endpoint("clusters", "The clusters, by name.", ClustersQuery, Clusters, _clusters),
    Endpoint("jobs", _LISTED, JobsQuery, Jobs, _jobs),
    Endpoint("job", "One job, and commands with which people can act on it.", JobQuery, JobDetails, _job),
    Endpoint("transitions", _RECORDED, TransitionsQuery, Transitions, _transitions),
    Endpoint("expectations", _EXPECTED, ExpectationsQuery, Expectations, _expectations),
    Endpoint("stream", _CHANGES, StreamQuery, None, _stream),
)
"""Every endpoint of the API but its own description."""


def openapi_document(base: str = "/") -> dict[str, Any]:
    """Return the OpenAPI document of an API that is served below a base path."""
    structs = [Problem, *(kind for endpoint in ENDPOINTS for kind in (endpoint.query, endpoint.response) if kind)]
    _, schemas = msgspec.json.schema_components(structs, ref_template=_SCHEMAS)
    paths = {
        endpoint.path: {"get": _operation(endpoint, schemas.pop(endpoint.query.__name__))} for endpoint in ENDPOINTS
    }
    summary = "Clusters, their import jobs, and what happened to them."
    return {
        "openapi": "3.1.0",
        "info": {"title": "milvus-import-monitor", "version": version("milvus-import-monitor"), "summary": summary},
        "servers": [{"url": base.rstrip("/") or "/"}],  # paths begin with a slash of their own
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(endpoint: Endpoint, query: dict[str, Any]) -> dict[str, Any]:
    required = query.get("required", ())
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [_parameter(name, schema, name in required) for name, schema in query["properties"].items()],
        "responses": {
            "200": {"description": endpoint.summary, "content": _content(endpoint.response)},
            "default": {"description": "The request is wrong, or has to wait.", "content": _content(Problem)},
        },
    }


def _parameter(name: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    description = schema.pop("description")
    if not schema.get("default"):
        schema.pop("default", None)
    null = {"type": "null"}  # such a parameter can be left out, but not be null
    if null in schema.get("anyOf", ()):
        (schema,) = (choice for choice in schema["anyOf"] if choice != null)
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def _content(response: type[msgspec.Struct] | None) -> dict[str, Any]:
    if response is None:
        return {EVENT_STREAM: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": {"$ref": _SCHEMAS.format(name=response.__name__)}}}


def json_response(value: msgspec.Struct, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(value), status, headers=_HEADERS, media_type="application/json")


def _page(entries: Iterable[tuple[_Position, _Entry]], limit: int) -> tuple[list[tuple[_Position, _Entry]], str | None]:
    """Return the first entries, and the cursor of the next page if there are more."""
    page = list(islice(entries, limit + 1))
    if len(page) <= limit:
        return page, None
    position, _ = page[limit - 1]
    return page[:limit], base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def _decode_cursor(cursor: str) -> _Position:
    """Return the position that a cursor stands for, the start if it is empty; raises ``CursorError``."""
    if not cursor:
        return "", ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position: _Position = msgspec.json.decode(text, type=_Position)
    except (ValueError, msgspec.MsgspecError):
        raise CursorError from None
    return position
