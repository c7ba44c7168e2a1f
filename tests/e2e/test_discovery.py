"""Clusters that the monitor finds by itself: in an account, in files, and in an inventory."""

import time

import requests

from monitor.simulator import Trouble, World
from tests.daemon import WAIT, finished, started, write_config
from tests.e2e.test_key_files import mount
from tests.fakes.simulator import SimulatorServer, set_status
from tests.recorder import Answer, Recorder

KEY = "the-key-of-the-account"
FAST = "interval: 200ms"


def account(server: SimulatorServer, *more: str) -> str:
    """Return a section with the discovery of the simulated account."""
    settings = ", ".join([f"zilliz: {{api_key: {KEY}, url: '{server.url}'}}", FAST, *more])
    return f"[{{{settings}}}]"


def clusters(daemon) -> dict[str, dict]:
    return {item["name"]: item for item in daemon.get("/api/v1/clusters").json()["clusters"]}


def wait_until(condition, daemon):
    deadline = time.monotonic() + WAIT
    while not (result := condition()):
        assert time.monotonic() < deadline, daemon.tail()
        time.sleep(0.05)
    return result


def test_two_lines_watch_every_cluster_of_a_key(tmp_path):
    world = World()
    for number in (1, 2):
        world.add_cluster(f"in01-{number}", api_key=KEY, name=f"prod-{number}").add_job()
    world.add_cluster("in01-3", api_key=KEY, name="prod-2")
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, discovery=account(server))
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", count=3)
            found = clusters(daemon)
            metrics = daemon.metrics()
            page = daemon.get("/").text
            text = daemon.text()

    assert found.keys() == {"prod-1", "prod-2", "prod-2-in01-3"}
    assert (found["prod-1"]["discovery"], found["prod-1"]["source_status"]) == ("zilliz", "RUNNING")
    assert metrics.value("milvus_import_discovery_up", discovery="zilliz") == 1
    assert metrics.value("milvus_import_discovery_clusters", discovery="zilliz") == 3
    assert "found by <bdi>zilliz</bdi>" in page
    assert KEY not in text


def test_a_cluster_is_found_renamed_suspended_and_resumed(tmp_path):
    world = World()
    first = world.add_cluster("in01-1", api_key=KEY, name="prod")
    job = first.add_job()
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, discovery=account(server))
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="prod")
            set_status(job, "Failed", reason="no such file")
            daemon.wait_for("import_job_transition", to_state="failed")
            world.change_cluster("in01-1", name="production")
            world.add_cluster("in01-2", api_key=KEY, name="second")
            daemon.wait_for("cluster_discovered", milvus_cluster="second", discovery="zilliz")
            before = daemon.metrics()
            world.change_cluster("in01-1", status="SUSPENDED")
            wait_until(lambda: clusters(daemon)["prod"]["status"] == "paused", daemon)
            wait_until(lambda: clusters(daemon)["prod"]["source_name"] == "production", daemon)
            polls, suspended, page = first.requests["list"], daemon.metrics(), daemon.get("/").text
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 5)
            polls_later = first.requests["list"]
            world.change_cluster("in01-1", status="RUNNING")
            wait_until(lambda: clusters(daemon)["prod"]["status"] == "up", daemon)
            resumed = daemon.metrics()
            events = [daemon.lines(event, milvus_cluster="prod") for event in ("cluster_paused", "cluster_resumed")]
            baselines = daemon.lines("cluster_baseline")

    assert before.value("milvus_import_job_failed", milvus_cluster="prod") == 1
    assert '<span class="state paused">paused</span> <bdi class="badge">SUSPENDED</bdi>' in page
    assert "found by <bdi>zilliz</bdi> as <bdi>production</bdi>" in page
    assert suspended.named("milvus_import_job_failed") == []
    assert suspended.named("milvus_import_collection_last_finished_failed") == []
    assert suspended.named("milvus_import_cluster_up", milvus_cluster="prod") == []
    assert suspended.value("milvus_import_cluster_paused", milvus_cluster="prod") == 1
    assert suspended.named("milvus_import_poll_interval_seconds", milvus_cluster="prod") == []
    assert [[line["status"] for line in lines] for lines in events] == [["SUSPENDED"], ["RUNNING"]]
    assert polls_later - polls <= 1  # one may have been under way
    assert resumed.value("milvus_import_job_failed", milvus_cluster="prod") == 1
    assert resumed.value("milvus_import_cluster_paused", milvus_cluster="prod") == 0
    assert [line["milvus_cluster"] for line in baselines] == ["prod", "second"]


