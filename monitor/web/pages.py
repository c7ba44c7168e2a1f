"""The pages, rendered on the server: complete without JavaScript."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final, TypeVar

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from monitor.jobs import CollectionOutcome, JobState, typical_duration
from monitor.store import JobFilter, StoreUnavailableError, TransitionFilter, TransitionPage
from monitor.web.charts import Charts, Values
from monitor.web.context import Context
from monitor.web.errors import RequestError
from monitor.web.expectation_views import EXPECTATIONS_SHOWN, Expectations, find_expectations
from monitor.web.headline import Headline, headline, job_headline
from monitor.web.import_files import ImportFiles
from monitor.web.overview import ClusterJob, FleetOverview, finished_only
from monitor.web.pager import Pager, changed_url, page_number, pager
from monitor.web.params import TEXT_LIMIT, read_labels, storable
from monitor.web.progress import POINTS_DRAWN
from monitor.web.suggestions import suggest
from monitor.web.svg import patterns
from monitor.web.template_filters import FILTERS
from monitor.web.views import JobView, cluster_view, job_details, job_view, transition_view

SECTION_SIZE: Final = 25  # jobs of one section of a page; the rest is on its next pages
ATTENTION_SIZE: Final = 10  # the same for what needs attention, so that running jobs are in sight too
CLUSTERS_SIZE: Final = 50  # the same for clusters
HISTORY_SIZE: Final = 50  # transitions of one page
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


class _Section(msgspec.Struct, frozen=True):
    """A page of the entries of a section; without a pager, they cannot be read now."""

    entries: Sequence[object]
    pager: Pager | None


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
        overview, sections = await self._sections(request, search, with_finished=filtered)
        expected = Expectations(expectations=[], complete=True)
        if search == JobFilter(cluster=search.cluster) and search.cluster is not None:
            expected = await find_expectations(self._context, {search.cluster}, EXPECTATIONS_SHOWN)

        def values() -> Mapping[str, Any]:
            return {
                **sections(),
                "expected": expected,
                "query": query,
                "filtered": filtered,
                "outdated_since": self._fleet.outdated_since,
                "suggestions": None if _is_fragment(request) else suggest(self._fleet.names, overview.clusters),
            }

        return await self._render(request, "fleet.html", values)

    async def _job(self, request: Request) -> Response:
        version = self._fleet.version  # before the job, which may change while the page waits for its files
        cluster = await self._context.find_cluster(_text(request.query_params, "cluster"))
        name, job_id = cluster.cluster.name, _text(request.query_params, "id")
        job = await self._context.find_job(cluster, job_id)
        transitions, cursor = TransitionFilter(cluster=name, job_id=job_id), request.query_params.get("before", "")
        latest = await self._transitions(transitions, POINTS_DRAWN)
        steps = await self._transitions(transitions, HISTORY_SIZE, cursor) if cursor else latest
        if job is None and not steps.entries:
            hint = "it may have finished long ago: old jobs are deleted after the retention time"
            raise RequestError(404, f"there is no job {job_id!r} of {name}", hint, name)
        listed = job is not None and job.missing_since is None and cluster.may_list(job_id)
        file_list = await self._import_files.files(name, job_id) if listed else None
        chart = await self._charts.of_job(cluster.cluster, job, latest.entries)
        files = file_list.files if file_list else ()
        return await self._render(
            request,
            "job.html",
            lambda: {
                "fleet_version": version,
                "cluster": cluster_view(cluster),
                "job_id": job_id,
                "job": None if job is None else job_details(cluster, job, self._clock(), files),
                "headline": Headline() if job is None else job_headline(job),
                "file_list": file_list,
                **chart(),
                **self._history(request, steps),
            },
        )

    async def _collection(self, request: Request) -> Response:
        query = request.query_params
        cluster = await self._context.find_cluster(_text(query, "cluster"))
        name, database, collection = cluster.cluster.name, _text(query, "database"), _text(query, "collection")
        search = JobFilter(cluster=name, database=database, collection=collection)
        overview, sections = await self._sections(request, search)
        transitions = TransitionFilter(cluster=name, database=database, collection=collection)
        steps = await self._transitions(transitions, HISTORY_SIZE, query.get("before", ""))
        expected = await find_expectations(self._context, {name}, EXPECTATIONS_SHOWN, (database, collection))
        outcome = cluster.snapshot.outcomes.get((database, collection), CollectionOutcome())

        def values() -> Mapping[str, Any]:
            shown = sections()
            imports = overview.attention or overview.running or shown["finished"].entries or steps.entries
            if not (imports or expected.expectations):
                what = f"no imports into {collection or 'this collection'} of {name}"
                raise RequestError(404, what, "a collection has a page once something is imported into it", name)
            return {
                **shown,
                "cluster": cluster_view(cluster),
                "database": database,
                "collection": collection,
                "outcome": outcome,
                "typical": typical_duration(outcome),
                "expected": expected,
                **self._history(request, steps),
            }

        return await self._render(request, "collection.html", values)

    async def _render(self, request: Request, template: str, values: Callable[[], Mapping[str, Any]]) -> Response:
        def render() -> Response:
            context = {"now": self._clock(), "fragment": _is_fragment(request), "base": request.state.base, **values()}
            return HTMLResponse(self._templates.get_template(template).render(context), headers=HEADERS)

        return await self._context.memory_pool.run(render)

    async def _sections(
        self, request: Request, search: JobFilter, *, with_finished: bool = True
    ) -> tuple[FleetOverview, Values]:
        """Return what a search finds in memory, and the sections and charts that show it.

        Memory is read before the store: a job that finishes meanwhile is in both, and not in neither.
        """
        query = request.query_params
        overview = await self._context.memory_pool.run(lambda: self._fleet.overview(search))
        page = pager(query, "running", len(overview.running), SECTION_SIZE)
        charts = await self._charts.of_search(search, overview, overview.running[page.start : page.last])
        finished = await self._finished(search, query) if with_finished else None
        down = [status for status in overview.clusters if status.status == "down"]

        def section(name: str, entries: list[_Entry], size: int, view: Callable[[_Entry], object]) -> _Section:
            page = pager(query, name, len(entries), size)
            return _Section([view(entry) for entry in entries[page.start : page.last]], page)

        def values() -> Mapping[str, Any]:
            return {
                "overview": overview,
                "headline": headline(overview.troubles),
                "fleet_version": overview.version,
                "attention": section("attention", overview.attention, ATTENTION_SIZE, self._job_view),
                "running": section("running", overview.running, SECTION_SIZE, self._job_view),
                "unreachable": section("unreachable", down, SECTION_SIZE, cluster_view),
                "clusters": section("clusters", overview.clusters, CLUSTERS_SIZE, cluster_view),
                "finished": finished,
                **charts(),
            }

        return overview, values

    async def _finished(self, search: JobFilter, query: QueryParams) -> _Section | None:
        """Return the section of finished jobs, None if the search is for others; no pager without the database."""
        wanted = finished_only(search)
        if wanted is None:
            return None

        def load() -> _Section:
            first = (page_number(query, "finished") - 1) * SECTION_SIZE
            stored = self._store.finished(wanted, SECTION_SIZE, first)
            page = pager(query, "finished", stored.total or 0, SECTION_SIZE)
            if not stored.entries and page.start:  # a page beyond the last one
                stored = self._store.finished(wanted, SECTION_SIZE, page.start)
            return _Section([self._job_view((entry.cluster, entry.job)) for entry in stored.entries], page)

        try:
            return await self._context.store_pool.run(load)
        except StoreUnavailableError:
            return _Section([], None)

    async def _transitions(self, wanted: TransitionFilter, size: int, cursor: str = "") -> TransitionPage:
        """Return recorded transitions; raises ``CursorError``."""
        return await self._context.store_pool.run(lambda: self._store.transitions(wanted, size, cursor))

    def _history(self, request: Request, page: TransitionPage) -> Mapping[str, Any]:
        """Return the section of transitions."""
        query = request.query_params
        return {
            "steps": [transition_view(step, self._fleet.labels(step.cluster)) for step in page.entries],
            "complete": page.complete,
            "older": changed_url(query, before=page.next_cursor) if page.next_cursor else "",
            "newest": changed_url(query, before="") if query.get("before") else "",
        }

    def _job_view(self, entry: ClusterJob) -> JobView:
        cluster, job = entry
        return job_view(cluster, job, self._clock(), self._fleet.cluster(cluster))


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


def _text(query: QueryParams, name: str) -> str:
    return storable(query.get(name, "")[:TEXT_LIMIT])
