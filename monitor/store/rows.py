"""Reads rows of the store, any of which can be damaged: any column of SQLite can hold anything."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import msgspec
import structlog
from sqlalchemy import RowMapping

from monitor.jobs import Job
from monitor.store.pages import StoredJob
from monitor.store.schema import jobs

UNREADABLE_LIMIT: Final = 10_000
"""Rows of which it is remembered that they cannot be read."""

JOB_COLUMNS: Final = (jobs.c.cluster, jobs.c.job_id, jobs.c.facts, jobs.c.missing_since)
"""What has to be selected of a job to read it."""

_KEY: Final = ("name", "cluster", "id", "database", "collection", "job_id")

_decode: Final = msgspec.json.Decoder(Job).decode

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")

StructT = TypeVar("StructT", bound=msgspec.Struct)


class RowReader:
    """Makes of rows what they stand for. A row that cannot be read is skipped, and reported once."""

    def __init__(self) -> None:
        self._skipped: dict[tuple[Any, ...], str] = {}
        self._reported = 0

    def stored_jobs(self, rows: Iterable[RowMapping]) -> Iterator[StoredJob]:
        """Yield jobs with the names of their clusters."""
        return (StoredJob(row["cluster"], job) for row in rows if (job := self.job(row)) is not None)

    def job(self, row: RowMapping) -> Job | None:
        """Return the job of a row, None where it cannot be read."""
        try:
            job, missing_since = _decode(row["facts"]), row["missing_since"]
            if job.missing_since == missing_since:
                return job
            return msgspec.structs.replace(job, missing_since=msgspec.convert(missing_since, float | None))
        except (msgspec.DecodeError, TypeError) as error:
            self.skip("jobs", row, error)
        return None

    def read(self, table: str, row: RowMapping, kind: type[StructT]) -> StructT | None:
        """Return what a row of a table stands for, whose columns are the fields; None where it cannot be read."""
        try:
            fields = {name: row[name] for name in kind.__struct_fields__}
            return msgspec.convert(fields, kind, strict=False)  # not strict: SQLite has numbers for booleans
        except msgspec.ValidationError as error:
            self.skip(table, row, error)
        return None

    def skip(self, table: str, row: RowMapping, error: Exception | str) -> None:
        """Remember that a row, or a part of it, cannot be read."""
        if len(self._skipped) < UNREADABLE_LIMIT:
            self._skipped[table, *(str(row[name]) for name in _KEY if name in row)] = str(error)

    def report_skipped(self) -> None:
        """Log how many rows could not be read, if there are more than were reported before."""
        if len(self._skipped) > self._reported:
            self._reported = len(self._skipped)
            where, message = list(self._skipped.items())[-1]
            _log.warning("store_rows_skipped", rows=self._reported, row=" ".join(map(str, where)), message=message)
