"""`databases: all`: the databases of a cluster are asked of the cluster, and followed."""

import json
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from monitor.client import ApiError, Network, connect
from monitor.client.databases import DATABASES_INTERVAL, KNOWN_LIMIT, LISTS_UNTIL_DROPPED
from monitor.config import MAX_ITEMS
from monitor.config.setting_types import ALL_DATABASES
from monitor.jobs import JobList
from monitor.simulator import Lifecycle, Trouble, World
from tests.clusters import cluster
from tests.daemon import Metrics
from tests.fakes.simulator import SimulatorServer, set_status
from tests.integration.test_databases import LAST_FAILED, Monitored
from tests.recorder import Recorder

IMPORTING = Lifecycle.frozen("Importing", 40)
JOBS = "milvus_import_jobs"
CLOUD = "http://api.cloud.zilliz.com"


class Followed(Monitored):
    """A simulated cluster whose databases are followed, and a clock for polls and requests."""

    def __init__(self, server, network, generation):
        self.simulated = server.world.add_cluster("prod", generation=generation)
        self.server, self.events = server, []
        self.network = network
        self.network.clock = lambda: self.now
        hosted = self.simulated.dialect.hosted
        url = server.url if hosted else f"{server.url}/clusters/prod"
        settings = {"cluster_id": "prod" if hosted else "", "stall_after": 86_400.0}
        super().__init__(url, network, ALL_DATABASES, "memory://", **settings)

    def poll(self, after=30.0, *, ok=True):
        """Poll once more, later; return the events that were logged, by name."""
        self.now += after
        with capture_logs() as logged:
            self.outcome = self.poller.poll()
        assert self.outcome.ok == ok, self.outcome.error
        self.events = logged
        return [line["event"] for line in logged if line["log_level"] != "debug"]

    def poll_after_interval(self, *, ok=True):
        return self.poll(after=DATABASES_INTERVAL + 1, ok=ok)

    def add_job(self, database):
        return self.simulated.add_job(IMPORTING, database=database, collection="docs")

    def drop(self, database):
        self.simulated.databases = tuple(name for name in self.simulated.databases if name != database)

    def event(self, name):
        (event,) = [line for line in self.events if line["event"] == name]
        return event

    def by_endpoint(self, name):
        shown = Metrics(self._exposition.scrape("", self.now)[0].decode())
        return {labels["endpoint"]: value for labels, value in shown.named(name)}

    @property
    def asked(self):
        """How often the cluster was asked for its databases."""
        return self.simulated.requests["databases"]


@pytest.fixture
def server():
    with SimulatorServer(World()) as running:
        yield running


@pytest.fixture
def follow(server):
    with closing(Network(backoff=0.0)) as network:
        yield lambda generation="zilliz": Followed(server, network, generation)


@pytest.fixture(params=["zilliz", "milvus"])
def followed(request, follow):
    return follow(request.param)


def test_every_database_of_the_cluster_is_listed_from_the_first_poll_on(followed):
    for database in ("a", "b"):
        followed.add_job(database)
    followed.poll()

    assert followed.by_database(JOBS) == {"a": 1, "b": 1}
    assert followed.asked == 1


def test_a_database_that_is_created_is_followed_and_no_poll_between_asks_for_it(followed):
    followed.add_job("a")
    followed.poll()
    followed.simulated.databases += ("b",)
    for _ in range(9):
        followed.poll()
    assert followed.asked == 1

    assert followed.poll_after_interval() == ["databases_changed"]
    change = followed.event("databases_changed")
    assert (change["milvus_cluster"], change["added"], change["dropped"]) == ("prod", ["b"], [])
    followed.add_job("b")
    followed.poll()
    assert followed.by_database(JOBS) == {"a": 1, "b": 1}


def test_a_job_in_none_of_the_databases_makes_the_monitor_ask_for_them_once(follow):
    followed = follow("milvus")
    followed.add_job("a")
    followed.poll()
    followed.add_job("b")
    followed.poll()
    assert followed.asked == 1
    assert followed.poll() == ["databases_changed"]
    followed.poll()
    assert followed.by_database(JOBS) == {"a": 1, "b": 1}

    followed.add_job("c")
    followed.poll()
    followed.drop("a")
    followed.drop("c")
    for _ in range(5):
        followed.poll(after=10.0)
    assert followed.asked == 3  # none again for the job that is nowhere


def test_a_success_in_one_followed_database_ends_no_failure_in_another(followed):
    failing, completing = followed.add_job("a"), followed.add_job("b")
    followed.poll()
    set_status(failing, state="Failed", reason="file does not exist")
    followed.poll()
    set_status(completing, state="Completed")
    followed.poll()

    assert followed.by_database(LAST_FAILED) == {"a": 1, "b": 0}


def test_the_only_database_is_named_so_that_nothing_changes_when_there_is_another(followed):
    job = followed.add_job("default")
    followed.poll()
    assert followed.by_database(JOBS) == {"default": 1}

    followed.add_job("b")
    followed.poll_after_interval()
    set_status(job, progress=50)
    assert "import_job_transition" not in followed.poll()
    assert followed.by_database(JOBS)["default"] == 1


