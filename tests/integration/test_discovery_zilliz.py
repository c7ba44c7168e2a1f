"""The clusters of an API key, found in the account API of the simulator."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from monitor.client import ApiError, ErrorKind, Network, StoppedError, connect
from monitor.config import Cluster
from monitor.discovery.model import DiscoveredCluster, DiscoveryError, Source
from monitor.discovery.zilliz import ON_DEMAND_LIMIT, ZillizSource
from monitor.jobs import JobList
from monitor.simulator import Lifecycle, Trouble, World
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer
from tests.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-0123456789abcdef"


@pytest.fixture
def network() -> Iterator[Network]:
    with closing(Network(backoff=0.0)) as network:
        yield network


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(World()) as server:
        yield server


@pytest.fixture
def world(server: SimulatorServer) -> World:
    return server.world


def source(url: str, network: Network, **settings: Any) -> Source:
    return ZillizSource(url, SecretStr(KEY), network=network, requests_per_second=1e4, **{"timeout": 5.0} | settings)


@pytest.fixture
def zilliz(server: SimulatorServer, network: Network) -> Source:
    """Lists the clusters of a key at the simulator."""
    return source(server.url, network)


@pytest.fixture
def with_on_demand(server: SimulatorServer, network: Network) -> Source:
    """Lists its on-demand projects, too."""
    return source(server.url, network, on_demand=True)


def ids(clusters: tuple[DiscoveredCluster, ...]) -> list[str]:
    return [cluster.id for cluster in clusters]


def refusal(zilliz: Source) -> DiscoveryError:
    with pytest.raises(DiscoveryError) as caught:
        zilliz.list_clusters()
    assert str(caught.value).isprintable()
    assert KEY not in str(caught.value)
    return caught.value


def test_a_cluster_has_all_that_filters_and_the_config_need(
    world: World, zilliz: Source, server: SimulatorServer
) -> None:
    cluster = world.add_cluster("in01-a", name="prod-eu", project="search", region_id="gcp-us-west1", plan="Enterprise")
    world.add_cluster("own", generation="milvus")
    world.add_cluster("in01-b", api_key="another")

    assert zilliz.list_clusters() == (
        DiscoveredCluster(
            id="in01-a",
            name="prod-eu",
            settings={"url": server.url, "cluster_id": "in01-a"},
            project="search",
            project_id=cluster.project_id,
            region="gcp-us-west1",
            plan="Enterprise",
            status="RUNNING",
        ),
    )


def test_every_cluster_of_250_is_found(world: World, zilliz: Source) -> None:
    for number in range(250):
        world.add_cluster(f"in01-{number}", project=f"project-{number % 7}")

    found = zilliz.list_clusters()

    assert ids(found) == [f"in01-{number}" for number in range(250)]
    assert {cluster.project for cluster in found} == {f"project-{number}" for number in range(7)}


def test_a_renamed_or_suspended_cluster_keeps_its_id(world: World, zilliz: Source) -> None:
    world.add_cluster("in01-a", name="old")
    (before,) = zilliz.list_clusters()

    world.change_cluster("in01-a", name="new", status="SUSPENDED")
    (after,) = zilliz.list_clusters()

    assert (before.id, before.name, before.status) == ("in01-a", "old", "RUNNING")
    assert (after.id, after.name, after.status) == ("in01-a", "new", "SUSPENDED")
    assert after.settings == before.settings


def test_a_deleted_cluster_is_not_listed_and_a_new_one_is(world: World, zilliz: Source) -> None:
    world.add_cluster("in01-a")
    assert ids(zilliz.list_clusters()) == ["in01-a"]

    world.delete_cluster("in01-a")
    world.add_cluster("in01-b")
    assert ids(zilliz.list_clusters()) == ["in01-b"]


def test_the_members_of_a_global_cluster_are_clusters_like_any_other(world: World, zilliz: Source) -> None:
    world.add_cluster("in01-a", role="PRIMARY")
    world.add_cluster("in01-b", role="SECONDARY", region_id="aws-eu-central-1")

    assert ids(zilliz.list_clusters()) == ["in01-a", "in01-b"]


def test_a_cluster_without_a_name_is_called_by_its_id_and_an_unknown_project_has_no_name(network: Network) -> None:
    answers = {"code": 0, "data": []}, {"code": 0, "data": [{"clusterId": "in01-a", "projectId": "proj-a"}]}
    with Recorder(*answers) as server:
        (cluster,) = source(server.url, network).list_clusters()
    assert (cluster.name, cluster.project, cluster.project_id) == ("in01-a", "", "proj-a")


def test_an_on_demand_project_is_one_target_for_each_region(
    world: World, with_on_demand: Source, server: SimulatorServer
) -> None:
    lake = world.add_cluster("in07-a", project="lake", on_demand=True, plan="Enterprise")
    world.add_cluster("in07-b", project="lake", on_demand=True, status="SUSPENDED")
    world.add_cluster("in07-c", project="lake", on_demand=True, region_id="aws-eu-central-1")
    world.add_cluster("in01-a", project="search")

    dedicated, *on_demand = with_on_demand.list_clusters()

    assert dedicated.id == "in01-a"
    assert sorted(on_demand, key=lambda found: found.region) == [
        DiscoveredCluster(
            id=f"{lake.project_id}/{region}",
            name=f"lake-{region}",
            settings={"url": server.url, "project_id": lake.project_id, "region_id": region},
            project="lake",
            project_id=lake.project_id,
            region=region,
            plan="Enterprise",
        )
        for region in ("aws-eu-central-1", "aws-us-west-2")
    ]
    assert world.account.requests["regions"] == 0


def test_what_was_found_can_be_polled(world: World, with_on_demand: Source, network: Network) -> None:
    for cluster_id, on_demand in (("in01-a", False), ("in07-a", True)):
        world.add_cluster(cluster_id, api_key=KEY, on_demand=on_demand, project="p").add_job(Lifecycle.frozen())

    for found in with_on_demand.list_clusters():
        cluster = Cluster(name=found.name, api_key=SecretStr(KEY), **found.settings)
        jobs = connect(cluster, network).list_jobs(JobList())
        assert len(jobs.records) == 1


def test_on_demand_projects_are_listed_only_if_configured(world: World, zilliz: Source) -> None:
    world.add_cluster("in07-a", on_demand=True)

    assert zilliz.list_clusters() == ()
    assert world.account.requests["on_demand_clusters"] == 0


def test_where_a_project_does_not_say_its_regions_all_are_asked(network: Network) -> None:
    answers = (
        [{"projectId": "proj-a"}],
        [],
        [{"regionId": "aws-us-west-2"}, {"regionId": "gcp-us-west1"}],
        {"count": 0, "onDemandClusters": []},
        {"count": 1, "onDemandClusters": [{"clusterId": "in07-a"}]},
    )
    with Recorder(*({"code": 0, "data": data} for data in answers)) as server:
        (found,) = source(server.url, network, on_demand=True).list_clusters()
    assert (found.id, found.name) == ("proj-a/gcp-us-west1", "proj-a-gcp-us-west1")


def test_more_projects_and_regions_than_the_limit_are_an_error(network: Network) -> None:
    regions = [f"region-{number}" for number in range(ON_DEMAND_LIMIT + 1)]
    with Recorder({"code": 0, "data": [{"projectId": "p", "regionIds": regions}]}, {"code": 0, "data": []}) as server:
        message = str(refusal(source(server.url, network, on_demand=True)))
        assert message == "1,001 pairs of project and region may have on-demand clusters; at most 1,000 are requested"
        assert len(server.requests) == 2


def test_a_key_that_may_not_list_projects_finds_clusters_without_their_names(world: World, zilliz: Source) -> None:
    cluster = world.add_cluster("in01-a", project="search")
    world.account.trouble(Trouble.http(403), endpoint="projects")

    (found,) = zilliz.list_clusters()

    assert (found.id, found.project, found.project_id) == ("in01-a", "", cluster.project_id)


@pytest.mark.parametrize(
    ("setting", "need"),
    [("on_demand", "which on_demand needs"), ("needs_project_names", "by which include or exclude selects clusters")],
)
def test_projects_that_are_needed_and_may_not_be_listed_are_an_error(
    server: SimulatorServer, network: Network, setting: str, need: str
) -> None:
    server.world.add_cluster("in01-a")
    server.world.account.trouble(Trouble.http(403), endpoint="projects")

    message = str(refusal(source(server.url, network, **{setting: True})))

    assert message.startswith(f"cannot list the projects, {need}: 127.0.0.1")


def test_projects_that_cannot_be_listed_for_a_moment_are_an_error(world: World, zilliz: Source) -> None:
    world.add_cluster("in01-a")
    world.account.trouble(Trouble.http(503), endpoint="projects")

    assert str(refusal(zilliz)).startswith("cannot list the projects: ")


@pytest.mark.parametrize("endpoint", ["clusters", "projects", "on_demand_clusters"])
@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble.http(401), ErrorKind.UNAUTHORIZED),
        (Trouble.http(429), ErrorKind.THROTTLED),
        (Trouble.http(500), ErrorKind.TRANSIENT),
        (Trouble.body("<html>"), ErrorKind.BAD_RESPONSE),
        (hostile.huge(), ErrorKind.BAD_RESPONSE),
        (hostile.cut(), ErrorKind.CONNECTION),
    ],
    ids=lambda value: value.kind if isinstance(value, Trouble) else "",
)
def test_one_list_that_failed_is_an_error_and_no_shorter_list(
    world: World, with_on_demand: Source, endpoint: str, trouble: Trouble, kind: ErrorKind
) -> None:
    world.add_cluster("in01-a", project="p")
    world.add_cluster("in07-a", project="p", on_demand=True)
    world.account.trouble(trouble, endpoint=endpoint)

    error = refusal(with_on_demand)

    assert str(error).startswith(f"cannot list the {endpoint.replace('on_demand', 'on-demand').replace('_', ' ')}")
    assert isinstance(error.__cause__, ApiError)
    assert error.__cause__.kind is kind
    world.account.recover()
    assert len(with_on_demand.list_clusters()) == 2


def test_a_page_that_failed_is_an_error(world: World, zilliz: Source) -> None:
    for number in range(150):
        world.add_cluster(f"in01-{number}")
    world.account.trouble(Trouble.partial(page=2))

    assert "cannot list the clusters: 127.0.0.1" in str(refusal(zilliz))


def test_one_project_of_several_that_failed_is_an_error(world: World, with_on_demand: Source) -> None:
    for name in ("a", "b"):
        world.add_cluster(f"in07-{name}", project=name, on_demand=True)
    failure = Trouble.http(403)
    is_b = world.clusters["in07-b"].project_id
    world.account.trouble(
        Trouble(
            "one_project",
            lambda request: failure.respond(request) if request.fields["projectId"] == is_b else request.respond(),
        ),
        endpoint="on_demand_clusters",
    )

    assert f"on-demand clusters of project {is_b} in aws-us-west-2" in str(refusal(with_on_demand))


def test_a_list_that_is_empty_by_mistake_is_returned_as_it_is(world: World, zilliz: Source) -> None:
    world.add_cluster("in01-a")
    world.account.trouble(Trouble.empty())

    assert zilliz.list_clusters() == ()


def test_a_record_without_an_id_costs_the_list_and_not_the_other_clusters(network: Network) -> None:
    clusters = [{"clusterId": "in01-a"}, {"clusterName": "without an id"}]
    with Recorder({"code": 0, "data": []}, {"code": 0, "data": clusters}) as server:
        message = str(refusal(source(server.url, network)))
    assert "cannot list the clusters: the list is not complete: 1 of 2 clusters cannot be read" in message


def test_a_key_without_quota_is_an_error_until_it_has_some(
    server: SimulatorServer, world: World, network: Network
) -> None:
    world.add_cluster("in01-a")
    world.quota.limit = 0
    assert isinstance(refusal(source(server.url, network)).__cause__, ApiError)

    world.quota.limit = None
    assert len(source(server.url, network).list_clusters()) == 1


def test_a_monitor_that_stops_does_not_call_the_list_a_failure(world: World, zilliz: Source, network: Network) -> None:
    world.add_cluster("in01-a")
    network.stop()
    with pytest.raises(StoppedError):
        zilliz.list_clusters()


def test_the_requests_are_counted_by_endpoint(server: SimulatorServer, world: World, network: Network) -> None:
    world.add_cluster("in01-a")
    counted = ZillizSource(server.url, SecretStr(KEY), network=network)
    counted.list_clusters()
    assert counted.usage.requests == {"projects": 1, "clusters": 1}
