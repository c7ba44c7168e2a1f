"""The API under ``/api/v1``: what the monitor knows, as JSON."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from monitor.fleet import (
    ClusterView,
    Fleet,
    JobView,
    Search,
    TransitionView,
    cluster_view,
    job_view,
    transition_view,
)
from monitor.jobs import JobState
from monitor.store import CursorError, Wanted
from monitor.web.broadcast import Broadcast, FullError, told
from monitor.web.desk import BusyError, Desk
from monitor.web.monitored import Monitored
from monitor.web.parameters import (
    CLUSTER,
    COLLECTION,
    CURSOR,
    DATABASE,
    EVENTS,
    LIMIT,
    PAGE,
    STALLED,
    STATE,
    TEXT,
    Parameter,
    ParameterError,
    read,
)

PREFIX: Final = "/api/v1"
RETRY_AFTER: Final = "1"
"""Seconds after which whoever found no room may try again."""

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_STREAM: Final = "text/event-stream"
_STREAM_HEADERS: Final = _HEADERS | {"X-Accel-Buffering": "no"}


class Clusters(msgspec.Struct, frozen=True, kw_only=True):
    """A page of clusters, by name."""

    clusters: list[ClusterView]
    next_cursor: str | None


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, by cluster and id."""

    jobs: list[JobView]
    next_cursor: str | None


class Transitions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of transitions, the one recorded last first."""

    transitions: list[TransitionView]
    next_cursor: str | None
    complete: bool
    """False where the database cannot be asked, so that only what this process remembers is here."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a request."""

    error: str
    hint: str
    """What to do about it; may be empty."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the API.

    Attributes:
        name: The last part of its path.
        summary: What it answers.
        parameters: What it can be asked with.
        answer: What it answers with; None for a stream of events.
        problems: The statuses of what may be wrong.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    answer: type[msgspec.Struct] | None
    problems: tuple[int, ...]

    @property
    def path(self) -> str:
        """Its path."""
        return f"{PREFIX}/{self.name}"


ENDPOINTS: Final = (
    Endpoint("clusters", "The clusters, by name.", (CLUSTER, LIMIT, CURSOR), Clusters, (400, 404, 503)),
    Endpoint(
        "jobs",
        "The jobs that are listed, unfinished, or lately failed or vanished, by cluster and id.",
        (CLUSTER, DATABASE, COLLECTION, STATE, STALLED, TEXT, LIMIT, CURSOR),
        Jobs,
        (400, 404, 503),
    ),
    Endpoint(
        "job",
        "One job.",
        (
            Parameter("cluster", "text", "The name of the job's cluster.", required=True),
            Parameter("id", "text", "The id of the job.", required=True),
        ),
        JobView,
        (400, 404, 503),
    ),
    Endpoint(
        "transitions",
        "The recorded transitions, the one recorded last first.",
        (
            CLUSTER,
            DATABASE,
            COLLECTION,
            Parameter("job", "text", "Only of the job with this id."),
            Parameter("state", "state", "Only those into this state; can be given several times.", repeatable=True),
            Parameter("since", "time", "Only those from this time on: ISO 8601, or `24h` for so long ago."),
            Parameter("until", "time", "Only those before this time."),
            LIMIT,
            CURSOR,
        ),
        Transitions,
        (400, 503),
    ),
    Endpoint(
        "stream",
        "What changes from now on, as server-sent events.",
        (CLUSTER, Parameter("event", "event", "Only these events; can be given several times.", repeatable=True)),
        None,
        (400, 404, 503),
    ),
)
"""Every endpoint but the document that describes them."""


class Api:
    """Answers for the endpoints.

    Args:
        monitored: The daemon.
        clock: Seconds since the epoch.
        looks: Where looks are taken.
        waits: Where the database is waited for.
        broadcast: What streams listen to.
    """

    def __init__(
        self, monitored: Monitored, clock: Callable[[], float], *, looks: Desk, waits: Desk, broadcast: Broadcast
    ) -> None:
        self._monitored = monitored
        self._clock = clock
        self._looks = looks
        self._waits = waits
        self._broadcast = broadcast

    def endpoint(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers an endpoint."""
        answers: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Response]]] = {
            "clusters": self._clusters,
            "jobs": self._jobs,
            "job": self._job,
            "transitions": self._transitions,
            "stream": self._stream,
        }
        answer = answers[endpoint.name]

        async def answered(request: Request) -> Response:
            try:
                asked = read(request.query_params, endpoint.parameters, self._clock())
                return await answer({**asked, "method": request.method})
            except ParameterError as error:
                return problem(error.status, str(error), error.hint)
            except CursorError as error:
                return problem(400, str(error), "begin again without a cursor")
            except BusyError:
                return problem(503, "too many requests wait already", "try again in a moment")

        return answered

    async def _clusters(self, asked: Mapping[str, Any]) -> Response:
        fleet, limit = self._monitored.fleet, asked["limit"] or PAGE
        after = "" if asked["cursor"] is None else _from_cursor(asked["cursor"], 1)[0]

        def look() -> Response:
            if asked["cluster"] is not None:
                check_cluster(fleet, asked["cluster"])
                one = fleet.cluster(asked["cluster"])
                found = iter(() if one is None or (after and asked["cluster"] <= after) else (one,))
            else:
                found = fleet.clusters(after)
            page, more = _page(found, limit)
            cursor = _cursor(page[-1][0].cluster.name) if more else None
            return answer(Clusters(clusters=[cluster_view(*one) for one in page], next_cursor=cursor))

        return await self._looks.do(look)

    async def _jobs(self, asked: Mapping[str, Any]) -> Response:
        fleet, limit, now = self._monitored.fleet, asked["limit"] or PAGE, self._clock()
        cursor = asked["cursor"]
        after = None if cursor is None else _from_cursor(cursor, 2)
        search = Search(
            cluster=asked["cluster"],
            database=asked["database"],
            collection=asked["collection"],
            states=frozenset(map(JobState, asked["state"])),
            stalled=asked["stalled"],
            text=(asked["q"] or "").casefold(),
        )

        def look() -> Response:
            check_cluster(fleet, search.cluster)
            page, more = _page(fleet.jobs(search, None if after is None else (after[0], after[1])), limit)
            views = [job_view(name, tracked, now) for name, tracked in page]
            cursor = _cursor(views[-1].cluster, views[-1].job_id) if more else None
            return answer(Jobs(jobs=views, next_cursor=cursor))

        return await self._looks.do(look)

    async def _check_cluster(self, name: str | None) -> None:
        """Make sure that a cluster is watched; see ``check_cluster``, which may look at a thousand names."""
        fleet = self._monitored.fleet
        if name is not None and fleet.cluster(name) is None:
            await self._looks.do(lambda: check_cluster(fleet, name))

    async def _job(self, asked: Mapping[str, Any]) -> Response:
        fleet = self._monitored.fleet
        await self._check_cluster(asked["cluster"])
        tracked = fleet.job(asked["cluster"], asked["id"])
        if tracked is None:
            raise ParameterError("no such job is known", "its transitions may still be: /api/v1/transitions", 404)
        return answer(job_view(asked["cluster"], tracked, self._clock()))

    async def _transitions(self, asked: Mapping[str, Any]) -> Response:
        wanted = Wanted(
            cluster=asked["cluster"],
            database=asked["database"],
            collection=asked["collection"],
            job_id=asked["job"],
            states=frozenset(map(JobState, asked["state"])),
            since=asked["since"],
            until=asked["until"],
        )
        limit, cursor = asked["limit"] or PAGE, asked["cursor"] or ""
        history = await self._waits.do(lambda: self._monitored.history(wanted, limit, cursor))
        views = [transition_view(one) for one in history.entries]
        return answer(Transitions(transitions=views, next_cursor=history.next_cursor, complete=history.whole))

    async def _stream(self, asked: Mapping[str, Any]) -> Response:
        fleet = self._monitored.fleet
        await self._check_cluster(asked["cluster"])
        events = frozenset(asked["event"] or [name for name in EVENTS if name != "pulse"])
        if asked["method"] == "HEAD":
            return Response(headers=_STREAM_HEADERS, media_type=_STREAM)  # nobody would ever read it to its end
        try:
            reader = self._broadcast.join(fleet, asked["cluster"], events)
        except FullError:
            return problem(503, "too many streams are open", "close one, or ask now and then instead")

        async def events_of() -> Any:
            try:
                async for part in told(reader, fleet, self._clock()):
                    yield part
            finally:
                self._broadcast.leave(reader)

        return StreamingResponse(events_of(), media_type=_STREAM, headers=_STREAM_HEADERS)


