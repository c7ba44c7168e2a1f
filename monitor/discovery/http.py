"""Clusters that an inventory lists over HTTP."""

from typing import Final
from urllib.parse import urlsplit

from monitor.client import ApiError, Network, Usage
from monitor.client.account import Account
from monitor.client.errors import ApiMissingError
from monitor.client.session import Session
from monitor.config import ConfigError, Inventory
from monitor.config.cluster_list import parse_clusters
from monitor.config.files import decode
from monitor.discovery.listed import from_entries
from monitor.discovery.model import DiscoveredCluster, DiscoveryError
from monitor.redaction import secrets_in_query

ENDPOINT: Final = "inventory"


class HttpSource:
    """Lists the clusters of an inventory; a response is bounded in time and bytes as those of clusters are.

    Args:
        inventory: Its settings.
        network: The connections.
        timeout: Seconds that a request may take.
        has_key: Whether clusters without a key have one from elsewhere.
    """

    def __init__(self, inventory: Inventory, network: Network, timeout: float, *, has_key: bool = False) -> None:
        parts = urlsplit(inventory.url)
        self._name = f"{parts.netloc}{parts.path}"  # a query can hold a secret
        self._path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        server = Account(
            url=f"{parts.scheme}://{parts.netloc}",
            api_key=inventory.api_key,
            timeout=timeout,
            tls=inventory.tls,
            api=ENDPOINT,
            other_secrets=secrets_in_query(inventory.url),
        )
        self._session = Session(server, network, Usage())
        self._given = {"api_key"} if has_key else frozenset[str]()

    def list_clusters(self) -> tuple[DiscoveredCluster, ...]:
        """Return the clusters of the inventory.

        Raises:
            DiscoveryError: There is no complete response, or an entry of it is wrong; it says line and key.
            StoppedError: The monitor is stopping.
        """
        try:
            self._session.begin_poll()
            content = self._session.call(ENDPOINT, "GET", self._path, lambda body: body.content)
            return from_entries(parse_clusters(decode(content), self._name, None, self._given))
        except ApiMissingError:
            raise DiscoveryError(f"{self._name}: there is nothing at this address (HTTP 404)") from None
        except ApiError as error:
            raise DiscoveryError(str(error)) from None
        except ConfigError as error:
            raise DiscoveryError(error.problems[0]) from None
        except ValueError as error:
            raise DiscoveryError(f"{self._name}: the response {error}") from None
