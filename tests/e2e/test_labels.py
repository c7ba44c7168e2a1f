"""A label of a cluster, from its config to the notification of its team, by the real programs."""

import csv
import json
import signal

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import finished, started, write_config
from tests.e2e.chain import running_chain
from tests.fakes.simulator import SimulatorServer, set_status

pytestmark = pytest.mark.timeout(300)

STATE = "{url: 'sqlite:///state.db'}"


def entry(server, name, labels):
    return f"{{name: {name}, url: '{server.url}/clusters/{name}', labels: {labels}}}"


def test_a_failed_import_wakes_the_team_whose_label_its_cluster_has(tmp_path):
    world = World()
    for name in ("vectors", "orders"):
        world.add_cluster(name, generation="milvus")
    with SimulatorServer(world) as server:
        orders = entry(server, "orders", "{team: shop}")
        config = write_config(tmp_path, entry(server, "vectors", "{team: search, tier: 1}"), orders, state=STATE)
        with running_chain(tmp_path, config) as chain:
            daemon, receiver = chain.daemon, chain.receiver
            failed = {}
            for name in ("vectors", "orders"):
                daemon.wait_for("cluster_baseline", milvus_cluster=name)
                job = failed[name] = world.clusters[name].add_job(Lifecycle.frozen("Importing", 40), collection="books")
                chain.prometheus.wait_for(f'milvus_import_job_state{{job_id="{job.id}", state="importing"}}')
                set_status(job, state="Failed", reason="file does not exist")
            told = {
                (name, alert): receiver.wait_for(
                    alert, where=lambda one, name=name: one.labels["milvus_cluster"] == name
                )
                for name in failed
                for alert in ("MilvusImportJobFailed", "MilvusImportLastImportFailed")
            }
            event = daemon.wait_for("import_job_transition", job_id=failed["vectors"].id, to_state="failed")
            before = daemon.metrics()
            jobs = daemon.get("/api/v1/jobs?label=team:search").json()["jobs"]

            # The cluster goes to another team.
            write_config(tmp_path, entry(server, "vectors", "{team: shop}"), orders, state=STATE)
            daemon.process.send_signal(signal.SIGHUP)
            resolved = receiver.wait_for("MilvusImportLastImportFailed", "resolved")
            handed_over = receiver.wait_for(
                "MilvusImportLastImportFailed",
                where=lambda one: (one.labels["milvus_cluster"], one.labels["team"]) == ("vectors", "shop"),
            )
            after = daemon.metrics()
        printed = [finished(*command, "-c", config, "-o", "json") for command in (["jobs"], ["history"])]
        table = finished("jobs", "-c", config, "--cluster", "orders", "-o", "csv")

    assert {key: one.path for key, one in told.items()} == {
        ("vectors", "MilvusImportJobFailed"): "/search",
        ("vectors", "MilvusImportLastImportFailed"): "/search-on-call",
        ("orders", "MilvusImportJobFailed"): "/team",
        ("orders", "MilvusImportLastImportFailed"): "/on-call",
    }
    assert told["vectors", "MilvusImportJobFailed"].labels.items() >= {"team": "search", "tier": "1"}.items()
    assert (resolved.path, resolved.labels["team"]) == ("/search-on-call", "search")
    assert handed_over.path == "/on-call"
    assert "tier" not in handed_over.labels

    assert event["labels"] == {"team": "search", "tier": "1"}
    assert [(job["cluster"], job["labels"]) for job in jobs] == [("vectors", event["labels"])]
    name = "milvus_import_cluster_up"
    assert before.value(name, milvus_cluster="vectors", team="search", tier="1") == 1
    assert [labels for labels, _ in after.named(name)] == [
        {"milvus_cluster": "vectors", "team": "shop"},
        {"milvus_cluster": "orders", "team": "shop"},
    ]
    for done in printed:
        assert all(row["labels"] == {"team": "shop"} for row in json.loads(done.stdout)), done.stderr
    assert [row["labels"] for row in csv.DictReader(table.stdout.splitlines())] == ["team=shop"]


def test_every_event_of_a_cluster_has_its_labels(tmp_path):
    world = World()
    world.add_cluster("vectors", generation="milvus")
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, entry(server, "vectors", "{team: search, event: mine}"), state=STATE)
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline")
            job = world.clusters["vectors"].add_job(Lifecycle.frozen("Failed", 40))
            daemon.wait_for("import_job_transition", job_id=job.id)
        lines = [json.loads(line) for line in daemon.written() if line.startswith("{")]

    about = [line for line in lines if "milvus_cluster" in line]
    assert {line["event"] for line in about} >= {"cluster_baseline", "import_job_transition", "poll_finished"}
    assert all(line["labels"] == {"event": "mine", "team": "search"} for line in about)
    assert all("labels" not in line for line in lines if line not in about)
