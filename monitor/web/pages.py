"""The pages, made on the server: they show everything without a script."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from monitor.fleet import Look, Search, cluster_view, job_view, transition_view
from monitor.jobs import JobState
from monitor.store import CursorError, History, Wanted
from monitor.web.api import RETRY_AFTER
from monitor.web.desk import BusyError, Desk
from monitor.web.files import Files
from monitor.web.monitored import Monitored
from monitor.web.parameters import TEXT_LIMIT, storable

if TYPE_CHECKING:
    from jinja2 import Environment

SECTION: Final = 25
"""Jobs of one section of a page; the others are on its next pages."""

URGENT: Final = 10
"""The same for what needs attention, so that what runs is in sight too."""

CLUSTERS: Final = 50
"""The same for clusters."""

SUGGESTED: Final = 200
"""Names of clusters that the form suggests."""

HISTORY: Final = 50
"""Transitions of one page."""

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

_FILES: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_TILES: Final = (
    JobState.FAILED,
    JobState.VANISHED,
    JobState.UNCOMMITTED,
    JobState.IMPORTING,
    JobState.COMMITTING,
    JobState.PENDING,
    JobState.UNKNOWN,
    JobState.COMPLETED,
)
_ALWAYS: Final = ("failed", "stalled", "importing", "pending", "completed")
_LINKED: Final = "The other pages link to each job and each collection."
_FILTERS: Final = ("q", "cluster", "database", "collection", "state")


class Pages:
    """Answers with pages.

    Args:
        monitored: The daemon.
        clock: Seconds since the epoch.
        looks: Where looks are taken, and pages made.
        waits: Where the database and the clusters are waited for.
    """

    def __init__(self, monitored: Monitored, clock: Callable[[], float], *, looks: Desk, waits: Desk) -> None:
        self._monitored = monitored
        self._clock = clock
        self._looks = looks
        self._waits = waits
        self._files = Files(monitored.files if monitored is not None else _no_files, waits)

    @cached_property
    def _templates(self) -> "Environment":
        """The templates, with what makes pages of them: most monitors are never looked at by anybody."""
        environment: Environment = import_module("monitor.web.templating").environment()
        return environment

    async def fleet(self, request: Request) -> Response:
        """Answer with the whole fleet, or with what of it is searched for."""
        query = {name: _text(request.query_params, name) for name in _FILTERS}
        search, wrong = _search(request.query_params)
        fleet = self._monitored.fleet
        if search.cluster is not None and fleet.cluster(search.cluster) is None:
            return await self._no_cluster(search.cluster)

        def show() -> Response:
            look = fleet.look(search)
            return self._page(
                request,
                "fleet.html",
                **self._of_look(look, request.query_params),
                query=query,
                filtered=search != Search(),
                wrong=wrong,
                names=fleet.names()[:SUGGESTED],
            )

        return await self._shown(show)

    async def job(self, request: Request) -> Response:
        """Answer with one job: its facts, its files, and what happened to it."""
        name, job_id = _text(request.query_params, "cluster"), _text(request.query_params, "id")
        fleet, now = self._monitored.fleet, self._clock()
        found = fleet.cluster(name)
        if found is None:
            return await self._no_cluster(name)
        if not job_id:
            return self.problem(
                404, "The address names no job.", _LINKED, _url("/", cluster=name), f"the jobs of {name}"
            )
        try:
            history = await self._history(request, Wanted(cluster=name, job_id=job_id))
        except (BusyError, CursorError) as error:
            return self._unavailable(error)
        tracked = fleet.job(name, job_id)
        if tracked is None and not history.entries:
            return self.problem(
                404,
                f"The monitor knows no job {job_id} of {name}.",
                "It may have ended long ago: finished jobs are forgotten some time after the server has dropped them.",
                _url("/", cluster=name),
                f"the jobs of {name}",
            )
        told = await self._files.of(name, job_id) if tracked is not None and not tracked.retired else None
        return await self._shown(
            lambda: self._page(
                request,
                "job.html",
                cluster=cluster_view(*found),
                job_id=job_id,
                job=None if tracked is None else job_view(name, tracked, now),
                told=told,
                **self._of_history(request, history),
            )
        )

    async def collection(self, request: Request) -> Response:
        """Answer with one collection: its jobs, and what happened to them."""
        query = request.query_params
        name, database, collection = (_text(query, part) for part in ("cluster", "database", "collection"))
        fleet = self._monitored.fleet
        found = fleet.cluster(name)
        if found is None:
            return await self._no_cluster(name)
        try:
            history = await self._history(request, Wanted(cluster=name, database=database, collection=collection))
        except (BusyError, CursorError) as error:
            return self._unavailable(error)

        def show() -> Response:
            look = fleet.look(Search(cluster=name, database=database, collection=collection))
            if not (look.attention or look.running or look.ended or history.entries):
                return self.problem(
                    404,
                    f"No import into {collection or 'this collection'} of {name} is known.",
                    "The monitor knows a collection only by its imports.",
                    _url("/", cluster=name),
                    f"the jobs of {name}",
                )
            return self._page(
                request,
                "collection.html",
                cluster=cluster_view(*found),
                database=database,
                collection=collection,
                **self._of_look(look, query),
                **self._of_history(request, history),
            )

        return await self._shown(show)

    def problem(self, status: int, what: str, hint: str, link: str = "/", link_text: str = "the fleet") -> Response:
        """Return a page that tells what is wrong, and where to go."""
        text = self._templates.get_template("problem.html").render(
            status=status,
            what=what,
            hint=hint,
            link=link,
            link_text=link_text,
            fragment=False,
            now=self._clock(),
            fleet_version=0,
        )
        return HTMLResponse(text, status, HEADERS)

    async def _shown(self, show: Callable[[], Response]) -> Response:
        try:
            return await self._looks.do(show)
        except BusyError as error:
            return self._unavailable(error)

    async def _history(self, request: Request, wanted: Wanted) -> History:
        cursor = request.query_params.get("before", "")
        return await self._waits.do(lambda: self._monitored.history(wanted, HISTORY, cursor))

    def _of_history(self, request: Request, history: History) -> Mapping[str, Any]:
        older = history.next_cursor and _with(request.query_params, request.url.path, before=history.next_cursor)
        newer = _with(request.query_params, request.url.path, before="") if request.query_params.get("before") else ""
        return {
            "steps": [transition_view(one) for one in history.entries],
            "whole": history.whole,
            "older": older or "",
            "newer": newer,
        }

    def _of_look(self, look: Look, query: QueryParams) -> Mapping[str, Any]:
        now = self._clock()
        sections = {}
        for name, found in (("attention", look.attention), ("running", look.running), ("ended", look.ended)):
            size = URGENT if name == "attention" else SECTION
            begin, pager = _pager(query, name, len(found), size)
            jobs = [job_view(cluster, one, now) for cluster, one in found[begin : begin + size]]
            sections[name] = {"jobs": jobs, "pager": pager}
        begin, pager = _pager(query, "clusters", len(look.clusters), CLUSTERS)
        shown = [cluster_view(*pair) for pair in look.clusters[begin : begin + CLUSTERS]]
        down_begin, down_pager = _pager(query, "unreachable", len(look.unreachable), SECTION)
        return sections | {
            "look": look,
            "fleet_version": look.version,
            "tiles": _tiles(look),
            "fleet": {"clusters": shown, "pager": pager},
            "unreachable": {
                "clusters": [cluster_view(one, None) for one in look.unreachable[down_begin : down_begin + SECTION]],
                "pager": down_pager,
            },
        }

    def _page(self, request: Request, template: str, **values: Any) -> Response:
        values.setdefault("fleet_version", self._monitored.fleet.version)
        fragment = request.headers.get("x-fragment") == "main"
        text = self._templates.get_template(template).render(now=self._clock(), fragment=fragment, **values)
        return HTMLResponse(text, headers=HEADERS)

    async def _no_cluster(self, name: str) -> Response:
        return await self._shown(lambda: self._nearest_cluster(name))

    def _nearest_cluster(self, name: str) -> Response:
        if not name:
            return self.problem(404, "The address names no cluster.", _LINKED)
        nearest = get_close_matches(name, self._monitored.fleet.names()[:1000], 1)
        if not nearest:
            return self.problem(404, f"No cluster is named {name}.", "Names are those of the config.")
        return self.problem(
            404, f"No cluster is named {name}.", "Did you mean this one?", _url("/", cluster=nearest[0]), nearest[0]
        )

    def _unavailable(self, error: Exception) -> Response:
        if isinstance(error, CursorError):
            return self.problem(400, "This page of the history cannot be shown.", f"{error}.".capitalize())
        response = self.problem(503, "Too many wait already.", "Try again in a moment.")
        response.headers["Retry-After"] = RETRY_AFTER
        return response


async def static(request: Request) -> Response:
    """Answer with a file that belongs to the pages."""
    name = request.path_params["name"]
    if name not in _FILES:
        return PlainTextResponse("Not Found\n", 404)
    content = files("monitor.web").joinpath("static", name).read_bytes()
    # The address names the version, so that a newer one is fetched anew.
    headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=_FILES[name], headers=headers)


def _tiles(look: Look) -> list[tuple[str, int]]:
    """Return what is counted on top of a page, what is wrong first; what is rare only where there is some."""
    counts = [(state.value, look.totals[state]) for state in _TILES]
    counts.insert(2, ("stalled", look.stalled))
    return [(name, count) for name, count in counts if count or name in _ALWAYS]


def _no_files(_cluster: str, _job_id: str) -> tuple[()]:
    return ()


def _text(query: QueryParams, name: str) -> str:
    return storable(query.get(name, "")[:TEXT_LIMIT])


def _search(query: QueryParams) -> tuple[Search, str]:
    """Return what is searched for, and what of it cannot be."""
    text = {name: _text(query, name).strip() for name in _FILTERS}
    state, wrong = text["state"], ""
    stalled = True if state == "stalled" else None
    states: frozenset[JobState] = frozenset()
    if state and not stalled:
        try:
            states = frozenset({JobState(state)})
        except ValueError:
            wrong = f"There is no state {state}; all are shown."
    search = Search(
        cluster=text["cluster"] or None,
        database=text["database"] or None,
        collection=text["collection"] or None,
        states=states,
        stalled=stalled,
        text=text["q"].casefold(),
    )
    return search, wrong


def _pager(query: QueryParams, name: str, count: int, size: int) -> tuple[int, Mapping[str, Any]]:
    """Return where the page of a section begins, and the links to those before and after it."""
    key = f"{name}_page"
    last = max(1, -(-count // size))
    asked = query.get(key, "1")
    page = min(int(asked), last) if asked.isascii() and asked.isdigit() and 0 < len(asked) <= 6 and int(asked) else 1  # noqa: PLR2004
    begin = (page - 1) * size
    return begin, {
        "count": count,
        "first": begin + 1 if count else 0,
        "last": min(begin + size, count),
        "before": _with(query, "", **{key: str(page - 1)}) + f"#{name}" if page > 1 else "",
        "after": _with(query, "", **{key: str(page + 1)}) + f"#{name}" if page < last else "",
    }


def _with(query: QueryParams, path: str, **changed: str) -> str:
    """Return an address with some parameters changed; those that become empty are left out."""
    values = {name: value for name, value in query.items() if value} | changed
    text = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{text}"


def _url(path: str, **values: str) -> str:
    return f"{path}?{urlencode(values)}"