def test_errors_and_empty_lists_change_nothing_and_an_outage_at_the_start_neither(tmp_path):
    world = World()
    first = world.add_cluster("in01-1", api_key=KEY, name="prod")
    state = f'{{url: "sqlite:///{tmp_path}/state.db"}}'
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, discovery=account(server), state=state)
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="prod")
            del world.clusters["in01-1"]
            message = daemon.wait_for("discovery_failed")["message"]
            daemon.wait_for("cluster_unreachable")  # it is polled all the same
            down = daemon.metrics().value("milvus_import_discovery_up", discovery="zilliz")
            world.clusters["in01-1"] = first
            daemon.wait_for("discovery_recovered", clusters=1)
            daemon.wait_for("cluster_recovered")
            assert len(daemon.lines("discovery_failed")) == 1
        world.change_cluster("in01-1", name="renamed")
        world.account.trouble(Trouble.http(503))
        with started("run", "-c", config) as daemon:
            daemon.wait_for("discovery_failed")
            daemon.wait_for("poll_finished", milvus_cluster="prod", where=lambda line: "jobs" in line)
            baselines = daemon.lines("cluster_baseline")
            world.account.recover()
            daemon.wait_for("discovery_recovered")
            names = set(clusters(daemon))

    assert message == "the list is empty, and had 1 cluster before"
    assert down == 0
    assert baselines == []
    assert names == {"prod"}


def test_files_are_followed_without_a_reload_also_when_kubernetes_swaps_them(tmp_path):
    world = World()
    for name in ("a", "b"):
        world.add_cluster(name, generation="milvus")
    with SimulatorServer(world) as server:

        def entry(name):
            return f"- {{name: {name}, url: '{server.url}/clusters/{name}', api_key: '${{SECRET}}'}}\n"

        mount(tmp_path / "clusters.d", entry("a")).rename(tmp_path / "clusters.d" / "key.yml")
        config = write_config(tmp_path, discovery='[{files: ["clusters.d/*.yml"]}]')
        with started("run", "-c", config, SECRET="hidden-key-1") as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="a")
            mount(tmp_path / "clusters.d", entry("a") + entry("b"))
            daemon.wait_for("cluster_discovered", milvus_cluster="b", discovery="files")
            daemon.wait_for("cluster_baseline", milvus_cluster="b")
            mount(tmp_path / "clusters.d", entry("a") + "- {name: c, url: http://c, api_kye: hidden-key-2}\n")
            failed = daemon.wait_for("discovery_failed")
            names = set(clusters(daemon))
            text, reloads = daemon.text(), daemon.lines("config_reloaded")

    assert failed["message"].endswith('key.yml:2: clusters[1].api_kye: unknown key; did you mean "api_key"?')
    assert names == {"a", "b"}
    assert reloads == []
    assert "hidden-key" not in text


def test_an_inventory_lists_clusters_and_names_no_files_or_variables_of_the_monitor(tmp_path):
    world = World()
    world.add_cluster("a", generation="milvus", api_key="${HOME}")
    with SimulatorServer(world) as server, Recorder() as inventory:
        listed = {"name": "a", "url": f"{server.url}/clusters/a", "api_key": "${HOME}", "interval": "100ms"}
        inventory.answers(Answer([listed]), Answer([{**listed, "url": "https://a", "tls": {"ca_file": "/etc/passwd"}}]))
        source = f"http: {{url: '{inventory.url}/clusters?env=x', api_key: k1234567}}"
        config = write_config(tmp_path, discovery=f"[{{{source}, {FAST}}}]")
        with started("run", "-c", config) as daemon:
            daemon.wait_for("poll_finished", milvus_cluster="a", where=lambda line: "jobs" in line)
            failed = daemon.wait_for("discovery_failed")
            first = inventory.requests[0]

    assert (first.target, first.headers["authorization"]) == ("GET /clusters?env=x", b"Bearer k1234567")
    assert failed["message"].endswith("clusters[0].tls.ca_file: is not allowed in a list from the network")


def test_an_inventory_that_hangs_delays_neither_polls_nor_a_reload_nor_the_end(tmp_path):
    world = World()
    for name in ("a", "b"):
        world.add_cluster(name, generation="milvus")
    with SimulatorServer(world) as server, Recorder(lambda _connection, incoming: incoming.read()) as inventory:
        cluster = f"{{name: a, url: '{server.url}/clusters/a'}}"
        found = f"[{{http: {{url: '{inventory.url}'}}, timeout: 60s}}]"
        config = write_config(tmp_path, cluster, discovery=found)
        with started("run", "-c", config) as daemon:
            inventory.wait_for_requests(1)
            daemon.wait_for("poll_finished", count=5, milvus_cluster="a")
            ready = daemon.get("/-/ready").status_code
            write_config(tmp_path, cluster, discovery=f"[{{files: [more.yml]}}, {found[1:-1]}]")
            (tmp_path / "more.yml").write_text(f"- {{name: b, url: '{server.url}/clusters/b'}}\n- {cluster}\n")
            reloaded = requests.post(f"{daemon.url}/-/reload", timeout=5)
            daemon.wait_for("cluster_discovered", discovery="files")
            code = daemon.stop(within=5)

    assert ready == 503  # for 30 s
    assert reloaded.ok
    assert code == 0


