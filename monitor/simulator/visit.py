"""One request to one cluster, and the true answer to it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.simulator.answers import Answer, Ask, BadRequest, Dialect
from monitor.simulator.milvus import databases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.job import Row
    from monitor.simulator.pages import PageCache
    from monitor.simulator.routes import Route


@dataclass(frozen=True, slots=True)
class Visit:
    """What is needed to answer truthfully, or otherwise.

    Attributes:
        dialect: The API it is made in.
        endpoint: `list`, `describe`, `databases`, `clusters` or `projects`.
        truth: Returns the true answer.
        cluster: The cluster it is about; None for `clusters` and `projects`.
        ask: What is asked for; None where there is no cluster.
        rows: Returns the jobs that belong on the page; nothing where no list is asked for.
    """

    dialect: Dialect
    endpoint: str
    truth: Callable[[], Answer]
    cluster: SimulatedCluster | None = None
    ask: Ask | None = None
    rows: Callable[[], Sequence[Row]] = tuple


def admitted(cluster: SimulatedCluster, authorization: str) -> bool:
    """Returns whether a cluster takes this `Authorization` header; the management port of 2.3 takes all."""
    if not cluster.api_key or cluster.generation == "milvus-2.3":
        return True
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "basic" and cluster.generation == "milvus":
        return base64.b64encode(cluster.api_key.encode()).decode() == key
    return scheme.lower() == "bearer" and key == cluster.api_key


def visit(route: Route, cluster: SimulatedCluster, pages: PageCache, now: float, headers: dict[bytes, bytes]) -> Visit:
    """Returns what a request to a cluster is about."""
    dialect, endpoint = route.dialect, route.endpoint
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    database = headers.get(b"db-name", b"").decode("latin-1")
    try:
        ask = dialect.read(endpoint, route.fields, database)
    except BadRequest as refused:
        code, message = refused.code, refused.message
        ask = Ask(endpoint)

        def truth() -> Answer:
            return dialect.refusal(code, message) if admitted(cluster, authorization) else dialect.unauthorized()

        return Visit(dialect, endpoint, truth, cluster, ask)

    def rows() -> Sequence[Row]:
        return dialect.select(pages.listing(cluster, now).rows, ask) if endpoint == "list" else ()

    def answer() -> Answer:
        if not admitted(cluster, authorization):
            return dialect.unauthorized()
        if cluster.generation == "milvus" and database and database not in cluster.databases:
            return dialect.refusal(800, f"database not found[database={database}]")
        if endpoint == "databases":
            return databases(cluster)
        if endpoint == "describe":
            row = cluster.remembered(ask.job_id, now)
            return dialect.description(cluster, row) if row else dialect.no_such_job(ask.job_id)
        page = pages.get(cluster, ask, now)
        if page is None:
            listing = pages.listing(cluster, now)
            page = dialect.listing(cluster, dialect.select(listing.rows, ask), ask)
            pages.put(cluster, ask, page, listing.until)
        return page.dealt(cluster.requests["list"])

    return Visit(dialect, endpoint, answer, cluster, ask, rows)
