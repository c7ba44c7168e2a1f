"""The command that lists what the discoveries find."""

import csv
import io
import json
import signal
import subprocess

import pytest

from monitor.simulator import Trouble, World
from tests.commands import as_csv, finished
from tests.daemon import command, started, write_config
from tests.fakes.simulator import SimulatorServer
from tests.recorder import Recorder

KEY = "the-key-of-the-account"


@pytest.fixture
def world():
    world = World()
    for name, status in (
        ("prod-1", "RUNNING"),
        ("prod-2", "SUSPENDED"),
        ("load-tmp", "RUNNING"),
        ("prod-1", "RUNNING"),
    ):
        number = len(world.clusters) + 1
        world.add_cluster(f"in01-{number}", api_key=KEY, name=name, status=status, project="search", region_id="aws-1")
    return world


@pytest.fixture
def server(world):
    with SimulatorServer(world) as server:
        yield server


@pytest.fixture
def account(server):
    """The section of a discovery of the simulated account."""
    return f"zilliz: {{api_key: {KEY}, url: '{server.url}'}}"


def rows(ended):
    return {row["id"]: row for row in json.loads(ended.stdout)}


def test_each_cluster_found_is_listed_with_why_it_is_watched_or_not(tmp_path, server, account):
    (tmp_path / "more.yml").write_text(
        f"- {{name: lab, url: '{server.url}/clusters/lab', labels: {{team: search}}}}\n"
        f"- {{name: lab-2, url: '{server.url}/clusters/lab'}}\n"
        f"- {{name: same, url: '{server.url}', cluster_id: in01-1, api_key: k}}\n"
        "- {name: one-more, url: 'http://one-more'}\n"
    )
    static = f"{{name: mine, url: '{server.url}', cluster_id: in01-4, api_key: {KEY}}}"
    filters = "include: [{project: 'search*'}], exclude: [{name: '*-tmp'}]"
    config = write_config(
        tmp_path, static, discovery=f"[{{{account}, {filters}}}, {{files: [more.yml], max_clusters: 1}}]"
    )

    ended = finished("discover", "-c", config, "-o", "json")
    listed = json.loads(ended.stdout)
    as_rows = list(csv.DictReader(io.StringIO(finished("discover", "-c", config, "-o", "csv").stdout)))

    included = "included by include[0] (project: search*)"
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [(row["discovery"], row["name"], row["watched"], row["reason"]) for row in listed] == [
        ("zilliz", "prod-1", "yes", included),
        ("zilliz", "prod-2", "paused", "not polled: SUSPENDED"),
        ("zilliz", "load-tmp", "no", "excluded by exclude[0] (name: *-tmp)"),
        ("zilliz", "prod-1", "no", "listed under clusters as mine"),
        ("files", "lab", "yes", None),
        ("files", "same", "no", "found by the discovery zilliz as well, to which it belongs"),
        ("files", "one-more", "no", "beyond max_clusters (1)"),
        ("files", "lab-2", "no", "listed twice: the same cluster as lab"),
    ]
    assert {key: listed[1][key] for key in ("id", "project", "region", "plan", "status", "cluster")} == {
        "id": "in01-2",
        "project": "search",
        "region": "aws-1",
        "plan": "Standard",
        "status": "SUSPENDED",
        "cluster": "prod-2",
    }
    assert (listed[4]["id"], listed[4]["labels"]) == (f"{server.url}/clusters/lab", {"team": "search"})
    assert as_rows == [as_csv(row) for row in listed]


def test_a_table_has_one_line_for_each_cluster_and_ends_without_blanks(tmp_path, account, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)

    lines = finished("discover", "-c", write_config(tmp_path, discovery=f"[{{{account}}}]")).stdout.splitlines()

    assert lines[0].split() == ["DISCOVERY", "NAME", "ID", "PROJECT", "REGION", "PLAN", "STATUS", "WATCHED", "REASON"]
    assert lines[1].split() == ["zilliz", "prod-1", "in01-1", "search", "aws-1", "Standard", "RUNNING", "yes"]
    assert lines[4].endswith("yes      watched as prod-1-in01-4")
    assert len(lines) == 5
    assert lines == [line.rstrip() for line in lines]


def test_a_discovery_that_fails_leaves_what_the_others_find_and_exits_with_1(tmp_path, world, account):
    world.account.trouble(Trouble.http(503))
    (tmp_path / "more.yml").write_text("- {name: lab, url: 'http://lab'}\n")
    config = write_config(tmp_path, discovery=f"[{{{account}}}, {{files: [more.yml]}}]")

    ended = finished("discover", "-c", config, "-o", "json")

    assert ended.returncode == 1
    assert rows(ended).keys() == {"http://lab"}
    assert ended.stderr.startswith("error: discovery zilliz: cannot list the ")
    assert len(ended.stderr.splitlines()) == 1
    assert KEY not in ended.stderr


def test_a_filter_by_project_needs_a_key_that_may_list_projects(tmp_path, world, account):
    world.account.trouble(Trouble.http(403), endpoint="projects")
    by_name = write_config(tmp_path, discovery=f"[{{{account}, include: [{{name: '*'}}]}}]")
    found = rows(finished("discover", "-c", by_name, "-o", "json"))
    by_project = write_config(tmp_path, discovery=f"[{{{account}, exclude: [{{project: test}}]}}]")
    refused = finished("discover", "-c", by_project)

    assert found["in01-1"]["watched"] == "yes"
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: discovery zilliz: cannot list the projects, by which include or exclude")


def test_names_and_clusters_that_a_monitor_has_recorded_are_listed(tmp_path, world, account):
    state = f"sqlite:///{tmp_path}/state.db"
    config = write_config(tmp_path, discovery=f"[{{{account}, interval: 200ms}}]")
    with started("run", "-c", config, "--state", state) as daemon:
        daemon.wait_for("cluster_baseline", milvus_cluster="prod-1")
    world.change_cluster("in01-1", name="renamed")
    world.delete_cluster("in01-2")

    current = rows(finished("discover", "-c", config, "--store", state, "-o", "json"))
    world.account.trouble(Trouble.http(503))
    failed = finished("discover", "-c", config, "--store", state, "-o", "json")

    assert (current["in01-1"]["cluster"], current["in01-1"]["reason"]) == ("prod-1", "watched as prod-1")
    assert current["in01-2"]["reason"] == "not polled: SUSPENDED; not in the list any more"
    assert failed.returncode == 1
    assert rows(failed)["in01-1"]["reason"] == "from an earlier list"


def test_a_bad_config_exits_with_2_and_one_without_a_discovery_finds_nothing(tmp_path):
    bad = finished("discover", "-c", write_config(tmp_path, discovery="[{files: [a.yml], filez: 1}]"))
    config = write_config(tmp_path, "{name: a, url: 'http://a'}")
    none = finished("discover", "-c", config, "-o", "json")

    assert bad.returncode == 2
    assert 'did you mean "files"?' in bad.stderr
    assert (none.returncode, none.stdout, none.stderr) == (0, "[]\n", f"warning: {config} has no discovery\n")


def test_ctrl_c_does_not_wait_for_a_source_that_does_not_answer(tmp_path):
    with Recorder(lambda _connection, incoming: incoming.read()) as inventory:
        config = write_config(tmp_path, discovery=f"[{{http: {{url: '{inventory.url}'}}, timeout: 60s}}]")
        with subprocess.Popen(
            command("discover", "-c", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            inventory.wait_for_requests(1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (130, "")
