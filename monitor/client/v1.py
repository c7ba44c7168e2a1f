"""The v1 API: the old control plane of Zilliz Cloud, deprecated and still in use."""

from collections.abc import Callable
from typing import Any, Final

from monitor.client.import_files import ImportFile, files_in
from monitor.client.list_page import Page, decode_page
from monitor.client.pagination import read_list
from monitor.client.records import percent
from monitor.client.session import Session
from monitor.client.v2 import describe_data, described
from monitor.config import Cluster
from monitor.jobs import JobList, JobRecord

_LIST: Final = "/v1/vector/collections/import/list"
_GET: Final = "/v1/vector/collections/import/get"


class V1Api:
    """The import jobs of one cluster behind the v1 API."""

    def __init__(self, cluster: Cluster, session: Session) -> None:
        self.session = session
        self._cluster_id = cluster.cluster_id
        self._page_size = cluster.page_size

    def list_jobs(self, previous: JobList) -> JobList:
        """Return every job; see ``ImportApi``."""
        return read_list(self._fetch, self._decode, previous)

    def describe(self, job_id: str) -> JobRecord:
        """Return one job, its progress and its error but no state; see ``ImportApi``."""
        return self._describe(job_id)[0]

    def import_files(self, job_id: str) -> tuple[ImportFile, ...]:
        """Return the files of a job; see ``ImportApi``."""
        return files_in(self._describe(job_id)[1])

    def _fetch(self, _database: str, number: int, parse: Callable[[bytes], bool]) -> bool:
        query = {"clusterId": self._cluster_id, "pageSize": str(self._page_size), "currentPage": str(number)}
        return self.session.call("list", "GET", _LIST, query=query, parse=parse)

    def _decode(self, content: bytes, _database: str) -> Page:
        return decode_page(self.session, self._page_size, content)

    def _describe(self, job_id: str) -> tuple[JobRecord, Any]:
        def parse(content: bytes) -> Any:
            return describe_data(self.session.decode(content), job_id)

        query = {"clusterId": self._cluster_id, "jobId": job_id}
        return described(with_progress(self.session.call("describe", "GET", _GET, query=query, parse=parse)), job_id)


def with_progress(data: Any) -> Any:
    """Return the data of a v1 describe with ``progress``, as v2 has it.

    ``readyPercentage`` is documented as a percentage, and is 1 in the documented answer about a job that has ended:
    what is below 1 is a ratio, and 1 is all of it once there is a ``completeTime``, else it says nothing.
    """
    if not isinstance(data, dict) or percent(data.get("progress")) is not None:
        return data
    ready = percent(data.get("readyPercentage"))
    if ready is None or ready > 1:
        return data | {"progress": data.get("readyPercentage")}
    if ready < 1 or data.get("completeTime"):
        return data | {"progress": ready * 100}
    return data