def check_cluster(fleet: Fleet, name: str | None) -> None:
    """Make sure that a cluster is watched.

    Raises:
        ParameterError: It is not; the hint names the nearest.
    """
    if name is None or fleet.cluster(name) is not None:
        return
    nearest = get_close_matches(name, fleet.names()[:1000], 1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"{PREFIX}/clusters lists them"
    raise ParameterError(f"no cluster is named {name!r}", hint, 404)


def answer(value: msgspec.Struct, status: int = 200) -> Response:
    """Return JSON."""
    return Response(msgspec.json.encode(value), status, headers=_HEADERS, media_type="application/json")


def problem(status: int, error: str, hint: str = "") -> Response:
    """Return what is wrong, as JSON."""
    response = answer(Problem(error=error, hint=hint), status)
    if status == 503:  # noqa: PLR2004
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def _page(found: Iterator[Any], limit: int) -> tuple[list[Any], bool]:
    """Return so many at most, and whether there are more."""
    page = list(islice(found, limit + 1))
    return page[:limit], len(page) > limit


def _cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def _from_cursor(cursor: str, count: int) -> list[str]:
    try:
        parts = msgspec.json.decode(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True), type=list[str]
        )
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        parts = []
    if len(parts) != count:
        raise ParameterError("this cursor was given by no page", "begin again without a cursor")
    return parts
