"""The pages, rendered on the server: complete without JavaScript."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from monitor.jobs import CollectionOutcome, Job, JobState, typical_duration
from monitor.store import JobFilter, StoreUnavailableError, TransitionFilter
from monitor.web.charts import Charts
from monitor.web.context import Context
from monitor.web.errors import RequestError
from monitor.web.expectation_views import EXPECTATIONS_SHOWN, Expectations, find_expectations
from monitor.web.headline import Headline, headline, job_headline
from monitor.web.import_files import ImportFiles
from monitor.web.overview import ClusterJob, FleetOverview, finished_only
from monitor.web.params import TEXT_LIMIT, read_labels, storable
from monitor.web.suggestions import suggest
from monitor.web.svg import patterns
from monitor.web.template_filters import FILTERS
from monitor.web.views import JobView, cluster_view, job_details, job_view, transition_view

SECTION_SIZE: Final = 25  # jobs of one section of a page; the rest is on its next pages
ATTENTION_SIZE: Final = 10  # the same for what needs attention, so that running jobs are in sight too
CLUSTERS_SIZE: Final = 50  # the same for clusters
HISTORY_SIZE: Final = 50  # transitions of one page
PAGE_DIGITS: Final = 6  # digits of the number of a page; no section has more pages
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "X-Fragment",
}

_STATIC_FILES: Final = {
    "page.css": "text/css",
    "charts.css": "text/css",
    "page.js": "text/javascript",
    "controls.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "icon-bad.svg": "image/svg+xml",
    "icon-warn.svg": "image/svg+xml",
}
_SEARCH: Final = ("q", "cluster", "label", "database", "collection", "state")

_Entry = TypeVar("_Entry")


class Pages:
    """Handlers of the pages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._fleet = context.fleet
        self._store = context.store
        self._clock = context.clock
        self._import_files = ImportFiles(context)
        self._charts = Charts(context)
        self._templates = Environment(
            loader=PackageLoader("monitor.web"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._templates.globals.update(
            version=version("milvus-import-monitor"), states=[*JobState, "stalled"], patterns=patterns()
        )
        self._templates.filters.update(FILTERS)

    def handlers(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """Return the handlers by path."""
        return {"/": self._overview, "/job": self._job, "/collection": self._collection}

    def problem(self, request: Request, error: RequestError) -> Response:
        """Return a page about an error, with a link to a cluster, or to all of them."""
        values = {
            "error": error,
            "base": request.state.base,
            "fragment": False,
            "fleet_version": 0,
            "headline": Headline(),
        }
        page = self._templates.get_template("problem.html").render(values)
        return HTMLResponse(page, error.status, HEADERS)

    async def _overview(self, request: Request) -> Response:
        query = {name: _text(request.query_params, name).strip() for name in _SEARCH}
        search = JobFilter(
            cluster=query["cluster"] or None,
            clusters=self._fleet.labelled(read_labels([query["label"]] if query["label"] else [])),
            database=query["database"] or None,
            collection=query["collection"] or None,
            states=frozenset(state for state in JobState if state == query["state"]),
            stalled=query["state"] == "stalled" or None,
            text=query["q"].casefold(),
        )
        if search.cluster is not None:
            await self._context.find_cluster(search.cluster)
        filtered = search != JobFilter()
        finished = await self._finished(search, request.query_params) if filtered else None
        charts = await self._charts.of_search(search, _running_page(request.query_params))
        expected = Expectations(expectations=[], complete=True)
        if search == JobFilter(cluster=search.cluster) and search.cluster is not None:
            expected = await find_expectations(self._context, {search.cluster}, EXPECTATIONS_SHOWN)

        def values() -> Mapping[str, Any]:
            overview = self._fleet.overview(search)
            return {
                **self._sections(overview, request.query_params),
                **charts(),
                "finished": finished,
                "expected": expected,
                "query": query,
                "filtered": filtered,
                "outdated_since": _time(self._fleet.outdated_since),
                "suggestions": None if _is_fragment(request) else suggest(self._fleet.names, overview.clusters),
            }

        return await self._render(request, "fleet.html", values)

    async def _job(self, request: Request) -> Response:
        cluster = await self._context.find_cluster(_text(request.query_params, "cluster"))
        name, job_id = cluster.cluster.name, _text(request.query_params, "id")
        job = await self._context.find_job(cluster, job_id)
        history = await self._history(request, TransitionFilter(cluster=name, job_id=job_id))
        if job is None and not history["steps"]:
            hint = "it may have finished long ago: old jobs are deleted after the retention time"
            raise RequestError(404, f"there is no job {job_id!r} of {name}", hint, name)
        listed = job is not None and job.missing_since is None and cluster.may_list(job_id)
        file_list = await self._import_files.files(name, job_id) if listed else None
        charts = await self._charts.of_job(cluster.cluster, job)
        files = file_list.files if file_list else ()
        return await self._render(
            request,
            "job.html",
            lambda: {
                "cluster": cluster_view(cluster),
                "job_id": job_id,
                "job": None if job is None else job_details(cluster, job, self._clock(), files),
                "headline": Headline() if job is None else job_headline(job),
                "file_list": file_list,
                **charts(),
                **history,
            },
        )

    async def _collection(self, request: Request) -> Response:
        query = request.query_params
        cluster = await self._context.find_cluster(_text(query, "cluster"))
        name, database, collection = cluster.cluster.name, _text(query, "database"), _text(query, "collection")
        search = JobFilter(cluster=name, database=database, collection=collection)
        finished = await self._finished(search, query)
        wanted = TransitionFilter(cluster=name, database=database, collection=collection)
        history = await self._history(request, wanted)
        charts = await self._charts.of_search(search, _running_page(query))
        expected = await find_expectations(self._context, {name}, EXPECTATIONS_SHOWN, (database, collection))

        def values() -> Mapping[str, Any]:
            outcome = cluster.snapshot.outcomes.get((database, collection), CollectionOutcome())
            overview = self._fleet.overview(search)
            imports = overview.attention or overview.running or (finished and finished["entries"]) or history["steps"]
            if not (imports or expected.expectations):
                what = f"no imports into {collection or 'this collection'} of {name}"
                raise RequestError(404, what, "a collection has a page once something is imported into it", name)
            return {
                "cluster": cluster_view(cluster),
                "database": database,
                "collection": collection,
                "outcome": outcome,
                "typical": typical_duration(outcome),
                **self._sections(overview, query),
                **charts(),
                "finished": finished,
                "expected": expected,
                **history,
            }

        return await self._render(request, "collection.html", values)

    async def _render(self, request: Request, template: str, values: Callable[[], Mapping[str, Any]]) -> Response:
        fragment = _is_fragment(request)

        def render() -> Response:
            context = {"fleet_version": self._fleet.version, "now": self._clock(), "fragment": fragment, **values()}
            page = self._templates.get_template(template).render(context, base=request.state.base)
            return HTMLResponse(page, headers=HEADERS)

        return await self._context.memory_pool.run(render)

    async def _finished(self, search: JobFilter, query: QueryParams) -> Mapping[str, Any] | None:
        """Return the section of finished jobs, None if the search is for others; no pager without the database."""
        wanted = finished_only(search)
        if wanted is None:
            return None

        def load() -> Mapping[str, Any]:
            page = self._store.finished(wanted, SECTION_SIZE, (_page_number(query, "finished") - 1) * SECTION_SIZE)
            pager = _pager(query, "finished", page.total or 0, SECTION_SIZE)
            if not page.entries and pager["start"]:  # a page beyond the last one
                page = self._store.finished(wanted, SECTION_SIZE, pager["start"])
            jobs = [self._job_view(entry.cluster, entry.job) for entry in page.entries]
            return {"entries": jobs, "pager": pager}

        try:
            return await self._context.store_pool.run(load)
        except StoreUnavailableError:
            return {"entries": [], "pager": None}

    async def _history(self, request: Request, wanted: TransitionFilter) -> Mapping[str, Any]:
        """Return the section of transitions; raises ``CursorError``."""
        query = request.query_params
        cursor = query.get("before", "")
        page = await self._context.store_pool.run(lambda: self._store.transitions(wanted, HISTORY_SIZE, cursor))
        return {
            "steps": [transition_view(step, self._fleet.labels(step.cluster)) for step in page.entries],
            "complete": page.complete,
            "older": _changed_url(query, before=page.next_cursor) if page.next_cursor else "",
            "newest": _changed_url(query, before="") if cursor else "",
        }

    def _job_view(self, cluster: str, job: Job) -> JobView:
        return job_view(cluster, job, self._clock(), self._fleet.cluster(cluster))

    def _sections(self, overview: FleetOverview, query: QueryParams) -> Mapping[str, Any]:
        """Return the sections that come from memory."""

        def job(entry: ClusterJob) -> JobView:
            return self._job_view(*entry)

        down = [status for status in overview.clusters if status.status == "down"]
        return {
            "overview": overview,
            "headline": headline(overview.troubles),
            "fleet_version": overview.version,
            "attention": _section(query, "attention", overview.attention, ATTENTION_SIZE, job),
            "running": _section(query, "running", overview.running, SECTION_SIZE, job),
            "unreachable": _section(query, "unreachable", down, SECTION_SIZE, cluster_view),
            "clusters": _section(query, "clusters", overview.clusters, CLUSTERS_SIZE, cluster_view),
        }


async def static(request: Request) -> Response:
    """Serve a file that the pages load."""
    name = request.path_params["name"]
    if name not in _STATIC_FILES:
        raise HTTPException(404)
    content = files("monitor.web").joinpath("static", name).read_bytes()
    # The address contains the version, so that a newer one is fetched again.
    headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=_STATIC_FILES[name], headers=headers)


def _is_fragment(request: Request) -> bool:
    """Return whether only the content of the page is requested, by a page that shows it already."""
    return request.headers.get("x-fragment") == "main"


def _time(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


def _text(query: QueryParams, name: str) -> str:
    return storable(query.get(name, "")[:TEXT_LIMIT])


def _page_number(query: QueryParams, section: str) -> int:
    text = query.get(f"{section}_page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= PAGE_DIGITS else 1


def _running_page(query: QueryParams) -> Callable[[int], slice]:
    """Return what says which of so many running imports are on the requested page."""

    def page(count: int) -> slice:
        pager = _pager(query, "running", count, SECTION_SIZE)
        return slice(pager["start"], pager["last"])

    return page


def _section(
    query: QueryParams, name: str, entries: list[_Entry], size: int, view: Callable[[_Entry], msgspec.Struct]
) -> Mapping[str, Any]:
    """Return the requested page of a section's entries."""
    pager = _pager(query, name, len(entries), size)
    return {"entries": [view(entry) for entry in entries[pager["start"] : pager["last"]]], "pager": pager}


def _pager(query: QueryParams, section: str, count: int, size: int) -> dict[str, Any]:
    """Return which entries the requested page of a section has, and the links to the pages around it."""
    pages = max(1, -(-count // size))
    page = min(_page_number(query, section), pages)

    def link(to: int) -> str:
        return _changed_url(query, **{f"{section}_page": str(to)}) + f"#{section}" if 1 <= to <= pages else ""

    return {
        "count": count,
        "start": (page - 1) * size,
        "last": min(page * size, count),
        "previous": link(page - 1),
        "next": link(page + 1),
    }


def _changed_url(query: QueryParams, **changed: str) -> str:
    """Return the address of a page with some parameters changed; empty ones are left out."""
    return "?" + urlencode({name: value for name, value in (dict(query) | changed).items() if value})
