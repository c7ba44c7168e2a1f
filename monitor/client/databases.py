"""The databases of a cluster, asked of the cluster itself where `databases` is `all`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from msgspec.structs import replace

from monitor.client.decoding import Body, envelope
from monitor.client.errors import ApiError, BadResponseError, ErrorKind
from monitor.client.session import Session
from monitor.config import MAX_ITEMS, Cluster
from monitor.jobs import NAME_LIMIT

DATABASES_INTERVAL: Final = 300.0
"""Seconds from one request for the databases of a cluster to the next."""

LISTS_UNTIL_DROPPED: Final = 3
"""Lists in a row that lack a database before its jobs are listed no more: what is not seen for a moment is not gone."""

KNOWN_LIMIT: Final = 2 * MAX_ITEMS
"""Databases that are known at a time: those of the latest list, and those that it lacked."""

_PROJECT_DOMAINS: Final = {
    "api.cloud.zilliz.com": "api.zillizcloud.com",
    "api.cloud.zilliz.com.cn": "api.zillizcloud.com.cn",
}
"""The control planes of Zilliz Cloud, which list no databases, and the domains of their projects' own addresses."""

_ZILLIZ_DOMAINS: Final = (".zillizcloud.com", ".zillizcloud.com.cn", ".zilliz.com", ".zilliz.com.cn")


class KnownDatabases(msgspec.Struct, frozen=True, gc=False):
    """What is known of the databases of a cluster.

    Attributes:
        names: The databases whose jobs are listed; none before the first list.
        absent: How many lists in a row have lacked a database, of those that the latest one lacked.
        asked_at: When the cluster was last asked at its interval, in monotonic seconds; None where it has not been.
        incomplete: Whether a job is in none of them, so that the cluster is asked again before the interval has passed.
        error: Why the latest list failed; empty where it did not.
        error_kind: What kind of failure that was.
    """

    names: tuple[str, ...] = ()
    absent: Mapping[str, int] = msgspec.field(default_factory=dict)
    asked_at: float | None = None
    incomplete: bool = False
    error: str = ""
    error_kind: ErrorKind | None = None

    def merge(self, listed: Sequence[str]) -> "KnownDatabases":
        """Return the databases after another list: new ones are added, absent ones go after some lists without them."""
        absent = {name: self.absent.get(name, 0) + 1 for name in self.names if name not in listed}
        names = [name for name in self.names if absent.get(name, 0) < LISTS_UNTIL_DROPPED]
        names += [name for name in listed if name not in self.names]
        absent = {name: lists for name, lists in absent.items() if lists < LISTS_UNTIL_DROPPED}
        return replace(self, names=tuple(names[:KNOWN_LIMIT]), absent=absent, error="", error_kind=None)

    def add(self, listed: Sequence[str]) -> "KnownDatabases":
        """Return the databases with new ones of a list; what is absent from it does not count."""
        names = tuple(dict.fromkeys([*self.names, *listed]))[:KNOWN_LIMIT]
        return replace(self, names=names, error="", error_kind=None)

    def without(self, database: str) -> "KnownDatabases":
        """Return the databases but one."""
        names = tuple(name for name in self.names if name != database)
        return replace(self, names=names, absent={name: n for name, n in self.absent.items() if name != database})


