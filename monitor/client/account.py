"""The account API of Zilliz Cloud: which clusters, projects and regions an API key sees.

Sources: docs.zilliz.com/reference/restful, "list-clusters-v2", "list-projects-v2", "list-cloud-regions-v2" and
"list-on-demand-clusters-v2".
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
from pydantic import SecretStr

from monitor.client.decoding import Body, code_of, envelope
from monitor.client.errors import BadRecordError, BadResponseError
from monitor.client.import_api import PAGE_LIMIT
from monitor.client.records import checked_object, name, state
from monitor.client.session import Network, Session, Usage
from monitor.config import Tls
from monitor.jobs import ID_LIMIT

PAGE_SIZE: Final = 100
"""Clusters requested per page, the most that the API gives."""

RECORD_LIMIT: Final = 20_000
"""Records of one list: as many clusters as a config file may have."""

_SERVER: Final = "the account API of Zilliz Cloud"

Record = TypeVar("Record")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How the account API is reached: the settings of a `Cluster` that a `Session` needs; times in seconds.

    Attributes:
        other_secrets: What must not be shown besides the key.
    """

    url: str
    api_key: SecretStr
    timeout: float = 10.0
    requests_per_second: float = 10.0
    tls: Tls = Tls()
    api: str = "account"
    other_secrets: frozenset[str] = frozenset()

    def rate_key(self) -> str:
        """Return what a rate of requests belongs to: the key."""
        return self.api_key.get_secret_value()

    def secrets(self) -> tuple[str, ...]:
        """Return the key, and what else must not be shown."""
        return (self.api_key.get_secret_value(), *self.other_secrets)


class CloudCluster(msgspec.Struct, frozen=True):
    """A cluster of an account; what its record does not say, or not as text, is empty."""

    id: str
    name: str = ""
    project_id: str = ""
    region: str = ""
    plan: str = ""
    status: str = ""


class Project(msgspec.Struct, frozen=True):
    """A project of an account; older responses say nothing about its regions."""

    id: str
    name: str = ""
    plan: str = ""
    regions: tuple[str, ...] = ()


class AccountApi:
    """What an API key sees, for one thread at a time. Methods raise ``ApiError`` or ``StoppedError``.

    A list is whole or an error: a record without an id could be any of the clusters, so it is an error as well.
    """

    def __init__(self, account: Account, network: Network, usage: Usage | None = None) -> None:
        self.session = Session(account, network, usage or Usage())

    def list_clusters(self) -> tuple[CloudCluster, ...]:
        """Return all clusters of the key: dedicated, serverless and free ones, in all projects.

        The end is a page shorter than its size, unless ``count`` is larger than what was listed so far, or a page with
        nothing new. A cluster that is created meanwhile shifts the pages, and an id may come twice: the later record
        counts. Where ``count`` is only the number of records on the page, it has no effect.
        """
        clusters: dict[str, CloudCluster] = {}
        for number in range(1, PAGE_LIMIT + 1):
            query = urlencode({"pageSize": PAGE_SIZE, "currentPage": number})
            page = self.session.call("clusters", "GET", f"/v2/clusters?{query}", decode_clusters)
            known = len(clusters)
            clusters.update((cluster.id, cluster) for cluster in page.clusters)
            _check_size(len(clusters), "clusters")
            is_last = len(page.clusters) < page.size and page.total <= len(clusters)
            if is_last or len(clusters) == known:
                return tuple(clusters.values())
        raise BadResponseError(f"the list of clusters has no end: more than {PAGE_LIMIT} pages")

    def list_projects(self) -> tuple[Project, ...]:
        """Return the projects of the key, which come on one page."""
        return self.session.call("projects", "GET", "/v2/projects", decode_projects)

    def list_regions(self) -> tuple[str, ...]:
        """Return the ids of the regions of all cloud providers."""
        return self.session.call("regions", "GET", "/v2/regions", decode_regions)

    def list_on_demand_clusters(self, project_id: str, region: str) -> tuple[CloudCluster, ...]:
        """Return the on-demand clusters of a project in a region; `list_clusters` lists none of them."""
        query = urlencode({"projectId": project_id, "regionId": region})
        path = f"/v2/clusters/onDemandClusters?{query}"
        return self.session.call("on_demand_clusters", "GET", path, decode_on_demand_clusters)