def test_a_key_in_a_file_is_read_again_for_the_account_and_its_clusters(tmp_path):
    world = World()
    first = world.add_cluster("in01-1", api_key=KEY, name="prod")
    key = mount(tmp_path / "keys", KEY)
    with SimulatorServer(world) as server:
        source = f"zilliz: {{api_key_file: {key}, url: '{server.url}'}}"
        with started("run", "-c", write_config(tmp_path, discovery=f"[{{{source}, {FAST}}}]")) as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="prod")
            first.api_key = "another-key-5678"
            daemon.wait_for("discovery_failed")
            daemon.wait_for("cluster_unreachable", kind="unauthorized")
            mount(tmp_path / "keys", first.api_key)
            daemon.wait_for("discovery_recovered")
            daemon.wait_for("cluster_recovered")
            text = daemon.text()

    assert KEY not in text
    assert "another-key" not in text


def test_commands_poll_the_clusters_found_under_their_recorded_names(tmp_path):
    world = World()
    world.add_cluster("in01-1", api_key=KEY, name="prod").add_job(job_id="7")
    world.add_cluster("in01-2", api_key=KEY, name="asleep", status="SUSPENDED")
    state = f'{{url: "sqlite:///{tmp_path}/state.db"}}'
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, discovery=account(server), state=state)
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="prod")
        world.change_cluster("in01-1", name="renamed")
        jobs = finished("jobs", "-c", config, "-o", "csv")
        probe = finished("check-config", "-c", config, "--probe")
        unknown = finished("jobs", "-c", config, "--cluster", "renamed")
        world.account.trouble(Trouble.http(403))
        failed = finished("jobs", "-c", config)

    assert (jobs.returncode, jobs.stdout.splitlines()[1].split(",")[0]) == (0, "prod")
    assert probe.stdout.startswith(f"{config}: valid, 0 clusters, 1 discovery\nprod: 1 job")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        f"error: --cluster: {config} has no cluster 'renamed'; it has prod\n",
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: discovery zilliz: cannot list the clusters: ")
    assert KEY not in failed.stderr


def test_a_failure_stays_shown_after_a_restart_that_has_lost_the_key_of_its_cluster(tmp_path):
    world = World()
    job = world.add_cluster("a", generation="milvus", api_key="the-key-of-a").add_job()
    state = f'{{url: "sqlite:///{tmp_path}/state.db"}}'
    with SimulatorServer(world) as server, Recorder() as inventory:
        inventory.answers(Answer([{"name": "a", "url": f"{server.url}/clusters/a", "api_key": "the-key-of-a"}]))
        config = write_config(tmp_path, discovery=f"[{{http: {{url: '{inventory.url}'}}, {FAST}}}]", state=state)
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="a")
            set_status(job, "Failed", reason="no such file")
            daemon.wait_for("import_job_transition", to_state="failed")
        inventory.answers(Answer({}, status=503))
        with started("run", "-c", config) as daemon:
            daemon.wait_for("discovery_failed")
            waiting, metrics = clusters(daemon)["a"], daemon.metrics()
            inventory.answers(Answer([{"name": "b", "url": f"{server.url}/clusters/a", "api_key": "the-key-of-a"}]))
            daemon.wait_for("poll_finished", milvus_cluster="a", where=lambda line: "jobs" in line)
            later, baselines = daemon.metrics(), daemon.lines("cluster_baseline")
            unreachable = daemon.lines("cluster_unreachable")

    assert (waiting["status"], waiting["source_status"]) == ("paused", "without key")
    assert metrics.value("milvus_import_job_failed", milvus_cluster="a") == 1
    assert later.value("milvus_import_job_failed", milvus_cluster="a") == 1
    assert baselines == unreachable == []


def test_a_cluster_that_is_listed_in_the_config_under_another_name_and_removed_again_loses_no_transition(tmp_path):
    world = World()
    cluster = world.add_cluster("in01-1", api_key=KEY, name="prod")
    jobs = [cluster.add_job(job_id=job_id) for job_id in ("1", "2")]
    for job in jobs:
        set_status(job, "Importing", progress=50)
    with SimulatorServer(world) as server:
        found, own = account(server), f"{{name: own, url: '{server.url}', cluster_id: in01-1, api_key: {KEY}}}"
        config = write_config(tmp_path, discovery=found)
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline", milvus_cluster="prod")
            names = []
            for job, entries in zip(jobs, ([own], []), strict=True):
                write_config(tmp_path, *entries, discovery=found)
                set_status(job, "Failed", reason="no such file")
                assert requests.post(f"{daemon.url}/-/reload", timeout=5).ok
                daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
                names.append(set(clusters(daemon)))
                failed = daemon.metrics().named("milvus_import_job_failed", job_id=job.id)
                names.append({labels["milvus_cluster"] for labels, _ in failed})
            failures = daemon.lines("import_job_transition", to_state="failed")
            baselines = daemon.lines("cluster_baseline")

    assert names == [{"own"}, {"own"}, {"prod"}, {"prod"}]
    assert [line["job_id"] for line in failures] == ["1", "2"]
    assert len(baselines) == 1