class FollowedDatabases:
    """Keeps the databases of one cluster up to date. For one thread at a time.

    Args:
        cluster: The cluster.
        session: Sends its requests.
        known: What is known of its databases, for example from before a reload.
    """

    def __init__(self, cluster: Cluster, session: Session, known: KnownDatabases) -> None:
        self.known = known
        self._cluster = cluster
        self._session = session
        self._address = ""
        self._latest: Sequence[str] | None = None

    def refresh(self) -> None:
        """Ask the cluster where ``DATABASES_INTERVAL`` has passed, or a job is elsewhere; an error changes nothing.

        Raises:
            ApiError: No database is known, and the cluster could not be asked.
            StoppedError: The monitor is stopping.
        """
        self._latest = None
        known, now = self.known, self._session.now()
        is_due = not known.names or known.asked_at is None or now - known.asked_at >= DATABASES_INTERVAL
        if not (is_due or known.incomplete):
            return
        asked_at = now if is_due else known.asked_at
        try:
            self._latest = self._request()
        except ApiError as error:
            if not known.names:
                message = f"the databases cannot be listed: {error}; `databases` can name them instead of `all`"
                raise type(error)(message, code=error.code, retry_after=error.retry_after) from None
            known = replace(known, error=str(error), error_kind=error.kind)
        else:
            known = known.merge(self._latest) if is_due else known.add(self._latest)
        self.known = replace(known, asked_at=asked_at, incomplete=False)

    def note_job_elsewhere(self) -> None:
        """Ask the cluster again at the next poll: a new job is in none of the databases that are known."""
        self.known = replace(self.known, incomplete=True)

    def confirm_dropped(self, database: str) -> bool:
        """Return whether a database that the cluster does not find is in no list of databases either; then it goes.

        The cluster is asked at once, but only once after each `refresh`.
        """
        if self._latest is None:
            try:
                self._latest = self._request()
            except ApiError:
                return False
        if database in self._latest:
            return False
        self.known = self.known.without(database)
        return bool(self.known.names)

    def _request(self) -> Sequence[str]:
        """Return the databases as the cluster lists them now; there is no partial list."""
        session, body = self._session, {}
        try:
            if urlsplit(self._cluster.url).hostname in _PROJECT_DOMAINS:
                self._address = self._address or self._find_address()
                session = session.at(self._cluster.model_copy(update={"url": self._address}))
            elif self._cluster.cluster_id:
                body = {"clusterId": self._cluster.cluster_id}
            elif self._cluster.project_id:
                body = {"projectId": self._cluster.project_id, "regionId": self._cluster.region_id}
            return session.call("databases", "POST", "/v2/vectordb/databases/list", _read_databases, body=body)
        except ApiError:
            self._address = ""  # clusters move
            raise

    def _find_address(self) -> str:
        """Return the address of the cluster, or of the project: the control plane of Zilliz Cloud lists no databases.

        Sources: https://docs.zilliz.com/reference/restful/list-databases-v2 and describe-cluster-v2.
        """
        url = urlsplit(self._cluster.url)
        if self._cluster.cluster_id:
            path = f"/v2/clusters/{quote(self._cluster.cluster_id, safe='')}"
            return self._session.call("cluster", "GET", path, lambda body: _read_address(body, url.scheme))
        host = f"{self._cluster.project_id}.{self._cluster.region_id}.{_PROJECT_DOMAINS[url.hostname or '']}"
        return _checked_address(f"{url.scheme}://{host}", url.scheme)


def _read_databases(body: Body) -> Sequence[str]:
    """Return the names in a response, which is whole or is refused: a name that cannot be one is no name less."""
    listed = envelope(body.json())
    if not isinstance(listed, list) or not all(map(_is_name, listed)):
        raise BadResponseError("the response has a code of success, but no list of names of databases in its data")
    if not listed:
        raise BadResponseError("the list of databases is empty, but every cluster has one")
    names = tuple(dict.fromkeys(listed))
    if len(names) > MAX_ITEMS:
        raise BadResponseError(f"there are {len(names):,} databases; at most {MAX_ITEMS:,} can be followed")
    return names


def _is_name(value: Any) -> bool:
    is_text = isinstance(value, str) and 0 < len(value) <= NAME_LIMIT
    return is_text and value.isprintable() and value == value.strip()


def _read_address(body: Body, scheme: str) -> str:
    data = envelope(body.json())
    address = data.get("connectAddress") if isinstance(data, dict) else None
    if not isinstance(address, str) or not address:
        raise BadResponseError("the control plane gives no address (connectAddress) of the cluster")
    return _checked_address(address, scheme)


def _checked_address(address: str, scheme: str) -> str:
    """Return an address without a slash at its end if the API key may be sent to it: only to Zilliz Cloud."""
    try:
        url = urlsplit(address)
        is_safe = url.scheme == scheme and (url.port or 1) > 0 and not (url.username or url.password)
    except ValueError:
        is_safe = False
    if not is_safe or not (url.hostname or "").endswith(_ZILLIZ_DOMAINS) or url.path.strip("/") or url.query:
        raise BadResponseError(f"the address of the cluster is not one of Zilliz Cloud: {address[:100]!r}")
    return f"{url.scheme}://{url.netloc}"
