"""Clients of the import APIs: of whichever generation, a list of jobs comes back as the same records."""

from typing import Final

from monitor.client.curl import Command, commands
from monitor.client.databases import KnownDatabases
from monitor.client.errors import SHARED_FAILURES, ApiError, ErrorKind, JobGoneError, StoppedError
from monitor.client.import_api import ImportApi
from monitor.client.milvus23 import Milvus23Api
from monitor.client.records import ImportFile
from monitor.client.session import POLL_LIMIT, Network, Session, Usage
from monitor.client.v1 import V1Api
from monitor.client.v2 import V2Api
from monitor.config import Cluster

__all__ = [
    "POLL_LIMIT",
    "SHARED_FAILURES",
    "ApiError",
    "Command",
    "ErrorKind",
    "ImportApi",
    "ImportFile",
    "JobGoneError",
    "KnownDatabases",
    "Network",
    "StoppedError",
    "Usage",
    "commands",
    "connect",
]

_GENERATIONS: Final[dict[str, type[ImportApi]]] = {"v2": V2Api, "v1": V1Api, "milvus-2.3": Milvus23Api}


def connect(
    cluster: Cluster, network: Network, usage: Usage | None = None, known_databases: KnownDatabases | None = None
) -> ImportApi:
    """Return the client of a cluster; nothing is sent yet.

    ``usage`` are counts of earlier requests to continue, ``known_databases`` what they have shown of its databases.
    """
    session = Session(cluster, network, usage or Usage())
    return _GENERATIONS[cluster.api](cluster, session, known_databases)
