"""The v1 API: the old control plane of Zilliz Cloud, deprecated and still in use."""

from collections.abc import Callable
from typing import Any, Final

from monitor.api.answers import envelope
from monitor.api.errors import ApiError, JobGoneError
from monitor.api.kept import Kept
from monitor.api.listing import Listing, Page, Reading, Records, Remembered, records_in
from monitor.api.records import job_from, ratio
from monitor.api.session import Session
from monitor.api.v2 import described, says_gone
from monitor.config import Cluster
from monitor.jobs import Job

_LIST: Final = "/v1/vector/collections/import/list"
_GET: Final = "/v1/vector/collections/import/get"
_ONE_PERCENT: Final = 0.01


class V1Api:
    """The import jobs of one cluster behind the v1 API."""

    def __init__(self, cluster: Cluster, session: Session) -> None:
        self.session = session
        self._cluster_id = cluster.cluster_id
        self._page_size = cluster.page_size
        self._last: Remembered | None = None

    def list_jobs(self, since: object = None) -> Listing:
        """Return every job, page by page; beside an earlier list, what is new in it.

        Args:
            since: The mark of an earlier listing; all is told where another one was returned since then.

        Raises:
            ApiError: Some page could not be had: there is no partial listing.
        """
        reading = Reading.since(since, self._last)
        reading.read(self._page, self._records, job_from)
        self._last, listing = reading.end()
        return listing

    def describe(self, job_id: str) -> Job:
        """Return what the server says of one job: its progress and its error, but no state.

        Raises:
            JobGoneError: The server says that it does not exist.
            ApiError: There is no verdict.
        """
        query = {"clusterId": self._cluster_id, "jobId": job_id}
        try:
            data = self.session.call("describe", "GET", _GET, query=query, check=envelope)
        except ApiError as error:
            if says_gone(error):
                raise JobGoneError(str(error), code=error.code) from None
            raise
        return described(_in_v2_words(data), job_id)

    def _page(self, number: int, check: Callable[[Any], Page], kept: Kept[Page]) -> Page:
        query = {"clusterId": self._cluster_id, "pageSize": str(self._page_size), "currentPage": str(number)}
        return self.session.call("list", "GET", _LIST, query=query, check=check, kept=kept)

    def _records(self, payload: Any) -> Records:
        return records_in(envelope(payload), self._page_size)


def _in_v2_words(data: Any) -> Any:
    """Name the fields of a v1 answer as v2 names them.

    ``readyPercentage`` is documented as a percentage, and is 1 in the documented answer about a job that has ended:
    what is below 1 is a ratio, and 1 is all of it once there is a ``completeTime``, else it says nothing.
    """
    if not isinstance(data, dict) or ratio(data.get("progress")) is not None:
        return data
    ready = ratio(data.get("readyPercentage"))
    if ready is None or ready > _ONE_PERCENT:
        return data | {"progress": data.get("readyPercentage")}
    if ready < _ONE_PERCENT or data.get("completeTime"):
        return data | {"progress": ready * 100 * 100}
    return data
