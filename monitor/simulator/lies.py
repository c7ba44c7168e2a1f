"""Answers that are whole but wrong: errors, foreign pages, broken JSON, lists that never were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from monitor.simulator.answers import NOT_FOUND, PLAIN, Answer, encode
from monitor.simulator.job import Row, SimulatedJob
from monitor.simulator.lives import TERMINAL, Life, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from monitor.simulator.answers import Ask, Dialect
    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.trouble import Trouble
    from monitor.simulator.visit import Visit

_NEVER_WAS = 3 * 10**9
"""Job numbers from here on belong to jobs that exist in wrong answers only."""
_ENDLESS_PAGE = 100
_PROXY = b"upstream connect error or disconnect/reset before headers. reset reason: connection failure"
_HTML = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head>"
    b"<body><h1>Sign in to continue</h1><form action=/login></form></body></html>"
)
HOSTILE = (
    "two\nlines",
    'quote" back\\slash',
    "\x1b[31mred\x1b[0m",
    "nul\x00byte",
    'x"} 1\nmilvus_import_cluster_up{milvus_cluster="fake"} 0',
    "<script>alert(1)</script>",
    "\u202egnorw\u202c \U0001f4a5",
    "",
    "=cmd|' /C calc'!A0",
)
"""Names and reasons that break what was not built for them."""
_BAD_RECORDS: tuple[Any, ...] = (
    {"jobId": {"a": 1}, "id": [7], "collectionName": 17, "state": ["Importing"], "progress": {"b": 2}, "infos": "x"},
    {"jobId": None, "id": None, "collectionName": None, "state": None, "progress": None, "infos": None},
    "text",
    None,
    5,
    [],
    {},
)
_BAD_JOB = {
    "jobId": 5,
    "state": 7,
    "progress": {"a": 1},
    "importedRows": "many",
    "totalRows": None,
    "fileSize": [],
    "completeTime": 12,
    "details": "none",
}


def lie(trouble: Trouble, visit: Visit) -> Answer | None:
    """Returns the wrong answer, or None when the trouble is one of the wire and not of the answer."""
    tell = _LIES.get(trouble.kind)
    return tell(visit, trouble.parameters) if tell else None


def stranger(
    cluster: SimulatedCluster, number: int, life: Life, *, collection: str = "events", job_id: str = ""
) -> Row:
    """Returns a job that never was."""
    now = cluster.now()
    job_id = job_id or cluster.ids.id(_NEVER_WAS + number)
    job = SimulatedJob(cluster, job_id, life, now, collection, "default", ("part-0.parquet",), 1000)
    return Row(job, job.at(now))


def around(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns a list's body in three parts: before its records, the records, and after them."""
    for key in (b'"records":[', b'"tasks":['):
        begin, found, rest = body.partition(key)
        if found:
            records, _, end = rest.rpartition(b"]")
            return begin + key, records, b"]" + end
    return b'{"status":{},"tasks":[', b"", b"]}"


def listed(visit: Visit, rows: Sequence[Row]) -> Answer:
    """Returns these rows as the list that was asked for."""
    cluster, ask = cast("tuple[SimulatedCluster, Ask]", (visit.cluster, visit.ask))
    return visit.dialect.listing(cluster, rows, ask).dealt(cluster.requests["list"])


def million(visit: Visit, count: int) -> Iterator[bytes]:
    """Yields the body of a list of `count` jobs that never were, in pieces of a thousand."""
    cluster = cast("SimulatedCluster", visit.cluster)
    life = Life.frozen(State.IMPORTING, 50)
    end = b""
    for first in range(0, count, 1000):
        rows = [stranger(cluster, number, life) for number in range(first, min(first + 1000, count))]
        begin, records, end = around(listed(visit, rows).body)
        yield (b"," if first else begin) + records
    yield end


def _http(visit: Visit, given: Mapping[str, Any]) -> Answer:
    status, code = given["status"], given["code"]
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if given["retry_after"] is not None:
        headers = ((b"retry-after", str(given["retry_after"]).encode("latin-1")),)
    if code is not None or given["message"] is not None:
        answer = visit.dialect.refusal(status if code is None else code, given["message"] or "error", status)
    else:
        answer = _status(visit.dialect, status)
    return answer._replace(headers=headers)


def _status(dialect: Dialect, status: int) -> Answer:
    known: dict[int, Callable[[], Answer]] = {
        401: dialect.unauthorized,
        403: lambda: dialect.refusal(65535, "permission deny: PrivilegeImport is not granted", 403),
        404: lambda: NOT_FOUND,
        408: lambda: dialect.refusal(10001, "request timeout", 408),
        429: lambda: dialect.refusal(429, "Too many requests", 429),
        500: lambda: dialect.refusal(500, "internal server error", 500),
    }
    say = known.get(status)
    return say() if say else Answer(status, _PROXY, PLAIN)


