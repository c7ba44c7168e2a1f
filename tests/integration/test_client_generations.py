"""Every generation of the API, as the simulator speaks it: listed, paged, described, filtered, gone."""

from collections.abc import Iterator

import pytest

from monitor.client import ApiError, ErrorKind, JobGoneError
from monitor.client.errors import NotFoundError, UnauthorizedError
from monitor.jobs import JobList, JobRecord, JobState, normalize_state
from monitor.jobs.tracking import merge
from monitor.simulator import Lifecycle, SimulatedCluster, State, Trouble, World
from tests.clusters import connected
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer, add_jobs

APIS: dict[str, str] = {"zilliz": "v2", "milvus": "v2", "v1": "v1", "milvus-2.3": "milvus-2.3"}


class Simulated:
    """A cluster of one generation, and how it is asked."""

    def __init__(self, server: SimulatorServer, generation: str) -> None:
        self.generation = generation
        self.cluster: SimulatedCluster = server.world.add_cluster(f"in01-{generation}", generation=generation)
        in_cloud = generation in {"zilliz", "v1"}
        self.url = server.url if in_cloud else f"{server.url}/clusters/{self.cluster.id}"
        self.changes = {"api": APIS[generation], "cluster_id": self.cluster.id if in_cloud else ""}

    def jobs(self, **changes: object) -> dict[str, JobRecord]:
        with connected(self.url, **{**self.changes, **changes}) as api:
            listing = api.list_jobs(JobList())
            assert listing.bad_records == ()
            return dict(listing.records)

    def describe(self, job_id: str) -> JobRecord:
        with connected(self.url, **self.changes) as api:
            return api.describe(job_id)


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(World()) as running:
        yield running


@pytest.fixture(params=APIS)
def simulated(server: SimulatorServer, request: pytest.FixtureRequest) -> Simulated:
    return Simulated(server, request.param)


def test_an_empty_cluster_has_no_jobs(simulated: Simulated) -> None:
    assert simulated.jobs() == {}


def test_every_state_is_read_as_far_as_the_generation_tells_it(simulated: Simulated) -> None:
    lives = {
        state: simulated.cluster.add_job(Lifecycle.frozen(state, 99 if state != State.PENDING else 0))
        for state in (State.PENDING, State.IMPORTING, State.UNCOMMITTED, State.COMMITTING, State.COMPLETED)
    }
    lives[State.FAILED] = simulated.cluster.add_job(Lifecycle.frozen(State.FAILED, 0, "file does not exist"))
    told = {state: state for state in lives}
    if simulated.generation in {"v1", "milvus-2.3"}:  # older than two-phase imports
        told |= {State.UNCOMMITTED: State.IMPORTING, State.COMMITTING: State.IMPORTING}
    jobs = simulated.jobs()
    assert {state: normalize_state(jobs[job.id].state).value for state, job in lives.items()} == told
    assert {job.collection for job in jobs.values()} == {"events"}


def test_a_failed_job_tells_why(simulated: Simulated) -> None:
    job = simulated.cluster.add_job(Lifecycle.frozen(State.FAILED, 0, "file does not exist"))
    listed = simulated.jobs()[job.id]
    both = merge(listed, simulated.describe(job.id))
    assert normalize_state(both.state) is JobState.FAILED
    assert both.reason == "file does not exist"


def test_progress_is_known_from_the_list_or_from_describe(simulated: Simulated) -> None:
    job = simulated.cluster.add_job(Lifecycle.frozen(State.IMPORTING, 60))
    both = merge(simulated.jobs()[job.id], simulated.describe(job.id))
    assert both.progress == pytest.approx(60)


def test_a_job_that_was_forgotten_is_gone_and_one_that_never_was_too(simulated: Simulated) -> None:
    job = simulated.cluster.add_job(Lifecycle.frozen(State.IMPORTING, 60))
    simulated.cluster.forget(job.id)
    assert simulated.jobs() == {}
    for job_id in (job.id, "12345"):
        with pytest.raises(JobGoneError) as caught:
            simulated.describe(job_id)
        assert caught.value.kind is ErrorKind.NOT_FOUND


