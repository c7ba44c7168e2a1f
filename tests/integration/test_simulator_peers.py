"""The simulator before clients that were written for the real servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from monitor.simulator import Lifecycle, SimulatedCluster, World
from tests.fakes.simulator import SimulatorServer
from tests.venvs import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PYMILVUS = "pymilvus[bulk-writer]>=3"
ZILLIZ_CLI = "zilliz-cli==1.0.2"
KEY = "a-key-that-opens-nothing"
SCRIPT = """
import json, sys
from pymilvus.bulk_writer import get_import_progress, list_import_jobs

url, arguments = sys.argv[1], json.loads(sys.argv[2])
listed = list_import_jobs(url=url, **arguments).json()
described = {
    record["jobId"]: get_import_progress(url=url, job_id=record["jobId"], **arguments).json()
    for record in listed["data"]["records"]
}
try:
    get_import_progress(url=url, job_id="449000000000000009", **arguments)
except Exception as error:
    gone = str(error)
print(json.dumps([listed, described, gone]))
"""


@pytest.fixture
def world() -> World:
    world = World()
    for cluster in (
        world.add_cluster("in01-cloud", api_key=KEY),
        world.add_cluster("own", generation="milvus", api_key=KEY),
    ):
        cluster.add_job(Lifecycle.frozen("completed", 100), collection="quick_setup", total_rows=1000, files=1)
        cluster.add_job(Lifecycle.frozen("failed", 0, "import timeout"), collection="events")
        cluster.add_job(Lifecycle.frozen("importing", 60), collection="books")
    return world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with SimulatorServer(world) as server:
        yield server.url


def said(cluster: SimulatedCluster) -> dict[str, str]:
    return {job.id: status.state.capitalize() for job, status in cluster.jobs()}


@pytest.mark.parametrize(
    ("path", "cluster_id", "arguments", "gone"),
    [
        ("", "in01-cloud", {"cluster_id": "in01-cloud"}, "96026"),
        ("/clusters/own", "own", {}, "import job does not exist, jobID=449000000000000009"),
    ],
    ids=["zilliz", "milvus"],
)
def test_pymilvus_reads_the_lists_and_the_jobs(
    world: World, url: str, path: str, cluster_id: str, arguments: dict[str, str], gone: str
) -> None:
    python = environment("pymilvus", PYMILVUS)
    given = json.dumps({**arguments, "api_key": KEY})
    done = subprocess.run(
        [python, "-c", SCRIPT, url + path, given], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    listed, described, unknown = json.loads(done.stdout)

    expected = said(world.clusters[cluster_id])
    assert {record["jobId"]: record["state"] for record in listed["data"]["records"]} == expected
    assert {job_id: answer["data"]["state"] for job_id, answer in described.items()} == expected
    assert {answer["data"]["collectionName"] for answer in described.values()} == {"quick_setup", "events", "books"}
    assert gone in unknown


@pytest.fixture
def zilliz(url: str, tmp_path: Path) -> Callable[..., Any]:
    """Returns the official command line, which takes its endpoint only from a file among its own data."""
    python = environment("zilliz-cli", ZILLIZ_CLI)
    (package,) = python.parents[1].glob("lib/python*/site-packages/zilliz_cli")
    copy = tmp_path / "zilliz_cli"
    shutil.copytree(package, copy)
    model = copy / "builtin_models" / "control-plane.json"
    model.write_text(json.dumps({**json.loads(model.read_text()), "endpoint": url}))
    settings = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ZILLIZ", "COV", "PYTHON"))},
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ZILLIZ_API_KEY": KEY,
        "ZILLIZ_CONFIG_DIR": str(tmp_path / "config"),
    }

    def run(*arguments: str) -> Any:
        command = [python, "-m", "zilliz_cli", *arguments, "-o", "json"]
        done = subprocess.run(
            command, env=settings, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_the_zilliz_cli_reads_the_lists_and_the_jobs(world: World, zilliz: Callable[..., Any]) -> None:
    cluster = world.clusters["in01-cloud"]
    listed = zilliz("import", "list", "--cluster-id", "in01-cloud")
    assert {record["jobId"]: record["state"] for record in listed["records"]} == said(cluster)

    for job_id, state in said(cluster).items():
        assert zilliz("import", "status", "--cluster-id", "in01-cloud", "--job-id", job_id)["state"] == state


def test_the_zilliz_cli_reads_the_clusters_and_the_projects(world: World, zilliz: Callable[..., Any]) -> None:
    (cluster,) = zilliz("cluster", "list")["clusters"]
    assert (cluster["clusterId"], cluster["status"]) == ("in01-cloud", "RUNNING")
    assert [project["projectId"] for project in zilliz("project", "list")] == [world.clusters["in01-cloud"].project_id]


def test_the_zilliz_cli_reads_all_pages_of_clusters_and_the_regions(world: World, zilliz: Callable[..., Any]) -> None:
    for number in range(249):
        world.add_cluster(f"in01-{number}", api_key=KEY)

    clusters = zilliz("cluster", "list", "--all")
    assert {cluster["clusterId"] for cluster in clusters} == world.clusters.keys() - {"own"}
    assert "aws-us-west-2" in [region["regionId"] for region in zilliz("cluster", "regions", "--cloud-id", "aws")]


def test_the_zilliz_cli_is_told_when_its_key_is_wrong(world: World, zilliz: Callable[..., Any]) -> None:
    world.clusters["in01-cloud"].api_key = "another"

    with pytest.raises(AssertionError, match="Check your API Key"):
        zilliz("import", "list", "--cluster-id", "in01-cloud")