def _code(visit: Visit, given: Mapping[str, Any]) -> Answer:
    return visit.dialect.refusal(given["code"], given["message"])


def _html(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return Answer(200, _HTML, b"text/html; charset=utf-8")


def _wrong_types(visit: Visit, given: Mapping[str, Any]) -> Answer:
    old = visit.cluster is not None and visit.cluster.generation == "milvus-2.3"
    where = given["where"]
    if where == "top":
        return Answer(200, b"[1,2,3]")
    if where == "data":
        return Answer(200, encode({"status": {}, "tasks": "none"} if old else {"code": 0, "data": "none"}))
    if where == "code":
        return Answer(200, encode({"status": "fine", "tasks": []} if old else {"code": [0], "data": {"records": []}}))
    if visit.endpoint != "list":
        return Answer(200, encode({"status": {}, **_BAD_JOB} if old else {"code": 0, "data": _BAD_JOB}))
    begin, records, end = around(listed(visit, visit.rows()).body)
    bad = encode(_BAD_RECORDS)[1:-1]
    return Answer(200, b"".join((begin, bad, b"," if records else b"", records, end)))


def _false_empty(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return listed(visit, ()) if visit.endpoint == "list" else visit.truth()


def _endless_pages(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    cluster, ask = visit.cluster, visit.ask
    if cluster is None or ask is None or visit.endpoint != "list":
        return visit.truth()
    size = ask.size if cluster.generation in ("zilliz", "v1") else _ENDLESS_PAGE
    first = cluster.requests["list"] * _ENDLESS_PAGE
    life = Life.frozen(State.IMPORTING, 50)
    return listed(visit, [stranger(cluster, first + index, life) for index in range(size)])


def _progress_back(visit: Visit, given: Mapping[str, Any]) -> Answer:
    def back(row: Row) -> Row:
        moment = row.moment
        if moment.state in TERMINAL:
            return row
        return Row(row.job, moment._replace(progress=moment.progress - given["by"]))

    if visit.endpoint == "list":
        return listed(visit, [back(row) for row in visit.rows()])
    cluster, ask = visit.cluster, visit.ask
    if cluster is None or ask is None or visit.endpoint != "describe":
        return visit.truth()
    row = cluster.remembered(ask.job_id, cluster.now())
    return visit.dialect.description(cluster, back(row)) if row else visit.truth()


def _long_id(visit: Visit, given: Mapping[str, Any]) -> Answer:
    if visit.cluster is None or visit.endpoint != "list":
        return visit.truth()
    job_id = "9" * given["size"] if visit.cluster.generation == "milvus" else "x" * given["size"]
    extra = stranger(visit.cluster, 0, Life.frozen(State.IMPORTING, 50), job_id=job_id)
    return listed(visit, [extra, *visit.rows()])


def _control_characters(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    if visit.cluster is None or visit.endpoint != "list":
        return visit.truth()
    extra = [
        stranger(visit.cluster, number, Life.frozen(State.FAILED, 0, text), collection=text)
        for number, text in enumerate(HOSTILE)
    ]
    return listed(visit, [*extra, *visit.rows()])


def _redirect(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return Answer(given["status"], b"", PLAIN, ((b"location", given["location"].encode()),))


def _content_type(visit: Visit, given: Mapping[str, Any]) -> Answer:
    return visit.truth()._replace(content_type=given["value"].encode("latin-1"))


def _not_utf8(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    answer = visit.truth()
    at = max(answer.body.find(b'Name":"') + 7, answer.body.find(b'"') + 1) if answer.body else 0
    return answer._replace(body=answer.body[:at] + b"\xff\xfe\xc3(\x80" + answer.body[at:])


def _truncated(visit: Visit, given: Mapping[str, Any]) -> Answer | None:
    if given["promise"]:
        return None
    answer = visit.truth()
    return answer._replace(body=answer.body[: len(answer.body) // 2])


def _body(visit: Visit, given: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    body = given["body"]
    return Answer(
        given["status"], body.encode() if isinstance(body, str) else body, given["content_type"].encode("latin-1")
    )


_LIES: Mapping[str, Callable[[Visit, Mapping[str, Any]], Answer | None]] = {
    "http": _http,
    "code": _code,
    "html": _html,
    "wrong_types": _wrong_types,
    "false_empty": _false_empty,
    "endless_pages": _endless_pages,
    "progress_back": _progress_back,
    "long_id": _long_id,
    "control_characters": _control_characters,
    "redirect": _redirect,
    "content_type": _content_type,
    "not_utf8": _not_utf8,
    "truncated": _truncated,
    "body": _body,
}
