"""Asks an import API, of whichever generation, which jobs there are, and answers in one way."""

from collections.abc import Callable
from typing import Protocol

from monitor.api.details import ImportFile, Overheard, files_in
from monitor.api.errors import (
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
from monitor.api.listing import Listing
from monitor.api.milvus23 import Milvus23Api
from monitor.api.records import merged
from monitor.api.session import Network, Session, Usage
from monitor.api.v1 import V1Api
from monitor.api.v2 import V2Api
from monitor.config import Cluster
from monitor.jobs import Job

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
    "Listing",
    "Network",
    "NotFoundError",
    "OtherError",
    "StoppedError",
    "ThrottledError",
    "TlsError",
    "TransientError",
    "UnauthorizedError",
    "Usage",
    "connect",
    "files_of",
    "merged",
]


class ImportApi(Protocol):
    """The import jobs of one cluster, whatever generation answers. For one thread at a time."""

    session: Session

    def list_jobs(self) -> Listing:
        """Return every job, from a complete list; raises ``ApiError``."""

    def describe(self, job_id: str) -> Job:
        """Return one job; raises ``JobGoneError`` where the server says that there is none, else ``ApiError``."""


_GENERATIONS: dict[str, Callable[[Cluster, Session], ImportApi]] = {"v2": V2Api, "v1": V1Api, "milvus-2.3": Milvus23Api}


def connect(cluster: Cluster, network: Network, usage: Usage | None = None) -> ImportApi:
    """Return the API of a cluster. Nothing is sent before it is asked.

    Args:
        cluster: The cluster.
        network: What it shares with the others.
        usage: Counts on from here, where the cluster was connected before.
    """
    return _GENERATIONS[cluster.api](cluster, Session(cluster, network, usage or Usage()))


def files_of(cluster: Cluster, network: Network, job_id: str, usage: Usage | None = None) -> tuple[ImportFile, ...]:
    """Ask a cluster for the files of a job, within the rate that its polls keep to; any thread may.

    Args:
        cluster: The cluster.
        network: What it shares with the others, and with its own polls.
        job_id: The job.
        usage: Where the requests are counted.

    Raises:
        JobGoneError: The server says that there is no such job.
        ApiError: There is no answer.
        StoppedError: The monitor is stopping.
    """
    session = Overheard(cluster, network, usage or Usage())
    session.begin()
    _GENERATIONS[cluster.api](cluster, session).describe(job_id)
    return files_in(session.data)
