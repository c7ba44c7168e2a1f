"""The pages, rendered on the server: complete without JavaScript."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from monitor.jobs import JobState
from monitor.store import CursorError, JobFilter, JobPage, StoreUnavailableError, TransitionFilter, TransitionPage
from monitor.web.api import RETRY_AFTER
from monitor.web.context import Context, UnknownClusterError
from monitor.web.import_files import ImportFiles
from monitor.web.overview import FleetOverview, finished_only
from monitor.web.pagination import changed_url, page_number, section_page, url
from monitor.web.params import TEXT_LIMIT, storable
from monitor.web.template_filters import FILTERS
from monitor.web.views import cluster_view, job_view, transition_view
from monitor.web.workers import BusyError

SECTION_SIZE: Final = 25
"""Jobs of one section of a page; the rest is on its next pages."""

ATTENTION_SIZE: Final = 10
"""The same for what needs attention, so that running jobs are in sight too."""

CLUSTERS_SIZE: Final = 50
"""The same for clusters."""

HISTORY_SIZE: Final = 50
"""Transitions of one page."""

SUGGESTED_NAMES: Final = 200
"""Names of clusters that the form suggests."""

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

_STATIC_FILES: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_TILES: Final = ("failed", "vanished", "stalled", "uncommitted", "importing", "committing", "pending", "unknown")
_ALWAYS_SHOWN: Final = {"failed", "stalled", "importing", "pending", "completed"}
_LINKS_HINT: Final = "The other pages link to each job and each collection."
_FILTERS: Final = ("q", "cluster", "database", "collection", "state")


class _PageError(Exception):
    """The page cannot be shown; the arguments are those of ``Pages.problem``."""


class Pages:
    """Handlers of the pages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._fleet = context.fleet
        self._store = context.store
        self._clock = context.clock
        self._memory_pool = context.memory_pool
        self._store_pool = context.store_pool
        self._import_files = ImportFiles(context)
        self._templates = Environment(
            loader=PackageLoader("monitor.web"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        states = [state.value for state in JobState]
        self._templates.globals.update(version=version("milvus-import-monitor"), state_names=states)
        self._templates.filters.update(FILTERS)

    def handlers(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """Return the handlers by path."""
        methods = {"/": self._overview, "/job": self._job, "/collection": self._collection}
        return {path: self._handler(method) for path, method in methods.items()}

    def _handler(self, method: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                return await method(request)
            except _PageError as error:
                return self.problem(*error.args)
            except UnknownClusterError as error:
                if not error.name:
                    return self.problem(404, "The address names no cluster.", _LINKS_HINT)
                hint = "Did you mean this one?" if error.nearest else "Names are those of the config."
                return self.problem(404, f"No cluster is named {error.name}.", hint, error.nearest)
            except CursorError as error:
                return self.problem(400, "This page of the history cannot be shown.", f"{error}.".capitalize())
            except BusyError:
                return self.problem(503, "Too many requests are waiting.", "Try again in a moment.")

        return handle

    async def _overview(self, request: Request) -> Response:
        query = {name: _text(request.query_params, name).strip() for name in _FILTERS}
        search, wrong = _search(query)
        if search.cluster is not None:
            await self._context.find_cluster(search.cluster)
        filtered = search != JobFilter()
        finished = await self._finished(search, request.query_params) if filtered else None
        return await self._render(
            request,
            "fleet.html",
            lambda: {
                **self._sections(self._fleet.overview(search), request.query_params),
                "finished": finished,
                "query": query,
                "filtered": filtered,
                "wrong": wrong,
                "names": self._fleet.names[:SUGGESTED_NAMES],
            },
        )

    async def _job(self, request: Request) -> Response:
        name, job_id = _text(request.query_params, "cluster"), _text(request.query_params, "id")
        cluster = await self._context.find_cluster(name)
        if not job_id:
            raise _PageError(404, "The address names no job.", _LINKS_HINT, name)
        job, known = self._fleet.tracked_job(name, job_id), True
        if job is None:
            try:
                job = await self._store_pool.run(lambda: self._store.job(name, job_id))
            except StoreUnavailableError:
                known = False
        history = await self._history(request, TransitionFilter(cluster=name, job_id=job_id))
        if job is None and not history.entries:
            if not known:
                raise _PageError(503, "The database is unavailable.", "Try again later.", name)
            hint = "It may have finished long ago: old jobs are deleted after the retention time."
            raise _PageError(404, f"There is no job {job_id} of {name}.", hint, name)
        listed = job is not None and job.missing_since is None and cluster.may_list(job_id)
        file_list = await self._import_files.files(name, job_id) if listed else None
        return await self._render(
            request,
            "job.html",
            lambda: {
                "cluster": cluster_view(cluster),
                "job_id": job_id,
                "job": None if job is None else job_view(name, job, self._clock()),
                "file_list": file_list,
                **self._history_section(request, history),
            },
        )

    async def _collection(self, request: Request) -> Response:
        query = request.query_params
        name, database, collection = (_text(query, part) for part in ("cluster", "database", "collection"))
        search = JobFilter(cluster=name, database=database, collection=collection)
        cluster = await self._context.find_cluster(name)
        finished = await self._finished(search, query)
        transition_filter = TransitionFilter(cluster=name, database=database, collection=collection)
        history = await self._history(request, transition_filter)

        def values() -> Mapping[str, Any]:
            found = self._fleet.overview(search)
            if not (found.attention or found.running or (finished and finished["jobs"]) or history.entries):
                what = f"No imports into {collection or 'this collection'} of {name}."
                raise _PageError(404, what, "A collection has a page once something is imported into it.", name)
            return {
                "cluster": cluster_view(cluster),
                "database": database,
                "collection": collection,
                **self._sections(found, query),
                "finished": finished,
                **self._history_section(request, history),
            }

        return await self._render(request, "collection.html", values)

    def problem(self, status: int, what: str, hint: str, cluster: str = "") -> Response:
        """Return a page that says what is wrong, with a link to a cluster, or to all of them."""
        link, text = (url("/", cluster=cluster), cluster) if cluster else ("/", "all clusters")
        values = {"status": status, "what": what, "hint": hint, "link": link, "link_text": text, "now": self._clock()}
        page = self._templates.get_template("problem.html").render(values, fragment=False, fleet_version=0)
        response = HTMLResponse(page, status, HEADERS)
        if status == 503:  # noqa: PLR2004
            response.headers["Retry-After"] = RETRY_AFTER
        return response

    async def _render(self, request: Request, template: str, values: Callable[[], Mapping[str, Any]]) -> Response:
        fragment = request.headers.get("x-fragment") == "main"

        def render() -> Response:
            context = {"fleet_version": self._fleet.version, "now": self._clock(), "fragment": fragment, **values()}
            return HTMLResponse(self._templates.get_template(template).render(context), headers=HEADERS)

        return await self._memory_pool.run(render)

    async def _finished(self, search: JobFilter, query: QueryParams) -> Mapping[str, Any] | None:
        """Return the section of finished jobs, None if the search is for others; no pager without the database."""
        wanted = finished_only(search)
        if wanted is None:
            return None

        def load() -> tuple[JobPage, Mapping[str, Any]]:
            page = self._store.finished(wanted, SECTION_SIZE, (page_number(query, "finished") - 1) * SECTION_SIZE)
            first, pager = section_page(query, "finished", page.total or 0, SECTION_SIZE)
            if not page.entries and first:  # a page beyond the last one
                page = self._store.finished(wanted, SECTION_SIZE, first)
            return page, pager

        try:
            page, pager = await self._store_pool.run(load)
        except StoreUnavailableError:
            return {"jobs": [], "pager": None}
        return {"jobs": [job_view(entry.cluster, entry.job, self._clock()) for entry in page.entries], "pager": pager}

    async def _history(self, request: Request, transition_filter: TransitionFilter) -> TransitionPage:
        cursor = request.query_params.get("before", "")
        return await self._store_pool.run(lambda: self._store.transitions(transition_filter, HISTORY_SIZE, cursor))

    def _history_section(self, request: Request, history: TransitionPage) -> Mapping[str, Any]:
        query, path = request.query_params, request.url.path
        return {
            "steps": [transition_view(recorded) for recorded in history.entries],
            "complete": history.complete,
            "older": changed_url(query, path, before=history.next_cursor) if history.next_cursor else "",
            "newest": changed_url(query, path, before="") if query.get("before") else "",
        }

    def _sections(self, found: FleetOverview, query: QueryParams) -> Mapping[str, Any]:
        now = self._clock()
        sections = {}
        for name, jobs, size in (
            ("attention", found.attention, ATTENTION_SIZE),
            ("running", found.running, SECTION_SIZE),
        ):
            first, pager = section_page(query, name, len(jobs), size)
            views = [job_view(cluster, job, now) for cluster, job in jobs[first : first + size]]
            sections[name] = {"jobs": views, "pager": pager}
        down = [status for status in found.clusters if status.status == "down"]
        for name, statuses, size in (
            ("clusters", found.clusters, CLUSTERS_SIZE),
            ("unreachable", down, SECTION_SIZE),
        ):
            first, pager = section_page(query, name, len(statuses), size)
            shown = [cluster_view(status) for status in statuses[first : first + size]]
            sections[name] = {"clusters": shown, "pager": pager}
        return sections | {"overview": found, "fleet_version": found.version, "tiles": _tiles(found)}


async def static(request: Request) -> Response:
    """Serve a file that the pages load."""
    name = request.path_params["name"]
    if name not in _STATIC_FILES:
        return PlainTextResponse("Not Found\n", 404)
    content = files("monitor.web").joinpath("static", name).read_bytes()
    # The address contains the version, so that a newer one is fetched again.
    headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=_STATIC_FILES[name], headers=headers)


def _tiles(found: FleetOverview) -> list[tuple[str, int]]:
    """Return the counts at the top of a page, trouble first; rare states only if there are such jobs."""
    counts = {name: found.stalled if name == "stalled" else found.totals[JobState(name)] for name in _TILES}
    counts["completed"] = found.totals[JobState.COMPLETED]
    return [(name, count) for name, count in counts.items() if count or name in _ALWAYS_SHOWN]


def _text(query: QueryParams, name: str) -> str:
    return storable(query.get(name, "")[:TEXT_LIMIT])


def _search(query: Mapping[str, str]) -> tuple[JobFilter, str]:
    """Return what is searched for, and what of the query is wrong."""
    state, wrong = query["state"], ""
    states: frozenset[JobState] = frozenset()
    if state in set(JobState):
        states = frozenset({JobState(state)})
    elif state not in {"", "stalled"}:
        wrong = f"There is no state {state}; all states are shown."
    search = JobFilter(
        cluster=query["cluster"] or None,
        database=query["database"] or None,
        collection=query["collection"] or None,
        states=states,
        stalled=True if state == "stalled" else None,
        text=query["q"].casefold(),
    )
    return search, wrong
