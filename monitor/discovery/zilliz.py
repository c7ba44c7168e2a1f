"""The clusters of a Zilliz Cloud API key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic import SecretStr

from monitor.client import ApiError, ErrorKind, Network, Usage
from monitor.client.account import Account, AccountApi, CloudCluster, Project
from monitor.config import Tls
from monitor.discovery.model import DiscoveredCluster, DiscoveryError

ON_DEMAND_LIMIT: Final = 1000
"""Pairs of project and region whose on-demand clusters are requested, one request each: at the default rate they take
100 seconds, and the time for one list is 12 timeouts."""


class ZillizSource:
    """Lists the clusters that an API key sees; a `Source`, for one thread at a time.

    All clusters are reached through the same URL with the same key; China has a control plane of its own, which is
    another URL. The members of a global cluster are clusters like any other: an import is replicated to each of them
    under the same job id and can fail on one of them alone, and a secondary one can become the primary one.

    Attributes:
        usage: The requests sent so far, by endpoint.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr,
        *,
        network: Network,
        timeout: float = 10.0,
        requests_per_second: float = 10.0,
        tls: Tls | None = None,
        on_demand: bool = False,
        needs_project_names: bool = False,
    ) -> None:
        """Make a source; nothing is sent yet.

        Args:
            url: The control plane's address, such as https://api.cloud.zilliz.com.
            api_key: The key.
            network: The connections, rate limits and the signal to stop, shared with the polls.
            timeout: Seconds that a request may take; a whole list may take 12 times as long.
            requests_per_second: The rate for each endpoint; lists of jobs count apart.
            tls: TLS for the connection to the control plane.
            on_demand: Whether to list on-demand projects, too.
            needs_project_names: Whether a key that may not list projects is an error; else projects have no name.
        """
        self.usage = Usage()
        self._url = url
        self._on_demand = on_demand
        self._needs_project_names = needs_project_names
        account = Account(
            url=url, api_key=api_key, timeout=timeout, requests_per_second=requests_per_second, tls=tls or Tls()
        )
        self._api = AccountApi(account, network, self.usage)

    def list_clusters(self) -> tuple[DiscoveredCluster, ...]:
        """Return every cluster of the key; raise `DiscoveryError`, caused by an `ApiError`, where a list failed."""
        self._api.session.begin_poll()
        projects = self._projects()
        with _listing("clusters"):
            listed = self._api.list_clusters()
        clusters = [self._dedicated(cluster, projects.get(cluster.project_id)) for cluster in listed]
        if self._on_demand:
            clusters += self._on_demand_projects(list(projects.values()))
        return tuple(clusters)

    def _projects(self) -> dict[str, Project]:
        """Return the projects by id; none where the key may not list them, and they are not needed."""
        try:
            return {project.id: project for project in self._api.list_projects()}
        except ApiError as error:
            if error.kind is not ErrorKind.UNAUTHORIZED:
                raise DiscoveryError(f"cannot list the projects: {error}") from error
            if self._on_demand:
                raise DiscoveryError(f"cannot list the projects, which on_demand needs: {error}") from error
            if self._needs_project_names:
                message = "cannot list the projects, by which include or exclude selects clusters"
                raise DiscoveryError(f"{message}: {error}") from error
            return {}

    def _dedicated(self, cluster: CloudCluster, project: Project | None) -> DiscoveredCluster:
        return DiscoveredCluster(
            id=cluster.id,
            name=cluster.name or cluster.id,
            settings={"url": self._url, "cluster_id": cluster.id},
            project=project.name if project else "",
            project_id=cluster.project_id,
            region=cluster.region,
            plan=cluster.plan,
            status=cluster.status,
        )

    def _on_demand_projects(self, projects: list[Project]) -> Iterator[DiscoveredCluster]:
        """Yield each pair of project and region that has on-demand clusters.

        Their databases, and so their imports, belong to the project and not to a cluster. There is no status: these
        clusters suspend themselves when they are not queried.
        """
        regions: tuple[str, ...] = ()
        if not all(project.regions for project in projects):
            with _listing("regions"):
                regions = self._api.list_regions()
        pairs = [(project, region) for project in projects for region in project.regions or regions]
        if len(pairs) > ON_DEMAND_LIMIT:
            message = f"{len(pairs):,} pairs of project and region may have on-demand clusters"
            raise DiscoveryError(f"{message}; at most {ON_DEMAND_LIMIT:,} are requested")
        for project, region in pairs:
            with _listing(f"on-demand clusters of project {project.id} in {region}"):
                clusters = self._api.list_on_demand_clusters(project.id, region)
            if clusters:
                yield DiscoveredCluster(
                    id=f"{project.id}/{region}",
                    name=f"{project.name or project.id}-{region}",
                    settings={"url": self._url, "project_id": project.id, "region_id": region},
                    project=project.name,
                    project_id=project.id,
                    region=region,
                    plan=project.plan,
                )


@contextmanager
def _listing(what: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise DiscoveryError(f"cannot list the {what}: {error}") from error