def test_a_dropped_database_that_the_server_does_not_find_goes_at_once(follow):
    followed = follow("milvus")
    followed.add_job("a")
    followed.simulated.databases += ("b", "c")
    followed.poll()
    followed.drop("b")
    followed.drop("c")

    assert followed.poll() == ["databases_changed"]
    assert followed.event("databases_changed")["dropped"] == ["b", "c"]
    assert followed.asked == 2
    assert followed.poller.known_databases.names == ("default", "a")


def test_a_database_that_the_server_does_not_find_but_lists_fails_the_poll(follow):
    followed = follow("milvus")
    followed.add_job("a")
    followed.poll()
    followed.simulated.trouble(Trouble.code(800, "database not found[database=a]"), endpoint="list", times=1)
    followed.poll(ok=False)

    assert followed.outcome.error == "database not found[database=a] (code 800)"
    assert followed.poll() == ["cluster_recovered"]
    assert followed.poller.known_databases.names == ("default", "a")


def test_a_database_that_is_not_listed_goes_after_some_lists_without_it(follow):
    followed = follow("zilliz")
    followed.add_job("a")
    followed.simulated.databases += ("b",)
    followed.poll()
    followed.drop("b")
    for _ in range(LISTS_UNTIL_DROPPED - 1):
        assert followed.poll_after_interval() == []

    assert followed.poll_after_interval() == ["databases_changed"]
    assert followed.poller.known_databases.names == ("default", "a")


def test_a_database_that_is_not_seen_for_a_moment_stays(follow):
    followed = follow("zilliz")
    followed.add_job("a")
    followed.poll()
    every = followed.simulated.databases
    for _ in range(3):
        followed.drop("a")
        assert followed.poll_after_interval() == []
        assert followed.by_database(JOBS) == {"a": 1}
        followed.simulated.databases = every
        assert followed.poll_after_interval() == []


def test_a_server_that_names_other_databases_each_time_fills_no_memory(follow):
    followed = follow("zilliz")
    for number in range(4):
        followed.simulated.databases = tuple(f"{number}-{name}" for name in range(MAX_ITEMS))
        followed.simulated.trouble(Trouble.code(800, "database not found"), endpoint="list")
        followed.poll_after_interval(ok=False)
        assert len(followed.poller.known_databases.names) <= KNOWN_LIMIT


