"""Clients of the import APIs: of whichever generation, a list of jobs comes back as the same records."""

from collections.abc import Callable
from typing import Protocol

from monitor.client.errors import (
    ApiConnectionError,
    ApiError,
    ApiMissingError,
    ApiTimeoutError,
    BadRequestError,
    BadResponseError,
    ErrorKind,
    JobGoneError,
    NotFoundError,
    OtherError,
    StoppedError,
    ThrottledError,
    TlsError,
    TransientError,
    UnauthorizedError,
)
from monitor.client.import_files import ImportFile
from monitor.client.milvus23 import Milvus23Api
from monitor.client.session import Network, Session, Usage
from monitor.client.v1 import V1Api
from monitor.client.v2 import V2Api
from monitor.config import Cluster
from monitor.jobs import JobList, JobRecord

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiMissingError",
    "ApiTimeoutError",
    "BadRequestError",
    "BadResponseError",
    "ErrorKind",
    "ImportApi",
    "ImportFile",
    "JobGoneError",
    "Network",
    "NotFoundError",
    "OtherError",
    "Session",
    "StoppedError",
    "ThrottledError",
    "TlsError",
    "TransientError",
    "UnauthorizedError",
    "Usage",
    "connect",
]


class ImportApi(Protocol):
    """The import jobs of one cluster, for one thread at a time. Methods raise ``ApiError`` or ``StoppedError``."""

    session: Session

    def list_jobs(self, previous: JobList) -> JobList:
        """Return the complete list, ``previous`` itself where every page is unchanged; there is no partial list."""

    def describe(self, job_id: str) -> JobRecord:
        """Return one job; raise ``JobGoneError`` where the server says that this job does not exist."""

    def import_files(self, job_id: str) -> tuple[ImportFile, ...]:
        """Return the files of a job; raises as ``describe`` does."""


_GENERATIONS: dict[str, Callable[[Cluster, Session], ImportApi]] = {"v2": V2Api, "v1": V1Api, "milvus-2.3": Milvus23Api}


def connect(cluster: Cluster, network: Network, usage: Usage | None = None) -> ImportApi:
    """Return the client of a cluster; nothing is sent yet.

    Args:
        cluster: The cluster.
        network: Connections and rate limits, shared by all clusters.
        usage: Counts of earlier requests to continue.
    """
    return _GENERATIONS[cluster.api](cluster, Session(cluster, network, usage or Usage()))