class ClusterPage(NamedTuple):
    """One page of the list of clusters: the clusters, how many a full page has, and ``count`` (0 without it)."""

    clusters: tuple[CloudCluster, ...]
    size: int
    total: int


def decode_clusters(body: Body) -> ClusterPage:
    """Decode a page of the list of clusters; raises the ``ApiError`` of its code, or that it is not a whole list."""
    data = _data(body)
    paging = data if isinstance(data, dict) else {}
    size = min(code_of(paging.get("pageSize")) or PAGE_SIZE, PAGE_SIZE)
    return ClusterPage(_records(data, "clusters", _cluster), size, code_of(paging.get("count")) or 0)


def decode_on_demand_clusters(body: Body) -> tuple[CloudCluster, ...]:
    """Decode a list of on-demand clusters; raises as `decode_clusters` does."""
    return _records(_data(body), "onDemandClusters", _cluster)


def decode_projects(body: Body) -> tuple[Project, ...]:
    """Decode a list of projects; raises as `decode_clusters` does."""
    return _records(_data(body), "projects", _project)


def decode_regions(body: Body) -> tuple[str, ...]:
    """Decode a list of regions; raises as `decode_clusters` does."""
    return _records(_data(body), "regions", lambda record: _id(record, "regionId"))


def _data(body: Body) -> Any:
    return envelope(body.json(), _SERVER)


def _check_size(size: int, field: str) -> None:
    if size > RECORD_LIMIT:
        raise BadResponseError(f"the list has more than {RECORD_LIMIT} {field}")


def _records(data: Any, field: str, read: Callable[[Any], Record]) -> tuple[Record, ...]:
    """Return the records of a list: the data itself, or a field of it, which may be absent where ``count`` is 0.

    Raises ``BadResponseError`` where it is no list, or where a record of it cannot be read.
    """
    fields = data if isinstance(data, dict) else {field: data}
    listed = fields.get(field)
    if listed is None and code_of(fields.get("count")) == 0:
        listed = []
    if not isinstance(listed, list):
        raise BadResponseError(f"the response has a code of success, but no list of {field} in its data")
    _check_size(len(listed), field)
    records: list[Record] = []
    bad_records: list[str] = []
    for record in listed:
        try:
            records.append(read(record))
        except BadRecordError as error:
            bad_records.append(str(error))
    if bad_records:
        count = f"{len(bad_records)} of {len(listed)} {field}"
        raise BadResponseError(f"the list is not complete: {count} cannot be read ({bad_records[0]})")
    return tuple(records)


def _cluster(value: Any) -> CloudCluster:
    record = checked_object(value)
    return CloudCluster(
        id=_id(record, "clusterId"),
        name=name(record.get("clusterName")).strip(),
        project_id=name(record.get("projectId")),
        region=name(record.get("regionId")),
        plan=name(record.get("plan")),
        status=state(record.get("status")),
    )


def _project(value: Any) -> Project:
    record = checked_object(value)
    regions = record.get("regionIds") or []
    if not isinstance(regions, list):
        raise BadRecordError("a project's regionIds are no list")
    return Project(
        id=_id(record, "projectId"),
        name=name(record.get("projectName")).strip(),
        plan=name(record.get("plan")),
        regions=tuple(dict.fromkeys(_id({"regionId": region}, "regionId") for region in regions)),
    )


def _id(value: Any, field: str) -> str:
    """Return an id that a config file may have, too; raise ``BadRecordError`` for any other."""
    record_id = checked_object(value).get(field)
    if not isinstance(record_id, str) or not 1 <= len(record_id) <= ID_LIMIT:
        raise BadRecordError(f"a record's {field} is missing, or no text of 1 to {ID_LIMIT} characters")
    if not record_id.isascii() or not record_id.isprintable() or " " in record_id:
        raise BadRecordError(f"a record's {field} has characters that no id has")
    return record_id
