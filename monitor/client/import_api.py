"""What every generation of the import API offers, and in what they differ."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from monitor.client.databases import FollowedDatabases, KnownDatabases
from monitor.client.decoding import Body
from monitor.client.errors import BadResponseError
from monitor.client.pagination import ListReader, Page
from monitor.client.records import ImportFile, files_in
from monitor.client.session import Session
from monitor.config import Cluster
from monitor.jobs import JobList, JobRecord

PAGE_LIMIT: Final = 1000
"""Pages of one list; a server that offers more is not believed."""


class ImportApi(ABC):
    """The import jobs of one cluster, for one thread at a time. Methods raise ``ApiError`` or ``StoppedError``."""

    lookup_databases: tuple[str, ...] = ()
    """Databases to ask for each collection by `list_collection`, where the list does not say which job is in which."""

    _databases: tuple[str, ...] = ("",)
    _hint = "check `api` and `url`"

    def __init__(self, cluster: Cluster, session: Session, known_databases: KnownDatabases | None = None) -> None:
        self.session = session
        self._cluster = cluster
        self._followed: FollowedDatabases | None = None
        if cluster.follows_databases:
            self._followed = FollowedDatabases(cluster, session, known_databases or KnownDatabases())

    @property
    def known_databases(self) -> KnownDatabases | None:
        """The databases of the cluster, where `databases` is `all`; None elsewhere."""
        return None if self._followed is None else self._followed.known

    def note_job_elsewhere(self) -> None:
        """Ask for the databases again at the next poll, where they are followed: a new job is in none of them."""
        if self._followed is not None:
            self._followed.note_job_elsewhere()

    def list_jobs(self, previous: JobList) -> JobList:
        """Return the complete list, ``previous`` itself where every page is unchanged; there is no partial list.

        ``count`` is no total, so the end is a page shorter than its size, a response without paging fields (self-hosted
        Milvus gives all at once), or a page with nothing new: jobs that arrive meanwhile shift the pages, and an id
        may come twice. A page of bad records only is no end.
        """
        reader = ListReader(self._decode, previous)
        for database in self._databases:
            self._list_database(database, reader)
        return reader.result(self._hint)

    def _list_database(self, database: str, reader: ListReader) -> None:
        number = 1
        while self._fetch(database, number, partial(reader.add, database, number)):
            number += 1
            if number > PAGE_LIMIT:
                raise BadResponseError(f"the list has no end: more than {PAGE_LIMIT} pages")

    def list_collection(self, database: str, collection: str) -> Mapping[str, JobRecord]:
        """Return the jobs of one collection by id; none where the database has no such collection."""
        raise NotImplementedError

    def describe(self, job_id: str) -> JobRecord:
        """Return one job; raise ``JobGoneError`` where the server says that this job does not exist."""
        return self._describe(job_id)[0]

    def import_files(self, job_id: str) -> tuple[ImportFile, ...]:
        """Return the files of a job; raises as ``describe`` does."""
        return files_in(self._describe(job_id)[1])

    @abstractmethod
    def _fetch(self, database: str, number: int, parse: Callable[[Body], bool]) -> bool:
        """Request a page of the list and return what ``parse`` makes of it."""

    @abstractmethod
    def _decode(self, body: Body, database: str) -> Page: ...

    @abstractmethod
    def _describe(self, job_id: str) -> tuple[JobRecord, dict[str, Any]]:
        """Return the record of a job, and the data of the describe, which lists its files."""
