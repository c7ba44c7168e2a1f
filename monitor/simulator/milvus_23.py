"""The management port of Milvus 2.2 and 2.3: protobuf messages as Go's JSON writes them, without their zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.simulator.answers import Answer, Ask, Page, encode, matching, text
from monitor.simulator.lives import TERMINAL, WRITTEN_AT, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.job import Row

_FAILED, _STARTED, _PERSISTED, _COMPLETED = 1, 2, 5, 6
_COLLECTION_NOT_FOUND, _KEY_NOT_FOUND = 100, 1000
_OLD_CODES = {1: 56, _COLLECTION_NOT_FOUND: 4, _KEY_NOT_FOUND: 1}
_RETRIABLE = {1, 2, 8, 9, 10001}


class Milvus23:
    """The dialect; as recorded from a 2.3.5 server."""

    def read(self, endpoint: str, fields: dict[str, Any], header_database: str) -> Ask:
        """Returns what is asked for; `limit` 0 is no limit."""
        limit = fields.get("limit")
        return Ask(
            endpoint,
            text(fields, "task"),
            text(fields, "collection_name"),
            header_database=header_database,
            size=limit if isinstance(limit, int) and limit > 0 else 0,
        )

    def select(self, rows: Sequence[Row], ask: Ask) -> Sequence[Row]:
        """Returns the newest `limit` jobs, or all."""
        rows = matching(rows, ask.collection, "")
        return rows[: ask.size] if ask.size else rows

    def listing(self, cluster: SimulatedCluster, rows: Sequence[Row], ask: Ask) -> Page:
        """Returns the list; without tasks there is no `tasks`."""
        if ask.collection and not rows:
            name = f"collection not found[database=default][collection={ask.collection}]"
            reason = f"failed to find collection ID from its name: '{ask.collection}', error: {name}"
            return Page(self.refusal(_COLLECTION_NOT_FOUND, reason))
        answer: dict[str, Any] = {"status": {}}
        if rows:
            answer["tasks"] = [_task(cluster, row) for row in rows]
        return Page(Answer(200, encode(answer)))

    def description(self, cluster: SimulatedCluster, row: Row) -> Answer:
        """Returns one task, in the shape of the list."""
        return Answer(200, encode(_task(cluster, row)))

    def no_such_job(self, job_id: str) -> Answer:
        """Returns code 1000 with the key that etcd does not hold."""
        return self.refusal(_KEY_NOT_FOUND, f"key not found[key=by-dev/meta/importtask/{job_id}]")

    def refusal(self, code: int, message: str, status: int = 200) -> Answer:
        """Returns an error, in the status of an HTTP 200."""
        state: dict[str, Any] = {"error_code": _OLD_CODES.get(code, 1), "reason": message, "code": code}
        if code in _RETRIABLE:
            state["retriable"] = True
        return Answer(status, encode({"status": {**state, "detail": message}}))

    def unauthorized(self) -> Answer:
        """Returns 401; the management port itself asks for no key, a proxy before it may."""
        return self.refusal(1800, "user hasn't authenticated", 401)


def _task(cluster: SimulatedCluster, row: Row) -> dict[str, Any]:
    job, moment = row
    number = int(job.id) if job.id.isdecimal() else job.id
    collection_id = 449_000_000_000_000_000 + cluster.seed % 10**9
    infos = [
        _info("files", ",".join(job.files)),
        _info("collection", job.collection),
        _info("partition", "_default"),
        _info("failed_reason", moment.reason),
        _info("progress_percent", str(moment.progress)),
    ]
    task: dict[str, Any] = {"status": {}}
    state = _state(row)
    if state:
        task["state"] = state
    rows = job.imported_rows(moment)
    if rows:
        task["row_count"] = rows
    if state == _COMPLETED:
        infos.append(_info("persist_cost", "0.26"))
    task |= {"infos": infos, "id": number, "collection_id": collection_id}
    if rows:
        task["segment_ids"] = [collection_id + 12]
    task["create_ts"] = int(job.created)
    return task


def _state(row: Row) -> int | str:
    moment = row.moment
    if moment.state == State.PENDING:
        return 0
    if moment.state in TERMINAL:
        return _FAILED if moment.state == State.FAILED else _COMPLETED
    if moment.state in (State.IMPORTING, State.UNCOMMITTED, State.COMMITTING):
        return _PERSISTED if moment.written >= WRITTEN_AT else _STARTED
    return int(moment.state) if moment.state.isdecimal() else moment.state


def _info(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value} if value else {"key": key}
