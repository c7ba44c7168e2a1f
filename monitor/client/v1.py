"""The v1 API: the old control plane of Zilliz Cloud, deprecated and still in use."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from monitor.client.decoding import Body
from monitor.client.import_api import ImportApi
from monitor.client.pagination import Page, decode_page
from monitor.client.v2 import described
from monitor.jobs import JobRecord

_IMPORT: Final = "/v1/vector/collections/import"


class V1Api(ImportApi):
    """The import jobs of one cluster behind the v1 API, whose describe has no state."""

    def _fetch(self, _database: str, number: int, parse: Callable[[Body], bool]) -> bool:
        page = {"pageSize": self._cluster.page_size, "currentPage": number}
        query = urlencode({"clusterId": self._cluster.cluster_id, **page})
        return self.session.call("list", "GET", f"{_IMPORT}/list?{query}", parse)

    def _decode(self, body: Body, _database: str) -> Page:
        return decode_page(body, self._cluster.page_size)

    def _describe(self, job_id: str) -> tuple[JobRecord, dict[str, Any]]:
        query = urlencode({"clusterId": self._cluster.cluster_id, "jobId": job_id})
        path = f"{_IMPORT}/get?{query}"
        return self.session.call("describe", "GET", path, lambda body: described(body.json(), job_id))