WRONG_ANSWERS = {
    "an error": Trouble.code(5, "service unavailable"),
    "a refusal": Trouble.code(1401, "permission deny"),
    "throttled": Trouble.http(429),
    "no such API": Trouble.http(404),
    "cut off": Trouble.body('{"code":0,"data":["default","a'),
    "empty": Trouble.body('{"code":0,"data":[]}'),
    "nothing": Trouble.body('{"code":0}'),
    "another kind": Trouble.body('{"code":0,"data":{"default":1}}'),
    "no text": Trouble.body('{"code":0,"data":["default",7]}'),
    "an empty name": Trouble.body('{"code":0,"data":["default",""]}'),
    "a line break": Trouble.body(r'{"code":0,"data":["default","a\r\nX: 1"]}'),
    "a long name": Trouble.body('{"code":0,"data":["%s"]}' % ("a" * 257)),
    "too many": Trouble.body(f'{{"code":0,"data":{json.dumps([f"a{n}" for n in range(MAX_ITEMS + 1)])}}}'),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_an_error_changes_nothing_and_is_logged_once(follow, wrong):
    followed = follow()
    followed.add_job("a")
    followed.poll()
    followed.simulated.trouble(wrong, endpoint="databases")

    assert followed.poll_after_interval() == ["databases_unavailable"]
    assert followed.event("databases_unavailable")["log_level"] == "warning"
    assert followed.event("databases_unavailable")["message"]
    assert followed.poll_after_interval() == []
    assert followed.by_database(JOBS) == {"a": 1}

    followed.simulated.recover()
    asked = followed.asked
    assert followed.poll() == []  # not before the interval has passed
    assert followed.asked == asked
    assert followed.poll_after_interval() == ["databases_recovered"]


@pytest.mark.parametrize("wrong", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_without_a_first_list_of_databases_the_poll_fails_and_says_so(follow, wrong):
    followed = follow()
    followed.add_job("a")
    followed.simulated.trouble(wrong, endpoint="databases")
    assert followed.poll(ok=False) == ["cluster_unreachable"]
    assert followed.outcome.error.startswith("the databases cannot be listed: ")
    assert followed.outcome.error.endswith("`databases` can name them instead of `all`")
    assert followed.simulated.requests["list"] == 0

    followed.simulated.recover()
    assert followed.poll() == ["cluster_recovered", "cluster_baseline"]
    assert followed.by_database(JOBS) == {"a": 1}


def test_the_requests_have_an_endpoint_name_of_their_own_that_begins_at_0(followed):
    def requests():
        return followed.by_endpoint("milvus_import_api_requests_total")

    assert requests()["databases"] == 0
    followed.add_job("a")
    followed.poll()
    followed.poll_after_interval()
    assert requests()["databases"] == 2
    assert followed.by_endpoint("milvus_import_api_throttled_seconds_total")["databases"] == 0


def test_a_reload_keeps_the_databases_that_are_known(followed):
    followed.add_job("a")
    followed.poll()
    followed.simulated.trouble(Trouble.code(5), endpoint="databases")
    poller = followed.poller
    changed = poller.cluster.model_copy(update={"page_size": 50})
    poller.reconfigure(changed, connect(changed, followed.network, poller.usage, poller.known_databases))

    assert followed.poll() == []
    assert followed.by_database(JOBS) == {"a": 1}
    assert followed.asked == 1


def test_all_after_a_reload_finds_the_databases_of_the_jobs_that_are_there(follow):
    followed = follow("milvus")
    followed.add_job("a")
    poller = followed.poller
    for databases in ((), ALL_DATABASES):
        changed = poller.cluster.model_copy(update={"databases": databases})
        poller.reconfigure(changed, connect(changed, followed.network, poller.usage, poller.known_databases))
        followed.poll()

    assert followed.by_database(JOBS) == {"a": 1}
    assert followed.by_endpoint("milvus_import_api_requests_total")["databases"] == 1


def test_a_job_is_described_without_a_list_before_it(followed):
    job = followed.add_job("a")
    with closing(Network(backoff=0.0)) as network:
        api = connect(followed.poller.cluster, network)
        assert api.describe(job.id).collection == "docs"
        assert api.import_files(job.id)
    assert followed.asked == 1


def list_jobs(proxy, monkeypatch, **settings):
    """List the jobs of a cluster on Zilliz Cloud, whose part is played by a proxy."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    settings = {"url": CLOUD, "api_key": "a-key", "databases": ALL_DATABASES, **settings}
    with closing(Network(backoff=0.0)) as network:
        return connect(cluster(**settings), network).list_jobs(JobList())


NO_JOBS = {"code": 0, "data": {"records": []}}


def test_on_zilliz_cloud_the_address_of_the_cluster_is_asked_which_the_control_plane_knows(monkeypatch):
    address = {"code": 0, "data": {"connectAddress": "http://in01-1.aws-us-west-2.vectordb.zillizcloud.com:19530"}}
    with Recorder(address, {"code": 0, "data": ["default"]}, NO_JOBS) as proxy:
        list_jobs(proxy, monkeypatch, cluster_id="in01-1")

        assert [request.target for request in proxy.requests] == [
            f"GET {CLOUD}/v2/clusters/in01-1",
            "POST http://in01-1.aws-us-west-2.vectordb.zillizcloud.com:19530/v2/vectordb/databases/list",
            f"POST {CLOUD}/v2/vectordb/jobs/import/list",
        ]
        assert proxy.requests[1].json == {}
        assert proxy.requests[1].headers["authorization"] == b"Bearer a-key"
        assert proxy.requests[2].json["dbName"] == "default"


@pytest.mark.parametrize(("url", "domain"), [(CLOUD, "com"), (f"{CLOUD}.cn", "com.cn")])
def test_on_zilliz_cloud_the_address_of_an_on_demand_project_follows_from_its_ids(url, domain, monkeypatch):
    with Recorder({"code": 0, "data": ["default"]}, NO_JOBS) as proxy:
        list_jobs(proxy, monkeypatch, url=url, project_id="proj-1", region_id="aws-us-west-2")

        target = f"POST http://proj-1.aws-us-west-2.api.zillizcloud.{domain}/v2/vectordb/databases/list"
        assert proxy.requests[0].target == target


@pytest.mark.parametrize(
    "address",
    [
        "http://evil.example:19530",
        "http://evil.example/.zillizcloud.com",
        "http://evilzillizcloud.com",
        "http://me:word@in01-1.vectordb.zillizcloud.com",
        "ftp://in01-1.vectordb.zillizcloud.com",
        "http://[in01-1.vectordb.zillizcloud.com",
        "in01-1.vectordb.zillizcloud.com",
        "",
        None,
        7,
    ],
)
def test_the_key_is_sent_to_no_address_outside_of_zilliz_cloud(address, monkeypatch):
    with Recorder({"code": 0, "data": {"connectAddress": address}}) as proxy:
        with pytest.raises(ApiError, match=r"the databases cannot be listed: .* address"):
            list_jobs(proxy, monkeypatch, cluster_id="in01-1")
        assert len(proxy.requests) == 1


def test_no_id_of_a_project_makes_another_address(monkeypatch):
    with Recorder(NO_JOBS) as proxy:
        with pytest.raises(ApiError, match="not one of Zilliz Cloud"):
            list_jobs(proxy, monkeypatch, project_id="evil.example/", region_id="aws")
        assert proxy.requests == []