def test_a_describe_in_trouble_is_no_verdict(simulated: Simulated) -> None:
    job = simulated.cluster.add_job(Lifecycle.frozen(State.IMPORTING, 60))
    simulated.cluster.trouble(Trouble.code(2), endpoint="describe")
    with pytest.raises(ApiError) as caught:
        simulated.describe(job.id)
    assert caught.value.kind is ErrorKind.TRANSIENT


def test_many_jobs_are_read_whole_however_they_are_paged(simulated: Simulated) -> None:
    add_jobs(simulated.cluster, 1003, Lifecycle.frozen(State.IMPORTING, 50))
    assert len(simulated.jobs()) == 1003
    pages = 11 if simulated.generation in {"zilliz", "v1"} else 1
    assert simulated.cluster.requests["list"] == pages


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20])
def test_pages_of_ten_end_where_the_jobs_do(server: SimulatorServer, count: int, as_text: bool) -> None:
    simulated = Simulated(server, "v1")
    if as_text:
        simulated.cluster.trouble(hostile.paging_as_text())
    add_jobs(simulated.cluster, count, Lifecycle.frozen(State.IMPORTING, 50))
    assert len(simulated.jobs(page_size=10)) == count
    assert simulated.cluster.requests["list"] == count // 10 + 1


def test_zilliz_cloud_lists_one_database_at_a_time(server: SimulatorServer) -> None:
    simulated = Simulated(server, "zilliz")
    in_sales = simulated.cluster.add_job(database="sales")
    simulated.cluster.add_job(database="other")
    assert {job.job_id: job.database for job in simulated.jobs(databases=("sales",)).values()} == {in_sales.id: "sales"}
    assert len(simulated.jobs()) == 2


def test_self_hosted_milvus_lists_every_database_and_says_of_no_job_where_it_is(server: SimulatorServer) -> None:
    simulated = Simulated(server, "milvus")
    for database in ("default", "sales"):
        simulated.cluster.add_job(database=database)
    assert {job.database for job in simulated.jobs(databases=("sales",)).values()} == {""}
    assert len(simulated.jobs(databases=("sales",))) == 2
    with pytest.raises(NotFoundError, match="database not found"):
        simulated.jobs(databases=("nope",))


def test_an_on_demand_cluster_is_asked_for_by_project_and_region(server: SimulatorServer) -> None:
    simulated = Simulated(server, "zilliz")
    job = simulated.cluster.add_job(Lifecycle.frozen(State.IMPORTING, 60))
    by_project = {"project_id": simulated.cluster.project_id, "region_id": simulated.cluster.region_id}
    with connected(simulated.url, **by_project) as api:
        assert list(api.list_jobs(JobList()).records) == [job.id]
        assert api.describe(job.id).progress == pytest.approx(60)


def test_the_wrong_key_is_unauthorized(server: SimulatorServer) -> None:
    for generation in ("zilliz", "milvus", "v1"):
        simulated = Simulated(server, generation)
        simulated.cluster.api_key = "root:right"
        assert simulated.jobs(api_key="root:right") == {}
        for wrong in ("", "root:wrong"):
            with pytest.raises(UnauthorizedError, match="401") as caught:
                simulated.jobs(api_key=wrong)
            assert "root:wrong" not in str(caught.value)


def test_a_cluster_that_does_not_exist_is_not_found(server: SimulatorServer) -> None:
    server.world.add_cluster("in01-a")
    with connected(server.url, cluster_id="in01-b") as api, pytest.raises(NotFoundError, match="96025"):
        api.list_jobs(JobList())


@pytest.mark.parametrize(("generation", "api"), [("milvus-2.3", "v2"), ("milvus", "milvus-2.3"), ("milvus", "v1")])
def test_the_wrong_generation_is_told_which_to_try(server: SimulatorServer, generation: str, api: str) -> None:
    simulated = Simulated(server, generation)
    with (
        connected(simulated.url, api=api) as asked,
        pytest.raises(NotFoundError, match=f"no {api} import API") as caught,
    ):
        asked.list_jobs(JobList())
    assert ("`api: milvus-2.3`" if api == "v2" else "`api: v2`") in str(caught.value)
